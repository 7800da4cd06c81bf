// Puts groups together again from their shards, in any order, and hands them out in order: what is whole at once, what has a
// hole when it is clear that it will not be filled. Everything that arrives here has been authenticated, and was not seen
// before. Bounded in groups and bytes. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "link/diode/datagram.h"
#include "link/diode/fec.h"

namespace sallyport::link::diode {

struct ReassemblyCounters {
  std::uint64_t groups = 0, lost_groups = 0, recovered_shards = 0;
};

class Reassembly {
 public:
  Reassembly(std::size_t max_groups, std::size_t max_bytes);

  // A new life of the sender: forgets everything. `first` is the group that arrived; those mixed with it may come yet.
  void begin(std::uint64_t first, unsigned depth, Duration hold);
  void set_waiting(unsigned depth, Duration hold);

  enum class Added : std::uint8_t { taken, useless, malformed, crowded };
  Added add(const Shard& shard, MonotonicTime now);

  struct Ready {
    std::span<const std::byte> payload;   // valid until the next call of next() or begin()
    bool loss_before = false;
  };
  std::optional<Ready> next(MonotonicTime now);
  MonotonicTime next_tick() const;        // max(): nothing is waited for
  std::size_t held_bytes() const { return held_bytes_; }
  const ReassemblyCounters& counters() const { return counters_; }

 private:
  struct Group {
    bool used = false, whole = false;
    std::uint8_t k = 0, r = 0;
    unsigned have_count = 0, have_data = 0;
    std::size_t shard_bytes = 0;
    ShardSet have;
    MonotonicTime first{};
    Bytes data, parity;                   // parity only once a shard of it came before all data did
  };
  Group& slot(std::uint64_t number) { return groups_[static_cast<std::size_t>(number % groups_.size())]; }
  const Group& slot(std::uint64_t number) const { return groups_[static_cast<std::size_t>(number % groups_.size())]; }
  void advance_to(std::uint64_t number);
  void give_up_head();
  void release(Group& group);
  bool start(Group& group, const Shard& shard, MonotonicTime now);
  bool store(Group& group, const Shard& shard);
  void complete(Group& group);
  bool time_is_up(MonotonicTime now) const;
  Bytes take_buffer(std::size_t size);

  std::vector<Group> groups_;
  std::size_t max_bytes_, held_bytes_ = 0;
  std::vector<Bytes> spare_;
  Bytes current_;
  Fec fec_;
  std::uint64_t head_ = 0, end_ = 0;      // next to hand out; one above the highest seen
  unsigned whole_ = 0;                    // whole groups that wait
  unsigned depth_ = 1;
  Duration hold_{0};
  bool delivered_ = false, loss_ = false;
  ReassemblyCounters counters_;
};

}  // namespace sallyport::link::diode
