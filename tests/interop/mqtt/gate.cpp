#include "gate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace sallyport::interop {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Ends with a reset, as a broken path does, not with a polite close.
void reset(int socket) {
  const linger now{1, 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(socket);
}

bool forward(int from, int to, std::size_t at_most) {
  char buffer[4096];
  const ssize_t size = recv(from, buffer, std::min(sizeof buffer, at_most), 0);
  if (size <= 0) return false;
  for (ssize_t done = 0; done < size;) {
    const ssize_t sent = send(to, buffer + done, static_cast<std::size_t>(size - done), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    done += sent;
  }
  return true;
}

}  // namespace

Gate::Gate(std::uint16_t to_port) : to_port_(to_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int small = 8 * 1024;  // so that a slow gate is felt at once and not after megabytes
  setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  sockaddr_in address = loopback(0);
  bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  listen(listener_, 8);
  socklen_t size = sizeof address;
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

Gate::~Gate() {
  stopping_ = true;
  thread_.join();
  close(listener_);
}

void Gate::serve() {
  while (!stopping_) {
    pollfd wait{listener_, POLLIN, 0};
    if (poll(&wait, 1, 20) <= 0) continue;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    const int broker = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(to_port_);
    if (open_ && connect(broker, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
      pass(client, broker);
    reset(client);
    reset(broker);
  }
}

void Gate::pass(int client, int broker) {
  const unsigned cuts = cuts_;
  auto next = std::chrono::steady_clock::now();
  while (!stopping_ && open_ && cuts == cuts_) {
    const auto now = std::chrono::steady_clock::now();
    const bool may_read = now >= next;
    pollfd wait[2] = {{broker, POLLIN, 0}, {client, static_cast<short>(may_read ? POLLIN : 0), 0}};
    if (poll(wait, 2, may_read ? 10 : 1) <= 0) continue;
    if (wait[0].revents != 0 && !forward(broker, client, 4096)) return;
    if (wait[1].revents == 0) continue;
    const std::uint64_t rate = rate_;
    if (!forward(client, broker, rate == 0 ? 4096 : 512)) return;
    if (rate > 0) next = now + std::chrono::nanoseconds(512 * 1'000'000'000ull / rate);
  }
}

}  // namespace sallyport::interop
