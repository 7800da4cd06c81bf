// How a client is set up: endpoint and user token chosen, certificate checked, security policies made. Used by
// client.cpp.
#pragma once

#include <span>

#include "protocol/opcua/client.h"

namespace sallyport::opcua {

struct Choice {
  Endpoint endpoint;           // with our address in place of the one the server suggests
  UA_UserTokenPolicy token{};  // inside the caller's endpoints
  std::string token_policy;    // security policy for the password; "None" = in plain text
  std::vector<std::string> warnings;
};

// The endpoint that the options ask for, its certificate checked. The error lists what the server offers instead.
Result<Choice> choose_endpoint(const ClientOptions& options, std::span<const Endpoint> endpoints);

// A client's configuration with library defaults and our limits, no security policy but None. Cleared by the client.
Result<UA_ClientConfig> make_config(const ClientOptions& options, UA_Logger* logger);
// Adds policies and the user token, and ties the configuration to exactly that endpoint.
Result<void> apply_choice(UA_ClientConfig& config, const ClientOptions& options, const Choice& choice);

}  // namespace sallyport::opcua
