// TCP, for diodes that take the bytes of a connection over to another one: the outlet connects, writes and never reads; the
// inlet takes connections and never writes.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <optional>

#include "link/diode/byte_stream.h"
#include "link/diode/sockets.h"
#include "net/asio.h"

namespace sallyport::link::diode {
namespace {

using net::asio::posix::stream_descriptor;

constexpr Duration kFirstRetry = std::chrono::milliseconds(100), kLastRetry = std::chrono::seconds(5);
constexpr Duration kStuck = std::chrono::seconds(10);      // nothing goes out for so long: another connection
constexpr std::size_t kMaxConnections = 8;
constexpr std::size_t kRead = 64 * 1024;
constexpr unsigned kReadsPerTurn = 16;

class TcpOutlet final : public Outlet {
 public:
  TcpOutlet(net::Loop& loop, Clock& clock, const SocketAddress& to, std::size_t buffer_bytes, std::function<void()> ready)
      : loop_(loop), clock_(clock), timer_(loop), stuck_(loop), to_(to), buffer_bytes_(buffer_bytes), ready_(std::move(ready)) {
    timer_.after(Duration(0), [this] { connect(); });
  }
  ~TcpOutlet() override { *alive_ = false; }

  std::size_t send(const DatagramBatch& batch, std::size_t from) override {
    if (!connected_) return from;
    flush();
    for (; connected_ && from < batch.size() && out_.size() - written_ < buffer_bytes_ / 4; ++from) {
      append_byte_frame(out_, batch.at(from));
      ++counters_.datagrams;
      counters_.bytes += batch.at(from).size();
    }
    flush();
    return from;
  }
  const OutletCounters& counters() const override { return counters_; }
  const std::string& problem() const override { return problem_; }

