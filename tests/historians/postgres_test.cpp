// The PostgreSQL sink against a real server: what stands in the tables.
#include <gtest/gtest.h>

#include "history.h"
#include "postgres_server.h"
#include "sinks/postgres/pg_connection.h"
#include "sinks/postgres/pg_schema.h"
#include "sinks/postgres/postgres_sink.h"

namespace sallyport::tests {
namespace {

const std::string kQuick = "commit = \"20ms\"\n";

const SinkType& type() { return postgres::sink_type(); }

struct Scene {
  explicit Scene(std::vector<std::string> settings = {}) : server(std::move(settings)) {}
  void start(const std::string& more = kQuick) { history.start(type(), server.connection() + more); }
  bool done() {
    return eventually([&] { return history.done(); }, seconds(60));
  }
  std::string sql(const std::string& statement) const { return server.sql(statement); }

  TempFolder folder;
  PostgresServer server;
  History history{folder.path()};
};

TEST(PostgresHistory, MakesItsTablesAndStoresEachChangeWithItsTime) {
  Scene scene;
  scene.history.put("a", 0, 1000);
  scene.history.put("b", 0, 10);
  scene.start();
  ASSERT_TRUE(scene.done());
  EXPECT_EQ(scene.sql("SELECT count(*), count(DISTINCT (stream, sequence)), min(sequence), max(sequence) FROM sallyport.changes"), "1010|1010|1|1010");
  EXPECT_EQ(scene.sql("SELECT count(*) FROM sallyport.history WHERE path = 'acme/a' AND quality = 'good' AND"
                      " (extract(epoch FROM time) * 1000000000)::numeric + ns = " + std::to_string(kStart) + " + number::numeric * " + std::to_string(kStep)),
            "1000");
  EXPECT_EQ(scene.sql("SELECT path, type, delivery, origin FROM sallyport.points ORDER BY path"), "acme/a|Double|every|plant-1\nacme/b|Double|every|plant-1");
  EXPECT_EQ(scene.sql("SELECT name ~ '^plant-1/[0-9a-f]{16}$' FROM sallyport.streams"), "t");
}

TEST(PostgresHistory, ValuesOfAllTypesComeBack) {
  Scene scene;
  const Value elements[] = {Value::from(1.5), Value::from(-2.0)};
  const Value texts[] = {Value::text("a"), Value::text("b \"c\"")};
  const std::vector<std::pair<Value, std::string>> cases = {
      {Value(), "||"},
      {Value::from(true), "1||"},
      {Value::from(std::int8_t{-128}), "-128||"},
      {Value::from(std::uint8_t{255}), "255||"},
      {Value::from(std::int16_t{-32768}), "-32768||"},
      {Value::from(std::uint16_t{65535}), "65535||"},
      {Value::from(std::int32_t{-7}), "-7||"},
      {Value::from(std::uint32_t{7}), "7||"},
      {Value::from(std::int64_t{-9'223'372'036'854'775'807 - 1}), "-9.223372036854775807e+18|-9223372036854775808|"},
      {Value::from(std::uint64_t{18'446'744'073'709'551'615u}), "1.8446744073709552e+19|18446744073709551615|"},
      {Value::from(0.1f), "0.10000000149011612||"},
      {Value::from(0.1), "0.1||"},
      {Value::from(std::numeric_limits<double>::quiet_NaN()), "NaN||"},
      {Value::from(-std::numeric_limits<double>::infinity()), "-Infinity||"},
      {Value::text("Ünïcode \\ \t"), "|Ünïcode \\ \t|"},
      {Value::text(""), "||"},
      {Value::date_time(116444736000000000), "|1970-01-01T00:00:00.0000000Z|"},
      {Value::contents(Type::byte_string, false, as_bytes("abc")), "|YWJj|"},
      {Value::status_code(0x80050000), "2147811328||"},
      {Value::localized_text("de", "Pumpe"), R"(||{"text": "Pumpe", "locale": "de"})"},
      {Value::opaque(Type::structure, "nsu=urn:x;i=5001", as_bytes("abc")), R"(||{"body": "YWJj", "type_id": "nsu=urn:x;i=5001"})"},
      {make_array(Type::float64, elements), "||[1.5, -2]"},
      {make_array(Type::string, texts), R"(||["a", "b \"c\""])"},
  };
  Meta meta;
  meta.unit = "°C";
  meta.range_low = -1.5;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    scene.history.put("v" + std::to_string(i), cases[i].first, kStart, static_cast<Status>(i << 16), meta);
  }
  scene.start();
  ASSERT_TRUE(scene.done());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    std::string expected = cases[i].second;
    if (expected.starts_with("-9.2233")) expected = "-9.223372036854776e+18|-9223372036854775808|";
    EXPECT_EQ(scene.sql("SELECT number, text, json FROM sallyport.history WHERE path = 'acme/v" + std::to_string(i) + "'"), expected) << i;
    EXPECT_EQ(scene.sql("SELECT type, status FROM sallyport.history WHERE path = 'acme/v" + std::to_string(i) + "'"),
              std::to_string(cases[i].first.type_byte()) + "|" + std::to_string(i << 16));
  }
  EXPECT_EQ(scene.sql("SELECT count(*) FROM sallyport.points WHERE unit = '°C' AND range_low = -1.5 AND range_high IS NULL"), std::to_string(cases.size()));
  EXPECT_EQ(scene.history.counter("dead_letters"), 0u);
}

