#include "protocol/opcua/browse.h"

#include <algorithm>

namespace sallyport::opcua {
namespace {

constexpr std::size_t kBrowseBatch = 500;

using BrowseRequest = Owned<UA_BrowseRequest, UA_TYPES_BROWSEREQUEST>;
using BrowseNextRequest = Owned<UA_BrowseNextRequest, UA_TYPES_BROWSENEXTREQUEST>;

class Browser {
 public:
  Browser(Client& client, std::span<const UA_NodeId> nodes, const BrowseWhat& what, std::size_t max_references)
      : client_(client),
        nodes_(nodes),
        what_(what),
        left_(max_references),
        batch_(batch_size(client.limits().nodes_per_browse, kBrowseBatch)),
        out_(nodes.size()) {}

  Result<std::vector<NodeReferences>> run();

 private:
  struct Continued {
    std::size_t node;
    Owned<UA_ByteString, UA_TYPES_BYTESTRING> point;
  };
  Result<void> browse_some(std::span<const std::size_t> which);
  Result<void> follow();
  Result<void> take(std::size_t node, UA_BrowseResult& result);
  Result<void> add(NodeReferences& into, UA_ReferenceDescription& reference);

  Client& client_;
  std::span<const UA_NodeId> nodes_;
  const BrowseWhat& what_;
  std::size_t left_;
  std::size_t batch_;
  std::vector<NodeReferences> out_;
  std::vector<Continued> continued_;
  std::vector<std::size_t> again_;  // the server ran out of continuation points
};

Result<void> Browser::add(NodeReferences& into, UA_ReferenceDescription& from) {
  if (from.nodeId.serverIndex != 0) return {};
  if (left_ == 0) return fail(ErrorCode::limit, "more nodes than max_points allows; browse less, or raise it");
  --left_;
  Reference reference;
  reference.node = NodeId(std::exchange(from.nodeId.nodeId, UA_NodeId{}));
  if (from.nodeId.namespaceUri.length != 0) {
    const auto index = client_.namespaces().index(view(from.nodeId.namespaceUri));
    if (!index) return {};
    reference.node->namespaceIndex = *index;
  }
  reference.name = text(from.browseName.name);
  reference.name_namespace = from.browseName.namespaceIndex;
  reference.node_class = from.nodeClass;
  const auto is = [](const UA_NodeId& id, std::uint32_t number) {
    const UA_NodeId other = UA_NODEID_NUMERIC(0, number);
    return UA_NodeId_equal(&id, &other);
  };
  reference.property =
      is(from.referenceTypeId, UA_NS0ID_HASPROPERTY) || is(from.typeDefinition.nodeId, UA_NS0ID_PROPERTYTYPE);
  into.references.push_back(std::move(reference));
  return {};
}

Result<void> Browser::take(std::size_t node, UA_BrowseResult& result) {
  NodeReferences& into = out_[node];
  if (result.statusCode == UA_STATUSCODE_BADNOCONTINUATIONPOINTS) {
    into.references.clear();
    again_.push_back(node);
    return {};
  }
  into.status = result.statusCode;
  for (std::size_t i = 0; i < result.referencesSize; ++i) {
    if (auto added = add(into, result.references[i]); !added) return added;
  }
  if (result.continuationPoint.length != 0) {
    continued_.push_back(
        {node, Owned<UA_ByteString, UA_TYPES_BYTESTRING>(std::exchange(result.continuationPoint, UA_ByteString{}))});
  }
  return {};
}

Result<void> Browser::follow() {
  while (!continued_.empty()) {
    std::vector<Continued> now;
    const std::size_t count = std::min(continued_.size(), batch_);
    std::move(continued_.end() - static_cast<std::ptrdiff_t>(count), continued_.end(), std::back_inserter(now));
    continued_.resize(continued_.size() - count);
    BrowseNextRequest request;
    std::vector<UA_ByteString> points;
    for (const Continued& entry : now) points.push_back(*entry.point);
    request->continuationPoints = points.data();  // borrowed
    request->continuationPointsSize = points.size();
    auto response = client_.call<UA_BrowseNextResponse, UA_TYPES_BROWSENEXTRESPONSE>(request);
    *request = UA_BrowseNextRequest{};
    if (!response) return std::unexpected(response.error());
    if ((*response)->resultsSize != now.size())
      return fail(ErrorCode::malformed, "the server answered BrowseNext with another number of results");
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (auto taken = take(now[i].node, (*response)->results[i]); !taken) return taken;
    }
  }
  return {};
}

Result<void> Browser::browse_some(std::span<const std::size_t> which) {
  std::vector<UA_BrowseDescription> descriptions(which.size());
  for (std::size_t i = 0; i < which.size(); ++i) {
    descriptions[i].nodeId = nodes_[which[i]];
    descriptions[i].browseDirection = what_.direction;
    descriptions[i].referenceTypeId = UA_NODEID_NUMERIC(0, what_.reference_type);
    descriptions[i].includeSubtypes = true;
    descriptions[i].nodeClassMask = what_.classes;
    descriptions[i].resultMask = UA_BROWSERESULTMASK_REFERENCETYPEID | UA_BROWSERESULTMASK_NODECLASS |
                                 UA_BROWSERESULTMASK_BROWSENAME | UA_BROWSERESULTMASK_TYPEDEFINITION;
  }
  BrowseRequest request;
  request->nodesToBrowse = descriptions.data();  // borrowed
  request->nodesToBrowseSize = descriptions.size();
  auto response = client_.call<UA_BrowseResponse, UA_TYPES_BROWSERESPONSE>(request);
  *request = UA_BrowseRequest{};
  if (!response) return std::unexpected(response.error());
  if ((*response)->resultsSize != which.size())
    return fail(ErrorCode::malformed, "the server answered Browse with another number of results");
  for (std::size_t i = 0; i < which.size(); ++i) {
    if (auto taken = take(which[i], (*response)->results[i]); !taken) return taken;
  }
  return follow();  // before the next ones: servers hold few continuation points
}

Result<std::vector<NodeReferences>> Browser::run() {
  std::vector<std::size_t> todo(nodes_.size());
  for (std::size_t i = 0; i < todo.size(); ++i) todo[i] = i;
  while (!todo.empty()) {
    for (std::size_t at = 0; at < todo.size();) {
      const auto some = std::span(todo).subspan(at, std::min(batch_, todo.size() - at));
      auto done = browse_some(some);
      if (done) {
        at += some.size();
      } else if (asks_too_much(client_.last_result()) && some.size() > 1) {
        batch_ = some.size() / 2;
      } else {
        return std::unexpected(done.error());
      }
    }
    todo = std::exchange(again_, {});
    if (todo.empty()) break;
    if (batch_ == 1) {  // not even one at a time
      for (const std::size_t node : todo) out_[node].status = UA_STATUSCODE_BADNOCONTINUATIONPOINTS;
      break;
    }
    batch_ = std::max<std::size_t>(batch_ / 4, 1);
  }
  return std::move(out_);
}

}  // namespace

Result<std::vector<NodeReferences>> browse(Client& client, std::span<const UA_NodeId> nodes, const BrowseWhat& what,
                                           std::size_t max_references) {
  if (nodes.empty()) return std::vector<NodeReferences>{};
  return Browser(client, nodes, what, max_references).run();
}

}  // namespace sallyport::opcua
