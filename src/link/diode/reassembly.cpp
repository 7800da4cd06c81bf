#include "link/diode/reassembly.h"

#include <algorithm>
#include <utility>

namespace sallyport::link::diode {
namespace {

constexpr std::size_t kSpareBuffers = 16;

}  // namespace

Reassembly::Reassembly(std::size_t max_groups, std::size_t max_bytes) : groups_(std::max<std::size_t>(max_groups, 4)), max_bytes_(max_bytes) {}

void Reassembly::begin(std::uint64_t first, unsigned depth, Duration hold) {
  for (Group& each : groups_) {
    if (each.used) release(each);
  }
  set_waiting(depth, hold);
  head_ = first > depth_ ? first - depth_ : 0;
  end_ = head_;
  whole_ = 0;
  delivered_ = false;
  loss_ = false;
}

void Reassembly::set_waiting(unsigned depth, Duration hold) {
  // Whatever the sender says, a group gets its place in the ring and a time after which it is given up.
  depth_ = std::clamp<unsigned>(depth, 1, static_cast<unsigned>(groups_.size() / 2));
  hold_ = std::clamp<Duration>(hold, std::chrono::milliseconds(1), std::chrono::seconds(60));
}

Bytes Reassembly::take_buffer(std::size_t size) {
  Bytes buffer;
  if (!spare_.empty()) {
    buffer = std::move(spare_.back());
    spare_.pop_back();
  }
  buffer.resize(size);
  held_bytes_ += size;
  return buffer;
}

void Reassembly::release(Group& group) {
  held_bytes_ -= group.data.size() + group.parity.size();
  if (group.whole) --whole_;
  for (Bytes* each : {&group.data, &group.parity}) {
    if (!each->empty() && spare_.size() < kSpareBuffers) spare_.push_back(std::move(*each));
  }
  group = {};
}

void Reassembly::give_up_head() {
  Group& group = slot(head_);
  // Before the first group of a life that came, nothing is known to be missing.
  if (group.used || delivered_) {
    ++counters_.lost_groups;
    loss_ = true;
  }
  if (group.used) release(group);
  ++head_;
}

void Reassembly::advance_to(std::uint64_t number) {
  if (number - head_ >= groups_.size()) {
    for (Group& each : groups_) {
      if (each.used) release(each);
    }
    if (delivered_) counters_.lost_groups += number - head_;
    loss_ = loss_ || delivered_;
    head_ = number;
    return;
  }
  while (head_ < number) give_up_head();
}

bool Reassembly::start(Group& group, const Shard& shard, MonotonicTime now) {
  const std::size_t size = std::size_t{shard.k} * shard.bytes.size();
  if (held_bytes_ + size > max_bytes_) return false;
  group.used = true;
  group.k = shard.k;
  group.r = shard.r;
  group.shard_bytes = shard.bytes.size();
  group.first = now;
  group.data = take_buffer(size);
  return true;
}

bool Reassembly::store(Group& group, const Shard& shard) {
  const bool parity = shard.index >= group.k;
  if (parity && group.parity.empty()) {
    const std::size_t size = std::size_t{group.r} * group.shard_bytes;
    if (held_bytes_ + size > max_bytes_) return false;
    group.parity = take_buffer(size);
  }
  std::byte* into = parity ? group.parity.data() + std::size_t(shard.index - group.k) * group.shard_bytes
                           : group.data.data() + std::size_t{shard.index} * group.shard_bytes;
  std::ranges::copy(shard.bytes, into);
  group.have.set(shard.index);
  ++group.have_count;
  if (!parity) ++group.have_data;
  return true;
}

void Reassembly::complete(Group& group) {
  if (group.have_data < group.k) {
    if (!fec_.recover(group.k, group.r, group.shard_bytes, group.have, group.data, group.parity)) return;
    counters_.recovered_shards += group.k - group.have_data;
  }
  group.whole = true;
  ++whole_;
}

Reassembly::Added Reassembly::add(const Shard& shard, MonotonicTime now) {
  if (shard.group < head_) return Added::useless;
  if (shard.group >= std::uint64_t(-1) - groups_.size()) return Added::malformed;
  if (shard.group - head_ >= groups_.size()) advance_to(shard.group - groups_.size() + 1);
  Group& group = slot(shard.group);
  if (!group.used) {
    if (!start(group, shard, now)) return Added::crowded;
    end_ = std::max(end_, shard.group + 1);
  }
  if (group.k != shard.k || group.r != shard.r || group.shard_bytes != shard.bytes.size()) return Added::malformed;
  if (group.whole || group.have[shard.index]) return Added::useless;
  if (!store(group, shard)) return Added::crowded;
  if (group.have_count >= group.k) complete(group);
  return Added::taken;
}

bool Reassembly::time_is_up(MonotonicTime now) const {
  if (slot(head_).used) return slot(head_).first + hold_ <= now;
  for (std::uint64_t number = head_; number < end_; ++number) {
    const Group& each = slot(number);
    if (each.used && each.first + hold_ <= now) return true;
  }
  return false;
}

std::optional<Reassembly::Ready> Reassembly::next(MonotonicTime now) {
  while (head_ < end_) {
    Group& group = slot(head_);
    if (group.whole) {
      if (!current_.empty() && spare_.size() < kSpareBuffers) spare_.push_back(std::move(current_));
      held_bytes_ -= group.data.size();
      current_ = std::move(group.data);
      group.data.clear();
      release(group);
      ++head_;
      ++counters_.groups;
      delivered_ = true;
      return Ready{current_, std::exchange(loss_, false)};
    }
    if (whole_ <= depth_ + 1 && !time_is_up(now)) return std::nullopt;
    give_up_head();
  }
  return std::nullopt;
}

MonotonicTime Reassembly::next_tick() const {
  MonotonicTime first = MonotonicTime::max();
  if (head_ < end_ && slot(head_).used) return slot(head_).first + hold_;
  for (std::uint64_t number = head_; number < end_; ++number) {
    const Group& each = slot(number);
    if (each.used) first = std::min(first, each.first + hold_);
  }
  return first;
}

}  // namespace sallyport::link::diode