TEST(PostgresHistory, TextIsEmptyRatherThanNull) {
  Scene scene;
  scene.history.put("t", Value::text(""), kStart);
  scene.start();
  ASSERT_TRUE(scene.done());
  EXPECT_EQ(scene.sql("SELECT text = '' FROM sallyport.changes"), "t");
}

TEST(PostgresHistory, GapsAreRowsAndTheirEndTakesThePlaceOfOneThatLasts) {
  Scene scene;
  Gap gap{.node = "plant-1", .where = "line1", .cause = GapCause::source_down, .start = kStart, .end = 0, .lost = 0, .match = {"acme/**"}, .detail = "cable"};
  scene.history.journal->append_gap(gap);
  scene.start();
  ASSERT_TRUE(eventually([&] { return scene.history.up() && scene.history.counter("gaps") == 1; }, seconds(30)));
  EXPECT_EQ(scene.sql("SELECT cause, ended IS NULL, patterns, detail FROM sallyport.gaps"), "source_down|t|{acme/**}|cable");
  gap.end = kStart + 1'000'000'000;
  gap.lost = 12;
  scene.history.journal->append_gap(gap);
  ASSERT_TRUE(eventually([&] { return scene.history.counter("gaps") == 2; }, seconds(30)));
  EXPECT_EQ(scene.sql("SELECT cause, ended - started, lost, node, place FROM sallyport.gaps"), "source_down|00:00:01|12|plant-1|line1");
}

TEST(PostgresHistory, PointsNotMarkedAreStoredOnceAndTheirQualityWhenItTurns) {
  Scene scene;
  scene.history.live("speed", Value::from(41.5), kStart);
  scene.start();
  ASSERT_TRUE(eventually([&] { return scene.history.up() && scene.history.counter("rows") == 1; }, seconds(30)));
  scene.history.stop();
  scene.start();  // it sees the same value again
  ASSERT_TRUE(eventually([&] { return scene.history.up() && scene.history.counter("repeated") == 1; }, seconds(30)));
  EXPECT_EQ(scene.sql("SELECT number, quality, sequence, unit FROM sallyport.history"), "41.5|good|0|rpm");
  scene.history.source.lost("cable pulled");
  ASSERT_TRUE(eventually([&] { return scene.history.counter("rows") == 1; }, seconds(30)));
  EXPECT_EQ(scene.sql("SELECT number, quality, time > now() - interval '1 hour' FROM sallyport.history ORDER BY status"), "41.5|good|f\n41.5|bad|t");
}

