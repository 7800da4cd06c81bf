#include "sinks/recorder/tally.h"

#include <gtest/gtest.h>

#include <random>

namespace sallyport::recorder {
namespace {

Update update(PointId point, Value value, UtcNanoseconds source_time, UpdateKind kind = UpdateKind::value) {
  Update u;
  u.point = point;
  u.kind = kind;
  u.source_time = source_time;
  u.value = std::move(value);
  return u;
}
template <typename... Updates>
void take(Tally& tally, UtcNanoseconds now, Updates&&... updates) {
  Batch batch;
  (batch.updates.push_back(std::forward<Updates>(updates)), ...);
  tally.take(batch, now);
}

TEST(Histogram, EachDurationFallsIntoABucketLessThanOneIn64AboveIt) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t value = random() >> (25 + random() % 38);
    const std::uint64_t shown = Histogram::highest_of(Histogram::bucket_of(value));
    if (value >> 40 != 0) continue;
    ASSERT_GE(shown, value);
    ASSERT_LE(shown - value, value / 64);
  }
}

TEST(Histogram, BucketsFollowEachOtherWithoutGap) {
  for (std::size_t i = 0; i + 1 < Histogram::kBuckets; ++i) {
    ASSERT_EQ(Histogram::bucket_of(Histogram::highest_of(i)), i);
    ASSERT_EQ(Histogram::bucket_of(Histogram::highest_of(i) + 1), i + 1);
  }
  EXPECT_EQ(Histogram::bucket_of(~std::uint64_t{0}), Histogram::kBuckets - 1);
}

TEST(Histogram, QuantilesAreThoseOfTheValues) {
  Histogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0u);
  for (std::uint64_t i = 1; i <= 100; ++i) histogram.add(i);
  EXPECT_EQ(histogram.quantile(0.5), 50u);
  EXPECT_EQ(histogram.quantile(0.99), 99u);
  EXPECT_EQ(histogram.quantile(1), 100u);
  EXPECT_EQ(histogram.quantile(0), 1u);
}

TEST(Histogram, TheDifferenceOfTwoIsWhatCameBetween) {
  Histogram before;
  before.add(10);
  Histogram after = before;
  after.add(20);
  const Histogram between = after.since(before);
  EXPECT_EQ(between.count(), 1u);
  EXPECT_EQ(between.quantile(0.5), 20u);
}

TEST(Tally, CountsChangesAndTheirLatency) {
  Tally tally(Check::ramp, Type::float64);
  take(tally, 100, update(3, Value::from(0.0), 90, UpdateKind::defined));
  take(tally, 200, update(3, Value::from(1.0), 150), update(4, Value::from(1.0), 170));
  const Totals& totals = tally.totals();
  EXPECT_EQ(totals.definitions, 1u);
  EXPECT_EQ(totals.changes, 2u);
  EXPECT_EQ(totals.points, 2u);
  EXPECT_EQ(totals.pulls, 2u);
  EXPECT_EQ(totals.wrong + totals.backwards + totals.not_good + totals.future, 0u);
  EXPECT_EQ(totals.latency.count(), 2u);
  EXPECT_EQ(totals.latency.quantile(1), 50u);
  EXPECT_EQ(totals.first, 200);
  EXPECT_EQ(totals.last, 200);
}

TEST(Tally, ASteppedBackValueOrTimeIsBackwards) {
  Tally tally(Check::ramp, Type::float64);
  take(tally, 100, update(0, Value::from(5.0), 50));
  take(tally, 101, update(0, Value::from(5.0), 50));
  EXPECT_EQ(tally.totals().backwards, 0u);
  take(tally, 102, update(0, Value::from(4.0), 51));
  EXPECT_EQ(tally.totals().backwards, 1u);
  take(tally, 103, update(0, Value::from(6.0), 49));
  EXPECT_EQ(tally.totals().backwards, 2u);
}

