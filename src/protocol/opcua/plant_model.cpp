#include "protocol/opcua/plant_model.h"

#include <algorithm>
#include <cstdio>

namespace sallyport::opcua {
namespace {

constexpr int kPumps = 4;
constexpr int kTanks = 2;
constexpr double kFullSpeed = 1500;            // rpm
constexpr double kRampEnd = 9007199254740992;  // 2^53: a double counts no further

std::int32_t unece(const char* code) {
  std::int32_t out = 0;
  for (; *code != '\0'; ++code) out = out * 256 + *code;
  return out;
}

Signal analog(std::string path, std::string description, std::string unit, const char* code, double low, double high,
              double value) {
  return {std::move(path), std::move(description), SignalKind::analog, std::move(unit), unece(code), low, high, value};
}

Signal plain(std::string path, std::string description, SignalKind kind, double value) {
  return {std::move(path), std::move(description), kind, {}, -1, 0, 0, value};
}

}  // namespace

PlantModel::PlantModel(std::uint32_t tags, std::uint64_t seed, TagShape shape) : random_(seed), shape_(shape) {
  for (int i = 1; i <= kPumps; ++i) add_pump(i);
  for (int i = 1; i <= kTanks; ++i) add_tank(i);
  flow_ = add(analog("PumpStation1/Flow", "flow through the station", "m³/h", "MQH", 0, 400, 0));
  pressure_ = add(analog("PumpStation1/Pressure", "pressure at the outlet", "bar", "BAR", 0, 16, 4));
  station_ = signals_.size();
  std::uniform_real_distribution<double> any(20, 80);
  for (std::uint32_t i = 1; i <= tags; ++i) {
    char name[24];
    std::snprintf(name, sizeof name, "Tags/T%05u", i);
    if (shape == TagShape::ramp)
      add(analog(name, "", "1", "C62", 0, kRampEnd, 0));
    else
      add(analog(name, "", "%", "P1", 0, 100, any(random_)));
  }
  next_ = station_;
}

std::size_t PlantModel::add(Signal signal) {
  signals_.push_back(std::move(signal));
  return signals_.size() - 1;
}

void PlantModel::add_pump(int number) {
  const std::string at = "PumpStation1/Pump" + std::to_string(number) + "/";
  const bool on = number % 2 == 1;
  Pump pump{};
  pump.speed = add(analog(at + "Speed", "speed of the shaft", "rpm", "RPM", 0, kFullSpeed, on ? 1200 : 0));
  pump.current = add(analog(at + "Current", "motor current", "A", "AMP", 0, 80, 0));
  pump.vibration = add(analog(at + "Vibration", "vibration velocity at the bearing", "mm/s", "C16", 0, 20, 0.2));
  pump.temperature = add(analog(at + "Temperature", "temperature of the bearing", "°C", "CEL", -20, 120, 25));
  pump.running = add(plain(at + "Running", "the motor runs", SignalKind::flag, on));
  pump.mode = add(plain(at + "Mode", "who decides", SignalKind::mode, 2));
  pump.starts = add(plain(at + "Starts", "starts since commissioning", SignalKind::counter, 1000 + number));
  pumps_.push_back(pump);
}

void PlantModel::add_tank(int number) {
  const std::string at = "PumpStation1/Tank" + std::to_string(number) + "/";
  Tank tank{};
  tank.level = add(analog(at + "Level", "level of the tank", "%", "P1", 0, 100, 40 + 10 * number));
  tank.temperature = add(analog(at + "Temperature", "temperature of the water", "°C", "CEL", 0, 60, 12));
  tank.high = add(plain(at + "HighAlarm", "level above 90 %", SignalKind::flag, 0));
  tanks_.push_back(tank);
}

double PlantModel::noise(double width) { return std::uniform_real_distribution<double>(-width, width)(random_); }

void PlantModel::move_pump(const Pump& pump, double seconds) {
  if (std::uniform_real_distribution<double>(0, 1)(random_) < 0.005 * seconds) {  // about every three minutes
    const bool start = at(pump.running) == 0;
    at(pump.running) = start ? 1 : 0;
    if (start) at(pump.starts) += 1;
  }
  const bool on = at(pump.running) != 0;
  const double target = on ? 1200 + noise(40) : 0;
  double& speed = at(pump.speed);
  speed = std::clamp(speed + (target - speed) * std::min(0.5 * seconds, 1.0), 0.0, kFullSpeed);
  if (!on && speed < 1) speed = 0;
  const double load = speed / kFullSpeed;
  at(pump.current) = std::max(0.0, 60 * load * load + (on ? noise(0.5) : 0));
  at(pump.vibration) = std::max(0.05, 2.5 * load + noise(0.1));
  double& temperature = at(pump.temperature);
  temperature += (22 + 45 * load - temperature) * std::min(0.01 * seconds, 1.0) + noise(0.02);
}

void PlantModel::step(double seconds) {
  double flow = 0;
  for (const Pump& pump : pumps_) {
    move_pump(pump, seconds);
    flow += 90 * at(pump.speed) / kFullSpeed;
  }
  at(flow_) = std::max(0.0, flow + noise(0.5));
  at(pressure_) = std::clamp(2 + flow / 60 + noise(0.02), 0.0, 16.0);
  double direction = 1;
  for (const Tank& tank : tanks_) {
    double& level = at(tank.level);
    level = std::clamp(level + direction * (flow - 150) / 3600 * seconds + noise(0.02), 0.0, 100.0);
    at(tank.temperature) += noise(0.01);
    at(tank.high) = level > 90 ? 1 : 0;
    direction = -direction;
  }
}

std::size_t PlantModel::move_next() {
  if (station_ == signals_.size()) return station_;
  const std::size_t index = next_;
  next_ = next_ + 1 < signals_.size() ? next_ + 1 : station_;
  Signal& signal = signals_[index];
  const double step = shape_ == TagShape::ramp ? 1 : noise(0.5);
  signal.value = std::clamp(signal.value + step, signal.low, signal.high);
  return index;
}

}  // namespace sallyport::opcua
