#include "sinks/postgres/copy_rows.h"

#include <gtest/gtest.h>

namespace sallyport::postgres {
namespace {

TEST(CopyRows, TimesAreSplitIntoMicrosecondsAndTheRest) {
  struct Case {
    UtcNanoseconds time;
    std::int64_t microseconds;
    int nanoseconds;
  };
  for (const Case& c : {Case{946'684'800'000'000'000, 0, 0}, Case{946'684'800'000'001'999, 1, 999}, Case{0, -946'684'800'000'000, 0},
                        Case{-1, -946'684'800'000'001, 999}, Case{INT64_MIN, -9'223'372'036'854'776 - 946'684'800'000'000, 192}}) {
    const ServerTime time = to_server_time(c.time);
    EXPECT_EQ(time.microseconds, c.microseconds) << c.time;
    EXPECT_EQ(time.nanoseconds, c.nanoseconds) << c.time;
    EXPECT_GE(time.nanoseconds, 0);
  }
}

TEST(CopyRows, ARowHasTheBytesOfTheFormat) {
  CopyRows copy;
  copy.begin();
  copy.add({.point = 7, .status = 0x80050000, .source_time = 1, .time = 946'684'800'000'001'002, .every = true, .backfill = true, .sequence = 5, .value = Value::from(1.0)}, 9, 3);
  copy.end();
  const std::string expected =
      std::string("PGCOPY\n\377\r\n\0", 11) + std::string(8, '\0') + std::string("\0\x0B", 2) +
      std::string("\0\0\0\x08\0\0\0\0\0\0\0\x01", 12) +              // time
      std::string("\0\0\0\x08\0\0\0\0\0\0\0\x05", 12) +              // sequence
      std::string("\0\0\0\x08\x3F\xF0\0\0\0\0\0\0", 12) +            // number
      std::string("\0\0\0\x08\0\0\0\0\x80\x05\0\0", 12) +            // status
      std::string("\0\0\0\x04\0\0\0\x09", 8) +                       // point
      std::string("\0\0\0\x04\0\0\0\x03", 8) +                       // stream
      std::string("\0\0\0\x02\0\x02", 6) +                           // ns
      std::string("\0\0\0\x02\0\x0B", 6) +                           // type
      std::string("\0\0\0\x01\x01", 5) +                             // backfill
      std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8) +           // text, json
      std::string("\xFF\xFF", 2);
  EXPECT_EQ(copy.bytes(), expected);
}

TEST(CopyRows, ATextWithANulIsKnownNeverToFit) {
  EXPECT_EQ(never_fits(Value::text("plain")), "");
  EXPECT_EQ(never_fits(Value::from(1.0)), "");
  EXPECT_NE(never_fits(Value::text(std::string_view("a\0b", 3))), "");
}

}  // namespace
}  // namespace sallyport::postgres
