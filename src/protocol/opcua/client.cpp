#include "protocol/opcua/client.h"

#include <algorithm>
#include <deque>

#include "protocol/opcua/client_config.h"

namespace sallyport::opcua {
namespace {

constexpr std::size_t kReadBatch = 1000;
constexpr std::size_t kReadsAhead = 3;  // requests at the server at once: it works while we take apart
constexpr std::uint32_t kUnreadableLimit = 100;
constexpr Duration kStep = std::chrono::milliseconds(50);
constexpr std::uint32_t kIds[] = {UA_NS0ID_SERVER_SERVERCAPABILITIES_OPERATIONLIMITS_MAXNODESPERREAD,
                                  UA_NS0ID_SERVER_SERVERCAPABILITIES_OPERATIONLIMITS_MAXNODESPERBROWSE,
                                  UA_NS0ID_SERVER_SERVERCAPABILITIES_OPERATIONLIMITS_MAXMONITOREDITEMSPERCALL};

MonotonicTime now() { return MonotonicTime(std::chrono::steady_clock::now().time_since_epoch()); }

std::uint32_t whole_milliseconds(Duration duration) {
  return static_cast<std::uint32_t>(
      std::max<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(duration).count(), 0));
}

std::unexpected<Error> stopped() { return fail(ErrorCode::closed, "stopped"); }

Error service_error(UA_StatusCode code) {
  switch (code) {
    case UA_STATUSCODE_BADTIMEOUT:
    case UA_STATUSCODE_BADREQUESTTIMEOUT:
      return {ErrorCode::timeout, status_text(code)};
    case UA_STATUSCODE_BADCONNECTIONREJECTED:
    case UA_STATUSCODE_BADTOOMANYSESSIONS:
    case UA_STATUSCODE_BADSERVERHALTED:
      return {ErrorCode::unavailable, status_text(code)};
    case UA_STATUSCODE_BADUSERACCESSDENIED:
    case UA_STATUSCODE_BADIDENTITYTOKENREJECTED:
    case UA_STATUSCODE_BADIDENTITYTOKENINVALID:
    case UA_STATUSCODE_BADSECURITYCHECKSFAILED:
    case UA_STATUSCODE_BADCERTIFICATEUNTRUSTED:
      return {ErrorCode::refused, status_text(code)};
    default:
      return {ErrorCode::closed, status_text(code)};
  }
}

// A client on an unsecured channel that exists only to ask one thing.
struct Asker {
  UA_Logger logger = make_logger();
  UA_Client* client = nullptr;
  ~Asker() {
    if (client != nullptr) UA_Client_delete(client);
  }
};

Result<void> start_asking(const ClientOptions& options, Asker& asker) {
  auto config = make_config(options, &asker.logger);
  if (!config) return std::unexpected(config.error());
  // Exactly this endpoint: otherwise the library looks for one itself, and fails where None is for discovery only.
  config->endpoint.endpointUrl = copy_string(options.endpoint);
  config->endpoint.securityMode = UA_MESSAGESECURITYMODE_NONE;
  config->endpoint.securityPolicyUri = copy_string("http://opcfoundation.org/UA/SecurityPolicy#None");
  asker.client = UA_Client_newWithConfig(&*config);
  if (asker.client == nullptr) return fail(ErrorCode::limit, "out of memory");
  const UA_StatusCode begun = UA_Client_connectSecureChannelAsync(asker.client, options.endpoint.c_str());
  if (begun != UA_STATUSCODE_GOOD) return std::unexpected(service_error(begun));
  return {};
}

struct Answer {
  bool done = false;
  UA_GetEndpointsResponse response{};
  ~Answer() { UA_clear(&response, &UA_TYPES[UA_TYPES_GETENDPOINTSRESPONSE]); }
};

void on_endpoints(UA_Client*, void* context, UA_UInt32, void* response) {
  auto& answer = *static_cast<Answer*>(context);
  answer.response = std::exchange(*static_cast<UA_GetEndpointsResponse*>(response), UA_GetEndpointsResponse{});
  answer.done = true;
}

// Whether a failure so early means that whoever answers speaks something else.
bool no_opcua(UA_StatusCode code) {
  return code == UA_STATUSCODE_BADTCPMESSAGETYPEINVALID || code == UA_STATUSCODE_BADDECODINGERROR ||
         code == UA_STATUSCODE_BADTCPMESSAGETOOLARGE || code == UA_STATUSCODE_BADCOMMUNICATIONERROR ||
         code == UA_STATUSCODE_BADINTERNALERROR || code == UA_STATUSCODE_BADINVALIDSTATE;
}

Error connect_error(const ClientOptions& options, UA_StatusCode code, bool channel_opened) {
  if (no_opcua(code) && !channel_opened) {
    return {ErrorCode::unavailable,
            "what answers at " + options.endpoint + " is no OPC UA server (" + UA_StatusCode_name(code) + ")"};
  }
  return service_error(code);
}

}  // namespace

