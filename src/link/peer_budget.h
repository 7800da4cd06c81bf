// How much work a peer may make for us with frames that carry no data: what an honest node never comes near, and what a
// hostile one is closed for within a second. Data are bounded by the flow window and by the loop's turns instead. No I/O.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "link/codec.h"

namespace sallyport::link {

// So much at once, and so much a second.
class Allowance {
 public:
  Allowance(double most, double per_second) : most_(most), per_second_(per_second), left_(most) {}
  bool take(double amount, MonotonicTime now) {
    if (now > at_) {
      if (at_ != MonotonicTime{}) earn(per_second_ * std::chrono::duration<double>(now - at_).count());
      at_ = now;
    }
    left_ -= amount;
    return left_ >= 0;
  }
  // Takes it only when there is so much.
  bool afford(double amount, MonotonicTime now) {
    if (take(amount, now)) return true;
    left_ += amount;
    return false;
  }
  void earn(double amount) { left_ = std::min(most_, left_ + amount); }

 private:
  double most_, per_second_, left_;
  MonotonicTime at_{};
};

// What a hops frame costs; a node spends less than a peer allows.
inline double hops_cost(std::size_t bytes) { return 1 + static_cast<double>(bytes) / 1024; }
inline Allowance own_hops() { return {512, 64}; }

class PeerBudget {
 public:
  // `heartbeat`: the interval that both sides agreed on.
  explicit PeerBudget(Duration heartbeat);

  // Before a frame is handled. `sent_bytes`: of ours on this connection; each deserves to be acknowledged. limit: too much.
  Result<void> admit(const Frame& frame, std::uint64_t sent_bytes, MonotonicTime now);

 private:
  static std::unexpected<Error> too_many(std::string_view what);

  Allowance heartbeats_, positions_, acks_, hops_, routes_, refreshes_, questions_;
  std::uint64_t acknowledgeable_ = 0;  // our bytes that acks_ has earned for
  bool news_ = false;                  // data came since the last position
};

}  // namespace sallyport::link
