#include "history/store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <limits>

#include "history/reader.h"
#include "history/retention.h"
#include "history/schema.h"

namespace sallyport::history {
namespace {

namespace fs = std::filesystem;
constexpr std::int64_t kSecond = 1'000'000'000;

class HistoryStore : public testing::Test {
 protected:
  HistoryStore() {
    std::string name = (fs::temp_directory_path() / "history-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ + "/history.db";
  }
  ~HistoryStore() override {
    fs::permissions(folder_, fs::perms::owner_all);
    fs::remove_all(folder_);
  }

  std::unique_ptr<Store> open() {
    auto store = Store::open({path_, true});
    EXPECT_TRUE(store) << store.error().message;
    return store ? *std::move(store) : nullptr;
  }
  std::uint32_t point(const std::string& path, Type type = Type::float64, bool every = false) {
    FeedPoint made{path, {}, "plant-1"};
    made.meta.type = type;
    made.meta.every = every;
    points_.push_back(made);
    return static_cast<std::uint32_t>(points_.size() - 1);
  }
  RowNames names() {
    return {[this](std::uint32_t id) -> const FeedPoint& { return points_[id]; },
            [this](std::uint32_t id) -> const std::string& { return streams_[id]; }};
  }
  void write(Store& store, std::vector<Row> rows, Progress progress = {}) {
    StoreBatch batch;
    batch.rows = std::move(rows);
    batch.progress = std::move(progress);
    const auto written = store.write(batch, names());
    ASSERT_TRUE(written) << written.error().message;
  }
  Row latest(std::uint32_t id, UtcNanoseconds time, Value value, Status status = 0) {
    return {.point = id, .status = status, .source_time = time, .value = std::move(value)};
  }
  Row every(std::uint32_t id, UtcNanoseconds time, std::uint64_t sequence, double value, std::uint32_t stream = 0) {
    return {.point = id, .source_time = time, .every = true, .sequence = sequence, .stream = stream, .value = Value::from(value)};
  }
  Answer ask(Parameters parameters) {
    auto query = parse_query(parameters, 1000 * kSecond);
    EXPECT_TRUE(query) << query.error().message;
    auto reader = HistoryReader::open(path_);
    EXPECT_TRUE(reader) << reader.error().message;
    auto answer = (*reader)->read(*query);
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? *answer : Answer{};
  }
  // All the pages.
  std::string all(Parameters parameters, std::size_t* pages = nullptr) {
    std::string text;
    for (;;) {
      const Answer answer = ask(parameters);
      text += answer.samples;
      if (pages != nullptr) ++*pages;
      if (!answer.cursor) return text;
      std::erase_if(parameters, [](const auto& pair) { return pair.first == "cursor"; });
      parameters.emplace_back("cursor", *answer.cursor);
    }
  }
  static std::size_t lines(const std::string& text) { return static_cast<std::size_t>(std::ranges::count(text, '\n')); }

  std::string folder_, path_;
  std::deque<FeedPoint> points_;
  std::vector<std::string> streams_ = {"plant-1/0001", "plant-1/0002"};
};

const Parameters kEverything = {{"match", "**"}, {"from", "1970-01-01"}, {"to", "now"}};

TEST_F(HistoryStore, KeepsEachTypeOfValue) {
  const Value values[] = {Value(),
                          Value::from(true),
                          Value::from(std::int8_t{-3}),
                          Value::from(std::uint16_t{65535}),
                          Value::from(std::int64_t{INT64_MIN}),
                          Value::from(std::uint64_t{UINT64_MAX}),
                          Value::from(1.5f),
                          Value::from(0.1),
                          Value::from(4.0),
                          Value::from(std::numeric_limits<double>::quiet_NaN()),
                          Value::from(-std::numeric_limits<double>::infinity()),
                          Value::text("grün\nrot"),
                          Value::text(""),
                          Value::date_time(133'000'000'000'000'000),
                          Value::status_code(0x80310000)};
  const auto store = open();
  for (const Value& value : values) {
    for (const Type type : {value.type(), Type::string, Type::float64, Type::int32}) {  // also where another was declared
      const auto id = point("p" + std::to_string(points_.size()), type);
      write(*store, {latest(id, kSecond, value)});
      const auto last = store->last(points_[id].path);
      ASSERT_TRUE(last && *last) << to_string(value.type());
      EXPECT_EQ((*last)->value, value) << to_string(value.type()) << " as " << to_string(type);
    }
  }
}

TEST_F(HistoryStore, OfLatestPointsTheNewerReplacesWhatHasTheSameTime) {
  const auto store = open();
  const auto id = point("a");
  write(*store, {latest(id, kSecond, Value::from(1.0)), latest(id, kSecond, Value::from(2.0)), latest(id, 2 * kSecond, Value::from(3.0))});
  const auto text = all(kEverything);
  EXPECT_EQ(lines(text), 2u) << text;
  EXPECT_EQ(text.find("\"value\":1,"), std::string::npos) << text;
}

TEST_F(HistoryStore, OfEveryPointsEachIsKeptOnceAlsoWithOneTimeAndWhenItComesAgain) {
  auto store = open();
  const auto id = point("a", Type::float64, true);
  write(*store, {every(id, kSecond, 1, 10), every(id, kSecond, 2, 11), every(id, kSecond, 3, 12)}, {"j", 3, 5});
  write(*store, {every(id, kSecond, 2, 11), every(id, 2 * kSecond, 4, 13)}, {"j", 4, 6});
  store = open();  // what is known of streams is in the file
  EXPECT_EQ(store->progress(), (Progress{"j", 4, 6}));
  write(*store, {every(id, kSecond, 3, 12), every(id, 2 * kSecond, 4, 13), every(id, kSecond, 1, 14, 1)}, {"k", 1, 7});
  EXPECT_EQ(store->repeats(), 2u);
  EXPECT_EQ(lines(all(kEverything)), 5u);
}

TEST_F(HistoryStore, PagesLeadThroughAllSamplesInBothDirections) {
  const auto store = open();
  for (const char* path : {"acme/b", "acme/a", "acme/c/d", "other"}) {
    const auto id = point(path, Type::float64, true);
    std::vector<Row> rows;
    for (int i = 0; i < 10; ++i) rows.push_back(every(id, (10 + i / 2) * kSecond, 100 * id + static_cast<unsigned>(i) + 1, i));
    write(*store, rows);
  }
  Parameters question = {{"match", "acme/**"}, {"from", "1970-01-01"}, {"to", "now"}, {"limit", "7"}};
  std::size_t pages = 0;
  const auto oldest = all(question, &pages);
  EXPECT_EQ(lines(oldest), 30u);
  EXPECT_EQ(pages, 5u);
  question.emplace_back("order", "newest");
  EXPECT_EQ(lines(all(question)), 30u);
  question[3].second = "10000";
  question.pop_back();
  EXPECT_EQ(all(question), oldest);
  EXPECT_LT(oldest.find("acme/a"), oldest.find("acme/b"));
}

TEST_F(HistoryStore, AggregatesInPagesAreThoseInOne) {
  const auto store = open();
  const auto id = point("a");
  std::vector<Row> rows;
  for (int i = 0; i < 100; ++i) rows.push_back(latest(id, i * kSecond, Value::from(i * 1.0)));
  write(*store, rows, {"", 0, 100 * kSecond});
  Parameters question = {{"match", "**"}, {"from", "1970-01-01"}, {"to", "1970-01-01T00:01:35Z"}, {"aggregate", "TimeAverage"}, {"interval", "10s"}};
  const auto whole = all(question);
  EXPECT_EQ(lines(whole), 10u);
  EXPECT_NE(whole.find("\"value\":4.999"), whole.find("\"value\":5,")) << whole;
  EXPECT_NE(whole.find("0x00000405"), std::string::npos) << whole;  // the last is shorter: partial
  question.emplace_back("limit", "3");
  EXPECT_EQ(all(question), whole);
}

TEST_F(HistoryStore, AsOfJoinsTakeTheLastValueAtOrBefore) {
  const auto store = open();
  const auto a = point("a"), b = point("b");
  write(*store, {latest(a, 10 * kSecond, Value::from(1.0)), latest(a, 20 * kSecond, Value::from(2.0)), latest(b, 5 * kSecond, Value::from(7.0))});
  const auto row = ask({{"match", "**"}, {"at", "1970-01-01T00:00:20Z"}, {"at", "1970-01-01T00:00:19.999Z"}, {"max_age", "12s"}});
  ASSERT_EQ(row.count, 2u);
  const auto second = row.samples.substr(row.samples.find('\n'));
  EXPECT_NE(row.samples.find(R"("path":"a","value":1,)"), std::string::npos) << row.samples;
  EXPECT_NE(second.find(R"("path":"a","value":2,)"), std::string::npos) << row.samples;
  EXPECT_NE(second.find(R"("path":"b","value":null)"), std::string::npos) << row.samples;  // 15 s old
  EXPECT_NE(second.find("BadNoData"), std::string::npos) << row.samples;
}

TEST_F(HistoryStore, GapsThatOverlapComeWithTheAnswer) {
  const auto store = open();
  const auto id = point("acme/a");
  StoreBatch batch;
  batch.rows = {latest(id, 100 * kSecond, Value::from(1.0))};
  const auto gap = [](std::int64_t start, std::int64_t end, const char* match) {
    return Gap{.node = "plant-1", .where = "line1", .cause = GapCause::overflow, .start = start * kSecond, .end = end * kSecond, .match = {match}};
  };
  batch.gaps = {gap(1, 2, "acme/**"), gap(95, 105, "acme/**"), gap(96, 105, "else/**"), gap(97, 0, "acme/a")};
  ASSERT_TRUE(store->write(batch, names()));
  batch.gaps = {gap(97, 99, "acme/a")};  // the one that lasted has ended
  ASSERT_TRUE(store->write(batch, names()));
  const auto answer = ask({{"match", "acme/**"}, {"from", "1970-01-01T00:01:36Z"}, {"to", "1970-01-01T00:02:00Z"}});
  EXPECT_EQ(lines(answer.gaps), 2u) << answer.gaps;
  EXPECT_NE(answer.gaps.find("\"cause\":\"overflow\""), std::string::npos);
}

TEST_F(HistoryStore, AValueThatCannotBeReadDoesNotHideTheOthers) {
  const auto store = open();
  const auto id = point("a");
  write(*store, {latest(id, kSecond, Value::from(1.0)), latest(id, 2 * kSecond, Value::from(2.0)), latest(id, 3 * kSecond, Value::from(3.0))});
  for (const char* bytes : {"x''", "x'ff'", "x'0b00'", "x'8bffffffff'", "'text'"}) {
    ASSERT_TRUE(store->database().execute(("UPDATE samples SET value = " + std::string(bytes) + " WHERE time = 2000000000").c_str()));
    const auto text = all(kEverything);
    EXPECT_EQ(lines(text), 3u) << bytes;
    EXPECT_TRUE(text.find("BadDecodingError") != text.npos || text.find("text") != text.npos) << text;
    EXPECT_EQ(ask({{"match", "**"}, {"from", "1970-01-01"}, {"to", "now"}, {"aggregate", "Maximum"}}).count, 1u);
  }
}

TEST_F(HistoryStore, BringsAFileOfTheFirstVersionUpToDate) {
  {
    auto database = Database::open(path_, Database::Mode::write);
    ASSERT_TRUE(database);
    ASSERT_TRUE(migrate(*database, 1));
    ASSERT_TRUE(database->execute("INSERT INTO points VALUES (1, 'old/a', 11, 'bar', 'plant-1');"
                                  "INSERT INTO samples VALUES (1, 5000000000, 0, 0, 2.5);"
                                  "INSERT INTO state VALUES ('journal', 'abc'), ('position', 7)"));
    EXPECT_EQ(*database->number("PRAGMA user_version"), 1);
  }
  EXPECT_EQ(HistoryReader::open(path_).error().code, ErrorCode::unavailable);
  const auto store = open();
  EXPECT_EQ(*store->database().number("PRAGMA user_version"), kSchemaVersion);
  EXPECT_EQ(store->progress(), (Progress{"abc", 7, 0}));
  const auto id = point("old/a", Type::float64, true);
  write(*store, {every(id, 6 * kSecond, 1, 3.5)});
  EXPECT_EQ(lines(all(kEverything)), 2u);
}

TEST_F(HistoryStore, RefusesWhatItDoesNotKnow) {
  {
    auto other = Database::open(path_, Database::Mode::write);
    ASSERT_TRUE(other && other->execute("CREATE TABLE customers (name TEXT)"));
  }
  const auto foreign = Store::open({path_, true});
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, ErrorCode::invalid);
  EXPECT_NE(foreign.error().message.find("no history of sallyport"), std::string::npos) << foreign.error().message;

  path_ = folder_ + "/newer.db";
  open()->database().execute("PRAGMA user_version = 99").value();
  const auto newer = Store::open({path_, true});
  ASSERT_FALSE(newer);
  EXPECT_NE(newer.error().message.find("newer sallyport (format 99"), std::string::npos) << newer.error().message;

  path_ = folder_ + "/text.db";
  std::ofstream(path_) << std::string(4096, 'x');
  const auto text = Store::open({path_, true});
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::malformed);
  EXPECT_NE(text.error().message.find("no SQLite database"), std::string::npos) << text.error().message;