std::string status_text(UA_StatusCode code) {
  const std::string name = UA_StatusCode_name(code);
  switch (code) {
    case UA_STATUSCODE_BADCONNECTIONREJECTED:
      return "connection refused";
    case UA_STATUSCODE_BADCONNECTIONCLOSED:
    case UA_STATUSCODE_BADSECURECHANNELCLOSED:
    case UA_STATUSCODE_BADNOTCONNECTED:
    case UA_STATUSCODE_BADSERVERNOTCONNECTED:
      return "connection closed by the server";
    case UA_STATUSCODE_BADTIMEOUT:
    case UA_STATUSCODE_BADREQUESTTIMEOUT:
      return "the server does not answer (" + name + ")";
    case UA_STATUSCODE_BADUSERACCESSDENIED:
    case UA_STATUSCODE_BADIDENTITYTOKENREJECTED:
    case UA_STATUSCODE_BADIDENTITYTOKENINVALID:
      return "the server refuses user name or password (" + name + ")";
    case UA_STATUSCODE_BADTOOMANYSESSIONS:
      return "the server has no session left (" + name + ")";
    case UA_STATUSCODE_BADSECURITYCHECKSFAILED:
    case UA_STATUSCODE_BADCERTIFICATEUNTRUSTED:
      return "the server refuses our certificate (" + name + "); trust it there";
    default:
      return name;
  }
}

bool asks_too_much(UA_StatusCode code) {
  return code == UA_STATUSCODE_BADTOOMANYOPERATIONS || code == UA_STATUSCODE_BADREQUESTTOOLARGE ||
         code == UA_STATUSCODE_BADRESPONSETOOLARGE || code == UA_STATUSCODE_BADENCODINGLIMITSEXCEEDED ||
         code == UA_STATUSCODE_BADTCPMESSAGETOOLARGE;
}

Result<std::vector<Endpoint>> get_endpoints(const ClientOptions& options) {
  Answer answer;
  Asker asker;  // destroyed first: its pending request still refers to the answer
  if (auto begun = start_asking(options, asker); !begun) return std::unexpected(begun.error());
  UA_GetEndpointsRequest request{};
  request.endpointUrl = borrow(options.endpoint);
  const MonotonicTime deadline = now() + options.request_timeout;
  bool opened = false, asked = false;
  while (now() < deadline) {
    if (options.stop != nullptr && options.stop->load(std::memory_order_relaxed)) return stopped();
    const UA_StatusCode state = UA_Client_run_iterate(asker.client, whole_milliseconds(kStep));
    if (answer.done && answer.response.responseHeader.serviceResult == UA_STATUSCODE_GOOD) {
      std::vector<Endpoint> out;
      for (std::size_t i = 0; i < answer.response.endpointsSize; ++i)
        out.push_back(Endpoint::copy_of(answer.response.endpoints[i]));
      return out;
    }
    if (state != UA_STATUSCODE_GOOD) return std::unexpected(connect_error(options, state, opened));
    UA_SecureChannelState channel{};
    UA_Client_getState(asker.client, &channel, nullptr, nullptr);
    if (answer.done) {  // the library reopened the channel under another name; ask again
      asked = answer.done = false;
      UA_clear(&answer.response, &UA_TYPES[UA_TYPES_GETENDPOINTSRESPONSE]);
    }
    if (channel != UA_SECURECHANNELSTATE_OPEN || asked) continue;
    opened = asked = true;
    const UA_StatusCode sent =
        __UA_Client_AsyncService(asker.client, &request, &UA_TYPES[UA_TYPES_GETENDPOINTSREQUEST], on_endpoints,
                                 &UA_TYPES[UA_TYPES_GETENDPOINTSRESPONSE], &answer, nullptr);
    asked = sent == UA_STATUSCODE_GOOD;
  }
  return fail(ErrorCode::timeout,
              opened ? "the server does not answer" : "no OPC UA server answers at " + options.endpoint);
}

