// How many bytes may be on the way: bounded by measured delay, so that bad news is never stuck behind a megabyte of old
// values, and by nothing else, so that a fast link is filled. No I/O, no clock of its own.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/clock.h"

namespace sallyport::link {

class FlowWindow {
 public:
  static constexpr std::size_t kMin = 1024;
  static constexpr std::size_t kMax = 16 * 1024 * 1024;
  static constexpr std::size_t kFirst = 32 * 1024;

  // `sent`: bytes that went out before anything was counted here.
  explicit FlowWindow(std::size_t first = kFirst, std::uint64_t sent = 0) : window_(std::clamp(first, kMin, kMax)), sent_(sent) {}

  std::size_t room() const {
    const std::uint64_t flying = sent_ - acknowledged_;
    return flying >= window_ ? 0 : window_ - static_cast<std::size_t>(flying);
  }
  std::size_t window() const { return window_; }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t in_flight() const { return sent_ - acknowledged_; }
  Duration delay() const { return smoothed_; }

  // `data`: the peer acknowledges it promptly; control frames it acknowledges with its next heartbeat.
  void on_sent(std::size_t bytes, bool data, MonotonicTime now) {
    limited_ = limited_ || bytes >= room();
    sent_ += bytes;
    if (data && mark_bytes_ == 0) {
      mark_bytes_ = sent_;
      mark_time_ = now;
    }
  }
  // false: more acknowledged than sent, which no honest peer says.
  bool on_acknowledged(std::uint64_t bytes, MonotonicTime now) {
    if (bytes > sent_ || bytes < acknowledged_) return false;
    acknowledged_ = bytes;
    if (mark_bytes_ != 0 && acknowledged_ >= mark_bytes_) {
      measured(now - mark_time_, now);
      mark_bytes_ = 0;
    }
    return true;
  }

  // Instead of acknowledgements, where none are read: so much a second counts as arrived.
  void pace(std::uint64_t bytes_per_second, MonotonicTime now) {
    const double dt = paced_at_ == MonotonicTime{} ? 0 : std::chrono::duration<double>(now - paced_at_).count();
    paced_at_ = now;
    window_ = std::clamp(static_cast<std::size_t>(bytes_per_second / 50), 16 * kMin, kMax);   // of 20 ms
    credit_ = std::min(credit_ + dt * static_cast<double>(bytes_per_second), static_cast<double>(window_));
    const auto arrived = std::min(static_cast<std::uint64_t>(credit_), sent_ - acknowledged_);
    acknowledged_ += arrived;
    credit_ -= static_cast<double>(arrived);
  }

 private:
  // Once per round trip. Below the target the window doubles while it is what limits us; above, it shrinks in proportion.
  void measured(Duration round_trip, MonotonicTime now) {
    if (round_trip < base_ || now - base_since_ > std::chrono::seconds(30)) {
      base_ = round_trip;
      base_since_ = now;
    }
    smoothed_ = smoothed_ == Duration(0) ? round_trip : (smoothed_ * 3 + round_trip) / 4;
    const Duration queued = round_trip - base_;
    if (queued > kTarget) {
      window_ = std::max(kMin, static_cast<std::size_t>(static_cast<double>(window_) * std::max(0.25, static_cast<double>((base_ + kTarget).count()) / static_cast<double>(round_trip.count()))));
    } else if (limited_) {
      window_ = std::min(kMax, queued > kTarget / 2 ? window_ + window_ / 8 : window_ * 2);
    }
    limited_ = false;
  }

  static constexpr Duration kTarget = std::chrono::milliseconds(80);  // queueing we accept
  std::size_t window_;
  std::uint64_t sent_ = 0, acknowledged_ = 0;
  std::uint64_t mark_bytes_ = 0;
  MonotonicTime mark_time_{};
  double credit_ = 0;            // of pace(), bytes
  MonotonicTime paced_at_{};
  Duration base_ = std::chrono::hours(1);
  MonotonicTime base_since_{};
  Duration smoothed_{0};
  bool limited_ = false;
};

}  // namespace sallyport::link
