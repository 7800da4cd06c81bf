// Three things are made of the samples as they come: what counts raw values; regions, in which the quality of one sample
// holds until the next; and lines between usable values. Each is added to the intervals it touches.
#include "history/aggregate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "history/aggregate_value.h"

namespace sallyport::history {
namespace {

constexpr double kNanosecondsPerSecond = 1e9;

constexpr std::array<std::string_view, 21> kNames = {
    "Interpolative", "Average", "TimeAverage", "Total", "Minimum", "Maximum", "MinimumActualTime", "MaximumActualTime",
    "Range", "Count", "Start", "End", "Delta", "DurationGood", "DurationBad", "PercentGood", "PercentBad", "WorstQuality",
    "StandardDeviationSample", "VarianceSample", "StandardDeviationPopulation"};
constexpr std::string_view kLastName = "VariancePopulation";

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

bool is_start_time(Function function) {
  return function != Function::start && function != Function::end && function != Function::minimum_actual_time &&
         function != Function::maximum_actual_time;
}

}  // namespace

std::string_view to_string(Function function) {
  const auto index = static_cast<std::size_t>(function);
  return index < kNames.size() ? kNames[index] : kLastName;
}

Result<Function> parse_function(std::string_view name) {
  std::string known;
  for (std::size_t i = 0; i <= kNames.size(); ++i) {
    const auto function = static_cast<Function>(i);
    if (equal_ignoring_case(to_string(function), name)) return function;
    known += (known.empty() ? "" : ", ") + std::string(to_string(function));
  }
  return fail(ErrorCode::invalid, "there is no aggregate '" + std::string(name.substr(0, 40)) + "'; known: " + known);
}

std::size_t Intervals::count() const {
  const std::int64_t range = to - from;
  if (length <= 0 || length >= range) return 1;
  return static_cast<std::size_t>(range / length + (range % length != 0));
}

// What is gathered of one interval.
struct Aggregation::Interval {
  UtcNanoseconds start = 0, end = 0;
  bool shortened = false;                      // the last one, shorter than the others
  std::int64_t raw = 0, numbers = 0, bad = 0;  // `numbers`: usable ones
  double mean = 0, squares = 0;                // Welford
  std::optional<Sample> first, last, first_good, last_good, minimum, maximum;
  bool skipped_first = false, skipped_last = false, many_minimum = false, many_maximum = false;
  double low_uncertain = std::numeric_limits<double>::infinity(), high_uncertain = -low_uncertain;
  std::optional<Status> worst;
  std::int64_t of_worst = 0;
  double area = 0;                             // units × seconds
  std::int64_t covered = 0, good = 0;          // nanoseconds under lines; of Good regions
  bool doubtful = false;                       // Bad values were skipped, or Uncertain ones used, under the lines
  std::optional<Sample> bound;

