#include "sources/simulator/generator.h"

#include <cmath>
#include <numbers>

#include "sources/simulator/pump_station.h"
#include "sources/simulator/random.h"

namespace sallyport::simulator {
namespace {

constexpr std::uint32_t kPlainPumpPoints = 10;
constexpr std::uint32_t kPumpsPerArea = 100;
constexpr std::int64_t kTicks2026 = 134'116'992'000'000'000;  // 2026-01-01 in 100 ns since 1601
constexpr std::int64_t kTicksPerSecond = 10'000'000;

void append_number(std::string& out, std::uint32_t number, std::size_t width) {
  const std::string digits = std::to_string(number);
  if (digits.size() < width) out.append(width - digits.size(), '0');
  out += digits;
}

// Integers wrap at the width of their type.
Value integer_as(Type type, std::uint64_t number) {
  const unsigned width_bits = static_cast<unsigned>(inline_size(type)) * 8;
  return Value::scalar(type, width_bits == 64 ? number : number & ((std::uint64_t{1} << width_bits) - 1));
}

Value count_as(Type type, std::uint64_t count) {
  switch (type) {
    case Type::float64:
      return Value::from(static_cast<double>(count));
    case Type::float32:
      return Value::from(static_cast<float>(count));
    case Type::boolean:
      return Value::from(count % 2 != 0);
    case Type::string:
      return Value::text(std::to_string(count));
    case Type::date_time:
      return Value::date_time(kTicks2026 + static_cast<std::int64_t>(count) * kTicksPerSecond);
    default:
      return integer_as(type, count);
  }
}

// `level` is 0…100.
Value level_as(Type type, double level) {
  switch (type) {
    case Type::float64:
      return Value::from(level);
    case Type::float32:
      return Value::from(static_cast<float>(level));
    case Type::boolean:
      return Value::from(level >= 50);
    case Type::string: {
      const auto hundredths = static_cast<std::uint32_t>(std::lround(level * 100));
      std::string text = std::to_string(hundredths / 100) + '.';
      append_number(text, hundredths % 100, 2);
      return Value::text(text);
    }
    case Type::date_time:
      return Value::date_time(kTicks2026 + std::llround(level * 1000) * kTicksPerSecond);
    default:
      return integer_as(type, static_cast<std::uint64_t>(std::lround(level)));
  }
}

}  // namespace

bool can_generate(Type type) { return type == Type::string || (inline_size(type) != 0 && type != Type::status_code); }

Generator::Generator(const Plan& plan) : plan_(plan), changes_(plan.points), random_(mix(plan.seed)) {
  if (plan_.shape == Shape::pump_station) {
    metas_ = pump_metas();
    return;
  }
  Meta meta;
  meta.type = plan_.type;
  if (plan_.shape == Shape::ramp) {
    meta.description = "Simulated: counts its changes";
  } else {
    meta.description = plan_.shape == Shape::sine ? "Simulated: sine" : "Simulated: random walk";
    meta.unit = "%";
    meta.range_low = 0;
    meta.range_high = 100;
  }
  metas_ = {meta};
  for (std::size_t i = 0; i < wave_.size(); ++i) {
    wave_[i] = 50 + 50 * std::sin(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(wave_.size()));
  }
  if (plan_.shape == Shape::random_walk) {
    levels_.resize(plan_.points);
    for (std::uint32_t i = 0; i < plan_.points; ++i) levels_[i] = 100 * unit(mix(plan_.seed, i));
  }
}

void Generator::append_path(std::string& out, std::uint32_t point) const {
  const std::uint32_t per_pump = plan_.shape == Shape::pump_station ? kPumpPoints : kPlainPumpPoints;
  const std::uint32_t pump = point / per_pump;
  out += "area-";
  append_number(out, pump / kPumpsPerArea + 1, 1);
  out += "/pump-";
  append_number(out, pump % kPumpsPerArea + 1, 4);
  out += '/';
  if (plan_.shape == Shape::pump_station) {
    out += pump_point_name(point % kPumpPoints);
  } else {
    out += 'p';
    append_number(out, point + 1, 6);
  }
}

const Meta& Generator::meta(std::uint32_t point) const {
  return plan_.shape == Shape::pump_station ? metas_[point % kPumpPoints] : metas_[0];
}

Value Generator::first(std::uint32_t point) const {
  switch (plan_.shape) {
    case Shape::ramp:
      return count_as(plan_.type, 0);
    case Shape::sine:
      return level_as(plan_.type, sine(point, 0));
    case Shape::random_walk:
      return level_as(plan_.type, levels_[point]);
    case Shape::pump_station:
      break;
  }
  return pump_value(plan_.seed, point / kPumpPoints, point % kPumpPoints, 0);
}

double Generator::sine(std::uint32_t point, std::uint64_t change) const {
  const std::uint64_t own = mix(plan_.seed, point);
  return wave_[(own + change * (1 + (own >> 32) % 8)) % wave_.size()];
}

double Generator::walk(std::uint32_t point, std::uint64_t change) {
  double level = levels_[point] + 2 * unit(mix(plan_.seed, point, change)) - 1;
  if (level < 0) level = -level;
  if (level > 100) level = 200 - level;
  return levels_[point] = level;
}

template <Order order>
std::uint32_t Generator::next_point() {
  if constexpr (order == Order::random) {
    random_ += 0x9e3779b97f4a7c15u;
    return static_cast<std::uint32_t>(((mix(random_) >> 32) * plan_.points) >> 32);
  }
  const std::uint32_t point = cursor_;
  if (++cursor_ == plan_.points) cursor_ = 0;
  return point;
}

template <Shape shape, Order order>
void Generator::fill_as(std::span<Change> out, std::span<const PointId> ids, UtcNanoseconds now) {
  const Type type = plan_.type;
  for (Change& change : out) {
    const std::uint32_t point = next_point<order>();
    const std::uint64_t count = ++changes_[point];
    change.point = ids[point];
    change.status = status::kGood;
    change.source_time = now;
    if constexpr (shape == Shape::ramp) change.value = count_as(type, count);
    if constexpr (shape == Shape::sine) change.value = level_as(type, sine(point, count));
    if constexpr (shape == Shape::random_walk) change.value = level_as(type, walk(point, count));
    if constexpr (shape == Shape::pump_station) {
      change.value = pump_value(plan_.seed, point / kPumpPoints, point % kPumpPoints, count);
    }
  }
}

void Generator::fill(std::span<Change> out, std::span<const PointId> ids, UtcNanoseconds now) {
  const auto with = [&]<Shape shape>() {
    if (plan_.order == Order::random) return fill_as<shape, Order::random>(out, ids, now);
    return fill_as<shape, Order::sequential>(out, ids, now);
  };
  switch (plan_.shape) {
    case Shape::ramp:
      return with.operator()<Shape::ramp>();
    case Shape::sine:
      return with.operator()<Shape::sine>();
    case Shape::random_walk:
      return with.operator()<Shape::random_walk>();
    case Shape::pump_station:
      return with.operator()<Shape::pump_station>();
  }
}

}  // namespace sallyport::simulator
