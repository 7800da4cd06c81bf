// The established stream. OpenSSL works straight on the caller's buffers and the socket; asio only says when to try
// again.
#include "net/stream.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/sockios.h>

#include <openssl/err.h>

namespace sallyport::net {
namespace {

using Socket = asio::ip::tcp::socket;

// One call of read() takes at most this much from the socket; then the loop gets its turn, whatever the peer sends.
constexpr std::size_t kMaxBytesPerRead = 512 * 1024;
// Messages other than data in a row. A key update is worth one every hour; this many, and somebody burns our processor.
constexpr int kMaxControlMessagesInARow = 32;

class Stream final : public TlsStream {
 public:
  Stream(std::unique_ptr<TlsSocket> socket, std::string group, CertificateInfo peer);
  ~Stream() override;

  IoResult read(std::span<std::byte> into) override;
  IoResult write(std::span<const std::byte> from) override;
  void when_readable(std::function<void()> callback) override;
  void when_writable(std::function<void()> callback) override;
  void request_key_update() override { key_update_wanted_ = true; }
  std::string group() const override { return group_; }
  const CertificateInfo& peer() const override { return peer_; }
  std::string remote_address() const override { return remote_address_; }
  void move_to(Loop& loop) override;
  std::size_t unsent_bytes() const override;

 private:
  struct Writable {
    std::function<void()> callback;
    Socket::wait_type needs = Socket::wait_write;  // TLS may turn it round: to write, something must be read first
  };

  IoResult failure() const { return {failed_, 0, reason_}; }
  static void count_control_message(int is_write, int, int content_type, const void*, std::size_t, SSL*, void* self);
  void fail_for_good(int ssl_error);
  void take_pending_alert();
  bool flush();
  void arm();
  void start_wait(Socket::wait_type what, bool& waiting);
  void fire(Socket::wait_type what);
  void fire_soon();

  std::unique_ptr<TlsSocket> tls_;
  SSL* ssl_;
  std::string group_;
  CertificateInfo peer_;
  std::string remote_address_;

  std::function<void()> readable_;
  Writable writable_;
  bool waiting_for_input_ = false;
  bool waiting_for_output_ = false;
  bool posted_ = false;

  bool input_drained_ = false;  // the last read found the socket empty: only the socket can bring more
  bool key_update_wanted_ = false;
  int control_messages_ = 0;                             // since data last arrived
  IoResult::Kind failed_ = IoResult::Kind::would_block;  // closed or failed: for good
  std::string reason_;

  // Handlers in the loop's queue look here first; null once the stream is gone.
  std::shared_ptr<Stream*> alive_;
};

Stream::Stream(std::unique_ptr<TlsSocket> socket, std::string group, CertificateInfo peer)
    : tls_(std::move(socket)),
      ssl_(tls_->ssl.get()),
      group_(std::move(group)),
      peer_(std::move(peer)),
      alive_(std::make_shared<Stream*>(this)) {
  boost::system::error_code ignored;
  remote_address_ =
      tls_->shown_address.empty() ? to_string(tls_->socket.remote_endpoint(ignored)) : tls_->shown_address;
  tls_->io.allowance_is_final = false;
  tls_->io.keep_rest = true;
  SSL_set_msg_callback(ssl_, count_control_message);
  SSL_set_msg_callback_arg(ssl_, this);
}

Stream::~Stream() {
  *alive_ = nullptr;
  // A goodbye, if there is room for it; behind half a record there is none.
  if (failed_ == IoResult::Kind::would_block && tls_->io.flush()) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ERR_clear_error();
    tls_->io.close_websocket();
  }
}

// SSL_read handles such messages inside and does not return while they keep coming: stop it at its next recv.
void Stream::count_control_message(int is_write, int, int content_type, const void*, std::size_t, SSL*, void* self) {
  if (is_write != 0 || content_type != SSL3_RT_HANDSHAKE) return;
  auto& stream = *static_cast<Stream*>(self);
  if (++stream.control_messages_ > kMaxControlMessagesInARow) stream.tls_->io.refuse = true;
}

IoResult Stream::read(std::span<std::byte> into) {
  using enum IoResult::Kind;
  if (failed_ != would_block) return failure();
  tls_->io.allowance = kMaxBytesPerRead;
  tls_->io.used_up = false;
  input_drained_ = false;
  // What a blocked write waited for may come with this read.
  writable_.needs = Socket::wait_write;
  std::size_t size = 0;
  while (size < into.size()) {
    std::size_t got = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_, into.data() + size, into.size() - size, &got);
    if (result == 1) {
      size += got;
      control_messages_ = 0;
      if (SSL_has_pending(ssl_) == 0) break;
      continue;
    }
    const int error = SSL_get_error(ssl_, result);
    if (error == SSL_ERROR_WANT_READ)
      input_drained_ = !tls_->io.used_up;
    else
      fail_for_good(error);
    break;
  }
  arm();  // for an answered key update
  if (size > 0) return {bytes, size, {}};
  return failed_ != would_block ? failure() : IoResult{would_block, 0, {}};
}

