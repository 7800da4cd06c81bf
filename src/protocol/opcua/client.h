// A session with an OPC UA server over open62541, with its traps taken care of: it never reconnects behind our back,
// never dials an address that the server suggests, checks the server's certificate before anything secret is sent, and
// gives up when told to. One thread.
#pragma once

#include <open62541/client.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "protocol/opcua/certificates.h"
#include "protocol/opcua/node_id.h"
#include "protocol/opcua/ua.h"

namespace sallyport::opcua {

struct Security {
  std::string policy = "None";  // the last part of its URI
  UA_MessageSecurityMode mode = UA_MESSAGESECURITYMODE_NONE;
  bool none() const { return mode == UA_MESSAGESECURITYMODE_NONE; }
};
// "none", "Basic256Sha256/Sign", "Aes256_Sha256_RsaPss/SignAndEncrypt", …; the error lists them.
Result<Security> parse_security(std::string_view text);
std::string to_string(const Security& security);
std::string describe_security(std::string_view policy_uri, UA_MessageSecurityMode mode);

// "opc.tcp://host[:port][/path]"
Result<void> check_endpoint_url(std::string_view url);

struct Login {
  std::string user, password;
};

struct ClientOptions {
  std::string endpoint;
  std::string name = "sallyport";  // session and log name
  Security security = {};
  std::shared_ptr<const Identity> identity = {};  // needed unless security is none
  std::shared_ptr<const ServerTrust> trust = {};  // null or empty: only security none connects
  std::string server_uri = {};                    // when set, the application URI the server must have
  std::optional<Login> login = {};
  bool allow_plaintext_password = false;
  Duration request_timeout = std::chrono::seconds(5);
  Duration session_timeout = std::chrono::seconds(30);
  const std::atomic<bool>* stop = nullptr;  // when it turns true, whatever waits gives up with `closed`
};

// What the server lets one do at once. 0 = no limit. (OPC 10000-5 §6.3.11)
struct OperationLimits {
  std::uint32_t nodes_per_read = 0;
  std::uint32_t nodes_per_browse = 0;
  std::uint32_t items_per_call = 0;
};

// Asks for the endpoints on an unsecured channel, without a session. For `discover`, and the first step of connecting.
Result<std::vector<Endpoint>> get_endpoints(const ClientOptions& options);

class Client {
 public:
  // Connects, opens a session, reads the namespaces and the limits. The error says what to do where that is known.
  static Result<std::unique_ptr<Client>> connect(ClientOptions options);
  ~Client();  // closes the session if the server still answers; bounded to half a second
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  const NamespaceTable& namespaces() const { return namespaces_; }
  const OperationLimits& limits() const { return limits_; }
  const std::string& server_name() const { return server_name_; }
  const std::string& server_uri() const { return server_uri_; }
  const std::string& security_text() const { return security_text_; }
  // Non-empty when something about the connection deserves a word to the operator.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // One request and its response, waited for. What else arrives meanwhile is handled. An error means that the service
  // as a whole failed; a lost connection is `closed` or `timeout`.
  template <typename Response, std::size_t kResponse, typename Request, std::size_t kRequest>
  Result<Owned<Response, kResponse>> call(const Owned<Request, kRequest>& request) {
    Owned<Response, kResponse> response;
    if (auto done = service(request.get(), Owned<Request, kRequest>::type(), response.get(),
                            Owned<Response, kResponse>::type());
        !done) {
      return std::unexpected(done.error());
    }
    return response;
  }
  // Sends without waiting; `done` is called once from iterate() or call(), with a response that lives for the call
  // only, also when the connection is lost or the client destroyed. `timeout` bounds the wait.
  using ResponseHandler = std::function<void(void* response)>;
  Result<void> send(const void* request, const UA_DataType* request_type, const UA_DataType* response_type,
                    Duration timeout, ResponseHandler done);

  // Waits at most this long for something to happen and handles it. An error: the connection is lost, and why.
  Result<void> iterate(Duration wait);
  bool stopping() const { return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed); }
  Duration request_timeout() const { return options_.request_timeout; }

  // Attributes of nodes, in batches inside the server's limits; one result each, in order.
  Result<std::vector<DataValue>> read(std::span<const UA_ReadValueId> what,
                                      UA_TimestampsToReturn timestamps = UA_TIMESTAMPSTORETURN_NEITHER);
  // What the last service said, when its call returned an error; BadConnectionClosed when it got no answer.
  UA_StatusCode last_result() const { return last_result_; }
  // The namespaces as the server has them now; true when they changed.
  Result<bool> refresh_namespaces();

 private:
  struct Pending;
  explicit Client(ClientOptions options);
  Result<void> open(const Endpoint& endpoint);
  Result<void> read_limits();
  struct ReadBatch;
  Result<std::shared_ptr<ReadBatch>> ask(std::span<const UA_ReadValueId> what, std::size_t at,
                                         UA_TimestampsToReturn timestamps);
  Result<bool> take(ReadBatch& batch, std::vector<DataValue>& out);
  Result<void> service(const void* request, const UA_DataType* request_type, void* response,
                       const UA_DataType* response_type);
  // Handles what arrives until `answered`, which a response handler sets. The request timeout bounds it.
  Result<void> wait_for(const bool& answered);
  Result<void> alive() const;
  static void on_response(UA_Client*, void* pending, UA_UInt32, void* response);

  ClientOptions options_;
  UA_Logger logger_{};
  UA_Client* client_ = nullptr;
  std::vector<std::unique_ptr<Pending>> pending_;
  NamespaceTable namespaces_;
  OperationLimits limits_;
  std::size_t read_batch_ = 0;
  UA_StatusCode last_result_ = UA_STATUSCODE_GOOD;
  std::string server_name_, server_uri_, security_text_;
  std::vector<std::string> warnings_;
  bool connected_ = false;
};

// Text of a service result for a person: what it means where that is known, and its name.
std::string status_text(UA_StatusCode code);
// The library's log, bridged to ours at debug level: its warnings about every disconnect would frighten an operator,
// and what matters is said by who uses it.
UA_Logger make_logger();

// Size of the next batch: the server's limit, or ours.
constexpr std::size_t batch_size(std::uint32_t limit, std::size_t ours) {
  return limit == 0 ? ours : std::min<std::size_t>(limit, ours);
}
// Whether a service failed because too much was asked for at once, so that half as much may work.
bool asks_too_much(UA_StatusCode code);

}  // namespace sallyport::opcua