  const auto nowhere = Store::open({folder_ + "/none/history.db", true});
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().message.find("is the folder there"), std::string::npos) << nowhere.error().message;
}

TEST_F(HistoryStore, ADatabaseThatAnotherHoldsIsLockedAndNothingOfTheBatchIsWritten) {
  const auto store = open();
  auto other = Database::open(path_, Database::Mode::write);
  ASSERT_TRUE(other && other->execute("BEGIN IMMEDIATE"));
  const auto id = point("a");
  StoreBatch batch;
  batch.rows = {latest(id, kSecond, Value::from(1.0))};
  const auto locked = store->write(batch, names());
  ASSERT_FALSE(locked);
  EXPECT_EQ(locked.error().code, ErrorCode::unavailable);
  EXPECT_NE(locked.error().message.find("locked by another process"), std::string::npos) << locked.error().message;
  ASSERT_TRUE(other->execute("ROLLBACK"));
  EXPECT_TRUE(store->write(batch, names()));
  EXPECT_EQ(lines(all(kEverything)), 1u);
}

TEST_F(HistoryStore, AFullDatabaseSaysSoAndGoesOnWhenThereIsRoom) {
  const auto store = open();
  const auto id = point("a", Type::string);
  ASSERT_TRUE(store->database().execute("PRAGMA max_page_count = 40"));
  StoreBatch batch;
  const std::string big(50'000, 'x');
  for (int i = 0; i < 10; ++i) batch.rows.push_back(latest(id, i * kSecond, Value::text(big)));
  const auto full = store->write(batch, names());
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::limit);
  EXPECT_NE(full.error().message.find("disk is full"), std::string::npos) << full.error().message;
  EXPECT_EQ(lines(all(kEverything)), 0u);
  ASSERT_TRUE(store->database().execute("PRAGMA max_page_count = 4000"));
  EXPECT_TRUE(store->write(batch, names()));
  EXPECT_EQ(lines(all(kEverything)), 10u);
}

TEST_F(HistoryStore, ForgetsWhatIsTooOldButTheValueThatHeldThen) {
  const auto store = open();
  const auto a = point("a"), b = point("b");
  std::vector<Row> rows;
  for (int i = 0; i < 1000; ++i) rows.push_back(latest(a, i * kSecond, Value::from(i)));
  rows.push_back(latest(b, 3 * kSecond, Value::from(1.0)));  // never changed again
  write(*store, rows);
  Retention retention({.max_age = Duration(100 * kSecond), .rows_at_once = 64});
  int steps = 0;
  for (bool more = true; more && steps < 1000; ++steps) more = retention.step(store->database(), 1000 * kSecond).value();
  EXPECT_GT(steps, 10);  // in small pieces
  EXPECT_EQ(retention.deleted(), 900u);
  EXPECT_EQ(lines(all(kEverything)), 101u);
}

TEST_F(HistoryStore, KeepsBelowItsSizeByForgettingTheOldest) {
  const auto store = open();
  const auto a = point("a"), b = point("b");
  std::vector<Row> rows;
  for (int i = 0; i < 40'000; ++i) rows.push_back(latest(i % 2 == 0 ? a : b, i * kSecond, Value::from(i + 0.5)));
  write(*store, rows);
  const auto before = used_bytes(store->database()).value();
  Retention retention({.max_size = before / 2});
  for (int i = 0; i < 1000 && used_bytes(store->database()).value() > before / 2; ++i) ASSERT_TRUE(retention.step(store->database(), 40'000 * kSecond));
  EXPECT_LE(used_bytes(store->database()).value(), before / 2);
  EXPECT_LT(retention.deleted(), 24'000u);
  EXPECT_GT(retention.deleted(), 15'000u);
  EXPECT_EQ(store->last("a").value()->time, 39'998 * kSecond);
}

}  // namespace
}  // namespace sallyport::history
