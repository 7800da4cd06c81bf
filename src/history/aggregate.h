// The aggregates of OPC 10000-13 (v1.05) over the samples of one point: pure computation, no I/O. A read feeds samples in
// order of time; memory depends on the number of intervals only.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "namespace/quality.h"
#include "namespace/value.h"

namespace sallyport::history {

enum class Function : std::uint8_t {
  interpolative,              // §5.4.3.4: the interpolated bounding value (§3.1.8) at the start of the interval
  average,                    // §5.4.3.5: of the Good raw values
  time_average,               // §5.4.3.6: area under sloped lines between Good values and bounds, by length
  total,                      // §5.4.3.8: that area, in units × seconds
  minimum, maximum,           // §5.4.3.10, 11: at the start of the interval
  minimum_actual_time, maximum_actual_time,  // §5.4.3.12, 13: at their own time
  range,                      // §5.4.3.14
  count,                      // §5.4.3.21: of Good raw values
  start, end,                 // §5.4.3.25, 26: first and last raw value, at their own time
  delta,                      // §5.4.3.27
  duration_good, duration_bad,  // §5.4.3.31, 32: milliseconds
  percent_good, percent_bad,  // §5.4.3.33, 34
  worst_quality,              // §5.4.3.35
  standard_deviation_sample, variance_sample,          // §5.4.3.37, 38
  standard_deviation_population, variance_population,  // §5.4.3.39, 40
};
std::string_view to_string(Function function);           // the BrowseName: "TimeAverage"
Result<Function> parse_function(std::string_view name);  // in any case; invalid: the message lists them

namespace status {
using namespace sallyport::status;
// Info bits of OPC 10000-4 §7.39.1: InfoType DataValue, and the HistorianBits. Raw is 00.
inline constexpr Status kCalculated = 0x0401;
inline constexpr Status kInterpolated = 0x0402;
inline constexpr Status kPartial = 0x0404;
inline constexpr Status kMultiValue = 0x0410;
inline constexpr Status kUncertainDataSubNormal = 0x40A40000;
inline constexpr Status kBadNoData = 0x809B0000;
inline constexpr Status kBadAggregateInvalidInputs = 0x80D60000;
}  // namespace status

struct Sample {
  UtcNanoseconds time = 0;
  Status status = 0;
  Value value;
};

// AggregateConfiguration (§4.2.1.2), with the defaults of this node.
struct AggregateOptions {
  bool treat_uncertain_as_bad = true;
  std::uint8_t percent_data_bad = 100, percent_data_good = 100;
  bool use_sloped_extrapolation = false;
  bool stepped = false;       // the Stepped property of the point
};

// [from, to), cut into intervals that begin at `from`; 0: one interval. The last may be shorter, and is then partial.
struct Intervals {
  UtcNanoseconds from = 0, to = 0;
  std::int64_t length = 0;
  bool part = false;   // the end of a longer range: an interval shorter than `length` is not a complete one
  std::size_t count() const;
};

class Aggregation {
 public:
  // `to` > `from`, length >= 0, and count() of a size that fits in memory.
  Aggregation(Function function, Intervals intervals, AggregateOptions options);
  ~Aggregation();
  // In order of time, beginning with the last usable sample at or before `from` and all after it, and ending with the
  // first usable one at or after `to`; what there is of these.
  void add(const Sample& sample);
  // One per interval. `first`: the oldest sample there is of the point; none: no data at all. `known_until`: until then
  // the history followed the point, so that its last sample still held; at least the time of the last sample.
  std::vector<Sample> finish(std::optional<UtcNanoseconds> first, UtcNanoseconds known_until);

 private:
  struct Interval;
  struct Line;
  bool usable(const Sample& sample) const;
  std::size_t index_of(UtcNanoseconds time) const;
  void add_raw(const Sample& sample, bool is_usable, bool is_number, double number);
  void add_region(const Sample& from, UtcNanoseconds until);
  void add_line(const Line& line);
  void add_bound(Interval& interval, const Line& line) const;
  void extrapolate();
  Sample result(const Interval& interval, std::optional<UtcNanoseconds> first, UtcNanoseconds known_until) const;

  const Function function_;
  const Intervals range_;
  const AggregateOptions options_;
  std::vector<Interval> intervals_;
  std::optional<Sample> last_;                 // of any quality
  std::optional<Sample> good_, before_good_;   // the last usable, and the one before it
  bool skipped_ = false;                       // Bad samples came after `good_`
};

}  // namespace sallyport::history
