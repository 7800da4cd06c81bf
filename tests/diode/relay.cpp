#include "relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <random>
#include <vector>

namespace sallyport::tests {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

std::uint16_t bind_free(int fd) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0) return 0;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

int connect_to(int type, std::uint16_t port) {
  const int fd = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

bool readable(int fd) {
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, 20) > 0;
}

}  // namespace

LossyRelay::LossyRelay(std::uint16_t to_port) : in_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), out_(connect_to(SOCK_DGRAM, to_port)) {
  const int large = 32 << 20;
  ::setsockopt(in_, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large);
  port_ = bind_free(in_);
  thread_ = std::thread([this] { work(); });
}

LossyRelay::~LossyRelay() {
  stop_ = true;
  thread_.join();
  ::close(in_);
  ::close(out_);
}

void LossyRelay::work() {
  std::mt19937 random(4711);
  std::uniform_real_distribution<double> share(0, 1);
  std::array<char, 10'000> buffer;
  std::vector<char> held;
  const auto send = [this](const char* bytes, std::size_t size) {
    if (::send(out_, bytes, size, MSG_NOSIGNAL) < 0) (void)::send(out_, bytes, size, MSG_NOSIGNAL);   // the first may only report an ICMP
    ++forwarded_;
  };
  while (!stop_) {
    if (!readable(in_)) continue;
    const ssize_t n = ::recv(in_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0) continue;
    const auto size = static_cast<std::size_t>(n);
    if (burst_ > 0) {
      --burst_;
      ++lost_;
      continue;
    }
    if (cut_ || share(random) < loss_) {
      ++lost_;
      continue;
    }
    if (swap_ && held.empty()) {
      held.assign(buffer.data(), buffer.data() + size);
      continue;
    }
    send(buffer.data(), size);
    if (!held.empty()) send(held.data(), held.size());
    held.clear();
  }
}

ByteRelay::ByteRelay(std::uint16_t to_port) : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), to_port_(to_port) {
  port_ = bind_free(listener_);
  ::listen(listener_, 4);
  thread_ = std::thread([this] { work(); });
}

ByteRelay::~ByteRelay() {
  stop_ = true;
  thread_.join();
  ::close(listener_);
}

void ByteRelay::reset() { reset_ = true; }

void ByteRelay::work() {
  std::vector<char> buffer(64 * 1024);
  int from = -1, to = -1;
  const auto close_both = [&] {
    const linger hard{1, 0};
    for (int* fd : {&from, &to}) {
      if (*fd < 0) continue;
      ::setsockopt(*fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
      ::close(*fd);
      *fd = -1;
    }
  };
  while (!stop_) {
    if (reset_.exchange(false)) close_both();
    if (readable(listener_)) {
      close_both();
      from = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    }
    if (from < 0) continue;
    if (to < 0) to = connect_to(SOCK_STREAM, to_port_);
    if (to < 0) continue;   // the office is not there: what comes waits
    for (int i = 0; i < 200 && from >= 0; ++i) {
      const ssize_t n = ::recv(from, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (n == 0) close_both();
      if (n <= 0) break;
      std::size_t at = 0;
      auto size = static_cast<std::size_t>(n);
      if (const std::size_t drop = drop_.exchange(0); drop > 0) {
        at = std::min(drop, size);
        size -= at;
      }
      if (const std::size_t garbage = garbage_.exchange(0); garbage > 0) {
        const std::vector<char> noise(garbage, 'S');
        (void)::send(to, noise.data(), noise.size(), MSG_NOSIGNAL);
      }
      if (::send(to, buffer.data() + at, size, MSG_NOSIGNAL) < 0) {
        ::close(to);
        to = -1;
        break;
      }
      carried_ += size;
    }
    if (to >= 0) {
      const ssize_t back = ::recv(to, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (back > 0) came_back_ += static_cast<std::uint64_t>(back);
    }
  }
  close_both();
}

}  // namespace sallyport::tests
