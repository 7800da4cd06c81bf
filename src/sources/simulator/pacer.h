// How many changes are due by now at a given rate. Open loop: a late tick is made up for, so the rate holds on average;
// after more than a second's delay (a machine that slept, a rate it cannot reach) what was missed is skipped and
// counted, so that there is no burst without end. Time is given, not asked. One thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace sallyport::simulator {

class Pacer {
 public:
  // rate: 1 to 1e9
  Pacer(std::uint64_t rate_per_second, MonotonicTime start) : rate_(rate_per_second), start_(start) {}

  std::uint64_t due(MonotonicTime now) {
    const std::uint64_t should = by(now);
    std::uint64_t count = should - std::min(should, emitted_);
    if (count > rate_ && count > 1) {  // more than a second behind
      skipped_ += count - 1;
      emitted_ += count - 1;
      count = 1;
    }
    return count;
  }
  void emitted(std::uint64_t count) { emitted_ += count; }
  std::uint64_t skipped() const { return skipped_; }
  // When the next change is due, or the one so many after it.
  MonotonicTime next(std::uint64_t after = 0) const {
    const std::uint64_t number = emitted_ + 1 + after;
    const std::uint64_t nanoseconds = number / rate_ * kSecond + (number % rate_ * kSecond + rate_ - 1) / rate_;
    return start_ + Duration(static_cast<std::int64_t>(nanoseconds));
  }

 private:
  std::uint64_t by(MonotonicTime now) const {
    const auto elapsed = static_cast<std::uint64_t>(std::max<std::int64_t>(0, (now - start_).count()));
    return elapsed / kSecond * rate_ + elapsed % kSecond * rate_ / kSecond;  // in two parts: the product would overflow
  }

  static constexpr std::uint64_t kSecond = 1'000'000'000;

  std::uint64_t rate_;
  MonotonicTime start_;
  std::uint64_t emitted_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace sallyport::simulator
