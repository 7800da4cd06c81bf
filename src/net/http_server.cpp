// Listening, limits and timeouts of the HTTP server; what one connection does is in http_session.cpp.
#include "net/http_server.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <vector>

#include "base/log.h"
#include "net/http_hub.h"
#include "net/http_session.h"
#include "net/http_transport.h"

namespace sallyport::net {
namespace {

namespace asio = boost::asio;
using boost::asio::ip::tcp;
using boost::system::error_code;

constexpr int kBacklog = 1024;
// Unsent bytes the kernel holds for a slow client: what waits there can no longer be replaced by something newer.
constexpr int kUnsentBytes = 64 * 1024;
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);
// What counts as one client: an IPv4 address, or the /64 an IPv6 address lies in.
std::string address_key(const asio::ip::address& address) {
  if (address.is_v4()) return address.to_string();
  if (address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  }
  auto bytes = address.to_v6().to_bytes();
  for (std::size_t i = 8; i < bytes.size(); ++i) bytes[i] = 0;
  return asio::ip::address_v6(bytes).to_string();
}

// Once, as far as it goes: a connection too many is not worth waiting for.
void send_busy(int socket) {
  const HttpResponse busy = http_problem(503, "too many connections", "close some of yours and try again");
  const std::string text = http_head(busy, {.length = busy.body.size(), .close = true}) + busy.body;
  ::send(socket, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

Duration sweep_interval(const HttpLimits& limits) {
  const Duration shortest = std::min(limits.header_timeout, limits.idle_timeout) / 8;
  return std::clamp<Duration>(shortest, std::chrono::milliseconds(10), std::chrono::milliseconds(500));
}

}  // namespace

struct HttpServer::Impl {
  Impl(Loop& loop, HttpServerOptions options, HttpRouter router)
      : hub(std::make_shared<HttpHub>(loop, std::move(options), std::move(router))),
        acceptor(loop.context()),
        sweeper(loop),
        pause(loop) {}
  ~Impl();

  Result<void> listen();
  void accept();
  void take(tcp::socket socket);
  bool within_limits(const std::string& key) const;
  void sweep();

  std::shared_ptr<HttpHub> hub;
  std::shared_ptr<TlsContext> tls;
  tcp::acceptor acceptor;
  Timer sweeper, pause;
  std::uint16_t port = 0;
  // Callbacks of the acceptor outlive it by a turn of the loop: they look here first.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

HttpServer::Impl::~Impl() {
  *alive = false;
  error_code ignored;
  acceptor.close(ignored);
  const std::vector<std::shared_ptr<HttpSession>> all(hub->sessions.begin(), hub->sessions.end());
  for (const auto& session : all) session->close();
}

Result<void> HttpServer::Impl::listen() {
  const HttpServerOptions& options = hub->options;
  const auto loopback = is_loopback_host(options.host);
  if (!loopback) return std::unexpected(loopback.error());
  hub->check_host = *loopback || !options.host_names.empty();
  error_code error;
  const auto address = asio::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, error);
  const tcp::endpoint endpoint(address, options.port);
  const auto failed = [&](std::string_view what) {
    const bool in_use = error == asio::error::address_in_use;
    return fail(in_use ? ErrorCode::exists : ErrorCode::io,
                std::string(what) + " " + options.host + ":" + std::to_string(options.port) + ": " + error.message() +
                    (in_use ? "; stop the other program or choose another port" : ""));
  };
  acceptor.open(endpoint.protocol(), error);
  if (error) return failed("cannot open a socket for");
  acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  acceptor.bind(endpoint, error);
  if (error) return failed("cannot listen on");
  acceptor.listen(kBacklog, error);
  if (error) return failed("cannot listen on");
  port = acceptor.local_endpoint(error).port();
  accept();
  sweep();
  return {};
}

void HttpServer::Impl::accept() {
  acceptor.async_accept([this, living = alive](const error_code& error, tcp::socket socket) {
    if (!*living || error == asio::error::operation_aborted) return;
    if (!error) {
      take(std::move(socket));
      accept();
      return;
    }
    if (error == asio::error::connection_aborted) {
      accept();
      return;
    }
    // No descriptors left, most likely: trying again at once would spin.
    log::warn("http cannot accept", log::field("reason", error.message()));
    pause.after(kAcceptPause, [this] { accept(); });
  });
}

bool HttpServer::Impl::within_limits(const std::string& key) const {
  const HttpLimits& limits = hub->options.limits;
  if (hub->counters.open >= limits.connections) return false;
  const auto count = hub->per_address.find(key);
  return count == hub->per_address.end() || count->second < limits.connections_per_address;
}

void HttpServer::Impl::take(tcp::socket socket) {
  ++hub->counters.accepted;
  error_code error;
  const auto remote = socket.remote_endpoint(error);
  if (error) return;  // gone already
  const std::string key = address_key(remote.address());
  if (!within_limits(key)) {
    ++hub->counters.refused_limit;
    if (!tls) send_busy(socket.native_handle());
    return;
  }
  socket.set_option(tcp::no_delay(true), error);
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytes, sizeof kUnsentBytes);
  auto transport = tls ? tls_transport(std::move(socket), tls) : plain_transport(std::move(socket));
  std::make_shared<HttpSession>(hub, std::move(transport), remote.address().to_string(), key)->start();
}

void HttpServer::Impl::sweep() {
  const MonotonicTime now = hub->clock.monotonic();
  const std::vector<std::shared_ptr<HttpSession>> all(hub->sessions.begin(), hub->sessions.end());
  for (const auto& session : all) session->check_deadline(now);
  sweeper.after(sweep_interval(hub->options.limits), [this] { sweep(); });
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(Loop& loop, HttpServerOptions options, HttpRouter router) {
  auto impl = std::make_unique<Impl>(loop, std::move(options), std::move(router));
  if (impl->hub->options.tls) {
    auto context = make_tls_context(*impl->hub->options.tls);
    if (!context) return std::unexpected(context.error());
    impl->tls = std::move(*context);
  }
  if (auto listening = impl->listen(); !listening) return std::unexpected(listening.error());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

std::uint16_t HttpServer::port() const { return impl_->port; }
const HttpCounters& HttpServer::counters() const { return impl_->hub->counters; }

Result<void> HttpServer::reload(std::optional<HttpTls> tls, HttpTokens tokens) {
  std::shared_ptr<TlsContext> context;
  if (tls) {
    auto made = make_tls_context(*tls);
    if (!made) return std::unexpected(made.error());
    context = std::move(*made);
  }
  impl_->tls = std::move(context);
  impl_->hub->options.tls = std::move(tls);
  impl_->hub->options.tokens = std::move(tokens);
  return {};
}

}  // namespace sallyport::net
