#include "net/lookup.h"

#include <netdb.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

namespace sallyport::net {
namespace {

constexpr std::size_t kMaxAddresses = 16;
constexpr int kMaxThreads = 64;

// Threads stuck in getaddrinfo outlive loops and nodes, so only the process can count them.
std::atomic<int> running_threads = 0;

using AddressList = std::unique_ptr<addrinfo, decltype([](addrinfo* list) { ::freeaddrinfo(list); })>;

Error lookup_error(const std::string& host, int code) {
  const std::string quoted = "'" + host + "'";
  switch (code) {
    case EAI_NONAME:
    case EAI_NODATA:
      return {ErrorCode::unavailable,
              "host name " + quoted + " is not known; check its spelling, and DNS or /etc/hosts"};
    case EAI_AGAIN:
    case EAI_FAIL:
      return {ErrorCode::unavailable,
              "host name " + quoted + " cannot be looked up: no name server answers (/etc/resolv.conf)"};
    default:
      return {ErrorCode::unavailable, "host name " + quoted + ": " + ::gai_strerror(code)};
  }
}

std::optional<asio::ip::tcp::endpoint> numeric(const Address& address) {
  boost::system::error_code error;
  const asio::ip::address ip = asio::ip::make_address(address.host, error);
  if (error) return std::nullopt;
  return asio::ip::tcp::endpoint(ip, address.port);
}

asio::ip::tcp::endpoint to_endpoint(const addrinfo& entry) {
  asio::ip::tcp::endpoint endpoint;
  endpoint.resize(std::min(static_cast<std::size_t>(entry.ai_addrlen), endpoint.capacity()));
  std::memcpy(endpoint.data(), entry.ai_addr, endpoint.size());
  return endpoint;
}

}  // namespace

Result<Endpoints> resolve_now(const Address& address) {
  if (const auto endpoint = numeric(address)) return Endpoints{*endpoint};
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  const int code = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &raw);
  if (code != 0) return std::unexpected(lookup_error(address.host, code));
  const AddressList list(raw);
  Endpoints endpoints;
  for (const addrinfo* entry = raw; entry != nullptr && endpoints.size() < kMaxAddresses; entry = entry->ai_next) {
    if (entry->ai_family == AF_INET || entry->ai_family == AF_INET6) endpoints.push_back(to_endpoint(*entry));
  }
  if (endpoints.empty()) return std::unexpected(lookup_error(address.host, EAI_NONAME));
  return endpoints;
}

// The thread may post only while `loop` is set; the destructor of Lookup clears it under the same lock.
struct Lookup::State {
  std::mutex mutex;
  Loop* loop = nullptr;
  Done done;  // loop thread
};

static void deliver(const std::shared_ptr<Lookup::State>& state, Result<Endpoints> result) {
  const std::lock_guard lock(state->mutex);
  if (state->loop == nullptr) return;
  state->loop->post([state, result = std::move(result)] {
    if (const auto callback = std::exchange(state->done, nullptr)) callback(result);
  });
}

static void resolve_on_a_thread(const std::shared_ptr<Lookup::State>& state, const Address& address) {
  if (++running_threads > kMaxThreads) {
    --running_threads;
    return deliver(state, fail(ErrorCode::limit, "host name '" + address.host +
                                                     "' cannot be looked up: too many lookups wait for "
                                                     "a name server that does not answer (/etc/resolv.conf)"));
  }
  const auto work = [state, address] {
    deliver(state, resolve_now(address));
    --running_threads;
  };
  try {
    std::thread(work).detach();
  } catch (const std::system_error& error) {
    --running_threads;
    deliver(state, fail(ErrorCode::limit, std::string("cannot start a thread for a host name: ") + error.what()));
  }
}

Lookup::Lookup(Loop& loop, const Address& address, Done done) : state_(std::make_shared<State>()) {
  state_->loop = &loop;
  state_->done = std::move(done);
  if (const auto endpoint = numeric(address))
    deliver(state_, Endpoints{*endpoint});
  else
    resolve_on_a_thread(state_, address);
}

Lookup::~Lookup() {
  const std::lock_guard lock(state_->mutex);
  state_->loop = nullptr;
  state_->done = nullptr;
}

}  // namespace sallyport::net
