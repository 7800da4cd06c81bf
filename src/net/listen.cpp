// Accepts connections and takes them through the handshake. What has not authenticated itself is a stranger: limited in
// number, in time and in bytes.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <list>
#include <mutex>

#include "base/log.h"
#include "net/lookup.h"
#include "net/stream.h"

namespace sallyport::net {
namespace {

using asio::ip::tcp;

constexpr int kAcceptsPerTurn = 16;
constexpr Duration kPauseWithoutDescriptors = std::chrono::milliseconds(200);
// At a limit, a newcomer takes the place of the oldest handshake that has had this long: an honest one needs a few
// round trips, a hoarder sits there until its timeout. Otherwise whoever fills the table once per timeout locks
// everybody out.
constexpr Duration kGraceAtLimit = std::chrono::seconds(1);
// How long a refused peer may take to read the alert that tells it why, and what it may send meanwhile.
constexpr Duration kFarewell = std::chrono::seconds(1);
constexpr std::size_t kFarewellBytes = 256 * 1024;

// Who pays for a handshake: an IPv4 address, or an IPv6 network of 64 bits, which one customer gets whole.
using Source = std::array<std::uint8_t, 8>;

Source source_of(const asio::ip::address& address) {
  Source source{};
  if (address.is_v4() || address.to_v6().is_v4_mapped()) {
    const auto v4 = address.is_v4() ? address.to_v4() : asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    std::ranges::copy(v4.to_bytes(), source.begin() + 4);  // 0:0:…: no IPv6 network in use begins like that
    return source;
  }
  std::ranges::copy_n(address.to_v6().to_bytes().begin(), 8, source.begin());
  return source;
}

// A socket whose peer has been refused: says goodbye with a FIN and drains what still comes. Closed at once, unread
// bytes would turn the FIN into a reset, and the reset would destroy the alert on its way.
class Farewell : public std::enable_shared_from_this<Farewell> {
 public:
  Farewell(Loop& loop, std::unique_ptr<TlsSocket> socket, std::function<void()> gone)
      : socket_(std::move(socket)), timer_(loop), gone_(std::move(gone)) {}

  void start() {
    boost::system::error_code ignored;
    socket_->socket.shutdown(tcp::socket::shutdown_send, ignored);
    timer_.after(kFarewell, [this] { end(); });
    drain();
  }
  void cancel() {
    gone_ = nullptr;
    timer_.cancel();
    socket_.reset();
  }

 private:
  void drain() {
    std::array<char, 4096> rubbish;
    while (socket_ && drained_ < kFarewellBytes) {
      const ssize_t got = ::recv(socket_->io.descriptor, rubbish.data(), rubbish.size(), MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) {
        return socket_->socket.async_wait(tcp::socket::wait_read,
                                          [self = shared_from_this()](const boost::system::error_code&) {
                                            if (self->socket_) self->drain();
                                          });
      }
      if (got <= 0) break;
      drained_ += static_cast<std::size_t>(got);
    }
    end();
  }
  void end() {
    timer_.cancel();
    socket_.reset();
    if (const auto gone = std::exchange(gone_, nullptr)) gone();
  }

  std::unique_ptr<TlsSocket> socket_;
  Timer timer_;
  std::function<void()> gone_;
  std::size_t drained_ = 0;
};

struct Stranger {
  Source source;
  std::string address;
  MonotonicTime since;
  std::unique_ptr<Handshake> handshake;
  std::shared_ptr<Farewell> farewell;
};
using Strangers = std::list<Stranger>;  // oldest first

struct Acceptor : std::enable_shared_from_this<Acceptor> {
  Acceptor(Loop& on, std::shared_ptr<const TlsIdentity> with, ListenOptions what, AcceptCallback callback)
      : loop(on),
        identity(std::move(with)),
        options(std::move(what)),
        accepted(std::move(callback)),
        acceptor(on.context()),
        pause(on) {}

  Result<void> open();
  Result<void> open_on(const tcp::endpoint& endpoint);
  void wait();
  void accept_some();
  void admit(tcp::socket connection, const tcp::endpoint& from);
  bool make_room(const Source& source);
  bool evict_oldest(const Source* source);
  void finished(Strangers::iterator stranger, Result<std::unique_ptr<TlsStream>> result,
                std::unique_ptr<TlsSocket> rest);
  void forget(Strangers::iterator stranger);
  void out_of_descriptors(const boost::system::error_code& error);
  void close();
  template <typename Change>
  void count(Change change) {
    const std::lock_guard lock(mutex);
    change(counters);
    counters.handshaking = static_cast<unsigned>(strangers.size());
  }