TEST(Tally, OnlyALaterSourceTimeIsNews) {
  Tally tally(Check::ramp, Type::float64);
  take(tally, 100, update(0, Value::from(0.0), 40, UpdateKind::defined));
  EXPECT_EQ(tally.totals().last_definition, 100);
  take(tally, 101, update(0, Value::from(1.0), 50));
  take(tally, 102, update(0, Value::from(1.0), 50));
  EXPECT_EQ(tally.totals().last_news, 101);
  EXPECT_EQ(tally.totals().last, 102);
  EXPECT_EQ(tally.totals().last_definition, 100);
}

TEST(Tally, WhatNoRampCanHaveIsWrong) {
  for (const Value& value : {Value::from(1.5), Value::from(-1.0), Value::from(1e300), Value::from(std::int32_t{1}),
                             Value::text("1"), Value(), Value::from(std::numeric_limits<double>::quiet_NaN())}) {
    Tally tally(Check::ramp, Type::float64);
    take(tally, 100, update(0, value, 50));
    EXPECT_EQ(tally.totals().wrong, 1u);
    EXPECT_EQ(tally.totals().changes, 1u);
  }
}

TEST(Tally, EachTypeOfRampIsRead) {
  const auto check = [](Type type, const Value& low, const Value& high) {
    Tally tally(Check::ramp, type);
    take(tally, 100, update(0, low, 50), update(0, high, 50));
    EXPECT_EQ(tally.totals().wrong + tally.totals().backwards, 0u) << to_string(type);
    take(tally, 100, update(0, low, 50));
    EXPECT_EQ(tally.totals().backwards, type == Type::boolean ? 0u : 1u) << to_string(type);
  };
  check(Type::float32, Value::from(1.0f), Value::from(2.0f));
  check(Type::string, Value::text("9"), Value::text("10"));
  check(Type::byte, Value::from(std::uint8_t{255}), Value::from(std::uint8_t{0}));  // wraps
  check(Type::int16, Value::from(std::int16_t{32767}), Value::from(std::int16_t{-32768}));
  check(Type::uint64, Value::from(std::uint64_t{1}), Value::from(std::uint64_t{2}));
  check(Type::boolean, Value::from(false), Value::from(true));
}

TEST(Tally, ABreakOnThePathIsNotGoodAndABadStatusWithoutOneIsWrong) {
  Tally tally(Check::ramp, Type::float64);
  Update covered = update(0, Value::from(1.0), 50);
  covered.covered = true;
  covered.status = status::kBadNoCommunication;
  Update bad = update(0, Value::from(2.0), 51);
  bad.status = status::kBad;
  take(tally, 100, covered, bad);
  EXPECT_EQ(tally.totals().not_good, 1u);
  EXPECT_EQ(tally.totals().wrong, 1u);
  EXPECT_EQ(tally.totals().latency.count(), 0u);
}

TEST(Tally, WithCheckTimeAnyValueIsRight) {
  Tally tally(Check::time, Type::float64);
  take(tally, 100, update(0, Value::text("x"), 50), update(0, Value(), 51), update(0, Value::from(true), 40));
  EXPECT_EQ(tally.totals().wrong, 0u);
  EXPECT_EQ(tally.totals().backwards, 1u);
}

TEST(Tally, ARemovedPointBeginsAnew) {
  Tally tally(Check::ramp, Type::float64);
  take(tally, 100, update(0, Value::from(5.0), 50), update(0, Value(), 0, UpdateKind::removed));
  take(tally, 101, update(0, Value::from(0.0), 10, UpdateKind::defined), update(0, Value::from(1.0), 11));
  EXPECT_EQ(tally.totals().removals, 1u);
  EXPECT_EQ(tally.totals().backwards, 0u);
}

TEST(Tally, SaysHowOldTheValuesAreNow) {
  Tally tally(Check::ramp, Type::float64);
  take(tally, 100, update(0, Value::from(1.0), 10), update(9, Value::from(1.0), 90));
  const Ages ages = tally.ages(110);
  EXPECT_EQ(ages.max, 100u);
  EXPECT_EQ(ages.p50, 20u);
  EXPECT_DOUBLE_EQ(ages.mean, 60);
}

}  // namespace
}  // namespace sallyport::recorder
