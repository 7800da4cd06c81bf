#include "forgetful.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <list>
#include <vector>

#include "gate.h"

namespace sallyport::tests {
namespace {

int loopback_socket(std::uint16_t port, bool listening) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* const at = reinterpret_cast<const sockaddr*>(&address);
  const bool good =
      listening ? ::bind(fd, at, sizeof address) == 0 && ::listen(fd, 16) == 0 : ::connect(fd, at, sizeof address) == 0;
  if (good) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

struct Forgetful::Pair {
  int near = -1, far = -1;
  Clock::time_point last = Clock::now();
  bool forgotten = false, ended = false;

  void pass(int from, int to) {
    std::array<char, 65536> buffer;
    const ssize_t got = ::recv(from, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) last = Clock::now();
    // A forgotten connection takes everything, and passes nothing on.
    if (got > 0 && !forgotten) ::send(to, buffer.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL);
    if (got == 0 || (got < 0 && errno != EAGAIN)) ended = true;
  }
};

Forgetful::Forgetful(std::uint16_t to_port, Clock::duration patience) : to_port_(to_port), patience_(patience) {
  do {
    port_ = free_port();
    listener_ = loopback_socket(port_, true);
  } while (listener_ < 0);
  thread_ = std::thread([this] { run(); });
}

Forgetful::~Forgetful() {
  stop_ = true;
  thread_.join();
  ::close(listener_);
}

void Forgetful::run() {
  std::list<Pair> pairs;
  const auto close_pair = [](const Pair& pair) {
    ::close(pair.near);
    ::close(pair.far);
  };
  while (!stop_) {
    std::vector<pollfd> fds{{listener_, POLLIN, 0}};
    for (const Pair& pair : pairs) fds.insert(fds.end(), {{pair.near, POLLIN, 0}, {pair.far, POLLIN, 0}});
    ::poll(fds.data(), fds.size(), 10);
    if ((fds[0].revents & POLLIN) != 0) {
      Pair pair;
      pair.near = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      pair.far = loopback_socket(to_port_, false);
      ++connections_;
      pairs.push_back(pair);
    }
    for (Pair& pair : pairs) {
      if (!pair.forgotten && Clock::now() - pair.last > patience_) {
        pair.forgotten = true;
        ++forgotten_;
      }
      pair.pass(pair.near, pair.far);
      pair.pass(pair.far, pair.near);
      if (pair.ended) close_pair(pair);
    }
    std::erase_if(pairs, [](const Pair& pair) { return pair.ended; });
  }
  for (const Pair& pair : pairs) close_pair(pair);
}

}  // namespace sallyport::tests
