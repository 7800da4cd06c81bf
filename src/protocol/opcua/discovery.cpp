#include "protocol/opcua/discovery.h"

#include <algorithm>

#include "protocol/opcua/browse.h"
#include "protocol/opcua/value_codec.h"

namespace sallyport::opcua {
namespace {

constexpr std::size_t kMaxNodes = 200;  // of each level shown

DiscoveredEndpoint describe_endpoint(const Endpoint& endpoint, std::vector<Certificate>& certificates) {
  DiscoveredEndpoint out;
  out.url = text(endpoint->endpointUrl);
  out.security = describe_security(view(endpoint->securityPolicyUri), endpoint->securityMode);
  out.supported = parse_security(out.security).has_value();
  for (std::size_t i = 0; i < endpoint->userIdentityTokensSize; ++i) {
    const UA_UserTokenType type = endpoint->userIdentityTokens[i].tokenType;
    out.anonymous |= type == UA_USERTOKENTYPE_ANONYMOUS;
    out.user_name |= type == UA_USERTOKENTYPE_USERNAME;
    out.certificate_user |= type == UA_USERTOKENTYPE_CERTIFICATE;
  }
  if (auto certificate = read_certificate(view(endpoint->serverCertificate))) {
    out.certificate_sha256 = certificate->sha256;
    const bool known = std::ranges::contains(certificates, certificate->sha256, &Certificate::sha256);
    if (!known) certificates.push_back(std::move(*certificate));
  }
  return out;
}

std::string type_text(const DataValue& data_type, const DataValue& value_rank) {
  if (!UA_Variant_hasScalarType(&data_type->value, &UA_TYPES[UA_TYPES_NODEID])) return {};
  const UA_DataType* type = UA_findDataType(static_cast<const UA_NodeId*>(data_type->value.data));
  std::string out = type == nullptr ? "other" : std::string(to_string(type_of(*type)));
  const bool array = UA_Variant_hasScalarType(&value_rank->value, &UA_TYPES[UA_TYPES_INT32]) &&
                     *static_cast<const UA_Int32*>(value_rank->value.data) >= 0;
  return array ? out + "[]" : out;
}

Result<void> read_types(Client& client, std::span<const UA_NodeId> ids, std::span<DiscoveredNode*> nodes) {
  std::vector<UA_ReadValueId> what;
  for (const UA_NodeId& id : ids) {
    for (const UA_UInt32 attribute : {UA_ATTRIBUTEID_DATATYPE, UA_ATTRIBUTEID_VALUERANK}) {
      UA_ReadValueId read{};
      read.nodeId = id;
      read.attributeId = attribute;
      what.push_back(read);
    }
  }
  const auto values = client.read(what);
  if (!values) return std::unexpected(values.error());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i]->node_class == "Variable") nodes[i]->type = type_text((*values)[2 * i], (*values)[2 * i + 1]);
  }
  return {};
}

DiscoveredNode describe_node(const Reference& reference, const NamespaceTable& namespaces) {
  DiscoveredNode out;
  out.id = format_node_id(*reference.node, namespaces);
  out.name = reference.name;
  out.node_class = reference.node_class == UA_NODECLASS_VARIABLE ? "Variable" : "Object";
  return out;
}

struct Level {
  std::vector<UA_NodeId> ids;  // borrowed from the references below
  std::vector<DiscoveredNode*> nodes;
};

Result<void> browse_levels(Client& client, Discovered& out) {
  const UA_NodeId objects = UA_NODEID_NUMERIC(0, UA_NS0ID_OBJECTSFOLDER);
  const auto top = browse(client, std::span(&objects, 1));
  if (!top) return std::unexpected(top.error());
  Level first, second;
  out.nodes.reserve(kMaxNodes);
  for (const Reference& reference : top->front().references) {
    if (reference.property || out.nodes.size() == kMaxNodes) continue;
    out.nodes.push_back(describe_node(reference, client.namespaces()));
    first.ids.push_back(*reference.node);
    first.nodes.push_back(&out.nodes.back());
  }
  const auto below = browse(client, first.ids);
  if (!below) return std::unexpected(below.error());
  for (std::size_t i = 0; i < first.nodes.size(); ++i) {
    DiscoveredNode& parent = *first.nodes[i];
    parent.children = (*below)[i].references.size();
    parent.nodes.reserve(kMaxNodes);
    for (const Reference& reference : (*below)[i].references) {
      if (reference.property || parent.nodes.size() == kMaxNodes) continue;
      parent.nodes.push_back(describe_node(reference, client.namespaces()));
      second.ids.push_back(*reference.node);
      second.nodes.push_back(&parent.nodes.back());
    }
  }
  const auto leaves = browse(client, second.ids);
  if (!leaves) return std::unexpected(leaves.error());
  for (std::size_t i = 0; i < second.nodes.size(); ++i) second.nodes[i]->children = (*leaves)[i].references.size();
  if (auto read = read_types(client, first.ids, first.nodes); !read) return read;
  return read_types(client, second.ids, second.nodes);
}

}  // namespace

Result<Discovered> discover(const ClientOptions& options) {
  const auto endpoints = get_endpoints(options);
  if (!endpoints) return std::unexpected(endpoints.error());
  Discovered out;
  for (const Endpoint& endpoint : *endpoints) out.endpoints.push_back(describe_endpoint(endpoint, out.certificates));
  if (!endpoints->empty()) {
    const UA_ApplicationDescription& server = endpoints->front()->server;
    out.application_name = text(server.applicationName.text);
    out.application_uri = text(server.applicationUri);
    out.product_uri = text(server.productUri);
  }
  const auto client = Client::connect(options);
  if (!client) {
    out.browse_error = client.error().message;
    return out;
  }
  out.namespaces = (*client)->namespaces().uris();
  out.limits = (*client)->limits();
  if (auto browsed = browse_levels(**client, out); !browsed) out.browse_error = browsed.error().message;
  return out;
}

}  // namespace sallyport::opcua