// --- Client
// ------------------------------------------------------------------------------------------------------------

struct Client::Pending {
  const UA_DataType* type = nullptr;
  ResponseHandler done;
  bool finished = false;
};

Client::Client(ClientOptions options) : options_(std::move(options)), logger_(make_logger()) {}

Client::~Client() {
  if (client_ == nullptr) return;
  // Closing the session waits for an answer this long.
  UA_Client_getConfig(client_)->timeout = 500;
  UA_Client_delete(client_);  // calls what is still pending
}

Result<std::unique_ptr<Client>> Client::connect(ClientOptions options) {
  const auto endpoints = get_endpoints(options);
  if (!endpoints) return std::unexpected(endpoints.error());
  const auto choice = choose_endpoint(options, *endpoints);
  if (!choice) return std::unexpected(choice.error());
  std::unique_ptr<Client> client(new Client(std::move(options)));
  client->warnings_ = choice->warnings;
  client->server_name_ = text(choice->endpoint->server.applicationName.text);
  client->server_uri_ = text(choice->endpoint->server.applicationUri);
  client->security_text_ = describe_security(view(choice->endpoint->securityPolicyUri), choice->endpoint->securityMode);
  auto config = make_config(client->options_, &client->logger_);
  if (!config) return std::unexpected(config.error());
  if (auto applied = apply_choice(*config, client->options_, *choice); !applied) {
    UA_ClientConfig_clear(&*config);
    return std::unexpected(applied.error());
  }
  client->client_ = UA_Client_newWithConfig(&*config);
  if (client->client_ == nullptr) return fail(ErrorCode::limit, "out of memory");
  if (auto opened = client->open(choice->endpoint); !opened) return std::unexpected(opened.error());
  if (auto read = client->refresh_namespaces(); !read) return within("reading the namespaces", read.error());
  if (auto read = client->read_limits(); !read) return within("reading the operation limits", read.error());
  return client;
}

Result<void> Client::open(const Endpoint&) {
  const MonotonicTime deadline = now() + options_.request_timeout;
  UA_StatusCode state = UA_Client_connectAsync(client_, options_.endpoint.c_str());
  UA_SessionState session = UA_SESSIONSTATE_CLOSED;
  while (state == UA_STATUSCODE_GOOD && session != UA_SESSIONSTATE_ACTIVATED) {
    if (stopping()) return stopped();
    if (now() >= deadline) return fail(ErrorCode::timeout, "the server does not open a session in time");
    state = UA_Client_run_iterate(client_, whole_milliseconds(kStep));
    UA_Client_getState(client_, nullptr, &session, nullptr);
  }
  if (state != UA_STATUSCODE_GOOD) return std::unexpected(service_error(state));
  // From here on a loss is ours to handle: everything is set up anew, with the namespaces read again.
  UA_Client_getConfig(client_)->noReconnect = true;
  UA_Client_getConfig(client_)->noNewSession = true;
  connected_ = true;
  return {};
}

Result<void> Client::alive() const {
  UA_SecureChannelState channel{};
  UA_SessionState session{};
  UA_StatusCode status = UA_STATUSCODE_GOOD;
  UA_Client_getState(client_, &channel, &session, &status);
  if (status != UA_STATUSCODE_GOOD) return std::unexpected(service_error(status));
  if (channel != UA_SECURECHANNELSTATE_OPEN) return std::unexpected(service_error(UA_STATUSCODE_BADCONNECTIONCLOSED));
  if (session != UA_SESSIONSTATE_ACTIVATED) return fail(ErrorCode::closed, "the server closed the session");
  return {};
}

