// What the simulated plant looks like and how its values move: no thread, no clock, no I/O. The same seed gives the
// same values in the same order. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "namespace/change.h"
#include "namespace/point.h"

namespace sallyport::simulator {

enum class Shape : std::uint8_t { ramp, sine, random_walk, pump_station };
enum class Order : std::uint8_t { sequential, random };

struct Plan {
  std::uint32_t points = 100;
  Shape shape = Shape::sine;
  Type type = Type::float64;  // of every point; the pump station has types of its own
  Order order = Order::sequential;
  std::uint64_t seed = 1;
};

// The types a ramp, sine or random walk can have.
bool can_generate(Type type);

class Generator {
 public:
  explicit Generator(const Plan& plan);

  std::uint32_t size() const { return plan_.points; }
  // "area-1/pump-0042/p000411"; at the pump station "area-1/pump-0042/speed".
  void append_path(std::string& out, std::uint32_t point) const;
  const Meta& meta(std::uint32_t point) const;
  // The value a point is defined with, before its first change.
  Value first(std::uint32_t point) const;
  // The next changes; ids[i] is the id of point i. A ramp's n-th change of a point has the value n, so that a reader
  // can tell a step back and a missing change. No allocation unless the type is a text.
  void fill(std::span<Change> out, std::span<const PointId> ids, UtcNanoseconds now);

 private:
  template <Shape shape, Order order>
  void fill_as(std::span<Change> out, std::span<const PointId> ids, UtcNanoseconds now);
  template <Order order>
  std::uint32_t next_point();
  double sine(std::uint32_t point, std::uint64_t change) const;
  double walk(std::uint32_t point, std::uint64_t change);

  Plan plan_;
  std::vector<Meta> metas_;
  std::array<double, 1024> wave_{};
  std::vector<std::uint64_t> changes_;  // so far, by point
  std::vector<double> levels_;          // of the random walk
  std::uint32_t cursor_ = 0;
  std::uint64_t random_;
};

}  // namespace sallyport::simulator
