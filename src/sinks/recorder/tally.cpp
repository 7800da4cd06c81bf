// The loop over updates: what is the same for all of a batch is decided outside it.
#include "sinks/recorder/tally.h"

#include <bit>
#include <charconv>

namespace sallyport::recorder {
namespace {

// A whole number that a double holds exactly.
bool whole(double value, std::uint64_t& count) {
  if (!(value >= 0 && value < 9007199254740992.0)) return false;
  count = static_cast<std::uint64_t>(value);
  return static_cast<double>(count) == value;
}

}  // namespace

std::optional<std::uint64_t> Tally::count_of(const Value& value) const {
  if (value.type() != type_ || value.is_array()) return std::nullopt;
  std::uint64_t count = 0;
  switch (type_) {
    case Type::float64:
      return whole(value.float64(), count) ? std::optional(count) : std::nullopt;
    case Type::float32:
      return whole(static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(value.bits()))), count)
                 ? std::optional(count)
                 : std::nullopt;
    case Type::string: {
      const std::string_view text = value.text();
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
      if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
      return count;
    }
    default:
      return value.bits();
  }
}

// Integers wrap at their width: what is less than half of it ahead is a step forward.
bool Tally::steps_back(std::uint64_t from, std::uint64_t to) const {
  const std::size_t size = inline_size(type_);
  if (type_ == Type::boolean) return false;
  if (type_ == Type::float32 || type_ == Type::float64 || size == 0 || size == 8) return to < from;
  const auto width = static_cast<unsigned>(size * 8);
  return ((to - from) >> (width - 1) & 1) != 0;
}

Tally::Point& Tally::point(PointId id) {
  if (id >= points_.size()) points_.resize(std::size_t{id} + id / 2 + 1024);
  return points_[id];
}

void Tally::define(const Update& update) {
  Point& known = point(update.point);
  if (update.kind == UpdateKind::removed) {
    ++totals_.removals;
    known = {};
    return;
  }
  ++totals_.definitions;
  if (known.source_time == kNever) ++totals_.points;
  known.source_time = update.source_time;
  if (check_ == Check::time || update.value.is_null()) return;
  if (const auto count = count_of(update.value))
    known.count = *count;
  else
    ++totals_.wrong;
}

template <Check check, bool doubles>
void Tally::take_as(const Batch& batch, UtcNanoseconds now) {
  bool news = false;
  for (const Update& update : batch.updates) {
    if (update.kind != UpdateKind::value) [[unlikely]] {
      define(update);
      continue;
    }
    ++totals_.changes;
    Point& known = point(update.point);
    const bool first = known.source_time == kNever;
    totals_.points += first;
    bool back = update.source_time < known.source_time;
    news |= update.source_time > known.source_time;
    known.source_time = update.source_time;
    if constexpr (check == Check::ramp) {
      std::uint64_t count = 0;
      bool right = true;
      if constexpr (doubles) {
        right =
            update.value.type() == Type::float64 && !update.value.is_array() && whole(update.value.float64(), count);
        back |= right && count < known.count;
      } else {
        const auto counted = count_of(update.value);
        right = counted.has_value();
        count = counted.value_or(known.count);
        back |= right && !first && steps_back(known.count, count);
      }
      if (right)
        known.count = count;
      else
        ++totals_.wrong;
    }
    totals_.backwards += back;
    if (update.covered || update.status != status::kGood) [[unlikely]] {
      ++(update.covered ? totals_.not_good : totals_.wrong);
      continue;
    }
    if (now < update.source_time) [[unlikely]] {
      ++totals_.future;
      continue;
    }
    totals_.latency.add(static_cast<std::uint64_t>(now - update.source_time));
  }
  if (news) totals_.last_news = now;
}

void Tally::take(const Batch& batch, UtcNanoseconds now) {
  if (batch.updates.empty()) return;
  ++totals_.pulls;
  const std::uint64_t before = totals_.changes, defined_before = totals_.definitions;
  if (check_ == Check::time)
    take_as<Check::time, false>(batch, now);
  else if (type_ == Type::float64)
    take_as<Check::ramp, true>(batch, now);
  else
    take_as<Check::ramp, false>(batch, now);
  if (totals_.definitions != defined_before) totals_.last_definition = now;
  if (totals_.changes == before) return;
  if (totals_.first == 0) totals_.first = now;
  totals_.last = now;
}

Ages Tally::ages(UtcNanoseconds now) const {
  Ages ages;
  Histogram histogram;
  std::uint64_t count = 0;
  double sum = 0;
  for (const Point& known : points_) {
    if (known.source_time == kNever) continue;
    const auto age = static_cast<std::uint64_t>(std::max<std::int64_t>(0, now - known.source_time));
    histogram.add(age);
    sum += static_cast<double>(age);
    ages.max = std::max(ages.max, age);
    ++count;
  }
  if (count == 0) return ages;
  ages.mean = sum / static_cast<double>(count);
  ages.p50 = histogram.quantile(0.5);
  ages.p99 = histogram.quantile(0.99);
  return ages;
}

// Gaps have numbers of the same row; both come by position.
void Tally::take(const FeedBatch& batch, UtcNanoseconds now) {
  std::size_t gap = 0;
  const auto number = [this](std::uint32_t stream, std::uint64_t sequence) {
    if (stream >= streams_.size()) streams_.resize(stream + std::size_t{1});
    std::uint64_t& last = streams_[stream];
    if (sequence <= last) ++totals_.repeated;
    else totals_.missing += sequence - last - 1;
    last = std::max(last, sequence);
  };
  converted_.clear();
  for (const FeedEntry& entry : batch.entries) {
    for (; gap < batch.gaps.size() && batch.gaps[gap].position < entry.position; ++gap) number(batch.gaps[gap].stream, batch.gaps[gap].sequence);
    number(entry.stream, entry.sequence);
    Update update;
    update.point = entry.point;
    update.status = update.underlying = entry.status;
    update.source_time = entry.source_time;
    update.value = entry.value;
    converted_.updates.push_back(std::move(update));
  }
  for (; gap < batch.gaps.size(); ++gap) number(batch.gaps[gap].stream, batch.gaps[gap].sequence);
  totals_.gaps += batch.gaps.size();
  take(converted_, now);
}

}  // namespace sallyport::recorder
