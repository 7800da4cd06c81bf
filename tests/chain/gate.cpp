#include "gate.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <list>
#include <mutex>
#include <random>
#include <thread>
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

int listen_on(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = loopback(port);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && ::listen(fd, 64) == 0) return fd;
  ::close(fd);
  return -1;
}

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd);
    return -1;
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

void close_with_reset(int fd) {
  const linger hard{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  ::close(fd);
}

}  // namespace

namespace {

// Between choosing a port and using it another test process must not choose it too: an abstract Unix socket of that name
// is held until this process ends.
bool reserve(std::uint16_t port) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const std::string text = "sallyport-test-port-" + std::to_string(port);
  text.copy(name.sun_path + 1, sizeof name.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&name), size) == 0) return true;
  ::close(fd);
  return false;
}

}  // namespace

std::uint16_t free_port() {
  std::mt19937 random(std::random_device{}());
  for (;;) {
    const auto port = static_cast<std::uint16_t>(10000 + random() % 20000);
    if (!reserve(port)) continue;
    const int fd = listen_on(port);
    if (fd < 0) continue;
    ::close(fd);
    return port;
  }
}

struct Gate::Impl {
  struct Direction {
    std::string waiting;
    bool ended = false;      // the reading side said FIN
    bool shut = false;       // passed on
  };
  struct Pair {
    int a = -1, b = -1;
    Direction ab, ba;
    bool dead = false;
  };

  std::uint16_t to_port = 0, port = 0;
  int listener = -1;
  std::atomic<bool> stop{false}, stalled{false}, refusing{false}, reset_all{false};
  std::atomic<unsigned> rate{0}, accepted{0};
  std::list<Pair> pairs;     // the gate's thread only
  std::thread thread;

  void run() {
    while (!stop) {
      wait();
      if (reset_all.exchange(false)) drop_all();
      accept_new();
      if (!stalled) {
        for (auto& pair : pairs) pump(pair);
      }
      std::erase_if(pairs, [](const Pair& pair) {
        if (pair.dead) {
          close_with_reset(pair.a);
          close_with_reset(pair.b);
        }
        return pair.dead;
      });
    }
    drop_all();
  }

  void wait() {
    std::vector<pollfd> fds{{listener, POLLIN, 0}};
    if (!stalled && rate == 0) {
      for (const auto& pair : pairs) {
        fds.push_back({pair.ab.ended ? -1 : pair.a, static_cast<short>(POLLIN | (pair.ba.waiting.empty() ? 0 : POLLOUT)), 0});
        fds.push_back({pair.ba.ended ? -1 : pair.b, static_cast<short>(POLLIN | (pair.ab.waiting.empty() ? 0 : POLLOUT)), 0});
      }
    }
    ::poll(fds.data(), fds.size(), 5);
    if (rate != 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }

  void drop_all() {
    for (const auto& pair : pairs) {
      close_with_reset(pair.a);
      close_with_reset(pair.b);
    }
    pairs.clear();
  }

  void accept_new() {
    for (int fd; (fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const int other = refusing ? -1 : connect_to(to_port);
      if (other < 0) {
        close_with_reset(fd);
        continue;
      }
      ++accepted;
      pairs.push_back({fd, other, {}, {}, false});
    }
  }

  void pump(Pair& pair) {
    move(pair, pair.a, pair.b, pair.ab);
    move(pair, pair.b, pair.a, pair.ba);
    if (pair.ab.shut && pair.ba.shut) pair.dead = true;
  }

  void move(Pair& pair, int from, int to, Direction& direction) {
    char buffer[65536];
    std::size_t allowed = sizeof buffer;
    if (rate != 0) allowed = std::max<std::size_t>(1, rate / 50);  // every 20 ms
    if (!direction.ended && direction.waiting.empty()) {
      const ssize_t got = ::read(from, buffer, allowed);
      if (got > 0) direction.waiting.assign(buffer, static_cast<std::size_t>(got));
      if (got == 0) direction.ended = true;
      if (got < 0 && errno != EAGAIN) pair.dead = true;
    }
    if (!direction.waiting.empty()) {
      const ssize_t sent = ::send(to, direction.waiting.data(), direction.waiting.size(), MSG_NOSIGNAL);
      if (sent > 0) direction.waiting.erase(0, static_cast<std::size_t>(sent));
      if (sent < 0 && errno != EAGAIN) pair.dead = true;
    }
    if (direction.ended && direction.waiting.empty() && !direction.shut) {
      ::shutdown(to, SHUT_WR);
      direction.shut = true;
    }
  }
};

Gate::Gate(std::uint16_t to_port) : impl_(std::make_unique<Impl>()) {
  impl_->to_port = to_port;
  do {
    impl_->port = free_port();
    impl_->listener = listen_on(impl_->port);
  } while (impl_->listener < 0);
  impl_->thread = std::thread([this] { impl_->run(); });
}

Gate::~Gate() {
  impl_->stop = true;
  impl_->thread.join();
  ::close(impl_->listener);
}

std::uint16_t Gate::port() const { return impl_->port; }
void Gate::stall(bool on) { impl_->stalled = on; }
void Gate::trickle(unsigned bytes_per_second) { impl_->rate = bytes_per_second; }
void Gate::reset() { impl_->reset_all = true; }
void Gate::refuse(bool on) { impl_->refusing = on; }
unsigned Gate::connections() const { return impl_->accepted; }

RawReply send_raw(std::uint16_t port, const std::string& bytes, int limit_ms, bool half_close) {
  RawReply reply;
  const int fd = connect_to(port);
  if (fd < 0) return reply;
  reply.connected = true;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms);
  std::size_t sent = 0;
  bool shut = false;
  while (!reply.closed && std::chrono::steady_clock::now() < end) {
    pollfd poll_fd{fd, static_cast<short>(POLLIN | (sent < bytes.size() ? POLLOUT : 0)), 0};
    ::poll(&poll_fd, 1, 50);
    if (sent < bytes.size()) {
      const ssize_t put = ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (put > 0) sent += static_cast<std::size_t>(put);
      if (put < 0 && errno != EAGAIN) reply.closed = true;
    } else if (half_close && !shut) {
      ::shutdown(fd, SHUT_WR);
      shut = true;
    }
    char buffer[16384];
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got > 0) reply.bytes.append(buffer, static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno != EAGAIN)) reply.closed = true;
  }
  ::close(fd);
  return reply;
}

}  // namespace sallyport::tests
