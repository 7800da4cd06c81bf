#include "sinks/recorder/recorder_sink.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace sallyport::recorder {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

class Recording {
 public:
  explicit Recording(const std::string& more = "", std::string file = "meter.json") {
    char name[] = "/tmp/sallyport-recorder-XXXXXX";
    folder_ = mkdtemp(name);
    path = folder_ + "/" + file;
    Problems problems;
    const auto settings = Settings::parse("result = \"" + path + "\"\ncheck = \"ramp\"\nevery = \"20ms\"\n" + more,
                                          folder_ + "/node.toml", problems);
    SettingsReader reader(*settings, problems);
    sink = sink_type().make({.name = "meter", .node = "n", .publish = *Patterns::parse({"**"})}, reader);
    reader.finish();
    EXPECT_TRUE(problems.empty());
    const Definition definitions[] = {{.path = "a", .meta = &meta_, .first = {.value = Value::from(0.0)}},
                                      {.path = "b", .meta = &meta_, .first = {.value = Value::from(0.0)}}};
    source.define(definitions, ids);
    source.live();
    EXPECT_TRUE(sink->start(ns));
  }
  ~Recording() {
    sink->stop();
    fs::remove_all(folder_);
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  void set(std::size_t point, double value) {
    Change change{.point = ids[point], .source_time = clock.utc(), .value = Value::from(value)};
    source.publish({&change, 1});
  }
  std::string result() const {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // Waits until the file says this.
  bool says(const std::string& text) const {
    for (int i = 0; i < 1000; ++i, std::this_thread::sleep_for(milliseconds(10))) {
      if (result().find(text) != std::string::npos) return true;
    }
    return false;
  }

  SystemClock clock;
  Namespace ns{clock};
  Publisher source{ns, "n", "s", "acme", status::kBadNoCommunication};
  PointId ids[2] = {};
  std::string path;
  std::unique_ptr<Sink> sink;

 private:
  std::string folder_;
  Meta meta_{
      .type = Type::float64, .description = {}, .unit = {}, .range_low = {}, .range_high = {}, .enum_strings = {}};
};

TEST(RecorderSink, WritesWhatItReadWhileItRunsAndOnceMoreWhenItStops) {
  Recording r;
  r.set(0, 1);
  ASSERT_TRUE(r.says("\"changes\":1,"));
  EXPECT_TRUE(r.says("\"stopped\":false"));
  r.set(1, 1);
  ASSERT_TRUE(r.says("\"changes\":2,"));
  EXPECT_EQ(r.sink->status().state, ConnectorState::up);
  EXPECT_EQ(r.sink->status().changes, 2u);
  EXPECT_EQ(r.sink->status().points, 2u);
  r.sink->stop();
  const std::string result = r.result();
  for (const char* text : {"\"stopped\":true", "\"changes\":2,", "\"points\":2,", "\"wrong\":0,", "\"backwards\":0,",
                           "\"definitions\":2,", "\"latency_ns\":{\"count\":2,", "\"buckets\":[["}) {
    EXPECT_NE(result.find(text), std::string::npos) << text << " in " << result;
  }
}

TEST(RecorderSink, CountsWhatIsWrongAndWhatStepsBack) {
  Recording r;
  r.set(0, 5);
  ASSERT_TRUE(r.says("\"changes\":1,"));
  r.set(0, 4);
  ASSERT_TRUE(r.says("\"backwards\":1,"));
  r.set(1, 0.5);
  ASSERT_TRUE(r.says("\"wrong\":1,"));
  r.source.lost("plug pulled");
  ASSERT_TRUE(r.says("\"not_good\":2,"));
}

TEST(RecorderSink, SaysHowOldValuesAreWhenAsked) {
  Recording r("ages = true\n");
  ASSERT_TRUE(r.says("\"age_ns\":{\"mean\":"));
}

TEST(RecorderSink, IsDownWhileItsFileCannotBeWritten) {
  Recording r("", "missing/meter.json");
  for (int i = 0; i < 1000 && r.sink->status().state != ConnectorState::down; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(r.sink->status().state, ConnectorState::down);
  EXPECT_NE(r.sink->status().reason.find("missing/meter.json"), std::string::npos);
  fs::create_directory(fs::path(r.path).parent_path());
  for (int i = 0; i < 1000 && r.sink->status().state != ConnectorState::up; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(r.sink->status().state, ConnectorState::up);
}

TEST(RecorderSink, EachMistakeInTheSettingsIsReported) {
  for (const auto& [text, expected] :
       {std::pair{"", "result"}, std::pair{"result = \"x\"\ncheck = \"all\"", "ramp"},
        std::pair{"result = \"x\"\ntype = \"Guid\"", "Guid"}, std::pair{"result = \"x\"\nevery = \"1us\"", "every"}}) {
    Problems problems;
    auto settings = Settings::parse(text, "node.toml", problems);
    SettingsReader reader(*settings, problems);
    sink_type().make({.name = "meter", .node = "n", .publish = {}}, reader);
    reader.finish();
    ASSERT_FALSE(problems.empty()) << text;
    EXPECT_NE(to_string(problems[0]).find(expected), std::string::npos) << to_string(problems[0]);
  }
}

TEST(RecorderSink, TheSampleIsValid) {
  Problems problems;
  const auto settings = Settings::load(SALLYPORT_SOURCE_DIR "/src/sinks/recorder/sample.toml", problems);
  ASSERT_TRUE(settings);
  SettingsReader file(*settings, problems);
  SettingsReader sinks(*file.table("sink"), problems);
  const auto tables = sinks.tables("recorder");
  ASSERT_EQ(tables.size(), 1u);
  SettingsReader reader(tables[0], problems);
  const SinkCommon common{
      .name = reader.required_string("name"), .node = "n", .publish = *Patterns::parse(reader.strings("publish", {}))};
  EXPECT_NE(sink_type().make(common, reader), nullptr);
  reader.finish();
  for (const Problem& problem : problems) ADD_FAILURE() << to_string(problem);
}

}  // namespace
}  // namespace sallyport::recorder
