#include "cli/bench_relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <span>

#include "base/bytes.h"

namespace sallyport::cli::bench {
namespace {

constexpr std::size_t kBuffer = 256 * 1024;
// A slow line has little room: what waits in it is old when it arrives.
constexpr std::size_t kSlowBuffer = 4 * 1024;
constexpr int kSlowSocketBuffer = 8 * 1024;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void set_option(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

void reset(int fd) {
  const linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}

// Lets bytes through at a rate, with a little room for one piece.
class Bucket {
 public:
  explicit Bucket(std::uint64_t bytes_per_second) : rate_(static_cast<double>(bytes_per_second)) {}
  bool limited() const { return rate_ > 0; }
  std::size_t allowance(MonotonicTime now) {
    if (!limited()) return kBuffer;
    if (last_ != MonotonicTime{}) {
      filled_ = std::min(filled_ + rate_ * std::chrono::duration<double>(now - last_).count(),
                         static_cast<double>(kSlowBuffer));
    }
    last_ = now;
    return static_cast<std::size_t>(std::max(0.0, filled_));
  }
  void take(std::size_t bytes) { filled_ -= static_cast<double>(bytes); }
  // When a piece worth sending will be allowed.
  Duration wait() const {
    constexpr double kPiece = 1024;
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::max(0.0, kPiece - filled_) / rate_));
  }

 private:
  double rate_, filled_ = 0;
  MonotonicTime last_{};
};

struct Direction {
  explicit Direction(std::uint64_t rate) : bucket(rate), room(rate > 0 ? kSlowBuffer : kBuffer) {}
  Bucket bucket;
  std::size_t room;
  Bytes waiting;
  bool ended = false;
};

}  // namespace

struct Relay::Pair {
  Pair(int c, int s, std::uint64_t rate) : client(c), server(s), ways{Direction(rate), Direction(rate)} {}
  int client, server;
  std::array<Direction, 2> ways;  // forward, backward
};

Relay::Relay(const RelayOptions& options) : options_(options) {}

Result<std::unique_ptr<Relay>> Relay::start(const RelayOptions& options) {
  std::unique_ptr<Relay> relay(new Relay(options));
  if (auto ok = relay->open(); !ok) return std::unexpected(ok.error());
  relay->thread_ = std::thread([raw = relay.get()] { raw->run(); });
  return relay;
}

Result<void> Relay::open() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (options_.bytes_per_second > 0) set_option(listener_, SOL_SOCKET, SO_RCVBUF, kSlowSocketBuffer);
  if (listener_ < 0 || bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, 64) != 0 || getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return std::unexpected(system_error("relay", errno));
  port_ = ntohs(address.sin_port);
  return {};
}

Relay::~Relay() {
  stopping_ = true;
  wake_.wake();
  if (thread_.joinable()) thread_.join();
  for (const auto& pair : pairs_) drop(*pair);
  if (listener_ >= 0) close(listener_);
}

void Relay::cut() {
  cut_ = true;
  wake_.wake();
}
void Relay::mend() { cut_ = false; }

RelayFigures Relay::figures() const {
  return {.forward_bytes = forward_, .backward_bytes = backward_, .connections = connections_, .connected = connected_};
}

void Relay::drop(Pair& pair) const {
  reset(pair.client);
  reset(pair.server);
}

void Relay::accept_one() {
  const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) return;
  const int server = cut_ ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (server < 0) return reset(client);
  if (options_.bytes_per_second > 0) {
    set_option(server, SOL_SOCKET, SO_RCVBUF, kSlowSocketBuffer);
    for (const int fd : {client, server}) set_option(fd, SOL_SOCKET, SO_SNDBUF, kSlowSocketBuffer);
  }
  const sockaddr_in target = loopback(options_.target);
  // Loopback answers at once.
  if (connect(server, reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
    close(server);
    return reset(client);
  }
  for (const int fd : {client, server}) set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  pairs_.push_back(std::make_unique<Pair>(client, server, options_.bytes_per_second));
  ++connections_;
  connected_ = SystemClock().utc();
}

// Reads what there is room for and writes what is allowed. False when the connection broke.
bool Relay::move(Pair& pair, bool forward, MonotonicTime now) {
  Direction& way = pair.ways[forward ? 0 : 1];
  const int from = forward ? pair.client : pair.server, to = forward ? pair.server : pair.client;
  if (!way.ended && way.waiting.size() < way.room) {
    const std::size_t before = way.waiting.size();
    way.waiting.resize(way.room);
    const ssize_t size = recv(from, way.waiting.data() + before, way.room - before, MSG_DONTWAIT);
    const int error = errno;
    way.waiting.resize(before + static_cast<std::size_t>(std::max<ssize_t>(0, size)));
    if (size < 0 && error != EAGAIN && error != EINTR) return false;
    if (size == 0) way.ended = true;
  }
  if (way.waiting.empty()) {
    if (way.ended) shutdown(to, SHUT_WR);
    return true;
  }
  const std::size_t allowed = std::min(way.waiting.size(), way.bucket.allowance(now));
  if (allowed == 0) return true;
  const ssize_t size = send(to, way.waiting.data(), allowed, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  way.bucket.take(static_cast<std::size_t>(size));
  way.waiting.erase(way.waiting.begin(), way.waiting.begin() + size);
  (forward ? forward_ : backward_) += static_cast<std::uint64_t>(size);
  return true;
}

void Relay::run() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::vector<pollfd> polled;
  while (!stopping_) {
    Duration patience = std::chrono::hours(1);
    polled = {{wake_.fd(), POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const auto& pair : pairs_) {
      short client = 0, server = 0;
      for (const bool forward : {true, false}) {
        Direction& way = pair->ways[forward ? 0 : 1];
        if (!way.ended && way.waiting.size() < way.room) (forward ? client : server) |= POLLIN;
        if (way.waiting.empty()) continue;
        if (way.bucket.limited() && way.bucket.wait() > Duration(0))
          patience = std::min(patience, way.bucket.wait());
        else
          (forward ? server : client) |= POLLOUT;
      }
      polled.push_back({pair->client, client, 0});
      polled.push_back({pair->server, server, 0});
    }
    poll(polled.data(), polled.size(),
         static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(patience).count()));
    wake_.drain();
    const MonotonicTime now = std::chrono::steady_clock::now();
    std::erase_if(pairs_, [&](const std::unique_ptr<Pair>& pair) {
      const bool over =
          pair->ways[0].ended && pair->ways[1].ended && pair->ways[0].waiting.empty() && pair->ways[1].waiting.empty();
      if (!cut_ && !over && move(*pair, true, now) && move(*pair, false, now)) return false;
      drop(*pair);
      return true;
    });
    if ((polled[1].revents & POLLIN) != 0) accept_one();
  }
}

}  // namespace sallyport::cli::bench
