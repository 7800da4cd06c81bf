#include "protocol/opcua/client_config.h"

#include <open62541/client_config_default.h>
#include <open62541/plugin/log.h>
#include <open62541/plugin/securitypolicy_default.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>

#include "base/log.h"

namespace sallyport::opcua {
namespace {

constexpr std::string_view kPolicyPrefix = "http://opcfoundation.org/UA/SecurityPolicy#";
constexpr std::string_view kBinaryTransport = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary";
constexpr std::array<std::string_view, 3> kPolicies = {"Basic256Sha256", "Aes128_Sha256_RsaOaep",
                                                       "Aes256_Sha256_RsaPss"};
constexpr std::uint32_t kMaxMessage = 64 * 1024 * 1024;
constexpr std::uint32_t kMaxChunks = 16 * 1024;

std::uint32_t milliseconds(Duration duration) {
  return static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

std::string policy_name(std::string_view uri) {
  const std::size_t hash = uri.rfind('#');
  return std::string(uri.empty() ? "None" : hash == std::string_view::npos ? uri : uri.substr(hash + 1));
}

std::string mode_name(UA_MessageSecurityMode mode) {
  switch (mode) {
    case UA_MESSAGESECURITYMODE_NONE:
      return "None";
    case UA_MESSAGESECURITYMODE_SIGN:
      return "Sign";
    case UA_MESSAGESECURITYMODE_SIGNANDENCRYPT:
      return "SignAndEncrypt";
    default:
      return "Invalid";
  }
}

bool known_policy(std::string_view name) { return name == "None" || std::ranges::contains(kPolicies, name); }

std::string offered(std::span<const Endpoint> endpoints) {
  std::string out;
  for (const Endpoint& endpoint : endpoints) {
    const std::string text = printable(describe_security(view(endpoint->securityPolicyUri), endpoint->securityMode));
    if (out.find(text) == std::string::npos) (out += out.empty() ? "" : ", ") += text;
  }
  return out.empty() ? "nothing" : out;
}

const Endpoint* find_endpoint(const Security& wanted, std::span<const Endpoint> endpoints) {
  const Endpoint* best = nullptr;
  for (const Endpoint& endpoint : endpoints) {
    const std::string_view transport = view(endpoint->transportProfileUri);
    if (!transport.empty() && transport != kBinaryTransport) continue;  // some devices leave it empty
    if (endpoint->securityMode != wanted.mode || policy_name(view(endpoint->securityPolicyUri)) != wanted.policy)
      continue;
    if (best == nullptr || endpoint->securityLevel > (*best)->securityLevel) best = &endpoint;
  }
  return best;
}

// How well a token policy suits; 0 = not at all. Passwords want encryption, anonymous users want no extra policy to
// load.
int token_rank(const ClientOptions& options, std::string_view policy) {
  if (!known_policy(policy)) return 0;
  if (policy == options.security.policy && policy != "None") return 3;
  return (policy == "None") == options.login.has_value() ? 1 : 2;
}

Result<void> choose_token(const ClientOptions& options, const Endpoint& endpoint, Choice& choice) {
  const UA_UserTokenType wanted = options.login ? UA_USERTOKENTYPE_USERNAME : UA_USERTOKENTYPE_ANONYMOUS;
  int best = 0;
  for (std::size_t i = 0; i < endpoint->userIdentityTokensSize; ++i) {
    const UA_UserTokenPolicy& token = endpoint->userIdentityTokens[i];
    // Without one of its own a token has the channel's policy. (OPC 10000-4 §7.41)
    std::string policy =
        policy_name(view(token.securityPolicyUri.length != 0 ? token.securityPolicyUri : endpoint->securityPolicyUri));
    const int rank = token.tokenType == wanted ? token_rank(options, policy) : 0;
    if (rank <= best) continue;
    best = rank;
    choice.token = token;
    choice.token_policy = std::move(policy);
  }
  if (best != 0) return {};
  if (options.login)
    return fail(ErrorCode::refused,
                "the server takes no user name and password with security = \"" + to_string(options.security) + "\"");
  return fail(ErrorCode::refused, "the server takes no anonymous users with security = \"" +
                                      to_string(options.security) + "\"; set username and password_file");
}

Result<void> check_password_safety(const ClientOptions& options, Choice& choice) {
  if (!options.login) return {};
  const bool encrypted_channel = options.security.mode == UA_MESSAGESECURITYMODE_SIGNANDENCRYPT;
  if (choice.token_policy == "None" && !encrypted_channel) {
    if (!options.allow_plaintext_password) {
      return fail(ErrorCode::refused,
                  "the server wants the password in plain text over an unencrypted connection; use a "
                  "security with SignAndEncrypt, or set allow_plaintext_password = true");
    }
    choice.warnings.emplace_back("the password travels in plain text");
  } else if (options.security.none() && (!options.trust || options.trust->empty())) {
    choice.warnings.emplace_back(
        "the password is encrypted for a server certificate that nobody checked; set server_certificate");
  }
  return {};
}

Result<void> check_certificate(const ClientOptions& options, const Endpoint& endpoint) {
  const bool must_trust = !options.security.none();
  const bool can_trust = options.trust && !options.trust->empty();
  if (!must_trust && !can_trust) return {};
  if (endpoint->serverCertificate.length == 0) return fail(ErrorCode::refused, "the server presents no certificate");
  const auto certificate = read_certificate(view(endpoint->serverCertificate));
  if (!certificate) return std::unexpected(certificate.error());
  const ServerTrust nothing;
  if (auto trusted = (options.trust ? *options.trust : nothing).check(view(endpoint->serverCertificate)); !trusted)
    return trusted;
  if (options.server_uri.empty() || certificate->application_uri == options.server_uri) return {};
  return fail(ErrorCode::refused, "the server's certificate is for '" + printable(certificate->application_uri) +
                                      "', not for '" + options.server_uri + "' as server_uri says");
}

UA_StatusCode make_policy(std::string_view name, UA_SecurityPolicy* policy, const Identity& identity,
                          const UA_Logger* logger) {
  const UA_ByteString certificate = borrow(identity.certificate.der);
  const UA_ByteString key = borrow(identity.private_key);
  if (name == "Basic256Sha256") return UA_SecurityPolicy_Basic256Sha256(policy, certificate, key, logger);
  if (name == "Aes128_Sha256_RsaOaep") return UA_SecurityPolicy_Aes128Sha256RsaOaep(policy, certificate, key, logger);
  return UA_SecurityPolicy_Aes256Sha256RsaPss(policy, certificate, key, logger);
}

// Appends one policy to an array as the library keeps them.
Result<void> add_policy(std::string_view name, UA_SecurityPolicy*& policies, std::size_t& size,
                        const Identity& identity, const UA_Logger* logger) {
  auto* grown = static_cast<UA_SecurityPolicy*>(UA_realloc(policies, (size + 1) * sizeof(UA_SecurityPolicy)));
  if (grown == nullptr) return fail(ErrorCode::limit, "out of memory");
  policies = grown;
  const UA_StatusCode made = make_policy(name, &policies[size], identity, logger);
  if (made != UA_STATUSCODE_GOOD)
    return fail(ErrorCode::invalid,
                "the certificate cannot be used with " + std::string(name) + ": " + UA_StatusCode_name(made));
  ++size;
  return {};
}

void log_line(void*, UA_LogLevel level, UA_LogCategory, const char* format, va_list arguments) {
  const log::Level ours = level >= UA_LOGLEVEL_FATAL  ? log::Level::error
                          : level >= UA_LOGLEVEL_INFO ? log::Level::debug
                                                      : log::Level::trace;
  if (!log::enabled(ours)) return;
  char line[512];
  std::vsnprintf(line, sizeof line, format, arguments);
  log::line(ours, "open62541", log::field("says", line));
}

}  // namespace

UA_Logger make_logger() { return UA_Logger{log_line, nullptr, nullptr}; }

std::string describe_security(std::string_view policy_uri, UA_MessageSecurityMode mode) {
  if (mode == UA_MESSAGESECURITYMODE_NONE) return "none";
  return policy_name(policy_uri) + "/" + mode_name(mode);
}

std::string to_string(const Security& security) { return describe_security(security.policy, security.mode); }

Result<Security> parse_security(std::string_view text) {
  if (text == "none" || text == "None") return Security{};
  const std::size_t slash = text.find('/');
  const std::string_view policy = text.substr(0, slash);
  const std::string_view mode = slash == std::string_view::npos ? "" : text.substr(slash + 1);
  if (std::ranges::contains(kPolicies, policy)) {
    if (mode == "Sign") return Security{std::string(policy), UA_MESSAGESECURITYMODE_SIGN};
    if (mode == "SignAndEncrypt") return Security{std::string(policy), UA_MESSAGESECURITYMODE_SIGNANDENCRYPT};
  }
  return fail(ErrorCode::invalid,
              "'" + std::string(text) +
                  "' is no security: expected \"none\", or Basic256Sha256, "
                  "Aes128_Sha256_RsaOaep or Aes256_Sha256_RsaPss followed by /Sign or /SignAndEncrypt");
}

Result<void> check_endpoint_url(std::string_view url) {
  const UA_String borrowed = borrow(url);
  UA_String host{}, path{};
  UA_UInt16 port = 4840;
  if (!url.starts_with("opc.tcp://")) {
    return fail(ErrorCode::invalid,
                "'" + std::string(url) + "' must begin with opc.tcp://, as in opc.tcp://10.0.0.5:4840");
  }
  if (UA_parseEndpointUrl(&borrowed, &host, &port, &path) != UA_STATUSCODE_GOOD || host.length == 0 || port == 0) {
    return fail(
        ErrorCode::invalid,
        "'" + std::string(url) + "' is no endpoint; expected opc.tcp://host:port, as in opc.tcp://10.0.0.5:4840");
  }
  return {};
}

Result<Choice> choose_endpoint(const ClientOptions& options, std::span<const Endpoint> endpoints) {
  const Endpoint* found = find_endpoint(options.security, endpoints);
  if (found == nullptr) {
    return fail(ErrorCode::refused, "the server does not offer security = \"" + to_string(options.security) +
                                        "\"; it offers " + offered(endpoints));
  }
  if (auto trusted = check_certificate(options, *found); !trusted) return std::unexpected(trusted.error());
  Choice choice;
  if (auto chosen = choose_token(options, *found, choice); !chosen) return std::unexpected(chosen.error());
  if (auto safe = check_password_safety(options, choice); !safe) return std::unexpected(safe.error());
  choice.endpoint = found->copy();
  // Dial only what was configured, whatever name the server gives itself.
  UA_String_clear(&choice.endpoint->endpointUrl);
  choice.endpoint->endpointUrl = copy_string(options.endpoint);
  // 1.4.11 compares the channel's certificate with the whole of this field, so keep the leaf alone.
  if (const auto certificate = read_certificate(view(choice.endpoint->serverCertificate))) {
    UA_ByteString_clear(&choice.endpoint->serverCertificate);
    choice.endpoint->serverCertificate = copy_string(certificate->der);
  }
  return choice;
}

Result<UA_ClientConfig> make_config(const ClientOptions& options, UA_Logger* logger) {
  UA_ClientConfig config{};
  config.logging = logger;
  config.timeout = milliseconds(options.request_timeout);
  config.requestedSessionTimeout = milliseconds(options.session_timeout);
  // Ours, from the certificate where there is one. (OPC 10000-4 §5.6.2)
  config.clientDescription.applicationUri =
      copy_string(options.identity ? options.identity->certificate.application_uri : "urn:sallyport:" + options.name);
  config.clientDescription.applicationName = UA_LocalizedText{UA_String{}, copy_string("sallyport")};
  const UA_StatusCode done = UA_ClientConfig_setDefault(&config);
  if (done != UA_STATUSCODE_GOOD) {
    UA_ClientConfig_clear(&config);
    return fail(ErrorCode::internal, std::string("cannot configure the OPC UA client: ") + UA_StatusCode_name(done));
  }
  config.sessionName = copy_string("sallyport " + options.name);
  config.localConnectionConfig.localMaxMessageSize = kMaxMessage;
  config.localConnectionConfig.localMaxChunkCount = kMaxChunks;
  return config;
}

Result<void> apply_choice(UA_ClientConfig& config, const ClientOptions& options, const Choice& choice) {
  const std::string channel_policy = options.security.policy;
  std::shared_ptr<const Identity> identity = options.identity;
  if (!identity && choice.token_policy != "None") {
    // Encrypting a password needs only the server's key, but the library insists on one of ours.
    auto made = make_self_signed(
        {.name = "sallyport", .application_uri = "urn:sallyport:" + options.name, .hosts = {}, .days = 1});
    if (!made) return std::unexpected(made.error());
    identity = std::make_shared<const Identity>(std::move(*made));
  }
  if (!options.security.none() && !identity)
    return fail(ErrorCode::invalid, "security needs certificate and private_key");
  std::vector<std::string> policies;  // besides None, which is there
  if (channel_policy != "None") policies.push_back(channel_policy);
  if (choice.token_policy != "None" && choice.token_policy != channel_policy) policies.push_back(choice.token_policy);
  for (const std::string& policy : policies) {
    if (auto done = add_policy(policy, config.securityPolicies, config.securityPoliciesSize, *identity, config.logging);
        !done)
      return done;
  }
  if (choice.token_policy != "None") {
    if (auto done = add_policy(choice.token_policy, config.authSecurityPolicies, config.authSecurityPoliciesSize,
                               *identity, config.logging);
        !done)
      return done;
  }
  if (options.login) {
    UA_ClientConfig_setAuthenticationUsername(&config, options.login->user.c_str(), options.login->password.c_str());
  }
  config.securityMode = options.security.mode;
  config.securityPolicyUri = copy_string(std::string(kPolicyPrefix) + channel_policy);
  UA_EndpointDescription_copy(choice.endpoint.get(), &config.endpoint);
  UA_UserTokenPolicy_copy(&choice.token, &config.userTokenPolicy);
  return {};
}

}  // namespace sallyport::opcua
