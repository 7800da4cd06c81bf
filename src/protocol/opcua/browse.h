// What lies below nodes of a server: references in batches inside the server's limits, continuation points followed.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "protocol/opcua/client.h"

namespace sallyport::opcua {

struct Reference {
  NodeId node;
  std::string name;  // browse name
  std::uint16_t name_namespace = 0;
  UA_NodeClass node_class = UA_NODECLASS_UNSPECIFIED;
  bool property = false;  // by HasProperty, or of PropertyType
};
struct NodeReferences {
  UA_StatusCode status = UA_STATUSCODE_GOOD;  // bad: this node cannot be browsed; the others can
  std::vector<Reference> references;
};

struct BrowseWhat {
  std::uint32_t reference_type = UA_NS0ID_HIERARCHICALREFERENCES;  // and its subtypes
  UA_BrowseDirection direction = UA_BROWSEDIRECTION_FORWARD;
  std::uint32_t classes = UA_NODECLASS_OBJECT | UA_NODECLASS_VARIABLE;
};

// One entry for each node, in order. Nodes of other servers are left out. The error `limit`: more than
// `max_references`.
Result<std::vector<NodeReferences>> browse(Client& client, std::span<const UA_NodeId> nodes,
                                           const BrowseWhat& what = {}, std::size_t max_references = 10'000'000);

}  // namespace sallyport::opcua