TEST(PostgresHistory, RowsThatTheServerNeverTakesAreDeadLettersAndHoldUpNothing) {
  Scene scene;
  scene.start();
  ASSERT_TRUE(eventually([&] { return scene.history.up(); }, seconds(30)));
  scene.server.sql("ALTER TABLE sallyport.changes ADD CONSTRAINT sane CHECK (number IS DISTINCT FROM 13)");
  const Value nul[] = {Value::text(std::string_view("x\0y", 3))};
  scene.history.put("a", 0, 100);  // 13 is one of them
  scene.history.put("t", Value::text(std::string_view("a\0b", 3)), kStart);
  scene.history.put("u", make_array(Type::string, nul), kStart);
  scene.history.put("b", 100, 100);
  ASSERT_TRUE(scene.done());
  EXPECT_EQ(scene.sql("SELECT count(*) FROM sallyport.changes"), "199");
  EXPECT_EQ(scene.sql("SELECT path, sequence FROM sallyport.dead_letters ORDER BY path"), "acme/a|14\nacme/t|101\nacme/u|102");
  EXPECT_EQ(scene.sql("SELECT value FROM sallyport.dead_letters WHERE path = 'acme/t'"), R"("a\u0000b")");
  EXPECT_EQ(scene.history.counter("dead_letters"), 3u);
}

TEST(PostgresHistory, PartsAreMadeForWhateverTimeComes) {
  Scene scene;
  const UtcNanoseconds now = scene.history.clock.utc();
  const UtcNanoseconds day = 86'400'000'000'000;
  const UtcNanoseconds times[] = {now, now - 40 * day, now - 400 * day, 0, -5, now + 100 * day, INT64_MAX, INT64_MIN};
  for (std::size_t i = 0; i < std::size(times); ++i) scene.history.put("t" + std::to_string(i), Value::from(1.0), times[i]);
  scene.start();
  ASSERT_TRUE(scene.done());
  EXPECT_EQ(scene.sql("SELECT count(*) FROM sallyport.changes"), "8");
  EXPECT_EQ(scene.sql("SELECT count(*) FROM sallyport.changes_other"), "5");
  EXPECT_EQ(scene.sql("SELECT count(*) FROM pg_inherits WHERE inhparent = 'sallyport.changes'::regclass"), "4");
  EXPECT_EQ(scene.sql("SELECT ns FROM sallyport.history WHERE path = 'acme/t4'"), "995");
}

TEST(PostgresHistory, AHypertableIsUsedWhereTimescaleDbIs) {
  Scene scene({"shared_preload_libraries=timescaledb", "timescaledb.telemetry_level=off"});
  scene.history.put("a", 0, 5000);
  scene.start();
  ASSERT_TRUE(scene.done());
  EXPECT_EQ(scene.sql("SELECT hypertable_name FROM timescaledb_information.hypertables"), "changes");
  EXPECT_EQ(scene.sql("SELECT count(*), count(DISTINCT sequence), max(sequence) FROM sallyport.changes"), "5000|5000|5000");
  scene.history.live("speed", Value::from(1.0), kStart);
  ASSERT_TRUE(eventually([&] { return scene.history.counter("rows") == 5001; }, seconds(30)));
  scene.history.stop();
  scene.start();
  ASSERT_TRUE(eventually([&] { return scene.history.up() && scene.history.counter("repeated") == 1; }, seconds(30)));
}

// --- Schema ----------------------------------------------------------------------------------------------------------

std::string why_not(Scene& scene, const std::string& user) {
  scene.history.start(type(), scene.server.connection(user) + kQuick);
  std::string reason;
  EXPECT_TRUE(eventually([&] { return (reason = scene.history.sink->status().reason).find("GRANT") != std::string::npos || scene.history.up(); }, seconds(30))) << reason;
  scene.history.stop();
  return reason;
}