Result<void> Client::iterate(Duration wait) {
  if (auto here = alive(); !here) return here;
  const UA_StatusCode done = UA_Client_run_iterate(client_, whole_milliseconds(wait));
  std::erase_if(pending_, [](const auto& pending) { return pending->finished; });
  if (done != UA_STATUSCODE_GOOD) return std::unexpected(service_error(done));
  return alive();
}

void Client::on_response(UA_Client*, void* context, UA_UInt32, void* response) {
  auto& pending = *static_cast<Pending*>(context);
  pending.finished = true;
  if (pending.done) pending.done(response);
}

Result<void> Client::send(const void* request, const UA_DataType* request_type, const UA_DataType* response_type,
                          Duration timeout, ResponseHandler done) {
  if (auto here = alive(); !here) return here;
  // Every request begins with its header. (OPC 10000-4 §7.32)
  auto& header = *static_cast<UA_RequestHeader*>(const_cast<void*>(request));
  header.timeoutHint = whole_milliseconds(timeout);
  header.requestHandle = 0;
  pending_.push_back(std::make_unique<Pending>(Pending{response_type, std::move(done), false}));
  Pending* pending = pending_.back().get();
  const UA_StatusCode sent =
      __UA_Client_AsyncService(client_, request, request_type, on_response, response_type, pending, nullptr);
  if (sent == UA_STATUSCODE_GOOD) return {};
  std::erase_if(pending_, [pending](const auto& held) { return held.get() == pending; });
  return std::unexpected(service_error(sent));
}

Result<void> Client::service(const void* request, const UA_DataType* request_type, void* response,
                             const UA_DataType* response_type) {
  last_result_ = UA_STATUSCODE_BADCONNECTIONCLOSED;
  bool answered = false;
  const auto take = [&answered, response, size = response_type->memSize](void* from) {
    std::memcpy(response, from, size);
    std::memset(from, 0, size);  // ours now
    answered = true;
  };
  auto waiting = std::make_shared<bool>(true);  // whether `response` is still there
  if (auto sent = send(request, request_type, response_type, options_.request_timeout,
                       [take, waiting](void* from) {
                         if (*waiting) take(from);
                       });
      !sent)
    return sent;
  if (auto waited = wait_for(answered); !waited) {
    *waiting = false;
    return waited;
  }
  last_result_ = static_cast<UA_ResponseHeader*>(response)->serviceResult;
  if (last_result_ != UA_STATUSCODE_GOOD) return std::unexpected(service_error(last_result_));
  return {};
}

Result<void> Client::wait_for(const bool& answered) {
  const MonotonicTime deadline = now() + options_.request_timeout;
  while (!answered) {
    if (stopping() || now() >= deadline) {
      last_result_ = UA_STATUSCODE_BADTIMEOUT;
      if (stopping()) return stopped();
      return std::unexpected(service_error(UA_STATUSCODE_BADTIMEOUT));
    }
    auto here = iterate(kStep);
    if (!here && !answered) return here;
  }
  return {};
}

// --- Reading
// -----------------------------------------------------------------------------------------------------------

// Some of what is to be read, asked for.
struct Client::ReadBatch {
  std::size_t at = 0, count = 0;
  bool answered = false;
  Owned<UA_ReadResponse, UA_TYPES_READRESPONSE> response;
};

Result<std::shared_ptr<Client::ReadBatch>> Client::ask(std::span<const UA_ReadValueId> what, std::size_t at,
                                                       UA_TimestampsToReturn timestamps) {
  Owned<UA_ReadRequest, UA_TYPES_READREQUEST> request;
  request->timestampsToReturn = timestamps;
  request->nodesToRead = const_cast<UA_ReadValueId*>(what.data());  // borrowed
  request->nodesToReadSize = what.size();
  const auto batch = std::make_shared<ReadBatch>(at, what.size());
  auto sent =
      send(request.get(), request.type(), batch->response.type(), options_.request_timeout, [batch](void* from) {
        *batch->response = std::exchange(*static_cast<UA_ReadResponse*>(from), UA_ReadResponse{});
        batch->answered = true;
      });
  request->nodesToRead = nullptr;
  request->nodesToReadSize = 0;
  if (!sent) return std::unexpected(sent.error());
  return batch;
}