  Loop& loop;
  std::shared_ptr<const TlsIdentity> identity;
  ListenOptions options;
  AcceptCallback accepted;
  tcp::acceptor acceptor;
  Timer pause;
  bool short_of_descriptors = false;
  SystemClock clock;
  Strangers strangers;
  mutable std::mutex mutex;
  ListenerCounters counters;  // under mutex
};

Error describe_bind_error(const tcp::endpoint& endpoint, const boost::system::error_code& error) {
  const std::string what = "cannot listen on " + to_string(endpoint) + ": ";
  if (error == asio::error::address_in_use) {
    return {ErrorCode::exists,
            what + "the port is in use by another program (`ss -ltnp` shows which); choose another port or stop it"};
  }
  if (error == asio::error::access_denied) {
    return {ErrorCode::refused, what + "permission denied; ports below 1024 need CAP_NET_BIND_SERVICE"};
  }
  if (error == boost::system::errc::address_not_available) {
    return {ErrorCode::invalid, what + "this machine has no such address (`ip address` lists them)"};
  }
  return {ErrorCode::io, what + error.message()};
}

Result<void> Acceptor::open() {
  const auto endpoints = resolve_now(options.address);
  if (!endpoints) return within("cannot listen on " + to_string(options.address), endpoints.error());
  Result<void> opened;
  for (const tcp::endpoint& endpoint : *endpoints) {
    opened = open_on(endpoint);
    if (opened) break;
  }
  return opened;
}

Result<void> Acceptor::open_on(const tcp::endpoint& endpoint) {
  boost::system::error_code error;
  boost::system::error_code ignored;
  acceptor.close(ignored);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  // "[::]" is to mean every address, whatever the machine's default.
  if (!error && endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
  if (!error) acceptor.native_non_blocking(true, error);
  if (!error) return {};
  acceptor.close(ignored);
  return std::unexpected(describe_bind_error(endpoint, error));
}

void Acceptor::wait() {
  acceptor.async_wait(tcp::acceptor::wait_read, [self = shared_from_this()](const boost::system::error_code&) {
    if (self->acceptor.is_open()) self->accept_some();
  });
}

void Acceptor::accept_some() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const int descriptor =
        ::accept4(acceptor.native_handle(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
      if (errno == EAGAIN) break;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        return out_of_descriptors({errno, boost::system::system_category()});
      }
      continue;  // this connection died before we took it; there may be others (accept(2), error handling)
    }
    tcp::endpoint from;
    from.resize(std::min<std::size_t>(size, from.capacity()));
    std::memcpy(from.data(), &address, from.size());
    tcp::socket connection(loop.context());
    boost::system::error_code error;
    connection.assign(from.protocol(), descriptor, error);
    if (error) {
      ::close(descriptor);
      return out_of_descriptors(error);
    }
    admit(std::move(connection), from);
  }
  wait();
}

// The kernel keeps saying "readable" for a connection that cannot be accepted: without a pause the loop would spin.
void Acceptor::out_of_descriptors(const boost::system::error_code& error) {
  if (!std::exchange(short_of_descriptors, true)) {
    log::error("cannot accept connections; raise LimitNOFILE of the service", log::field("reason", error.message()));
  }
  count([&](ListenerCounters& c) { c.last_failure = "cannot accept: " + error.message(); });
  pause.after(kPauseWithoutDescriptors, [self = shared_from_this()] { self->accept_some(); });
}

void Acceptor::admit(tcp::socket connection, const tcp::endpoint& from) {
  if (std::exchange(short_of_descriptors, false)) log::info("accepting connections again");
  const Source source = source_of(from.address());
  if (!make_room(source)) {
    // Dropping `connection` closes it.
    return count([&](ListenerCounters& c) {
      ++c.accepted;
      ++c.refused_limit;
      c.last_failure = to_string(from) + ": too many unfinished handshakes";
    });
  }
  auto tls = std::make_unique<TlsSocket>(std::move(connection), identity->impl().listening.get(), Role::listener);
  if (options.websocket) tls->openings.add_if_http(make_websocket_answer());
  const auto stranger =
      strangers.insert(strangers.end(), Stranger{source, to_string(from), clock.monotonic(), nullptr, nullptr});
  stranger->handshake = std::make_unique<Handshake>(
      loop, std::move(tls), options.handshake_timeout,
      [this, stranger](Result<std::unique_ptr<TlsStream>> result, std::unique_ptr<TlsSocket> rest) {
        finished(stranger, std::move(result), std::move(rest));
      });
  count([](ListenerCounters& c) { ++c.accepted; });
}

bool Acceptor::make_room(const Source& source) {
  const auto from_source =
      std::ranges::count_if(strangers, [&](const Stranger& stranger) { return stranger.source == source; });
  if (static_cast<unsigned>(from_source) >= options.max_handshakes_per_address) return evict_oldest(&source);
  if (strangers.size() >= options.max_handshakes) return evict_oldest(nullptr);
  return true;
}

bool Acceptor::evict_oldest(const Source* source) {
  const MonotonicTime latest = clock.monotonic() - kGraceAtLimit;
  const auto oldest = std::ranges::find_if(
      strangers, [&](const Stranger& stranger) { return source == nullptr || stranger.source == *source; });
  if (oldest == strangers.end() || (oldest->since > latest && !oldest->farewell)) return false;
  count([&](ListenerCounters& c) {
    ++c.refused_limit;
    c.last_failure = oldest->address + ": handshake unfinished while others wait";
  });
  forget(oldest);
  return true;
}

void Acceptor::finished(Strangers::iterator stranger, Result<std::unique_ptr<TlsStream>> result,
                        std::unique_ptr<TlsSocket> rest) {
  const auto self = shared_from_this();  // the callback may destroy the listener
  if (result) {
    forget(stranger);
    count([](ListenerCounters& c) { ++c.established; });
    const AcceptCallback callback = accepted;
    return callback(std::move(*result));
  }
  const bool late = result.error().code == ErrorCode::timeout;
  count([&](ListenerCounters& c) {
    ++(late ? c.timed_out : c.failed_handshake);
    c.last_failure = stranger->address + ": " + result.error().message;
  });
  log::debug("handshake failed", log::field("address", stranger->address),
             log::field("reason", result.error().message));
  stranger->handshake.reset();
  if (late || !rest || rest->io.error_number != 0 || rest->io.end_of_file) return forget(stranger);
  rest->ssl.reset();
  const auto farewell = std::make_shared<Farewell>(loop, std::move(rest), [this, stranger] { forget(stranger); });
  stranger->farewell = farewell;
  farewell->start();
}

void Acceptor::forget(Strangers::iterator stranger) {
  if (stranger->farewell) stranger->farewell->cancel();
  strangers.erase(stranger);
  count([](ListenerCounters&) {});
}

void Acceptor::close() {
  boost::system::error_code ignored;
  acceptor.close(ignored);
  pause.cancel();
  for (const Stranger& stranger : strangers) {
    if (stranger.farewell) stranger.farewell->cancel();
  }
  strangers.clear();
  accepted = nullptr;
}

class Listener final : public TlsListener {
 public:
  Listener(std::shared_ptr<Acceptor> acceptor, std::uint16_t port) : acceptor_(std::move(acceptor)), port_(port) {}
  ~Listener() override { acceptor_->close(); }
  std::uint16_t port() const override { return port_; }
  ListenerCounters counters() const override {
    const std::lock_guard lock(acceptor_->mutex);
    return acceptor_->counters;
  }
  void set_identity(std::shared_ptr<const TlsIdentity> identity) override { acceptor_->identity = std::move(identity); }

 private:
  std::shared_ptr<Acceptor> acceptor_;
  std::uint16_t port_;
};

}  // namespace

Result<std::unique_ptr<TlsListener>> listen(Loop& loop, std::shared_ptr<const TlsIdentity> identity,
                                            ListenOptions options, AcceptCallback accepted) {
  auto acceptor = std::make_shared<Acceptor>(loop, std::move(identity), std::move(options), std::move(accepted));
  if (auto opened = acceptor->open(); !opened) return std::unexpected(opened.error());
  boost::system::error_code ignored;
  const std::uint16_t port = acceptor->acceptor.local_endpoint(ignored).port();
  acceptor->wait();
  return std::make_unique<Listener>(std::move(acceptor), port);
}

}  // namespace sallyport::net
