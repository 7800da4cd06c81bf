// What `sallyport discover opc.tcp://…` shows: enough to write a [[source.opcua]] table from.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/opcua/client.h"

namespace sallyport::opcua {

struct DiscoveredEndpoint {
  std::string url;         // as the server advertises it; shown, never dialled
  std::string security;    // as the setting wants it: "none", "Basic256Sha256/SignAndEncrypt"
  bool supported = false;  // sallyport can connect with it
  bool anonymous = false, user_name = false, certificate_user = false;
  std::string certificate_sha256;  // fingerprint; empty when there is none
};
struct DiscoveredNode {
  std::string id;                     // "nsu=urn:acme:line1;s=Plant"
  std::string name;                   // browse name
  std::string node_class;             // "Object" or "Variable"
  std::string type;                   // of a variable: "Double", "Int32[]"
  std::size_t children = 0;           // of the second level: how many nodes lie below
  std::vector<DiscoveredNode> nodes;  // of the first level
};
struct Discovered {
  std::string application_name, application_uri, product_uri;
  std::vector<DiscoveredEndpoint> endpoints;
  std::vector<Certificate> certificates;  // each once; `der` can be saved as server_certificate
  // Filled when a session could be opened; otherwise `browse_error` says why not.
  std::vector<std::string> namespaces;
  OperationLimits limits;
  std::vector<DiscoveredNode> nodes;  // below Objects, two levels
  std::string browse_error;
};

// Connects to options.endpoint only. An unreachable server is an error; one that lets nobody browse is not. Blocks for
// a few request timeouts at most.
Result<Discovered> discover(const ClientOptions& options);

}  // namespace sallyport::opcua
