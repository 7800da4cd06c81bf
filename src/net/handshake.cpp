#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "net/stream.h"

namespace sallyport::net {
namespace {

constexpr std::size_t kMaxBytesBeforeAuthentication = 64 * 1024;
// What may wait in the kernel unsent. Less, and a fast link starves between two turns of the loop; more, and bad news
// waits behind old values.
constexpr int kNotSentLowWaterBytes = 128 * 1024;
constexpr int kUserTimeoutMs = 20'000;
constexpr int kKeepAliveIdleSeconds = 15;
constexpr int kKeepAliveIntervalSeconds = 5;
constexpr int kKeepAliveProbes = 3;

void set_option(int descriptor, int level, int option, int value) {
  // A kernel that lacks one of these still carries the stream.
  ::setsockopt(descriptor, level, option, &value, sizeof value);
}

void tune(int descriptor) {
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalSeconds);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
  set_option(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
  set_option(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kNotSentLowWaterBytes);
}

bool post_quantum(std::string_view group) {
  const auto same = [group](std::string_view wanted) {
    return OPENSSL_strcasecmp(std::string(group).c_str(), std::string(wanted).c_str()) == 0;
  };
  return same("X25519MLKEM768") || same("SecP256r1MLKEM768");
}

}  // namespace

TlsSocket::TlsSocket(asio::ip::tcp::socket connected, SSL_CTX* context, Role side)
    : socket(std::move(connected)), role(side), ssl(SSL_new(context)) {
  boost::system::error_code ignored;
  socket.native_non_blocking(true, ignored);
  io.descriptor = socket.native_handle();
  io.allowance = kMaxBytesBeforeAuthentication;
  tune(io.descriptor);
  if (!ssl) return;
  BIO* bio = make_socket_bio(io).release();
  SSL_set_bio(ssl.get(), bio, bio);
  SSL_set_app_data(ssl.get(), &check);
  SSL_set_verify(ssl.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, check_peer_certificate);
  if (role == Role::dialler)
    SSL_set_connect_state(ssl.get());
  else
    SSL_set_accept_state(ssl.get());
}

std::string to_string(const asio::ip::tcp::endpoint& endpoint) {
  const asio::ip::address address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return to_string(
        Address{asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string(), endpoint.port()});
  }
  return to_string(Address{address.to_string(), endpoint.port()});
}

struct Handshake::State : std::enable_shared_from_this<Handshake::State> {
  State(Loop& loop, std::unique_ptr<TlsSocket> tls, Done callback)
      : socket(std::move(tls)), deadline(loop), done(std::move(callback)) {}

  void step();
  void wait(asio::ip::tcp::socket::wait_type what);
  void succeed();
  void fail_with(Error error);
  void finish(Result<std::unique_ptr<TlsStream>> result, std::unique_ptr<TlsSocket> rest);

  std::unique_ptr<TlsSocket> socket;  // empty once done or cancelled
  Timer deadline;
  Done done;
};

void Handshake::State::step() {
  if (!socket) return;
  if (!socket->ssl) return fail_with({ErrorCode::internal, "out of memory for a TLS connection"});
  if (!socket->openings.done()) {
    const auto opened = socket->openings.step(socket->io);
    if (!opened) return fail_with(opened.error());
    if (*opened == Openings::State::want_read) return wait(asio::ip::tcp::socket::wait_read);
    if (*opened == Openings::State::want_write) return wait(asio::ip::tcp::socket::wait_write);
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(socket->ssl.get());
  if (result == 1) return succeed();
  const int error = SSL_get_error(socket->ssl.get(), result);
  // In WebSocket frames OpenSSL knows nothing of what the socket did not take.
  if (error == SSL_ERROR_WANT_READ && !socket->io.flush() && socket->io.error_number == 0) {
    return wait(asio::ip::tcp::socket::wait_write);
  }
  if (error == SSL_ERROR_WANT_READ) return wait(asio::ip::tcp::socket::wait_read);
  if (error == SSL_ERROR_WANT_WRITE) return wait(asio::ip::tcp::socket::wait_write);
  fail_with(describe_handshake_failure(socket->ssl.get(), error, socket->io, socket->role));
}

void Handshake::State::wait(asio::ip::tcp::socket::wait_type what) {
  socket->socket.async_wait(what, [self = shared_from_this()](const boost::system::error_code&) { self->step(); });
}

void Handshake::State::succeed() {
  SSL* ssl = socket->ssl.get();
  const char* name = SSL_get0_group_name(ssl);
  std::string group = name != nullptr ? name : "";
  X509* certificate = SSL_get0_peer_certificate(ssl);
  // The context allows nothing else; a second look at what the whole promise rests on costs nothing.
  if (!post_quantum(group) || SSL_version(ssl) != TLS1_3_VERSION) {
    return fail_with(
        {ErrorCode::refused,
         "peer negotiated '" + group + "', which is not one of the post-quantum groups of TLS 1.3 that we accept"});
  }
  if (certificate == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) {
    return fail_with({ErrorCode::refused, "peer is not authenticated"});
  }
  CertificateInfo peer = certificate_info(*certificate);
  SSL_set_app_data(ssl, nullptr);
  auto stream = make_stream(std::move(socket), std::move(group), std::move(peer));
  finish(std::move(stream), nullptr);
}

void Handshake::State::fail_with(Error error) { finish(std::unexpected(std::move(error)), std::move(socket)); }

// The callback may destroy the Handshake; whoever called us still holds the state.
void Handshake::State::finish(Result<std::unique_ptr<TlsStream>> result, std::unique_ptr<TlsSocket> rest) {
  deadline.cancel();
  boost::system::error_code ignored;
  if (rest) rest->socket.cancel(ignored);
  const Done callback = std::exchange(done, nullptr);
  if (callback) callback(std::move(result), std::move(rest));
}

Handshake::Handshake(Loop& loop, std::unique_ptr<TlsSocket> socket, Duration timeout, Done done)
    : state_(std::make_shared<State>(loop, std::move(socket), std::move(done))) {
  state_->deadline.after(timeout, [weak = std::weak_ptr(state_), timeout] {
    const auto state = weak.lock();
    if (!state || !state->socket) return;
    const TlsSocket& late = *state->socket;
    state->fail_with({ErrorCode::timeout, late.openings.done() ? describe_handshake_timeout(late.io, late.role, timeout)
                                                               : late.openings.describe_timeout()});
  });
  loop.post([state = state_] { state->step(); });
}

Handshake::~Handshake() {
  state_->done = nullptr;
  state_->deadline.cancel();
  state_->socket.reset();
}

}  // namespace sallyport::net