TEST(PostgresHistory, NamesTheMissingPrivilege) {
  Scene scene;
  scene.server.sql("CREATE ROLE writer LOGIN");
  EXPECT_NE(why_not(scene, "writer").find("GRANT CREATE ON DATABASE postgres TO writer;"), std::string::npos);
  scene.server.sql("CREATE SCHEMA sallyport");
  EXPECT_NE(why_not(scene, "writer").find("GRANT USAGE, CREATE ON SCHEMA \"sallyport\" TO writer;"), std::string::npos);
  scene.server.sql("GRANT USAGE ON SCHEMA sallyport TO writer");
  EXPECT_NE(why_not(scene, "writer").find("GRANT CREATE ON SCHEMA \"sallyport\" TO writer;"), std::string::npos);
  scene.server.sql("GRANT CREATE ON SCHEMA sallyport TO writer");
  scene.history.put("a", 0, 10);
  EXPECT_EQ(why_not(scene, "writer"), "");
  EXPECT_EQ(scene.sql("SELECT count(*) FROM sallyport.changes"), "10");
  scene.server.sql("CREATE ROLE other LOGIN; GRANT USAGE, CREATE ON SCHEMA sallyport TO other");
  EXPECT_NE(why_not(scene, "other").find("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES"), std::string::npos);
}

TEST(PostgresHistory, AnOlderSchemaIsBroughtUpToDateAndANewerOneLeftAlone) {
  Scene scene;
  postgres::Options options;
  options.connection = {{"host", "127.0.0.1"}, {"port", std::to_string(scene.server.port())}, {"dbname", "postgres"}, {"user", "postgres"}};
  options.schema = "sallyport";
  options.partition = std::chrono::hours(24);
  options.timeout = seconds(30);
  {
    auto connection = postgres::Connection::open(options, "test", [] { return false; });
    ASSERT_TRUE(connection) << connection.error().message;
    postgres::Schema schema(**connection, options, 1);
    const auto made = schema.prepare();
    ASSERT_TRUE(made) << made.error().message;
  }
  EXPECT_EQ(scene.sql("SELECT value, to_regclass('sallyport.history') IS NULL FROM sallyport.about WHERE key = 'version'"), "1|t");
  scene.history.put("a", 0, 10);
  scene.start();
  ASSERT_TRUE(scene.done());
  EXPECT_EQ(scene.sql("SELECT value, (SELECT count(*) FROM sallyport.history) FROM sallyport.about WHERE key = 'version'"), "2|10");
  scene.history.stop();
  scene.server.sql("UPDATE sallyport.about SET value = '99' WHERE key = 'version'");
  scene.start();
  std::string reason;
  EXPECT_TRUE(eventually([&] { return (reason = scene.history.sink->status().reason).find("version 99") != std::string::npos; }, seconds(30))) << reason;
  EXPECT_NE(reason.find("update sallyport"), std::string::npos);
}

TEST(PostgresHistory, StoresManyRowsInBatchesAndSaysHowFast) {
  Scene scene;
  constexpr std::uint64_t kRows = 300'000;
  for (int point = 0; point < 100; ++point) scene.history.put("p" + std::to_string(point), 0, kRows / 100);
  scene.history.until_durable();
  const auto begin = Clock::now();
  scene.start("");
  ASSERT_TRUE(scene.done());
  const double took = std::chrono::duration<double>(Clock::now() - begin).count();
  EXPECT_EQ(scene.sql("SELECT count(*) FROM sallyport.changes"), std::to_string(kRows));
  std::printf("%.0f rows/s into PostgreSQL %s\n", static_cast<double>(kRows) / took, scene.server.version().c_str());
}

}  // namespace
}  // namespace sallyport::tests
