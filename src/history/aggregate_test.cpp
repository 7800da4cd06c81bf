#include "history/aggregate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sallyport::history {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr Status kUncertain = 0x40000000, kBad = 0x80000000;
constexpr Status kCalculated = 0x401, kInterpolated = 0x402, kPartial = 0x404, kMulti = 0x410;
constexpr Status kSubNormal = 0x40A40000, kNoData = 0x809B0000;

struct Given {
  double seconds, value;
  Status status = 0;
};
// One interval's result: its time in seconds, status, and value (NaN: null).
struct Wanted {
  double seconds;
  Status status;
  double value;
};
constexpr double kNull = std::numeric_limits<double>::quiet_NaN();

std::vector<Sample> aggregate(Function function, const std::vector<Given>& given, double from, double to, double length,
                              AggregateOptions options = {}, double known_until = -1) {
  const auto at = [](double seconds) { return static_cast<std::int64_t>(seconds * 1e9); };
  Aggregation aggregation(function, {at(from), at(to), at(length)}, options);
  for (const Given& one : given) aggregation.add({at(one.seconds), one.status, Value::from(one.value)});
  const auto first = given.empty() ? std::optional<UtcNanoseconds>() : at(given.front().seconds);
  return aggregation.finish(first, known_until < 0 && !given.empty() ? at(given.back().seconds) : at(known_until));
}

void expect(const std::vector<Sample>& got, const std::vector<Wanted>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    SCOPED_TRACE("interval " + std::to_string(i));
    EXPECT_EQ(static_cast<double>(got[i].time) / 1e9, wanted[i].seconds);
    EXPECT_EQ(got[i].status, wanted[i].status) << std::hex << got[i].status;
    if (std::isnan(wanted[i].value)) {
      EXPECT_TRUE(got[i].value.is_null());
      continue;
    }
    double number = 0;
    ASSERT_TRUE(got[i].value.to_double(number));
    EXPECT_NEAR(number, wanted[i].value, 1e-9);
  }
}

// Every 10 s, all Good, one sample before and one after what is asked for.
const std::vector<Given> kSteady = {{0, 10}, {10, 20}, {20, 40}, {30, 10}, {40, 20}, {50, 30}, {60, 30}};
// The same with a Bad and an Uncertain one.
const std::vector<Given> kMixed = {{0, 10}, {10, 20}, {20, 99, kBad}, {30, 10}, {40, 5, kUncertain}, {50, 30}, {60, 30}};

