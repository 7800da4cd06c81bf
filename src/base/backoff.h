// How long to wait before the next attempt: doubling, with jitter so that many clients of one broker do not come back
// all at once. One thread.
#pragma once

#include <algorithm>
#include <random>

#include "base/clock.h"

namespace sallyport {

class Backoff {
 public:
  Backoff(Duration first, Duration last, std::uint32_t seed)
      : first_(first), last_(last), next_(first), random_(seed) {}

  void reset() { next_ = first_; }
  // Between half of the present step and all of it; then the step doubles.
  Duration next() {
    const Duration step = next_;
    next_ = std::min(2 * next_, last_);
    return Duration(std::uniform_int_distribution<std::int64_t>(step.count() / 2, step.count())(random_));
  }

 private:
  Duration first_, last_, next_;
  std::minstd_rand random_;
};

}  // namespace sallyport
