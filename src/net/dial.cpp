// One attempt to reach a peer: resolve, connect to each address in turn, handshake.
#include <algorithm>

#include "net/lookup.h"
#include "net/stream.h"

namespace sallyport::net {
namespace {

using asio::ip::tcp;

// An address that does not answer must leave time for the ones behind it; the last one gets all that is left.
Duration share_of(Duration left, std::size_t addresses) {
  return addresses > 1 ? left / static_cast<int>(addresses) : left;
}

std::string describe_connect_error(const boost::system::error_code& error) {
  if (error == asio::error::connection_refused)
    return "connection refused: nothing listens there; is the peer running, is the port right?";
  if (error == asio::error::host_unreachable) return "no route to the host, or a firewall refuses; is the peer on?";
  if (error == asio::error::network_unreachable) return "network unreachable; is the cable in, is there a route?";
  if (error == asio::error::timed_out) return "no answer";
  if (error == asio::error::no_descriptors) return "too many open files; raise LimitNOFILE of the service";
  return error.message();
}

struct Attempt : std::enable_shared_from_this<Attempt> {
  Attempt(Loop& on, std::shared_ptr<const TlsIdentity> with, DialOptions what, DialCallback callback)
      : loop(on), identity(std::move(with)), options(std::move(what)), done(std::move(callback)), timer(on) {}

  void start();
  void resolved(Result<Endpoints> result);
  void connect_next();
  void connected(const boost::system::error_code& error);
  void note(std::string text);
  void handshake(tcp::socket connection);
  void give_up(ErrorCode code, const std::string& text);
  void finish(Result<std::unique_ptr<TlsStream>> result);
  void cancel();
  // What we connect to: the proxy, if there is one, and then nothing else.
  const Address& first_hop() const { return options.via.proxy ? options.via.proxy->address : options.address; }
  std::string way() const;
  Duration left() const { return std::max<Duration>(deadline - clock.monotonic(), Duration::zero()); }

  Loop& loop;
  std::shared_ptr<const TlsIdentity> identity;
  DialOptions options;
  DialCallback done;
  SystemClock clock;
  MonotonicTime deadline;
  Timer timer;
  std::unique_ptr<Lookup> lookup;
  Endpoints endpoints;
  std::size_t next = 0;
  std::optional<tcp::socket> socket;
  unsigned try_number = 0;  // a completed connect that lost against its timer is stale
  std::string failures;
  std::unique_ptr<Handshake> shaking;
};

void Attempt::start() {
  deadline = clock.monotonic() + options.connect_timeout;
  timer.after(options.connect_timeout, [this] {
    lookup.reset();
    give_up(ErrorCode::timeout,
            "host name '" + first_hop().host + "' was not resolved in time; does the name server answer?");
  });
  lookup =
      std::make_unique<Lookup>(loop, first_hop(), [this](Result<Endpoints> result) { resolved(std::move(result)); });
}

void Attempt::resolved(Result<Endpoints> result) {
  timer.cancel();
  if (!result) return give_up(result.error().code, result.error().message);
  endpoints = std::move(*result);
  connect_next();
}

void Attempt::connect_next() {
  socket.reset();
  timer.cancel();
  if (next >= endpoints.size()) return give_up(ErrorCode::unavailable, failures);
  const tcp::endpoint& endpoint = endpoints[next++];
  socket.emplace(loop.context());
  boost::system::error_code error;
  socket->open(endpoint.protocol(), error);
  if (error) {
    note(describe_connect_error(error));
    return loop.post([self = shared_from_this()] {
      if (self->done) self->connect_next();
    });
  }
  const Duration share = share_of(left(), endpoints.size() - next + 1);
  timer.after(share, [this] {
    note("no answer in time; is the peer on, does a firewall drop the packets?");
    connect_next();
  });
  socket->async_connect(endpoint,
                        [self = shared_from_this(), number = ++try_number](const boost::system::error_code& result) {
                          if (self->done && self->try_number == number && self->socket) self->connected(result);
                        });
}

void Attempt::connected(const boost::system::error_code& error) {
  if (error) {
    note(describe_connect_error(error));
    return connect_next();
  }
  // TCP can connect a port to itself when the target is on this machine, in the ephemeral range, and nobody listens.
  boost::system::error_code ignored;
  if (socket->local_endpoint(ignored) == socket->remote_endpoint(ignored)) {
    note(describe_connect_error(asio::error::connection_refused));
    return connect_next();
  }
  timer.cancel();
  tcp::socket connection = std::move(*socket);
  socket.reset();
  handshake(std::move(connection));
}

// One line for all addresses; the address itself is named when there are several, or when it came from a name.
void Attempt::note(std::string text) {
  const tcp::endpoint& endpoint = endpoints[next - 1];
  if (endpoint.address().to_string() != first_hop().host) text = endpoint.address().to_string() + ": " + text;
  failures += (failures.empty() ? "" : "; ") + text;
}

void Attempt::handshake(tcp::socket connection) {
  auto tls = std::make_unique<TlsSocket>(std::move(connection), identity->impl().dialling.get(), Role::dialler);
  tls->check.expected_name = options.peer_name;
  if (options.via.hello == ClientHello::hrr && tls->ssl) SSL_set1_groups_list(tls->ssl.get(), kGroupsOfSmallHello);
  if (const auto& proxy = options.via.proxy) {
    tls->openings.add(proxy->kind == ProxyKind::http ? make_http_connect(*proxy, options.address)
                                                     : make_socks5_connect(*proxy, options.address));
    tls->shown_address = way();
  }
  if (const auto& path = options.via.websocket) tls->openings.add(make_websocket_request(*path, options.address));
  shaking = std::make_unique<Handshake>(loop, std::move(tls), options.handshake_timeout,
                                        [this](Result<std::unique_ptr<TlsStream>> result, std::unique_ptr<TlsSocket>) {
                                          if (!result) return give_up(result.error().code, result.error().message);
                                          finish(std::move(result));
                                        });
}

std::string Attempt::way() const {
  return to_string(options.address) + (options.via.proxy ? " by proxy " + to_string(*options.via.proxy) : "");
}

void Attempt::give_up(ErrorCode code, const std::string& text) { finish(fail(code, way() + ": " + text)); }

// The callback may destroy the DialAttempt, and with it everything here but what `self` holds.
void Attempt::finish(Result<std::unique_ptr<TlsStream>> result) {
  const auto self = shared_from_this();
  const DialCallback callback = std::exchange(done, nullptr);
  timer.cancel();
  if (callback) callback(std::move(result));
}

void Attempt::cancel() {
  done = nullptr;
  timer.cancel();
  lookup.reset();
  socket.reset();
  shaking.reset();
}

class Dialling final : public DialAttempt {
 public:
  explicit Dialling(std::shared_ptr<Attempt> attempt) : attempt_(std::move(attempt)) { attempt_->start(); }
  ~Dialling() override { attempt_->cancel(); }

 private:
  std::shared_ptr<Attempt> attempt_;
};

}  // namespace

std::unique_ptr<DialAttempt> dial(Loop& loop, std::shared_ptr<const TlsIdentity> identity, DialOptions options,
                                  DialCallback done) {
  return std::make_unique<Dialling>(
      std::make_shared<Attempt>(loop, std::move(identity), std::move(options), std::move(done)));
}

}  // namespace sallyport::net
