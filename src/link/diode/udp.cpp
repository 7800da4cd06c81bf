// UDP: the outlet's socket never reads, and drops in the kernel whatever anybody sends it; the inlet's has a large buffer, and
// is read many datagrams at a time.
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "link/diode/sockets.h"
#include "link/diode/transport.h"
#include "net/asio.h"

namespace sallyport::link::diode {
namespace {

constexpr std::size_t kAtOnce = 64;
constexpr unsigned kRounds = 16;                       // of kAtOnce, then others on the loop have their turn
constexpr Duration kRetry = std::chrono::milliseconds(100);

// Whatever comes is dropped before it is queued: BPF that accepts nothing.
void accept_nothing(int fd) {
  sock_filter drop{BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog program{1, &drop};
  ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

class UdpOutlet final : public Outlet {
 public:
  UdpOutlet(net::Loop& loop, int fd, const SocketAddress& to, std::function<void()> ready)
      : socket_(loop.context(), fd), retry_(loop), to_(to), ready_(std::move(ready)) {}

  std::size_t send(const DatagramBatch& batch, std::size_t from) override {
    while (from < batch.size()) {
      if (!connected_ && !connect()) break;
      const std::size_t count = std::min(kAtOnce, batch.size() - from);
      std::array<iovec, kAtOnce> parts{};
      std::array<mmsghdr, kAtOnce> messages{};
      for (std::size_t i = 0; i < count; ++i) {
        const auto bytes = batch.at(from + i);
        parts[i] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
      }
      const int sent = ::sendmmsg(socket_.native_handle(), messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent <= 0) {
        const int error = errno;
        if (!go_on_after(error, batch.at(from).size())) break;
        if (error == EMSGSIZE) ++from;
        continue;
      }
      problem_.clear();
      for (int i = 0; i < sent; ++i) counters_.bytes += batch.at(from + static_cast<std::size_t>(i)).size();
      counters_.datagrams += static_cast<std::uint64_t>(sent);
      from += static_cast<std::size_t>(sent);
    }
    return from;
  }
  const OutletCounters& counters() const override { return counters_; }
  const std::string& problem() const override { return problem_; }

 private:
  // Connected, so that it is not open to the world; nothing is sent for that.
  bool connect() {
    connected_ = ::connect(socket_.native_handle(), to_.get(), to_.size) == 0;
    if (!connected_) hold(errno);
    return connected_;
  }
  // Whether to try again at once.
  bool go_on_after(int error, std::size_t size) {
    if (error == EAGAIN || error == EWOULDBLOCK) {
      socket_.async_wait(net::asio::posix::stream_descriptor::wait_write, [this](const boost::system::error_code& failed) {
        if (!failed) ready_();
      });
      return false;
    }
    ++counters_.errors;
    if (error == ECONNREFUSED || error == EINTR) return true;   // somebody answered the last one, which there should not be
    if (error == EMSGSIZE) {
      problem_ = "datagrams of " + std::to_string(size) + " bytes are too large for the network; lower datagram_bytes";
      return true;
    }
    hold(error);
    return false;
  }
  void hold(int error) {
    problem_ = system_error("cannot send", error).message;
    retry_.after(kRetry, [this] { ready_(); });
  }

  net::asio::posix::stream_descriptor socket_;
  net::Timer retry_;
  SocketAddress to_;
  std::function<void()> ready_;
  bool connected_ = false;
  OutletCounters counters_;
  std::string problem_;
};

class UdpInlet final : public Inlet {
 public:
  UdpInlet(net::Loop& loop, int fd, std::function<void(std::span<const std::byte>)> take, std::function<void()> taken)
      : socket_(loop.context(), fd), take_(std::move(take)), taken_(std::move(taken)), buffer_(kAtOnce * kSlot) {
    wait();
  }
  ~UdpInlet() override { *alive_ = false; }

  InletCounters counters() const override {
    InletCounters counters = counters_;
    int size = 0;
    socklen_t length = sizeof size;
    auto& socket = const_cast<net::asio::posix::stream_descriptor&>(socket_);
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVBUF, &size, &length) == 0) counters.buffer_bytes = static_cast<std::uint64_t>(size) / 2;
    return counters;
  }
  std::uint16_t port() const override { return local_port(const_cast<net::asio::posix::stream_descriptor&>(socket_).native_handle()); }

 private:
  static constexpr std::size_t kSlot = 9'216;

  void wait() {
    socket_.async_wait(net::asio::posix::stream_descriptor::wait_read, [this, alive = alive_](const boost::system::error_code& failed) {
      if (*alive && !failed) readable();
    });
  }
  void readable() {
    const auto alive = alive_;
    unsigned rounds = 0;
    while (rounds < kRounds && read_some() == kAtOnce) ++rounds;
    taken_();
    if (*alive) wait();
  }
  std::size_t read_some() {
    std::array<iovec, kAtOnce> parts{};
    std::array<mmsghdr, kAtOnce> messages{};
    std::array<std::array<std::byte, CMSG_SPACE(sizeof(std::uint32_t))>, kAtOnce> control;
    for (std::size_t i = 0; i < kAtOnce; ++i) {
      parts[i] = {buffer_.data() + i * kSlot, kSlot};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = control[i].data();
      messages[i].msg_hdr.msg_controllen = control[i].size();
    }
    const int count = ::recvmmsg(socket_.native_handle(), messages.data(), kAtOnce, MSG_DONTWAIT, nullptr);
    if (count <= 0) return 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      note_dropped(messages[i].msg_hdr);
      ++counters_.datagrams;
      counters_.bytes += messages[i].msg_len;
      if ((messages[i].msg_hdr.msg_flags & MSG_TRUNC) == 0) take_(std::span(buffer_).subspan(i * kSlot, messages[i].msg_len));
    }
    return static_cast<std::size_t>(count);
  }
  // SO_RXQ_OVFL: how many the kernel has dropped so far, modulo 2³².
  void note_dropped(msghdr& message) {
    for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
      if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SO_RXQ_OVFL) continue;
      std::uint32_t dropped = 0;
      std::memcpy(&dropped, CMSG_DATA(at), sizeof dropped);
      counters_.dropped += dropped - std::exchange(dropped_seen_, dropped);
    }
  }

  net::asio::posix::stream_descriptor socket_;
  std::function<void(std::span<const std::byte>)> take_;
  std::function<void()> taken_;
  Bytes buffer_;
  InletCounters counters_;
  std::uint32_t dropped_seen_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