IoResult Stream::write(std::span<const std::byte> from) {
  using enum IoResult::Kind;
  if (failed_ != would_block) return failure();
  writable_.needs = Socket::wait_write;
  if (!flush()) return failed_ != would_block ? failure() : IoResult{would_block, 0, {}};
  if (std::exchange(key_update_wanted_, false)) SSL_key_update(ssl_, SSL_KEY_UPDATE_REQUESTED);
  std::size_t size = 0;
  while (size < from.size() && tls_->io.rest.empty()) {
    std::size_t put = 0;
    ERR_clear_error();
    const int result = SSL_write_ex(ssl_, from.data() + size, from.size() - size, &put);
    if (result == 1) {
      size += put;
      continue;
    }
    const int error = SSL_get_error(ssl_, result);
    // Half of a key update has come in, and OpenSSL wants the other half first.
    if (error == SSL_ERROR_WANT_READ)
      writable_.needs = Socket::wait_read;
    else
      fail_for_good(error);
    break;
  }
  arm();
  if (size > 0) return {bytes, size, {}};
  return failed_ != would_block ? failure() : IoResult{would_block, 0, {}};
}

bool Stream::flush() {
  if (tls_->io.flush()) return true;
  if (tls_->io.error_number != 0) fail_for_good(SSL_ERROR_SYSCALL);
  return false;
}

void Stream::fail_for_good(int ssl_error) {
  failed_ = ssl_error == SSL_ERROR_ZERO_RETURN ? IoResult::Kind::closed : IoResult::Kind::failed;
  if (tls_->io.error_number == EPIPE || tls_->io.error_number == ECONNRESET) take_pending_alert();
  if (reason_.empty()) reason_ = describe_stream_failure(ssl_error, tls_->io);
  if (readable_ || writable_.callback) fire_soon();
}

// A write met a closed door, but the peer's last words may lie in the receive buffer: "unknown CA" says more than
// "reset".
void Stream::take_pending_alert() {
  const int error_number = std::exchange(tls_->io.error_number, 0);
  ERR_clear_error();
  std::byte byte{};
  std::size_t got = 0;
  const int result = SSL_peek_ex(ssl_, &byte, 1, &got);
  const int error = SSL_get_error(ssl_, result);
  if (result != 1 && tls_->io.error_number == 0 && !tls_->io.end_of_file && error == SSL_ERROR_SSL) {
    reason_ = describe_stream_failure(error, tls_->io);
  }
  tls_->io.error_number = error_number;
  ERR_clear_error();
}

void Stream::when_readable(std::function<void()> callback) {
  readable_ = std::move(callback);
  const bool buffered = !input_drained_ && (SSL_has_pending(ssl_) == 1 || !tls_->io.unread.empty());
  if (buffered || failed_ != IoResult::Kind::would_block)
    fire_soon();
  else
    arm();
}

void Stream::when_writable(std::function<void()> callback) {
  writable_.callback = std::move(callback);
  if (failed_ != IoResult::Kind::would_block)
    fire_soon();
  else
    arm();
}

void Stream::arm() {
  if (failed_ != IoResult::Kind::would_block) return;
  const bool input = readable_ || (writable_.callback && writable_.needs == Socket::wait_read);
  const bool output = (writable_.callback && writable_.needs == Socket::wait_write) || !tls_->io.rest.empty();
  if (input && !waiting_for_input_) start_wait(Socket::wait_read, waiting_for_input_);
  if (output && !waiting_for_output_) start_wait(Socket::wait_write, waiting_for_output_);
}

void Stream::start_wait(Socket::wait_type what, bool& waiting) {
  waiting = true;
  tls_->socket.async_wait(what, [alive = alive_, what, &waiting](const boost::system::error_code&) {
    if (*alive == nullptr) return;
    waiting = false;
    (*alive)->fire(what);
  });
}

void Stream::fire(Socket::wait_type what) {
  const auto alive = alive_;
  const bool output = what == Socket::wait_read || flush() || failed_ != IoResult::Kind::would_block;
  if (what == Socket::wait_read && readable_) std::exchange(readable_, nullptr)();
  if (*alive == nullptr) return;
  if (output && writable_.callback && writable_.needs == what) std::exchange(writable_.callback, nullptr)();
  if (*alive != nullptr) arm();
}

// Something is buffered for the reader, or the stream has failed and both directions must learn it.
void Stream::fire_soon() {
  if (std::exchange(posted_, true)) return;
  asio::post(tls_->socket.get_executor(), [alive = alive_] {
    if (*alive == nullptr) return;
    (*alive)->posted_ = false;
    (*alive)->fire(Socket::wait_read);
    if (*alive != nullptr && (*alive)->failed_ != IoResult::Kind::would_block)
      (*alive)->fire((*alive)->writable_.needs);
  });
}

// The descriptor stays, and with it all that OpenSSL knows; only who watches it is another.
void Stream::move_to(Loop& loop) {
  boost::system::error_code error;
  const auto protocol = tls_->socket.local_endpoint(error).protocol();
  if (!error) tls_->socket.release(error);
  Socket moved(loop.context());
  if (!error) {
    moved.assign(protocol, tls_->io.descriptor, error);
    if (error) ::close(tls_->io.descriptor);
  }
  tls_->socket = std::move(moved);
  if (!error) return;
  tls_->io.descriptor = -1;
  failed_ = IoResult::Kind::failed;
  reason_ = "cannot be handed to another thread: " + error.message();
}

std::size_t Stream::unsent_bytes() const {
  int size = 0;
  const bool known = ::ioctl(tls_->io.descriptor, SIOCOUTQ, &size) == 0 && size > 0;
  return (known ? static_cast<std::size_t>(size) : 0) + tls_->io.rest.size() - tls_->io.rest_sent;
}

}  // namespace

std::unique_ptr<TlsStream> make_stream(std::unique_ptr<TlsSocket> socket, std::string group, CertificateInfo peer) {
  return std::make_unique<Stream>(std::move(socket), std::move(group), std::move(peer));
}

}  // namespace sallyport::net
