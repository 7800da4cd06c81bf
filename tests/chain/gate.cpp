#include "gate.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <deque>
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

namespace {

using Now = std::chrono::steady_clock;

struct Segment {
  Now::time_point arrives;
  std::string bytes;
};

constexpr std::size_t kSegment = 1460;

// One direction of a long way: when what goes in comes out.
class LongWay {
 public:
  bool empty() const { return segments_.empty(); }
  Now::time_point next() const { return segments_.front().arrives; }

  // As much as socket buffers and the router before a slow line take.
  static std::size_t capacity(const Distance& distance) {
    if (distance.bytes_per_second == 0) return std::size_t{4} << 20;
    const double seconds = std::chrono::duration<double>(distance.round_trip).count() + 0.25;
    return kSegment + static_cast<std::size_t>(seconds * static_cast<double>(distance.bytes_per_second));
  }
  std::size_t room(const Distance& distance) const {
    const std::size_t most = capacity(distance);
    return queued_ >= most ? 0 : most - queued_;
  }

  void put(const char* bytes, std::size_t size, const Distance& distance, std::mt19937& random) {
    for (std::size_t at = 0; at < size; at += kSegment) {
      const std::size_t count = std::min(kSegment, size - at);
      departed_ = std::max(departed_, Now::now()) + time_on_line(count, distance);
      auto arrives = departed_ + distance.round_trip / 2;
      if (std::uniform_real_distribution<double>(0, 1)(random) < distance.loss) {
        arrives += distance.round_trip + std::chrono::milliseconds(10);
      }
      last_arrival_ = std::max(last_arrival_, arrives);
      segments_.push_back({last_arrival_, std::string(bytes + at, count)});
      queued_ += count;
    }
  }

  void take(std::string& into) {
    const auto now = Now::now();
    while (!segments_.empty() && segments_.front().arrives <= now && into.size() < 65536) {
      into += segments_.front().bytes;
      queued_ -= segments_.front().bytes.size();
      segments_.pop_front();
    }
  }

 private:
  static std::chrono::nanoseconds time_on_line(std::size_t bytes, const Distance& distance) {
    if (distance.bytes_per_second == 0) return {};
    return std::chrono::nanoseconds(bytes * 1'000'000'000 / distance.bytes_per_second);
  }

  std::deque<Segment> segments_;
  std::size_t queued_ = 0;
  Now::time_point departed_{}, last_arrival_{};
};

}  // namespace

struct Gate::Impl {
  struct Direction {
    std::string waiting;
    LongWay way;
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
  std::mutex mutex;
  Distance next_distance;    // under the mutex
  Distance distance;         // the gate's thread only, as what follows
  bool far = false;
  std::mt19937 random{1};
  std::thread thread;

  void run() {
    while (!stop) {
      wait();
      look_how_far();
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

  void look_how_far() {
    const std::lock_guard lock(mutex);
    distance = next_distance;
    far = distance.round_trip.count() != 0 || distance.bytes_per_second != 0 ||
          std::ranges::any_of(pairs, [](const Pair& pair) { return !pair.ab.way.empty() || !pair.ba.way.empty(); });
  }

  // What `fd` is asked for: to be read for one direction, written for the other.
  pollfd watch(int fd, const Direction& out, const Direction& in) const {
    const bool full = far ? out.way.room(distance) < kSegment : !out.waiting.empty();
    const int events = (out.ended || full ? 0 : POLLIN) | (in.waiting.empty() ? 0 : POLLOUT);
    return {events == 0 ? -1 : fd, static_cast<short>(events), 0};
  }

  void wait() {
    std::vector<pollfd> fds{{listener, POLLIN, 0}};
    std::chrono::nanoseconds patience = std::chrono::milliseconds(5);
    if (!stalled && rate == 0) {
      for (const auto& pair : pairs) {
        fds.push_back(watch(pair.a, pair.ab, pair.ba));
        fds.push_back(watch(pair.b, pair.ba, pair.ab));
        for (const LongWay* way : {&pair.ab.way, &pair.ba.way}) {
          if (!way->empty()) patience = std::min<std::chrono::nanoseconds>(patience, way->next() - Now::now());
        }
      }
    }
    const timespec limit{0, std::max<std::int64_t>(patience.count(), 200'000)};
    ::ppoll(fds.data(), fds.size(), &limit, nullptr);
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
      Pair& pair = pairs.emplace_back();
      pair.a = fd;
      pair.b = other;
    }
  }

  void pump(Pair& pair) {
    move(pair, pair.a, pair.b, pair.ab);
    move(pair, pair.b, pair.a, pair.ba);
    if (pair.ab.shut && pair.ba.shut) pair.dead = true;
  }

  // From one socket onto the way; what has arrived waits for the other socket, as when near.
  void read_far(Pair& pair, int from, Direction& direction) {
    char buffer[65536];
    const std::size_t room = std::min(sizeof buffer, direction.way.room(distance));
    if (!direction.ended && room >= kSegment) {
      const ssize_t got = ::read(from, buffer, room);
      if (got > 0) direction.way.put(buffer, static_cast<std::size_t>(got), distance, random);
      if (got == 0) direction.ended = true;
      if (got < 0 && errno != EAGAIN) pair.dead = true;
    }
    direction.way.take(direction.waiting);
  }

  void read_near(Pair& pair, int from, Direction& direction) {
    char buffer[65536];
    std::size_t allowed = sizeof buffer;
    if (rate != 0) allowed = std::max<std::size_t>(1, rate / 50);  // every 20 ms
    if (!direction.ended && direction.waiting.empty()) {
      const ssize_t got = ::read(from, buffer, allowed);
      if (got > 0) direction.waiting.assign(buffer, static_cast<std::size_t>(got));
      if (got == 0) direction.ended = true;
      if (got < 0 && errno != EAGAIN) pair.dead = true;
    }
  }

  void move(Pair& pair, int from, int to, Direction& direction) {
    if (far) read_far(pair, from, direction);
    else read_near(pair, from, direction);
    if (!direction.waiting.empty()) {
      const ssize_t sent = ::send(to, direction.waiting.data(), direction.waiting.size(), MSG_NOSIGNAL);
      if (sent > 0) direction.waiting.erase(0, static_cast<std::size_t>(sent));
      if (sent < 0 && errno != EAGAIN) pair.dead = true;
    }
    if (direction.ended && direction.waiting.empty() && direction.way.empty() && !direction.shut) {
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
void Gate::move_away(const Distance& distance) {
  const std::lock_guard lock(impl_->mutex);
  impl_->next_distance = distance;
}
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
