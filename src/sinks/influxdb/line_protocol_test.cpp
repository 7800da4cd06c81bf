#include "sinks/influxdb/line_protocol.h"

#include <gtest/gtest.h>

#include "sinks/influxdb/influx_client.h"
#include "sinks/influxdb/influx_settings.h"

namespace sallyport::influxdb {
namespace {

template <typename Append>
std::string escaped(Append append, std::string_view text) {
  std::string out;
  append(out, text);
  return out;
}

TEST(LineProtocol, NamesTagsAndTextsAreEscapedEachInItsWay) {
  struct Case {
    std::string_view text, name, tag, field;
  };
  for (const Case& c : {
           Case{"plain", "plain", "plain", "\"plain\""},
           Case{"a b,c=d", "a\\ b\\,c=d", "a\\ b\\,c\\=d", "\"a b,c=d\""},
           Case{"say \"hi\"", "say\\ \"hi\"", "say\\ \"hi\"", "\"say \\\"hi\\\"\""},
           Case{"back\\slash", "back\\slash", "back\\slash", "\"back\\\\slash\""},
           Case{"end\\", "end\\", "end\\_", "\"end\\\\\""},
           Case{"two\nlines", "two lines", "two lines", "\"two\nlines\""},
           Case{std::string_view("a\0b", 3), "a b", "a b", "\"a b\""},
           Case{"größe °C", "größe\\ °C", "größe\\ °C", "\"größe °C\""},
       }) {
    EXPECT_EQ(escaped(append_name, c.text), c.name) << c.text;
    EXPECT_EQ(escaped(append_tag, c.text), c.tag) << c.text;
    EXPECT_EQ(escaped(append_field_text, c.text), c.field) << c.text;
  }
}

std::string line(Value value, Status status = status::kGood) {
  LineWriter writer("plant data");
  const FeedPoint point{.path = "acme/line 1/speed", .meta = {}, .origin = "plant-1"};
  std::string out;
  writer.add(out, {.status = status, .source_time = 5, .time = 5, .value = std::move(value)}, point, 5);
  return out;
}

TEST(LineProtocol, ValuesOfEachKindHaveTheirField) {
  const std::string begin = "plant\\ data,path=acme/line\\ 1/speed status=0i,quality=\"good\"";
  EXPECT_EQ(line(Value::from(1.5)), begin + ",value=1.5 5\n");
  EXPECT_EQ(line(Value::from(true)), begin + ",value=1 5\n");
  EXPECT_EQ(line(Value()), begin + " 5\n");
  EXPECT_EQ(line(Value::text("a \"b\"")), begin + ",text=\"a \\\"b\\\"\" 5\n");
  EXPECT_EQ(line(Value::from(std::numeric_limits<double>::infinity())), begin + ",text=\"Infinity\" 5\n");
  EXPECT_EQ(line(Value::from((std::int64_t{1} << 53) + 1)), begin + ",value=9007199254740992,text=\"9007199254740993\" 5\n");
  EXPECT_EQ(line(Value::localized_text("", "x")), begin + R"(,json="{\"locale\":\"\",\"text\":\"x\"}" 5)" "\n");
  EXPECT_EQ(line(Value::from(1.0), 0x80310000), "plant\\ data,path=acme/line\\ 1/speed status=2150694912i,quality=\"bad\",value=1 5\n");
}

TEST(LineProtocol, ChangesOfOnePointAtOneTimeFollowEachOtherByANanosecond) {
  TieBreak ties;
  const auto at = [&](std::uint32_t point, UtcNanoseconds time) { return ties.time_of({.point = point, .source_time = time, .time = time, .every = true, .value = {}}); };
  EXPECT_EQ(at(0, 1000), 1000);
  EXPECT_EQ(at(0, 1000), 1001);
  EXPECT_EQ(at(1, 1000), 1000);
  EXPECT_EQ(at(0, 1000), 1002);
  EXPECT_EQ(at(0, 2000), 2000);
  EXPECT_EQ(ties.time_of({.point = 0, .source_time = 2000, .time = 2000, .value = {}}), 2000) << "not of the journal: the same again";
}

TEST(InfluxReply, AnswersAreUnderstood) {
  using Kind = Reply::Kind;
  struct Case {
    long code;
    const char* body;
    Kind kind;
    std::uint64_t dropped;
  };
  for (const Case& c : {
           Case{204, "", Kind::stored, 0},
           Case{400, R"({"error":"partial write: field type conflict: input field \"value\" on measurement \"m\" is type float, already exists as type integer dropped=3"})", Kind::in_part, 3},
           Case{422, R"({"code":"unprocessable entity","message":"failure writing points to database: partial write: points beyond retention policy dropped=1"})", Kind::in_part, 1},
           Case{400, R"({"error":"unable to parse 'x': missing fields"})", Kind::refused, 0},
           Case{400, "partial write: dropped=99999999999999999999999", Kind::refused, 0},
           Case{400, "{\"error\":\"", Kind::refused, 0},
           Case{413, "", Kind::too_large, 0},
           Case{404, R"({"error":"database not found: \"x\""})", Kind::missing, 0},
           Case{401, R"({"error":"authorization failed"})", Kind::later, 0},
           Case{429, "", Kind::later, 0},
           Case{503, "<html>\n</html>", Kind::later, 0},
           Case{301, "", Kind::later, 0},
       }) {
    const Reply reply = understand(c.code, c.body, "0");
    EXPECT_EQ(reply.kind, c.kind) << c.code << " " << c.body;
    EXPECT_EQ(reply.dropped, c.dropped) << c.body;
    EXPECT_EQ(reply.message.find('\n'), std::string::npos);
  }
  EXPECT_EQ(understand(503, "", "7").wait, std::chrono::seconds(7));
  EXPECT_EQ(understand(503, "", "99999999").wait, std::chrono::seconds(300));
  EXPECT_EQ(understand(503, "", "-5").wait, std::chrono::seconds(0));
  EXPECT_NE(understand(401, "", "").message.find("check the token"), std::string::npos);
}

std::string problems_of(const std::string& text) {
  Problems problems;
  auto settings = Settings::parse(text, "sink.toml", problems);
  if (settings) {
    SettingsReader reader(*settings, problems);
    read_options(reader);
    reader.finish();
  }
  std::string all;
  for (const Problem& problem : problems) all += to_string(problem) + "\n";
  return all;
}

TEST(InfluxSettings, WrongOnesSayWhatIsWrong) {
  EXPECT_EQ(problems_of("url = \"http://127.0.0.1:8086\""), "");
  EXPECT_EQ(problems_of("url = \"https://i.example:8086/\"\nversion = \"2\"\norg = \"a\"\nbucket = \"b\""), "");
  struct Case {
    const char* text;
    const char* says;
  };
  for (const Case& c : {
           Case{"", "url"},
           Case{"url = \"127.0.0.1:8086\"", "no address"},
           Case{"url = \"ftp://x\"", "no address"},
           Case{"url = \"http://x:1/?db=a\"", "no address"},
           Case{"url = \"http://me:pw@x\"", "password_file"},
           Case{"url = \"http://127.0.0.1\"\nversion = \"3\"", "version"},
           Case{"url = \"http://127.0.0.1\"\nversion = \"2\"", "org"},
           Case{"url = \"http://127.0.0.1\"\nbucket = \"x\"", "bucket"},
           Case{"url = \"http://127.0.0.1\"\nuser = \"x\"", "go together"},
           Case{"url = \"http://127.0.0.1\"\nmeasurement = \"\"", "measurement"},
           Case{"url = \"http://127.0.0.1\"\nbatch = 0", "batch"},
       }) {
    EXPECT_NE(problems_of(c.text).find(c.says), std::string::npos) << c.text << "\n" << problems_of(c.text);
  }
}

}  // namespace
}  // namespace sallyport::influxdb