TEST(Aggregate, AverageIsThatOfGoodValuesInTheInterval) {
  // [0,20): 10, 20; [20,40): 40, 10; [40,60): 20, 30. The value at 60 belongs to the next one.
  expect(aggregate(Function::average, kSteady, 0, 60, 20), {{0, kCalculated, 15}, {20, kCalculated, 25}, {40, kCalculated, 25}});
}
TEST(Aggregate, AverageLeavesOutWhatIsNotGoodAndIsThenUncertain) {
  // [20,40): Bad, 10 → 10, half of the values Good; [40,60): Uncertain counts as Bad.
  expect(aggregate(Function::average, kMixed, 0, 60, 20),
         {{0, kCalculated, 15}, {20, kSubNormal | kCalculated, 10}, {40, kSubNormal | kCalculated, 30}});
}
TEST(Aggregate, PercentDataGoodLetsAShareOfBadValuesPass) {
  expect(aggregate(Function::average, kMixed, 20, 40, 0, {.percent_data_good = 50}), {{20, kCalculated, 10}});
  expect(aggregate(Function::average, kMixed, 20, 40, 0, {.percent_data_bad = 50}), {{20, kBad | kCalculated, 10}});
}
TEST(Aggregate, UncertainValuesTakePartWhenTheyAreNotTreatedAsBad) {
  expect(aggregate(Function::average, kMixed, 40, 60, 0, {.treat_uncertain_as_bad = false}), {{40, kCalculated, 17.5}});
}
TEST(Aggregate, WithoutGoodValuesThereIsNoAverage) {
  expect(aggregate(Function::average, kMixed, 20, 30, 0), {{20, kNoData, kNull}});
  expect(aggregate(Function::average, kSteady, 11, 19, 0), {{11, kNoData, kNull}});
}
TEST(Aggregate, InterpolativeIsTheLineAtTheStartOfEachInterval) {
  // 5: half way from 10 to 20; 20: a raw value; 35: half way from 10 to 20.
  expect(aggregate(Function::interpolative, kSteady, 5, 50, 15),
         {{5, kInterpolated, 15}, {20, 0, 40}, {35, kInterpolated, 15}});
}
TEST(Aggregate, InterpolativeSkipsBadValuesAndIsThenUncertain) {
  // At 20 and 25 on the line from (10, 20) to (30, 10): 15 and 12.5.
  expect(aggregate(Function::interpolative, kMixed, 20, 30, 5),
         {{20, kSubNormal | kInterpolated, 15}, {25, kSubNormal | kInterpolated, 12.5}});
}
TEST(Aggregate, SteppedInterpolativeHoldsTheValueBefore) {
  expect(aggregate(Function::interpolative, kSteady, 5, 35, 15, {.stepped = true}), {{5, kInterpolated, 10}, {20, 0, 40}});
}
TEST(Aggregate, InterpolativeBeforeTheFirstValueIsBadAndAfterTheLastExtrapolated) {
  expect(aggregate(Function::interpolative, {{10, 1}, {20, 2}}, 0, 40, 10),
         {{0, kNoData, kNull}, {10, 0, 1}, {20, 0, 2}, {30, kSubNormal | kInterpolated, 2}});
  expect(aggregate(Function::interpolative, {{10, 1}, {20, 2}}, 30, 40, 0, {.use_sloped_extrapolation = true}),
         {{30, kSubNormal | kInterpolated, 3}});
}
TEST(Aggregate, AValueThatIsKnownToHoldIsNoExtrapolation) {
  expect(aggregate(Function::interpolative, {{10, 1}, {20, 2}}, 30, 40, 0, {}, 100), {{30, kInterpolated, 2}});
  expect(aggregate(Function::time_average, {{10, 1}, {20, 2}}, 30, 40, 0, {}, 100), {{30, kCalculated, 2}});
  expect(aggregate(Function::percent_good, {{10, 1}, {20, 2}}, 30, 40, 0, {}, 100), {{30, kCalculated, 100}});
}
TEST(Aggregate, TimeAverageIsTheAreaUnderTheLines) {
  // [0,20): 10..20 (150) and 20..40 (300) over 20 s; [20,40): 250 + 150; [40,60): 250 + 300.
  expect(aggregate(Function::time_average, kSteady, 0, 60, 20), {{0, kCalculated, 22.5}, {20, kCalculated, 20}, {40, kCalculated, 27.5}});
  expect(aggregate(Function::total, kSteady, 0, 60, 20), {{0, kCalculated, 450}, {20, kCalculated, 400}, {40, kCalculated, 550}});
  // Bounds between values: [5,15): 15..20 (87.5) and 20..30 (125).
  expect(aggregate(Function::time_average, kSteady, 5, 15, 0), {{5, kCalculated, 21.25}});
}
TEST(Aggregate, TimeAverageDrawsTheLineThroughBadValuesAndIsUncertain) {
  // From (10, 20) to (30, 10) past the Bad value: 350 / 20.
  expect(aggregate(Function::time_average, kMixed, 10, 30, 0), {{10, kSubNormal | kCalculated, 15}});
}
TEST(Aggregate, MinimumAndMaximumStandAtTheStartOfTheInterval) {
  // A minimum at the very start is the raw value.
  expect(aggregate(Function::minimum, kSteady, 0, 60, 20), {{0, 0, 10}, {20, kCalculated, 10}, {40, 0, 20}});
  expect(aggregate(Function::maximum, kSteady, 0, 60, 20), {{0, kCalculated, 20}, {20, 0, 40}, {40, kCalculated, 30}});
  expect(aggregate(Function::minimum_actual_time, kSteady, 0, 60, 20), {{0, 0, 10}, {30, 0, 10}, {40, 0, 20}});
}
TEST(Aggregate, SeveralEqualExtremesSetTheMultiValueBit) {
  expect(aggregate(Function::maximum, kSteady, 45, 65, 0), {{45, kCalculated | kMulti | kPartial, 30}});
  expect(aggregate(Function::maximum_actual_time, kSteady, 45, 65, 0), {{50, kMulti | kPartial, 30}});
}
TEST(Aggregate, MinimumIsUncertainWhenBadValuesWereLeftOut) {
  expect(aggregate(Function::minimum, kMixed, 20, 40, 0), {{20, kSubNormal | kCalculated, 10}});
  // An Uncertain value below the least Good one.
  expect(aggregate(Function::minimum, kMixed, 40, 60, 0, {.treat_uncertain_as_bad = false}), {{40, kSubNormal | kCalculated, 30}});
}
TEST(Aggregate, RangeCountAndDelta) {
  expect(aggregate(Function::range, kSteady, 0, 60, 30), {{0, kCalculated, 30}, {30, kCalculated, 20}});
  expect(aggregate(Function::count, kSteady, 0, 60, 30), {{0, kCalculated, 3}, {30, kCalculated, 3}});
  expect(aggregate(Function::delta, kSteady, 0, 60, 30), {{0, kCalculated, 30}, {30, kCalculated, 20}});
  expect(aggregate(Function::count, kMixed, 0, 60, 30), {{0, kSubNormal | kCalculated, 2}, {30, kSubNormal | kCalculated, 2}});
  expect(aggregate(Function::count, kMixed, 20, 25, 0), {{20, kBad | kCalculated, 0}});
  // A Bad value between the first and the last Good one was not skipped while looking for either.
  expect(aggregate(Function::delta, kMixed, 10, 35, 0), {{10, kCalculated, -10}});
  expect(aggregate(Function::delta, kMixed, 20, 55, 0), {{20, kSubNormal | kCalculated, 20}});
}
TEST(Aggregate, StartAndEndAreRawValuesAtTheirOwnTime) {
  expect(aggregate(Function::start, kMixed, 15, 45, 0), {{20, kBad, 99}});
  expect(aggregate(Function::end, kMixed, 15, 45, 0), {{40, kUncertain, 5}});
  expect(aggregate(Function::start, kMixed, 11, 19, 0), {{11, kNoData, kNull}});
}
TEST(Aggregate, DurationsAreThoseOfTheRegionsThatEachValueOpens) {
  // Bad from 20 to 30 and (Uncertain as Bad) from 40 to 50.
  expect(aggregate(Function::duration_good, kMixed, 5, 55, 0), {{5, kCalculated, 30'000}});
  expect(aggregate(Function::duration_bad, kMixed, 5, 55, 0), {{5, kCalculated, 20'000}});
  expect(aggregate(Function::percent_good, kMixed, 5, 55, 0), {{5, kCalculated, 60}});
  expect(aggregate(Function::percent_bad, kMixed, 5, 55, 0), {{5, kCalculated, 40}});
  expect(aggregate(Function::percent_good, kMixed, 15, 25, 0), {{15, kCalculated, 50}});
}
TEST(Aggregate, WorstQualityIsTheFirstOfTheWorst) {
  const std::vector<Given> given = {{0, 1}, {1, 1, 0x80310000}, {2, 1, kUncertain}, {3, 1, 0x808A0000}, {9, 1}};
  const auto worst = aggregate(Function::worst_quality, given, 0, 5, 0);
  ASSERT_EQ(worst.size(), 1u);
  EXPECT_EQ(worst[0].value, Value::status_code(0x80310000));
  EXPECT_EQ(worst[0].status, kCalculated | kMulti);
}
TEST(Aggregate, StandardDeviations) {
  // 2, 4, 4, 4, 5, 5, 7, 9: mean 5, squares 32.
  const std::vector<Given> given = {{0, 2}, {1, 4}, {2, 4}, {3, 4}, {4, 5}, {5, 5}, {6, 7}, {7, 9}, {10, 0}};
  expect(aggregate(Function::standard_deviation_population, given, 0, 8, 0), {{0, kCalculated, 2}});
  expect(aggregate(Function::variance_population, given, 0, 8, 0), {{0, kCalculated, 4}});
  expect(aggregate(Function::variance_sample, given, 0, 8, 0), {{0, kCalculated, 32.0 / 7}});
  expect(aggregate(Function::standard_deviation_sample, given, 0, 8, 0), {{0, kCalculated, std::sqrt(32.0 / 7)}});
  expect(aggregate(Function::standard_deviation_sample, given, 7, 8, 0), {{7, kCalculated, 0}});
}
TEST(Aggregate, PartialWhereDataBeginOrEndInsideOrTheLastIntervalIsShort) {
  const std::vector<Given> given = {{10, 1}, {20, 1}, {30, 1}, {40, 1}};
  // Data from 10 to 40: [0,15) begins before them, [15,30) is whole, [30,45) ends after them, [45,60) lies behind them.
  expect(aggregate(Function::count, given, 0, 60, 15),
         {{0, kCalculated | kPartial, 1}, {15, kCalculated, 1}, {30, kCalculated | kPartial, 2}, {45, kNoData, kNull}});
  // 25 s in intervals of 10: the last is half.
  expect(aggregate(Function::count, given, 10, 35, 10), {{10, kCalculated, 1}, {20, kCalculated, 1}, {30, kCalculated | kPartial, 1}});
  expect(aggregate(Function::count, given, 0, 5, 0), {{0, kNoData, kNull}});
}
TEST(Aggregate, OfWhatIsNoNumberSaysSo) {
  Aggregation aggregation(Function::average, {0, kSecond, 0}, {});
  aggregation.add({0, 0, Value::text("on")});
  const auto results = aggregation.finish(0, kSecond);
  EXPECT_EQ(results[0].status, 0x80D60000u);
  Aggregation first(Function::start, {0, kSecond, 0}, {});
  first.add({0, 0, Value::text("on")});
  EXPECT_EQ(first.finish(0, kSecond)[0].value, Value::text("on"));
}
TEST(Aggregate, KeepsTheTypeOfItsSource) {
  Aggregation aggregation(Function::delta, {0, 10, 0}, {});
  aggregation.add({0, 0, Value::from(std::int16_t{5})});
  aggregation.add({5, 0, Value::from(std::int16_t{2})});
  EXPECT_EQ(aggregation.finish(0, 10)[0].value, Value::from(std::int16_t{-3}));
}
TEST(Aggregate, EachNameIsReadBack) {
  for (int i = 0; i <= static_cast<int>(Function::variance_population); ++i) {
    const auto function = static_cast<Function>(i);
    EXPECT_EQ(parse_function(to_string(function)).value(), function) << to_string(function);
  }
  EXPECT_EQ(parse_function("timeaverage").value(), Function::time_average);
  EXPECT_NE(parse_function("Median").error().message.find("Average"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::history
