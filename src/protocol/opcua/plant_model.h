// The physics of the toy plant, apart from OPC UA: a list of named signals and how they move. Deterministic by seed.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace sallyport::opcua {

// How the further tags move: a random walk, or 0, 1, 2 … so that whoever checks them knows what must come.
enum class TagShape : std::uint8_t { walk, ramp };
enum class SignalKind : std::uint8_t { analog, flag, mode, counter };

struct Signal {
  std::string path;  // below the start node: "PumpStation1/Pump1/Speed"
  std::string description;
  SignalKind kind = SignalKind::analog;
  std::string unit;             // display text; analog only
  std::int32_t unit_code = -1;  // UNECE code as OPC UA wants it (OPC 10000-8 §5.6.3)
  double low = 0, high = 100;
  double value = 0;  // flag: 0 or 1; mode: 0 off, 1 manual, 2 automatic
};

class PlantModel {
 public:
  PlantModel(std::uint32_t tags, std::uint64_t seed, TagShape shape = TagShape::walk);
  const std::vector<Signal>& signals() const { return signals_; }
  std::size_t station_signals() const { return station_; }  // the further tags come after these

  // The pump station moves on by so many seconds.
  void step(double seconds);
  // The next of the further tags takes a step; returns its index.
  std::size_t move_next();

 private:
  struct Pump {
    std::size_t speed, current, vibration, temperature, running, mode, starts;
  };
  struct Tank {
    std::size_t level, temperature, high;
  };
  std::size_t add(Signal signal);
  void add_pump(int number);
  void add_tank(int number);
  void move_pump(const Pump& pump, double seconds);
  double noise(double width);
  double& at(std::size_t index) { return signals_[index].value; }

  std::mt19937_64 random_;
  std::vector<Signal> signals_;
  std::vector<Pump> pumps_;
  std::vector<Tank> tanks_;
  std::size_t flow_ = 0, pressure_ = 0;
  std::size_t station_ = 0;
  std::size_t next_ = 0;
  TagShape shape_;
};

}  // namespace sallyport::opcua
