#include "base/clock.h"

#include <gtest/gtest.h>

#include <limits>

namespace sallyport {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(Clock, WritesUtcWithNineDigits) {
  EXPECT_EQ(format_utc(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(format_utc(1'795'401'617 * kSecond + 123456789), "2026-11-23T02:40:17.123456789Z");
  EXPECT_EQ(format_utc(951'782'400 * kSecond), "2000-02-29T00:00:00.000000000Z");
}

TEST(Clock, WritesTimesBefore1970) {
  EXPECT_EQ(format_utc(-1), "1969-12-31T23:59:59.999999999Z");
  EXPECT_EQ(format_utc(-kSecond), "1969-12-31T23:59:59.000000000Z");
  EXPECT_EQ(format_utc(-86'400 * kSecond), "1969-12-31T00:00:00.000000000Z");
}

TEST(Clock, WritesTheFirstAndTheLastTimeThatFits) {
  EXPECT_EQ(format_utc(std::numeric_limits<std::int64_t>::min()), "1677-09-21T00:12:43.145224192Z");
  EXPECT_EQ(format_utc(std::numeric_limits<std::int64_t>::max()), "2262-04-11T23:47:16.854775807Z");
}

TEST(Clock, ReadsBackWhatItWrites) {
  for (const std::int64_t time : {std::int64_t{0}, std::int64_t{-1}, 1'795'401'617 * kSecond + 1, -9'000'000'000 * kSecond}) {
    EXPECT_EQ(parse_utc(format_utc(time)), time);
  }
}

TEST(Clock, ReadsZeroToNineFractionDigits) {
  EXPECT_EQ(*parse_utc("1970-01-01T00:00:01Z"), kSecond);
  EXPECT_EQ(*parse_utc("1970-01-01T00:00:01.5Z"), kSecond * 3 / 2);
  EXPECT_EQ(*parse_utc("1970-01-01T00:00:01.000000001Z"), kSecond + 1);
}

TEST(Clock, RefusesWhatIsNoUtcTime) {
  for (const std::string_view text :
       {"", "Z", "now", "2026-11-23", "2026-11-23T02:40:17", "2026-11-23 02:40:17Z", "2026-11-23T02:40:17+01:00",
        "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T02:60:00Z", "2026-11-23T02:40:60Z",
        "2026-11-23T02:40:17.Z", "2026-11-23T02:40:17.1234567890Z", "2026-11-23T02:40:17.12x4Z", "2026-11-23T02:40:17,5Z",
        "1600-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "-026-11-23T02:40:17Z", "20x6-11-23T02:40:17Z"}) {
    EXPECT_FALSE(parse_utc(text)) << text;
  }
}

TEST(Clock, TheSystemClockNeverStepsBackMonotonically) {
  const SystemClock clock;
  const auto before = clock.monotonic();
  EXPECT_GE(clock.monotonic(), before);
  EXPECT_GT(clock.utc(), *parse_utc("2024-01-01T00:00:00Z"));
}

TEST(Clock, AManualClockMovesWhenToldTo) {
  ManualClock clock;
  const auto before = clock.monotonic();
  const auto utc = clock.utc();
  clock.advance(std::chrono::seconds(3));
  EXPECT_EQ(clock.monotonic() - before, std::chrono::seconds(3));
  EXPECT_EQ(clock.utc() - utc, 3 * kSecond);
}

}  // namespace
}  // namespace sallyport
