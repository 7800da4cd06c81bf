// Time comes from a Clock&, so that no test sleeps and the simulator can own it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport {

using Duration = std::chrono::nanoseconds;
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
// UTC, nanoseconds since 1970-01-01. The form in which source times are stored and sent.
using UtcNanoseconds = std::int64_t;

class Clock {
 public:
  virtual ~Clock() = default;
  // Never steps. For timeouts and intervals. Any thread.
  virtual MonotonicTime monotonic() const = 0;
  // May step (NTP, an operator). For time stamps only. Any thread.
  virtual UtcNanoseconds utc() const = 0;
};

class SystemClock final : public Clock {
 public:
  MonotonicTime monotonic() const override;
  UtcNanoseconds utc() const override;
};

// A clock that moves when told to: tests and the simulator. One thread.
class ManualClock final : public Clock {
 public:
  MonotonicTime monotonic() const override { return now_; }
  UtcNanoseconds utc() const override { return now_.time_since_epoch().count() + utc_offset_; }
  void advance(Duration by) { now_ += by; }
  void set_utc_offset(std::int64_t nanoseconds) { utc_offset_ = nanoseconds; }

 private:
  MonotonicTime now_{std::chrono::hours(1)};
  std::int64_t utc_offset_ = 1'700'000'000'000'000'000;
};

// "2026-11-23T02:40:17.123456789Z"; always nine digits, always UTC.
std::string format_utc(UtcNanoseconds time);
void append_utc(std::string& out, UtcNanoseconds time);
// Accepts what format_utc writes, with 0 to 9 fraction digits.
Result<UtcNanoseconds> parse_utc(std::string_view text);

}  // namespace sallyport
