#include "sources/simulator/pump_station.h"

#include <array>
#include <cmath>
#include <numbers>

#include "sources/simulator/random.h"

namespace sallyport::simulator {
namespace {

enum Slot : std::uint32_t {
  speed,
  flow,
  discharge_pressure,
  suction_pressure,
  motor_current,
  motor_temperature,
  bearing_temperature,
  vibration,
  running,
  mode,
  starts,
  runtime,
  energy,
  valve_position,
  state,
  last_start,
};

struct Tag {
  std::string_view name;
  Type type;
  std::string_view unit;
  double low, high;  // no range when equal
  std::string_view description;
};

constexpr std::array<Tag, kPumpPoints> kTags = {{
    {"speed", Type::float64, "1/min", 0, 3000, "Speed of the motor shaft"},
    {"flow", Type::float64, "m³/h", 0, 250, "Volume flow behind the pump"},
    {"discharge_pressure", Type::float64, "bar", 0, 16, "Pressure behind the pump"},
    {"suction_pressure", Type::float64, "bar", -1, 6, "Pressure before the pump"},
    {"motor_current", Type::float32, "A", 0, 120, "Current of the motor, mean of three phases"},
    {"motor_temperature", Type::float32, "°C", 0, 160, "Temperature of the motor winding"},
    {"bearing_temperature", Type::float32, "°C", 0, 120, "Temperature of the bearing at the drive end"},
    {"vibration", Type::float64, "mm/s", 0, 30, "Vibration velocity at the bearing, RMS"},
    {"running", Type::boolean, "", 0, 0, "The contactor reports that the motor runs"},
    {"mode", Type::int32, "", 0, 0, "Position of the mode switch"},
    {"starts", Type::uint32, "", 0, 0, "Starts since commissioning"},
    {"runtime", Type::float64, "h", 0, 0, "Running hours since commissioning"},
    {"energy", Type::float64, "kWh", 0, 0, "Energy since commissioning"},
    {"valve_position", Type::int16, "%", 0, 100, "Position of the discharge valve"},
    {"state", Type::string, "", 0, 0, "State in words"},
    {"last_start", Type::date_time, "", 0, 0, "When the motor was started last"},
}};

constexpr std::uint64_t kCycle = 240;                         // changes from one start to the next
constexpr std::uint64_t kResting = 24;                        // of them at rest
constexpr std::int64_t kTicks2026 = 134'116'992'000'000'000;  // 2026-01-01 in 100 ns since 1601
constexpr std::int64_t kTicksPerSecond = 10'000'000;

// Where in its cycle a pump is.
struct Moment {
  std::uint64_t cycle, at;
  bool running;
  double load;   // 0…1
  double noise;  // −1…1
};

Moment moment(std::uint64_t seed, std::uint32_t pump, std::uint32_t slot, std::uint64_t change) {
  const std::uint64_t own = mix(seed, pump);
  const std::uint64_t time = change + own % kCycle;
  Moment m{};
  m.cycle = time / kCycle;
  m.at = time % kCycle;
  m.running = m.at >= kResting;
  const double turn = static_cast<double>(m.at) / static_cast<double>(kCycle);
  const double steady = 0.55 + 0.3 * std::sin(2 * std::numbers::pi * (2 * turn + unit(own)));
  const double ramp_up = std::min(1.0, static_cast<double>(m.at - kResting + 1) / 8.0);
  m.load = m.running ? steady * ramp_up : 0;
  m.noise = 2 * unit(mix(own, slot, change)) - 1;
  return m;
}

std::int32_t mode_of(std::uint64_t seed, std::uint32_t pump, const Moment& m) {
  if (m.at >= kResting) return 2;                    // automatic
  return mix(seed, pump, m.cycle) % 8 == 0 ? 3 : 2;  // now and then the rest is a service
}

std::string_view state_of(std::int32_t switch_mode, const Moment& m) {
  if (switch_mode == 3) return "in service";
  if (!m.running) return "ready";
  return m.at < kResting + 8 ? "starting" : "running";
}

}  // namespace

std::string_view pump_point_name(std::uint32_t slot) { return kTags[slot].name; }

std::vector<Meta> pump_metas() {
  std::vector<Meta> metas(kPumpPoints);
  for (std::uint32_t slot = 0; slot < kPumpPoints; ++slot) {
    const Tag& tag = kTags[slot];
    Meta& meta = metas[slot];
    meta.type = tag.type;
    meta.unit = tag.unit;
    meta.description = tag.description;
    if (tag.low != tag.high) {
      meta.range_low = tag.low;
      meta.range_high = tag.high;
    }
  }
  metas[mode].enum_strings = {"Off", "Manual", "Automatic", "Service"};
  return metas;
}

Value pump_value(std::uint64_t seed, std::uint32_t pump, std::uint32_t slot, std::uint64_t change) {
  const Moment m = moment(seed, pump, slot, change);
  const double total = static_cast<double>(change);
  const auto flt = [](double v) { return Value::from(static_cast<float>(v)); };
  switch (slot) {
    case speed:
      return Value::from(m.running ? 2900 * m.load + 4 * m.noise : 0.0);
    case flow:
      return Value::from(m.running ? 230 * m.load + 0.8 * m.noise : 0.0);
    case discharge_pressure:
      return Value::from(2 + 11 * m.load * m.load + 0.03 * m.noise);
    case suction_pressure:
      return Value::from(1.8 - 0.9 * m.load + 0.01 * m.noise);
    case motor_current:
      return flt(m.running ? 18 + 90 * m.load + 0.3 * m.noise : 0.0);
    case motor_temperature:
      return flt(28 + 70 * m.load + 0.1 * m.noise);
    case bearing_temperature:
      return flt(25 + 40 * m.load + 0.1 * m.noise);
    case vibration:
      return Value::from(m.running ? 1.2 + 2.5 * m.load + 0.2 * m.noise : 0.05);
    case running:
      return Value::from(m.running);
    case mode:
      return Value::from(mode_of(seed, pump, m));
    case starts:
      return Value::from(static_cast<std::uint32_t>(100 + mix(seed, pump) % 900 + m.cycle));
    case runtime:
      return Value::from(static_cast<double>(mix(seed, pump) % 20000) + total / 3600);
    case energy:
      return Value::from(static_cast<double>(mix(seed, pump) % 500000) + total * 0.012);
    case valve_position:
      return Value::from(static_cast<std::int16_t>(std::lround(100 * std::min(1.0, 1.2 * m.load))));
    case state:
      return Value::text(state_of(mode_of(seed, pump, m), m));
    default:
      return Value::date_time(kTicks2026 + static_cast<std::int64_t>(m.cycle * kCycle) * kTicksPerSecond);
  }
}

}  // namespace sallyport::simulator
