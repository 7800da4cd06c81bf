#include "history/query.h"

#include <gtest/gtest.h>

namespace sallyport::history {
namespace {

constexpr UtcNanoseconds kNow = 1'800'000'000'000'000'000;
constexpr std::int64_t kSecond = 1'000'000'000;

TEST(HistoryQuery, ReadsTimesThatPeopleWrite) {
  EXPECT_EQ(parse_time("now", kNow).value(), kNow);
  EXPECT_EQ(parse_time("-90s", kNow).value(), kNow - 90 * kSecond);
  EXPECT_EQ(parse_time("now-1h", kNow).value(), kNow - 3600 * kSecond);
  EXPECT_EQ(parse_time("+1d", kNow).value(), kNow + 86400 * kSecond);
  EXPECT_EQ(parse_time("1970-01-02", kNow).value(), 86400 * kSecond);
  EXPECT_EQ(parse_time("1970-01-01T00:00:01.5Z", kNow).value(), 1'500'000'000);
  for (const char* wrong : {"", "yesterday", "-", "-1", "now-", "2026-13-01", "2026-1-1", "1h", "nowhere"}) {
    EXPECT_FALSE(parse_time(wrong, kNow)) << wrong;
  }
}

TEST(HistoryQuery, TakesTheLastHourWhenNoTimeIsGiven) {
  const auto query = parse_query({{"match", "acme/**"}}, kNow);
  ASSERT_TRUE(query) << query.error().message;
  EXPECT_EQ(query->to, kNow);
  EXPECT_EQ(query->from, kNow - 3600 * kSecond);
  EXPECT_EQ(query->limit, kDefaultLimit);
}

TEST(HistoryQuery, SaysWhatIsWrong) {
  const std::pair<Parameters, const char*> table[] = {
      {{}, "match is missing"},
      {{{"match", "!a"}}, "only excludes"},
      {{{"match", "a//b"}}, "match"},
      {{{"path", "a/*"}}, "is a pattern"},
      {{{"match", "a"}, {"from", "tomorrow"}}, "from: 'tomorrow' is no time"},
      {{{"match", "a"}, {"from", "now"}, {"to", "-1h"}}, "later"},
      {{{"match", "a"}, {"limit", "0"}}, "limit: '0'"},
      {{{"match", "a"}, {"limit", "10001"}}, "1 to 10000"},
      {{{"match", "a"}, {"limit", "ten"}}, "'ten'"},
      {{{"match", "a"}, {"cursor", "7"}}, "is no cursor"},
      {{{"match", "a"}, {"cursor", "0.0.0"}}, "is no cursor"},
      {{{"match", "a"}, {"order", "up"}}, "newest"},
      {{{"match", "a"}, {"aggregate", "Mean"}}, "known: Interpolative"},
      {{{"match", "a"}, {"interval", "1m"}}, "goes with aggregate"},
      {{{"match", "a"}, {"aggregate", "Average"}, {"interval", "0s"}}, "interval: '0s'"},
      {{{"match", "a"}, {"aggregate", "Average"}, {"from", "-30d"}, {"interval", "1ms"}}, "intervals"},
      {{{"match", "a"}, {"aggregate", "Average"}, {"order", "newest"}}, "oldest first"},
      {{{"match", "a"}, {"at", "now"}, {"from", "-1h"}}, "leave out from"},
      {{{"match", "a"}, {"max_age", "1h"}}, "goes with at"},
      {{{"match", "a"}, {"at", "now"}, {"max_age", "old"}}, "max_age: 'old'"},
      {{{"match", "a"}, {"colour", "red"}}, "unknown parameter 'colour'"},
  };
  for (const auto& [parameters, part] : table) {
    const auto query = parse_query(parameters, kNow);
    ASSERT_FALSE(query) << part;
    EXPECT_EQ(query.error().code, ErrorCode::invalid);
    EXPECT_NE(query.error().message.find(part), std::string::npos) << query.error().message << " | " << part;
  }
}

TEST(HistoryQuery, CursorsAreReadBack) {
  const Cursor cursor{7, -5, 3};
  const auto back = parse_cursor(to_text(cursor));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->point, 7);
  EXPECT_EQ(back->time, -5);
  EXPECT_EQ(back->seq, 3);
}

}  // namespace
}  // namespace sallyport::history
