// What the recorder makes of the updates it reads: counts, checks and latencies. No thread, no I/O. One thread at a
// time.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "namespace/change.h"
#include "namespace/feed.h"
#include "sinks/recorder/histogram.h"

namespace sallyport::recorder {

// `ramp`: values count up from 0, as the simulator's ramp does, and neither value nor source time may step back.
// `time`: any value; source time may not step back.
enum class Check : std::uint8_t { ramp, time };

// Counters only grow.
struct Totals {
  std::uint64_t pulls = 0;    // batches that were not empty
  std::uint64_t changes = 0;  // updates of value, quality or source time
  std::uint64_t definitions = 0, removals = 0;
  std::uint64_t points = 0;     // distinct
  std::uint64_t wrong = 0;      // no ramp can have this value, another type, or not Good although nothing covers it
  std::uint64_t backwards = 0;  // value or source time lower than the point had before
  std::uint64_t not_good = 0;   // covered by an overlay
  std::uint64_t missing = 0, repeated = 0;   // of the journal's numbers: only when it is read from there
  std::uint64_t gaps = 0;
  std::uint64_t future = 0;     // source time later than now: clocks differ
  UtcNanoseconds first = 0, last = 0;  // when the first and last change was read
  UtcNanoseconds last_definition = 0;  // when the last definition was read
  UtcNanoseconds last_news = 0;        // when the last update was read that brought a later source time
  Histogram latency;                   // read minus source time, of changes that are good
};

// How old the values are that a consumer sees now.
struct Ages {
  std::uint64_t p50 = 0, p99 = 0, max = 0;  // nanoseconds
  double mean = 0;
};

class Tally {
 public:
  Tally(Check check, Type type) : check_(check), type_(type) {}

  void take(const Batch& batch, UtcNanoseconds now);
  // From the journal: each change has a number, one more than that before it.
  void take(const FeedBatch& batch, UtcNanoseconds now);
  const Totals& totals() const { return totals_; }
  Ages ages(UtcNanoseconds now) const;  // goes through all points

 private:
  static constexpr UtcNanoseconds kNever = std::numeric_limits<UtcNanoseconds>::min();
  struct Point {
    std::uint64_t count = 0;
    UtcNanoseconds source_time = kNever;
  };

  template <Check check, bool doubles>
  void take_as(const Batch& batch, UtcNanoseconds now);
  void define(const Update& update);
  Point& point(PointId id);
  std::optional<std::uint64_t> count_of(const Value& value) const;
  bool steps_back(std::uint64_t from, std::uint64_t to) const;

  const Check check_;
  const Type type_;
  std::vector<Point> points_;  // by PointId
  Batch converted_;
  std::vector<std::uint64_t> streams_;  // the newest number of each
  Totals totals_;
};

}  // namespace sallyport::recorder