// False: the server wants to be asked for less at once.
Result<bool> Client::take(ReadBatch& batch, std::vector<DataValue>& out) {
  last_result_ = batch.response->responseHeader.serviceResult;
  if (last_result_ != UA_STATUSCODE_GOOD) {
    if (!asks_too_much(last_result_) || batch.count == 1) return std::unexpected(service_error(last_result_));
    read_batch_ = std::min(read_batch_, batch.count / 2);
    return false;
  }
  if (batch.response->resultsSize != batch.count)
    return fail(ErrorCode::malformed, "the server answered a read with another number of results");
  for (std::size_t i = 0; i < batch.count; ++i)
    out[batch.at + i] = DataValue(std::exchange(batch.response->results[i], UA_DataValue{}));
  return true;
}

// The next batches are with the server while one is taken apart here.
Result<std::vector<DataValue>> Client::read(std::span<const UA_ReadValueId> what, UA_TimestampsToReturn timestamps) {
  if (read_batch_ == 0) read_batch_ = batch_size(limits_.nodes_per_read, kReadBatch);
  std::vector<DataValue> out(what.size());
  std::vector<std::pair<std::size_t, std::size_t>> todo{{0, what.size()}};  // first and count; the last is next
  std::deque<std::shared_ptr<ReadBatch>> asked;
  last_result_ = UA_STATUSCODE_BADCONNECTIONCLOSED;
  for (;;) {
    while (!todo.empty() && asked.size() < kReadsAhead) {
      auto& [first, left] = todo.back();
      const std::size_t count = std::min(read_batch_, left);
      if (count == 0) {
        todo.pop_back();
        continue;
      }
      auto batch = ask(what.subspan(first, count), first, timestamps);
      if (!batch) return std::unexpected(batch.error());
      asked.push_back(*std::move(batch));
      first += count;
      left -= count;
    }
    if (asked.empty()) return out;
    if (auto waited = wait_for(asked.front()->answered); !waited) return std::unexpected(waited.error());
    const auto batch = std::move(asked.front());
    asked.pop_front();
    const auto taken = take(*batch, out);
    if (!taken) return std::unexpected(taken.error());
    if (!*taken) todo.emplace_back(batch->at, batch->count);
  }
}

// --- What the server says of itself
// -----------------------------------------------------------------------------------

Result<bool> Client::refresh_namespaces() {
  UA_ReadValueId what{};
  what.nodeId = UA_NODEID_NUMERIC(0, UA_NS0ID_SERVER_NAMESPACEARRAY);
  what.attributeId = UA_ATTRIBUTEID_VALUE;
  auto read_array = read(std::span(&what, 1));
  if (!read_array) return std::unexpected(read_array.error());
  const UA_Variant& value = read_array->front()->value;
  std::vector<std::string> uris;
  if (UA_Variant_hasArrayType(&value, &UA_TYPES[UA_TYPES_STRING])) {
    const auto* texts = static_cast<const UA_String*>(value.data);
    for (std::size_t i = 0; i < value.arrayLength; ++i) uris.push_back(text(texts[i]));
  }
  NamespaceTable read_table(std::move(uris));
  const bool changed = !(read_table == namespaces_);
  namespaces_ = std::move(read_table);
  return changed;
}

Result<void> Client::read_limits() {
  limits_ = {kUnreadableLimit, kUnreadableLimit, kUnreadableLimit};
  read_batch_ = 0;
  std::vector<UA_ReadValueId> what(std::size(kIds));
  for (std::size_t i = 0; i < what.size(); ++i) {
    what[i].nodeId = UA_NODEID_NUMERIC(0, kIds[i]);
    what[i].attributeId = UA_ATTRIBUTEID_VALUE;
  }
  auto values = read(what);
  read_batch_ = 0;
  if (!values) return std::unexpected(values.error());
  std::uint32_t* into[] = {&limits_.nodes_per_read, &limits_.nodes_per_browse, &limits_.items_per_call};
  for (std::size_t i = 0; i < what.size(); ++i) {
    const UA_Variant& value = (*values)[i]->value;
    if (UA_Variant_hasScalarType(&value, &UA_TYPES[UA_TYPES_UINT32]))
      *into[i] = *static_cast<const UA_UInt32*>(value.data);
  }
  return {};
}

}  // namespace sallyport::opcua
