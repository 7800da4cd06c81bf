#include "sources/simulator/generator.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <set>

#include "namespace/path.h"
#include "sources/simulator/pacer.h"
#include "sources/simulator/pump_station.h"

namespace sallyport::simulator {
namespace {

std::vector<PointId> identity(std::uint32_t count) {
  std::vector<PointId> ids(count);
  std::iota(ids.begin(), ids.end(), 0u);
  return ids;
}

std::vector<Change> changes_of(const Plan& plan, std::size_t count) {
  Generator generator(plan);
  const auto ids = identity(plan.points);
  std::vector<Change> all(count);
  for (std::size_t at = 0; at < count; at += 7)
    generator.fill(std::span(all).subspan(at, std::min<std::size_t>(7, count - at)), ids, 5);
  return all;
}

constexpr Shape kShapes[] = {Shape::ramp, Shape::sine, Shape::random_walk, Shape::pump_station};

TEST(Generator, ARampCountsTheChangesOfEachPoint) {
  for (const Order order : {Order::sequential, Order::random}) {
    std::vector<double> last(10, 0);
    for (const Change& change : changes_of({.points = 10, .shape = Shape::ramp, .order = order}, 1000)) {
      EXPECT_EQ(change.value.float64(), last[change.point] + 1);
      last[change.point] = change.value.float64();
    }
  }
}

TEST(Generator, GoesRoundThePointsInOrder) {
  const auto changes = changes_of({.points = 3, .shape = Shape::ramp}, 7);
  for (std::size_t i = 0; i < changes.size(); ++i) EXPECT_EQ(changes[i].point, i % 3);
}

TEST(Generator, RandomOrderReachesEveryPoint) {
  std::set<PointId> seen;
  for (const Change& change : changes_of({.points = 50, .order = Order::random}, 2000)) seen.insert(change.point);
  EXPECT_EQ(seen.size(), 50u);
}

TEST(Generator, TheSameSeedGivesTheSameValuesAndAnotherSeedOthers) {
  for (const Shape shape : kShapes) {
    for (const Order order : {Order::sequential, Order::random}) {
      const auto a = changes_of({.points = 40, .shape = shape, .order = order, .seed = 7}, 500);
      const auto b = changes_of({.points = 40, .shape = shape, .order = order, .seed = 7}, 500);
      const auto c = changes_of({.points = 40, .shape = shape, .order = order, .seed = 8}, 500);
      bool differs = false;
      for (std::size_t i = 0; i < a.size(); ++i) {
        EXPECT_EQ(a[i].point, b[i].point);
        EXPECT_EQ(a[i].value, b[i].value);
        differs |= a[i].point != c[i].point || !(a[i].value == c[i].value);
      }
      EXPECT_TRUE(differs || shape == Shape::ramp);
    }
  }
}

TEST(Generator, ValuesHaveTheDeclaredTypeAndStayInTheirRange) {
  for (const Shape shape : kShapes) {
    const Plan plan{.points = 64, .shape = shape};
    Generator generator(plan);
    for (const Change& change : changes_of(plan, 64 * 300)) {
      const Meta& meta = generator.meta(change.point);
      ASSERT_EQ(change.value.type(), meta.type);
      double number = 0;
      if (!meta.range_low || !change.value.to_double(number)) continue;
      ASSERT_GE(number, *meta.range_low);
      ASSERT_LE(number, *meta.range_high);
    }
  }
}

TEST(Generator, MakesEveryTypeItSaysItCan) {
  for (std::uint8_t i = 0; i < kTypeCount; ++i) {
    const auto type = static_cast<Type>(i);
    if (!can_generate(type)) continue;
    for (const Shape shape : {Shape::ramp, Shape::sine, Shape::random_walk}) {
      Generator generator({.points = 4, .shape = shape, .type = type});
      EXPECT_EQ(generator.first(0).type(), type);
      std::vector<Change> changes(20'000);
      generator.fill(changes, identity(4), 0);
      std::size_t different = 0;
      for (std::size_t k = 4; k < changes.size(); ++k) {
        ASSERT_EQ(changes[k].value.type(), type);
        different += changes[k].value == changes[k - 4].value ? 0 : 1;
      }
      EXPECT_GT(different, 0u) << to_string(type);
    }
  }
  EXPECT_FALSE(can_generate(Type::structure));
  EXPECT_FALSE(can_generate(Type::null));
}

TEST(Generator, PathsAreValidDistinctAndOfOrdinaryLength) {
  for (const Shape shape : {Shape::ramp, Shape::pump_station}) {
    const Plan plan{.points = 20000, .shape = shape};
    const Generator generator(plan);
    std::set<std::string> paths;
    for (std::uint32_t i = 0; i < plan.points; ++i) {
      std::string path = "acme/berlin/";
      generator.append_path(path, i);
      ASSERT_TRUE(check_path(path)) << path;
      paths.insert(path);
    }
    EXPECT_EQ(paths.size(), plan.points);
  }
  std::string last;
  Generator({.points = 1'000'000, .shape = Shape::ramp}).append_path(last, 999'999);
  EXPECT_EQ(last, "area-1000/pump-0100/p1000000");
}

TEST(PumpStation, HasMixedTypesUnitsRangesAndEnums) {
  const auto metas = pump_metas();
  ASSERT_EQ(metas.size(), kPumpPoints);
  std::set<Type> types;
  for (const Meta& meta : metas) {
    types.insert(meta.type);
    EXPECT_FALSE(meta.description.empty());
  }
  EXPECT_GE(types.size(), 7u);
  EXPECT_EQ(metas[0].unit, "1/min");
  EXPECT_EQ(metas[9].enum_strings.size(), 4u);
}

TEST(PumpStation, AStoppedPumpHasNoFlow) {
  for (std::uint64_t change = 0; change < 1000; ++change) {
    if (pump_value(1, 5, 8, change).bits() == 0) {
      EXPECT_EQ(pump_value(1, 5, 1, change).float64(), 0.0);
    }
  }
}

using std::chrono::milliseconds;

TEST(Pacer, HoldsTheRateOverTime) {
  const MonotonicTime start{};
  Pacer pacer(10'000, start);
  std::uint64_t total = 0;
  for (int ms = 1; ms <= 2000; ++ms) {
    const auto due = pacer.due(start + milliseconds(ms));
    EXPECT_EQ(due, 10u);
    pacer.emitted(due);
    total += due;
  }
  EXPECT_EQ(total, 20'000u);
  EXPECT_EQ(pacer.skipped(), 0u);
}

TEST(Pacer, MakesUpForALateTick) {
  const MonotonicTime start{};
  Pacer pacer(1000, start);
  EXPECT_EQ(pacer.due(start + milliseconds(500)), 500u);
}

TEST(Pacer, SkipsAndCountsWhatIsMoreThanASecondLate) {
  const MonotonicTime start{};
  Pacer pacer(1000, start);
  EXPECT_EQ(pacer.due(start + std::chrono::hours(1)), 1u);
  EXPECT_EQ(pacer.skipped(), 3'599'999u);
  pacer.emitted(1);
  EXPECT_EQ(pacer.due(start + std::chrono::hours(1) + milliseconds(10)), 10u);
}

TEST(Pacer, SaysWhenTheNextChangeIsDue) {
  const MonotonicTime start{};
  Pacer slow(2, start);
  EXPECT_EQ(slow.next(), start + milliseconds(500));
  EXPECT_EQ(slow.due(slow.next()), 1u);
  Pacer odd(3, start);
  EXPECT_EQ(odd.due(odd.next()), 1u);
  EXPECT_EQ(odd.due(odd.next() - Duration(1)), 0u);
}

}  // namespace
}  // namespace sallyport::simulator
