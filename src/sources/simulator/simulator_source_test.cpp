#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "namespace/namespace.h"
#include "sources/simulator/generator.h"
#include "sources/simulator/simulator.h"

namespace sallyport::simulator {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

struct Made {
  std::unique_ptr<Source> source;
  std::string problems;
};

Made make(const std::string& text) {
  Problems problems;
  Made made;
  if (auto settings = Settings::parse(text, "plant.toml", problems)) {
    SettingsReader reader(*settings, problems);
    made.source = source_type().make({.name = "plant", .node = "plant-1", .into = "acme/berlin"}, reader);
    reader.finish();
  }
  for (const Problem& problem : problems) made.problems += to_string(problem) + "\n";
  return made;
}

// A running simulator and the namespace it writes to.
struct Plant {
  explicit Plant(const std::string& text) {
    Made made = make(text);
    EXPECT_EQ(made.problems, "");
    source = std::move(made.source);
    EXPECT_TRUE(source->start(out));
  }
  ~Plant() { source->stop(); }

  template <typename Condition>
  bool wait_for(Condition condition, Duration at_most = seconds(20)) {
    const auto deadline = steady_clock::now() + at_most;
    while (!condition()) {
      if (steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(milliseconds(2));
    }
    return true;
  }
  bool wait_for_changes(std::uint64_t count) {
    return wait_for([&] { return source->status().changes >= count; });
  }

  SystemClock clock;
  Namespace ns{clock};
  Publisher out{ns, "plant-1", "plant", "acme/berlin", status::kBadNoCommunication};
  std::unique_ptr<Source> source;
};

TEST(SimulatorSource, DefinesItsPointsAndRestsAtRateZero) {
  Plant plant("points = 250\nrate = 0\nshape = \"ramp\"");
  ASSERT_TRUE(plant.wait_for([&] { return plant.source->status().state == ConnectorState::up; }));
  EXPECT_EQ(plant.ns.counts(Patterns::everything()).good, 250u);
  EXPECT_EQ(plant.source->status().points, 250u);
  const auto point = plant.ns.read("acme/berlin/area-1/pump-0001/p000001");
  ASSERT_TRUE(point);
  EXPECT_EQ(point->value, Value::from(0.0));
  EXPECT_EQ(point->origin, "plant-1");
  EXPECT_EQ(plant.source->status().changes, 0u);
}

TEST(SimulatorSource, RestsAfterTheGivenNumberOfChangesWithTheValuesThatFollow) {
  Plant plant("points = 7\nrate = \"max\"\nshape = \"ramp\"\nafter = 50000");
  ASSERT_TRUE(plant.wait_for_changes(50'000));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(plant.source->status().changes, 50'000u);
  for (std::uint32_t i = 0; i < 7; ++i) {
    const auto point = plant.ns.read("acme/berlin/area-1/pump-0001/p00000" + std::to_string(i + 1));
    EXPECT_EQ(point->value, Value::from(double(50'000 / 7 + (i < 50'000 % 7 ? 1 : 0))));
  }
}

TEST(SimulatorSource, KeepsItsRateSmoothly) {
  Plant plant("points = 100\nrate = 10000");
  ASSERT_TRUE(plant.wait_for_changes(1));
  const std::uint64_t before = plant.source->status().changes;
  const auto began = steady_clock::now();
  std::this_thread::sleep_for(milliseconds(1000));
  const double took = std::chrono::duration<double>(steady_clock::now() - began).count();
  const auto made = static_cast<double>(plant.source->status().changes - before);
  EXPECT_GT(made / took, 9'000);  // open loop: only the ends of the interval are fuzzy
  EXPECT_LT(made / took, 11'000);
  EXPECT_EQ(plant.source->status().counters.at(0).second, 0u);  // skipped
}

TEST(SimulatorSource, StopsAtOnceAtALowRateAndItsPointsTurnBad) {
  Plant plant("points = 5\nrate = 1");
  ASSERT_TRUE(plant.wait_for([&] { return plant.source->status().state == ConnectorState::up; }));
  const auto began = steady_clock::now();
  plant.source->stop();
  EXPECT_LT(steady_clock::now() - began, milliseconds(500));
  EXPECT_EQ(plant.source->status().state, ConnectorState::stopped);
  EXPECT_EQ(plant.ns.counts(Patterns::everything()).bad, 5u);
}

TEST(SimulatorSource, CountsPointsThatAreRefused) {
  SystemClock clock;
  Namespace ns(clock, {.max_points = 60, .ring_entries = 1024, .max_routes = 16});
  Publisher out(ns, "plant-1", "plant", "acme", status::kBadNoCommunication);
  Made made = make("points = 100\nrate = 1000");
  ASSERT_TRUE(made.source->start(out));
  for (int i = 0; i < 2000 && made.source->status().changes < 200; ++i) std::this_thread::sleep_for(milliseconds(2));
  const ConnectorStatus status = made.source->status();
  made.source->stop();
  EXPECT_EQ(status.points, 60u);
  EXPECT_EQ(status.dropped, 40u);
  EXPECT_NE(status.reason.find("40 of 100"), std::string::npos) << status.reason;
}

TEST(SimulatorSource, DefinesAHundredThousandPumpStationPoints) {
  Plant plant("points = 100000\nrate = 0\nshape = \"pump-station\"");
  ASSERT_TRUE(plant.wait_for([&] { return plant.source->status().state == ConnectorState::up; }));
  EXPECT_EQ(plant.ns.counts(Patterns::everything()).good, 100'000u);
  const auto point = plant.ns.read("acme/berlin/area-3/pump-0042/speed");
  ASSERT_TRUE(point);
  EXPECT_EQ(point->meta->unit, "1/min");
}

TEST(SimulatorSource, RestsOnceTheFileItWaitsForExists) {
  char file[] = "/tmp/sallyport-rest-XXXXXX";
  close(mkstemp(file));
  unlink(file);
  Plant plant("points = 10\nrate = 10000\nrest_on = \"" + std::string(file) + "\"");
  ASSERT_TRUE(plant.wait_for_changes(100));
  close(open(file, O_CREAT | O_WRONLY, 0600));
  const auto rests = [&] { return !plant.source->status().details.empty(); };
  EXPECT_TRUE(plant.wait_for(rests));
  unlink(file);
  const std::uint64_t changes = plant.source->status().changes;
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(plant.source->status().changes, changes);
  EXPECT_EQ(plant.ns.counts(Patterns::everything()).good, 10u);
}

TEST(SimulatorSource, ChangesNothingBeforeTheFileItWaitsForExists) {
  char file[] = "/tmp/sallyport-start-XXXXXX";
  close(mkstemp(file));
  unlink(file);
  Plant plant("points = 10\nrate = 10000\nafter = 20\nstart_on = \"" + std::string(file) + "\"");
  ASSERT_TRUE(plant.wait_for([&] { return plant.source->status().state == ConnectorState::up; }));
  std::this_thread::sleep_for(milliseconds(60));
  EXPECT_EQ(plant.source->status().changes, 0u);
  EXPECT_EQ(plant.ns.counts(Patterns::everything()).good, 10u);
  close(open(file, O_CREAT | O_WRONLY, 0600));
  EXPECT_TRUE(plant.wait_for_changes(20));
  unlink(file);
}

TEST(SimulatorSource, StampsChangesWithTheTimeAtWhichTheyWereDue) {
  Plant plant("points = 60\nrate = 100\ntick = \"200ms\"\nstamp = \"due\"\nafter = 60");
  ASSERT_TRUE(plant.wait_for_changes(60));
  std::vector<PointView> points;
  plant.ns.list(Patterns::everything(), 0, 60, points);
  ASSERT_EQ(points.size(), 60u);
  // Made twenty at a time, due one by one.
  for (std::size_t i = 1; i < points.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(points[i].source_time - points[i - 1].source_time), 10e6, 2e6) << i;
  }
}

TEST(SimulatorSource, EachMistakeInTheSettingsIsReported) {
  struct Case {
    const char* text;
    const char* problem;
  };
  for (const Case& c :
       {Case{"points = 0", "points"}, Case{"rate = -1", "rate"}, Case{"rate = \"fast\"", "max"},
        Case{"rate = 1.5", "rate"}, Case{"shape = \"square\"", "pump-station"}, Case{"type = \"Structure\"", "Double"},
        Case{"type = \"Dobule\"", "Dobule"}, Case{"shape = \"pump-station\"\ntype = \"Double\"", "of its own"},
        Case{"order = \"none\"", "sequential"}, Case{"stamp = \"due\"\nrate = \"max\"", "rate"},
        Case{"tick = \"fast\"", "tick"}, Case{"pionts = 5", "points"}}) {
    EXPECT_NE(make(c.text).problems.find(c.problem), std::string::npos) << c.text << "\n→ " << make(c.text).problems;
  }
}

TEST(SimulatorSource, TheSampleIsValid) {
  Problems problems;
  const auto settings = Settings::load(SALLYPORT_SOURCE_DIR "/src/sources/simulator/sample.toml", problems);
  ASSERT_TRUE(settings);
  SettingsReader file(*settings, problems);
  SettingsReader sources(*file.table("source"), problems);
  const auto tables = sources.tables("simulator");
  ASSERT_EQ(tables.size(), 1u);
  SettingsReader reader(tables[0], problems);
  const SourceCommon common{
      .name = reader.required_string("name"), .node = "n", .into = reader.required_string("into")};
  EXPECT_NE(source_type().make(common, reader), nullptr);
  reader.finish();
  for (const Problem& problem : problems) ADD_FAILURE() << to_string(problem);
}

}  // namespace
}  // namespace sallyport::simulator