void set_buffer(int fd, int force, int usual, std::size_t bytes) {
  const int wanted = static_cast<int>(bytes);
  if (::setsockopt(fd, SOL_SOCKET, force, &wanted, sizeof wanted) != 0) ::setsockopt(fd, SOL_SOCKET, usual, &wanted, sizeof wanted);
}

}  // namespace

Result<std::unique_ptr<Outlet>> open_udp_outlet(net::Loop& loop, const SocketAddress& to, std::function<void()> ready) {
  const int fd = ::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
  if (fd < 0) return std::unexpected(system_error("UDP socket", errno));
  accept_nothing(fd);
  const int off = 0, dont = IP_PMTUDISC_DONT;
  ::setsockopt(fd, IPPROTO_IP, IP_RECVERR, &off, sizeof off);
  ::setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &dont, sizeof dont);   // nobody could tell us
  set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, 1u << 20);
  return std::make_unique<UdpOutlet>(loop, fd, to, std::move(ready));
}

Result<std::unique_ptr<Inlet>> open_udp_inlet(net::Loop& loop, const SocketAddress& at, std::function<void(std::span<const std::byte>)> take, std::function<void()> taken) {
  const int fd = ::socket(at.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
  if (fd < 0) return std::unexpected(system_error("UDP socket", errno));
  set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, kWantedReceiveBuffer);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
  if (::bind(fd, at.get(), at.size) != 0) {
    const int error = errno;
    ::close(fd);
    return std::unexpected(system_error("bind", error));
  }
  return std::make_unique<UdpInlet>(loop, fd, std::move(take), std::move(taken));
}

}  // namespace sallyport::link::diode
