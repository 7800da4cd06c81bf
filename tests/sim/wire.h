// A simulated connection between two sessions: two directions of bytes with delay, bandwidth and faults. Virtual time only.
#pragma once

#include <algorithm>
#include <deque>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/clock.h"

namespace sallyport::sim {

// What the cable between two nodes is like now; shared by all connections over it.
struct Cable {
  bool dead[2] = {false, false};          // bytes of this direction get nowhere, and nobody is told
  Duration delay = std::chrono::milliseconds(1);
  std::uint64_t bytes_per_second = 0;     // 0: as fast as it goes
  bool works(int direction) const { return !dead[direction]; }
  bool whole() const { return !dead[0] && !dead[1]; }
};

class Wire {
 public:
  static constexpr std::size_t kBuffer = 256 * 1024;  // what a kernel would take before it says "would block"

  std::size_t room(int direction) const { return kBuffer - std::min(kBuffer, queued_[direction]); }
  void write(int direction, std::span<const std::byte> bytes, const Cable& cable, MonotonicTime now) {
    MonotonicTime at = now + cable.delay;
    if (!queue_[direction].empty()) at = std::max(at, queue_[direction].back().at);
    queue_[direction].push_back({at, Bytes(bytes.begin(), bytes.end())});
    queued_[direction] += bytes.size();
  }
  // The next bytes that have arrived, if any: no more than the cable could carry since the last time.
  bool read(int direction, const Cable& cable, MonotonicTime now, Bytes& out) {
    auto& queue = queue_[direction];
    const Duration passed = now - std::exchange(read_at_[direction], now);
    if (cable.bytes_per_second > 0) {
      const double carried = std::chrono::duration<double>(passed).count() * static_cast<double>(cable.bytes_per_second);
      allowance_[direction] = std::min(allowance_[direction] + carried, static_cast<double>(cable.bytes_per_second) / 10 + 64);
    }
    if (queue.empty() || queue.front().at > now || !cable.works(direction)) return false;
    Bytes& front = queue.front().bytes;
    std::size_t size = front.size();
    if (cable.bytes_per_second > 0) {
      size = std::min(size, static_cast<std::size_t>(allowance_[direction]));
      if (size == 0) return false;
      allowance_[direction] -= static_cast<double>(size);
    }
    queued_[direction] -= size;
    if (size == front.size()) {
      out = std::move(front);
      queue.pop_front();
    } else {
      out.assign(front.begin(), front.begin() + static_cast<std::ptrdiff_t>(size));
      front.erase(front.begin(), front.begin() + static_cast<std::ptrdiff_t>(size));
    }
    return true;
  }
  // One side is gone. The other hears of it after what was sent before, unless the cable is dead.
  void close(int direction, MonotonicTime now, const Cable& cable) {
    closed_[direction] = true;
    closed_at_[direction] = queue_[direction].empty() ? now + cable.delay : queue_[direction].back().at;
  }
  bool heard_close(int direction, const Cable& cable, MonotonicTime now) const {
    return closed_[direction] && queue_[direction].empty() && cable.works(direction) && now >= closed_at_[direction];
  }
  std::size_t queued(int direction) const { return queued_[direction]; }

 private:
  struct Piece {
    MonotonicTime at;
    Bytes bytes;
  };
  std::deque<Piece> queue_[2];
  std::size_t queued_[2] = {0, 0};
  MonotonicTime read_at_[2] = {};
  double allowance_[2] = {0, 0};   // bytes a slow cable has carried and nobody has taken yet
  bool closed_[2] = {false, false};
  MonotonicTime closed_at_[2] = {};
};

}  // namespace sallyport::sim