 private:
  void connect() {
    const int fd = ::socket(to_.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (fd < 0) return failed(errno);
    const int on = 1, size = static_cast<int>(buffer_bytes_), user_timeout = 10'000;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof user_timeout);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    socket_.emplace(loop_.context(), fd);
    if (::connect(fd, to_.get(), to_.size) == 0) return came_up();
    if (errno != EINPROGRESS) return failed(errno);
    wait_writable();
    stuck_.after(kStuck, [this] { failed(ETIMEDOUT); });
  }
  void wait_writable() {
    if (std::exchange(waiting_, true)) return;
    socket_->async_wait(stream_descriptor::wait_write, [this, alive = alive_, number = number_](const boost::system::error_code& error) {
      if (!*alive || error || number != number_) return;
      waiting_ = false;
      connected_ ? writable() : came_up();
    });
  }
  void came_up() {
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(socket_->native_handle(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return failed(error);
    ::shutdown(socket_->native_handle(), SHUT_RD);
    stuck_.cancel();
    connected_ = true;
    ++counters_.connects;
    problem_.clear();
    since_ = clock_.monotonic();
    ready_();
  }
  void writable() {
    flush();
    if (connected_ && written_ == out_.size()) ready_();
  }
  void flush() {
    while (connected_ && written_ < out_.size()) {
      const ssize_t n = ::send(socket_->native_handle(), out_.data() + written_, out_.size() - written_, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) {
        written_ += static_cast<std::size_t>(n);
        stuck_.cancel();
        armed_ = false;
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        wait_writable();
        if (!std::exchange(armed_, true)) stuck_.after(kStuck, [this] { failed(ETIMEDOUT); });
        return;
      } else if (errno != EINTR) {
        return failed(errno);
      }
    }
    if (written_ == out_.size()) {
      out_.clear();
      written_ = 0;
    }
  }
  void failed(int error) {
    ++counters_.errors;
    ++number_;
    problem_ = system_error("no connection to the diode", error).message;
    if (connected_ && clock_.monotonic() - since_ > kStuck) failures_ = 0;
    connected_ = waiting_ = armed_ = false;
    stuck_.cancel();
    socket_.reset();
    out_.clear();
    written_ = 0;
    timer_.after(std::min(kLastRetry, kFirstRetry * (1 << std::min(failures_++, 8u))), [this] { connect(); });
  }

  net::Loop& loop_;
  Clock& clock_;
  net::Timer timer_, stuck_;
  SocketAddress to_;
  const std::size_t buffer_bytes_;
  std::function<void()> ready_;
  std::optional<stream_descriptor> socket_;
  Bytes out_;
  std::size_t written_ = 0;
  bool connected_ = false, waiting_ = false, armed_ = false;
  std::uint64_t number_ = 0;      // of the connection
  unsigned failures_ = 0;
  MonotonicTime since_{};
  OutletCounters counters_;
  std::string problem_ = "connecting to the diode";
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class TcpInlet final : public Inlet {
 public:
  TcpInlet(net::Loop& loop, int fd, std::function<void(std::span<const std::byte>)> take, std::function<void()> taken)
      : loop_(loop), listener_(loop.context(), fd), take_(std::move(take)), taken_(std::move(taken)), buffer_(kRead) {
    wait_connection();
  }
  ~TcpInlet() override { *alive_ = false; }

  InletCounters counters() const override {
    InletCounters counters = counters_;
    for (const Peer& peer : peers_) counters.skipped += peer.frames.skipped();
    return counters;
  }
  std::uint16_t port() const override { return local_port(const_cast<stream_descriptor&>(listener_).native_handle()); }

 private:
  struct Peer {
    explicit Peer(net::Loop& loop, int fd) : socket(loop.context(), fd) {}
    stream_descriptor socket;
    ByteFrameReader frames;
  };

  void wait_connection() {
    listener_.async_wait(stream_descriptor::wait_read, [this, alive = alive_](const boost::system::error_code& error) {
      if (!*alive || error) return;
      accept_all();
      wait_connection();
    });
  }
  // The newest counts: the oldest may be one that died without a word.
  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) return;
      ++counters_.connections;
      ::shutdown(fd, SHUT_WR);
      if (peers_.size() >= kMaxConnections) {
        ++counters_.refused;
        drop(peers_.begin());
      }
      peers_.emplace_back(loop_, fd);
      wait_bytes(std::prev(peers_.end()));
    }
  }
  void drop(std::list<Peer>::iterator peer) {
    counters_.skipped += peer->frames.skipped();
    peers_.erase(peer);
  }
  void wait_bytes(std::list<Peer>::iterator peer) {
    peer->socket.async_wait(stream_descriptor::wait_read, [this, alive = alive_, peer](const boost::system::error_code& error) {
      if (*alive && !error) readable(peer);
    });
  }
  void readable(std::list<Peer>::iterator peer) {
    const auto alive = alive_;
    bool ended = false;
    for (unsigned i = 0; i < kReadsPerTurn; ++i) {
      const ssize_t n = ::recv(peer->socket.native_handle(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
      if (n <= 0) break;
      peer->frames.received(std::span(buffer_).first(static_cast<std::size_t>(n)), [this](std::span<const std::byte> datagram) {
        ++counters_.datagrams;
        counters_.bytes += datagram.size();
        take_(datagram);
      });
    }
    taken_();
    if (!*alive) return;
    ended ? drop(peer) : wait_bytes(peer);
  }

  net::Loop& loop_;
  stream_descriptor listener_;
  std::function<void(std::span<const std::byte>)> take_;
  std::function<void()> taken_;
  Bytes buffer_;
  std::list<Peer> peers_;
  InletCounters counters_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<Outlet> open_tcp_outlet(net::Loop& loop, Clock& clock, const SocketAddress& to, std::size_t buffer_bytes, std::function<void()> ready) {
  return std::make_unique<TcpOutlet>(loop, clock, to, buffer_bytes, std::move(ready));
}

Result<std::unique_ptr<Inlet>> open_tcp_inlet(net::Loop& loop, const SocketAddress& at, std::function<void(std::span<const std::byte>)> take, std::function<void()> taken) {
  const int fd = ::socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  if (fd < 0) return std::unexpected(system_error("TCP socket", errno));
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd, at.get(), at.size) != 0 || ::listen(fd, 16) != 0) {
    const int error = errno;
    ::close(fd);
    return std::unexpected(system_error("listen", error));
  }
  return std::make_unique<TcpInlet>(loop, fd, std::move(take), std::move(taken));
}

}  // namespace sallyport::link::diode
