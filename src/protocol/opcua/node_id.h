// NodeIds and QualifiedNames as text with the namespace as URI, never an index: indexes change when a server restarts.
// (OPC 10000-6 §5.1.12, §5.1.13)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/opcua/ua.h"

namespace sallyport::opcua {

// A server's NamespaceArray. Index 0 is always http://opcfoundation.org/UA/.
class NamespaceTable {
 public:
  NamespaceTable();
  explicit NamespaceTable(std::vector<std::string> uris);
  std::optional<std::uint16_t> index(std::string_view uri) const;
  // An index the server never announced reads as "urn:sallyport:unknown-namespace:7", so that nothing is lost.
  std::string uri(std::uint16_t index) const;
  const std::vector<std::string>& uris() const { return uris_; }
  std::uint16_t add(std::string_view uri);  // index of the URI, appended when new
  friend bool operator==(const NamespaceTable&, const NamespaceTable&) = default;

 private:
  std::vector<std::string> uris_;
};

// "i=85", "nsu=urn:x;s=Plant", "nsu=urn:x;g=09087e75-…", "nsu=urn:x;b=<base64>"; ';' and '%' of the URI as %3B and %25.
std::string format_node_id(const UA_NodeId& id, const NamespaceTable& namespaces);
// The same with "svr=<n>;" in front for nodes of another server.
std::string format_expanded_node_id(const UA_ExpandedNodeId& id, const NamespaceTable& namespaces);
// "nsu=urn:x;Name", or "Name" in namespace 0.
std::string format_qualified_name(const UA_QualifiedName& name, const NamespaceTable& namespaces);

// Reads what the above write. invalid: no NodeId, or a bare "ns=" (the message says what to write instead);
// not_found: a namespace that the table does not have.
Result<NodeId> parse_node_id(std::string_view text, const NamespaceTable& namespaces);
Result<UA_ExpandedNodeId> parse_expanded_node_id(std::string_view text, const NamespaceTable& namespaces);
Result<UA_QualifiedName> parse_qualified_name(std::string_view text, const NamespaceTable& namespaces);

// Text that a server chose, for a message: no control characters, at most 200 bytes.
std::string printable(std::string_view text);

// Whether `text` is a NodeId as a user may write it in settings, whatever namespaces the server has.
Result<void> check_node_id_text(std::string_view text);

}  // namespace sallyport::opcua