  double variance(std::int64_t divisor) const { return divisor <= 0 ? 0 : squares / static_cast<double>(divisor); }
};

// From one usable sample to the next.
struct Aggregation::Line {
  const Sample& from;
  const Sample& to;
  bool doubtful = false;       // Bad samples between them, or one of them is Uncertain
  bool ends_doubtful = false;  // the same without regard to `to`
  bool extrapolated = false;
};

Aggregation::Aggregation(Function function, Intervals intervals, AggregateOptions options)
    : function_(function), range_(intervals), options_(options), intervals_(intervals.count()) {
  const std::int64_t length = intervals_.size() == 1 ? range_.to - range_.from : range_.length;
  for (std::size_t i = 0; i < intervals_.size(); ++i) {
    intervals_[i].start = range_.from + static_cast<std::int64_t>(i) * length;
    intervals_[i].end = i + 1 == intervals_.size() ? range_.to : intervals_[i].start + length;
    intervals_[i].shortened = (intervals_.size() > 1 || range_.part) && intervals_[i].end - intervals_[i].start < range_.length;
  }
}
Aggregation::~Aggregation() = default;

bool Aggregation::usable(const Sample& sample) const {
  const Quality quality = quality_of(sample.status);
  if (sample.value.is_null()) return false;
  return quality == Quality::good || (quality == Quality::uncertain && !options_.treat_uncertain_as_bad);
}

// Times before the range are in the first interval, times after it in the last.
std::size_t Aggregation::index_of(UtcNanoseconds time) const {
  if (time <= range_.from || intervals_.size() == 1) return 0;
  return std::min(static_cast<std::size_t>((time - range_.from) / range_.length), intervals_.size() - 1);
}

void Aggregation::add(const Sample& sample) {
  double number = 0;
  const bool is_number = sample.value.to_double(number) && std::isfinite(number);
  const bool is_usable = usable(sample);
  if (last_) add_region(*last_, sample.time);
  if (sample.time >= range_.from && sample.time < range_.to) add_raw(sample, is_usable, is_number, number);
  if (is_usable) {
    if (good_) {
      const bool uncertain = quality_of(good_->status) != Quality::good;
      const bool doubtful = skipped_ || uncertain;
      add_line({*good_, sample, doubtful || quality_of(sample.status) != Quality::good, doubtful});
    }
    before_good_ = std::move(good_);
    good_ = sample;
    skipped_ = false;
  } else {
    skipped_ = true;
  }
  last_ = sample;
}

void Aggregation::add_raw(const Sample& sample, bool is_usable, bool is_number, double number) {
  Interval& interval = intervals_[index_of(sample.time)];
  const Quality quality = quality_of(sample.status);
  if (interval.raw++ == 0) interval.first = sample;
  interval.last = sample;
  if (!interval.worst || quality > quality_of(*interval.worst)) {
    interval.worst = sample.status;
    interval.of_worst = 0;
  }
  if (quality == quality_of(*interval.worst)) ++interval.of_worst;
  if (!is_usable) {
    ++interval.bad;
    (interval.first_good ? interval.skipped_last : interval.skipped_first) = true;
    return;
  }
  interval.skipped_last = false;
  if (!is_number) return;
  ++interval.numbers;
  const double off = number - interval.mean;
  interval.mean += off / static_cast<double>(interval.numbers);
  interval.squares += off * (number - interval.mean);
  if (!interval.first_good) interval.first_good = sample;
  interval.last_good = sample;
  if (quality == Quality::uncertain) {
    interval.low_uncertain = std::min(interval.low_uncertain, number);
    interval.high_uncertain = std::max(interval.high_uncertain, number);
    return;
  }
  keep_extreme(interval.minimum, interval.many_minimum, sample, number, -1);
  keep_extreme(interval.maximum, interval.many_maximum, sample, number, 1);
}

void Aggregation::add_region(const Sample& from, UtcNanoseconds until) {
  const UtcNanoseconds begin = std::max(from.time, range_.from), end = std::min(until, range_.to);
  if (begin >= end || !usable(from)) return;
  for (std::size_t i = index_of(begin), last = index_of(end - 1); i <= last; ++i)
    intervals_[i].good += std::min(end, intervals_[i].end) - std::max(begin, intervals_[i].start);
}

void Aggregation::add_bound(Interval& interval, const Line& line) const {
  const UtcNanoseconds time = interval.start;
  if (time < line.from.time || time > line.to.time) return;
  if (time == line.from.time || time == line.to.time) {  // a raw value; the later of two at the same time
    interval.bound = time == line.to.time ? line.to : line.from;
    return;
  }
  const bool sloped = !options_.stepped && is_number(line.from.value) && is_number(line.to.value);
  const bool doubtful = line.extrapolated || (sloped ? line.doubtful : line.ends_doubtful);
  interval.bound = {time, (doubtful ? status::kUncertainDataSubNormal : status::kGood) | status::kInterpolated,
                    sloped ? like(line.from.value, on_line(line.from, line.to, time)) : line.from.value};
}

void Aggregation::add_line(const Line& line) {
  if (line.to.time < range_.from || line.from.time >= range_.to) return;
  const bool area = is_number(line.from.value) && is_number(line.to.value);
  const UtcNanoseconds begin = std::max(line.from.time, range_.from), end = std::min(line.to.time, range_.to);
  for (std::size_t i = index_of(begin), last = index_of(end); i <= last; ++i) {
    Interval& interval = intervals_[i];
    add_bound(interval, line);
    const UtcNanoseconds left = std::max(begin, interval.start), right = std::min(end, interval.end);
    if (!area || left >= right) continue;
    const double sum = on_line(line.from, line.to, left) + on_line(line.from, line.to, right);
    interval.area += sum / 2 * static_cast<double>(right - left) / kNanosecondsPerSecond;
    interval.covered += right - left;
    interval.doubtful = interval.doubtful || line.doubtful;
  }
}

// Bounds after the last usable sample (§3.1.8): its value, or the line on through the last two.
void Aggregation::extrapolate() {
  if (!good_) return;
  const bool sloped = options_.use_sloped_extrapolation && !options_.stepped && before_good_ &&
                      is_number(before_good_->value) && is_number(good_->value) && before_good_->time < good_->time;
  for (Interval& interval : intervals_) {
    if (interval.bound || interval.start < good_->time) continue;
    if (interval.start == good_->time) {
      interval.bound = *good_;
      continue;
    }
    interval.bound = {interval.start, status::kUncertainDataSubNormal | status::kInterpolated,
                      sloped ? like(good_->value, on_line(*before_good_, *good_, interval.start)) : good_->value};
  }
}

std::vector<Sample> Aggregation::finish(std::optional<UtcNanoseconds> first, UtcNanoseconds known_until) {
  if (last_) {
    add_region(*last_, range_.to);
    known_until = std::max(known_until, last_->time);
    if (good_ && known_until > last_->time) {  // nothing changed since: as if it had been read again
      const Sample again{known_until, good_->status, good_->value};
      const bool doubtful = skipped_ || quality_of(good_->status) != Quality::good;
      if (!skipped_) add_line({*good_, again, doubtful, doubtful});
    }
  }
  extrapolate();
  std::vector<Sample> results;
  results.reserve(intervals_.size());
  for (const Interval& interval : intervals_) results.push_back(result(interval, first, known_until));
  return results;
}

Sample Aggregation::result(const Interval& i, std::optional<UtcNanoseconds> first, UtcNanoseconds known_until) const {
  const Sample nothing{i.start, status::kBadNoData, {}};
  if (!first || *first >= i.end) return nothing;                // before the start of data
  if (function_ == Function::interpolative) return *first > i.start || !i.bound ? nothing : *i.bound;
  if (known_until < i.start) return nothing;                    // after its end
  const bool partial = i.shortened || *first > i.start || known_until < i.end;
  const Status bits = status::kCalculated | (partial ? status::kPartial : 0);
  const Status doubtful = status::kUncertainDataSubNormal;
  const auto length = static_cast<double>(i.end - i.start);
  const auto made = [&](Status of, Value value, Status more = 0) { return Sample{i.start, of | bits | more, std::move(value)}; };
  const auto always_good = [&](double number) { return made(0, Value::from(number)); };
  const auto no_numbers = [&] {  // there were usable values, and none was a number
    return i.raw > i.bad ? Sample{i.start, status::kBadAggregateInvalidInputs, {}} : nothing;
  };
  // By the share of Good values (§5.4.3.2.1).
  const auto by_values = [&]() -> Status {
    if (i.bad == 0) return 0;
    const double percent_bad = 100.0 * static_cast<double>(i.bad) / static_cast<double>(i.raw);
    if (percent_bad >= options_.percent_data_bad) return status::kBad;
    return 100 - percent_bad >= options_.percent_data_good ? 0 : doubtful;
  };
  const auto extreme = [&](const std::optional<Sample>& found, bool many, bool beaten) {
    if (!found) return no_numbers();
    const bool subnormal = i.bad > 0 || beaten;
    const bool raw = !subnormal && (!is_start_time(function_) || found->time == i.start);
    const Status of = (subnormal ? doubtful : found->status) | (raw ? 0 : status::kCalculated) |
                      (many ? status::kMultiValue : 0) | (partial ? status::kPartial : 0);
    return Sample{is_start_time(function_) ? i.start : found->time, of, found->value};
  };
  const auto edge = [&](const std::optional<Sample>& found) {
    return found ? Sample{found->time, found->status | (partial ? status::kPartial : 0), found->value} : nothing;
  };
  const auto number_of = [](const Sample& sample) { return to_number(sample.value); };
  const bool low = i.minimum && i.low_uncertain < number_of(*i.minimum);
  const bool high = i.maximum && i.high_uncertain > number_of(*i.maximum);

  switch (function_) {
    case Function::interpolative: break;  // above
    case Function::average: return i.numbers == 0 ? no_numbers() : made(by_values(), Value::from(i.mean));
    case Function::time_average:
    case Function::total: {
      if (i.covered == 0) return no_numbers();
      const bool average = function_ == Function::time_average;
      const double seconds = static_cast<double>(i.covered) / kNanosecondsPerSecond;
      return made(i.doubtful || i.bad > 0 ? doubtful : 0, Value::from(average ? i.area / seconds : i.area));
    }
    case Function::minimum:
    case Function::minimum_actual_time: return extreme(i.minimum, i.many_minimum, low);
    case Function::maximum:
    case Function::maximum_actual_time: return extreme(i.maximum, i.many_maximum, high);
    case Function::range:
      if (!i.minimum) return no_numbers();
      return made(i.bad > 0 || low || high ? doubtful : 0,
                  like(i.maximum->value, number_of(*i.maximum) - number_of(*i.minimum)));
    case Function::count: return made(by_values(), Value::from(static_cast<std::int32_t>(std::min<std::int64_t>(i.raw - i.bad, INT32_MAX))));
    case Function::start: return edge(i.first);
    case Function::end: return edge(i.last);
    case Function::delta:
      if (!i.first_good) return no_numbers();
      return made(i.skipped_first || i.skipped_last ? doubtful : 0,
                  like(i.last_good->value, number_of(*i.last_good) - number_of(*i.first_good)));
    case Function::duration_good: return always_good(static_cast<double>(i.good) / 1e6);
    case Function::duration_bad: return always_good((length - static_cast<double>(i.good)) / 1e6);
    case Function::percent_good: return always_good(100 * static_cast<double>(i.good) / length);
    case Function::percent_bad: return always_good(100 - 100 * static_cast<double>(i.good) / length);
    case Function::worst_quality:
      if (!i.worst) return nothing;
      return made(0, Value::status_code(*i.worst), i.of_worst > 1 ? status::kMultiValue : 0);
    case Function::standard_deviation_sample:
      return i.numbers == 0 ? no_numbers() : always_good(std::sqrt(i.variance(i.numbers - 1)));
    case Function::variance_sample: return i.numbers == 0 ? no_numbers() : always_good(i.variance(i.numbers - 1));
    case Function::standard_deviation_population:
      return i.numbers == 0 ? no_numbers() : always_good(std::sqrt(i.variance(i.numbers)));
    case Function::variance_population: return i.numbers == 0 ? no_numbers() : always_good(i.variance(i.numbers));
  }
  return nothing;
}

}  // namespace sallyport::history
