// Points of which each change counts: through cuts, kills and restarts every one arrives once and in order, gaps are told, and
// what is live does not wait for what was kept.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include <fstream>
#include <sstream>

#include "harness.h"
#include "json.h"

namespace sallyport::tests {
namespace {

constexpr int kPoints = 50;

ChainOptions options_for(const std::string& result, int rate) {
  ChainOptions options;
  options.gated = true;
  options.broker = false;
  options.source = "[[source.simulator]]\nname = \"sim\"\ninto = \"acme/line1\"\npoints = " + std::to_string(kPoints) + "\nrate = " + std::to_string(rate) +
                   "\nseed = 7\nshape = \"ramp\"\nrest_on = \"rest\"\n[[delivery]]\nmatch = \"acme/**\"\nmode = \"every\"\n";
  options.last_extra = "[[sink.recorder]]\nname = \"meter\"\npublish = [\"acme/**\"]\nresult = \"" + result + "\"\nevery = \"100ms\"\ndelivery = \"every\"\n";
  return options;
}

struct Every {
  TempFolder results;
  std::string result = results.path() + "/meter.json";
  Chain chain;

  explicit Every(int rate) : chain(options_for(result, rate)) {}

  std::int64_t count(const std::string& field) const {
    std::ifstream in(result);
    std::ostringstream text;
    text << in.rdbuf();
    const auto json = parse_json(text.str());
    return json ? std::atoll(text_at(*json, field).c_str()) : -1;
  }
  std::int64_t behind(std::size_t node) {
    return std::atoll(text_at(chain.node(node).status(), "journal.readers.0.behind").c_str());
  }
  void rest() { chain.folder().write("rest", ""); }
  // Everything kept has gone on, and the recorder has said so.
  testing::AssertionResult drained() {
    std::int64_t before = -1;
    const bool done = eventually([&] {
      const std::int64_t now = count("changes");
      const bool still = std::exchange(before, now) == now && behind(0) == 0 && behind(1) == 0 && behind(2) == 0;
      if (!still) std::this_thread::sleep_for(milliseconds(500));
      return still;
    }, seconds(60));
    if (!done) return testing::AssertionFailure() << "behind: " << behind(0) << " " << behind(1) << " " << behind(2) << "\n" << chain.logs();
    return testing::AssertionSuccess();
  }
};

TEST(EveryChange, ArrivesOnceThroughCutsAndKills) {
  Every every(3000);
  every.chain.start();
  ASSERT_TRUE(every.chain.wait_points(kPoints)) << every.chain.logs();
  for (int round = 0; round < 3; ++round) {
    every.chain.gate(0).reset();
    std::this_thread::sleep_for(milliseconds(300));
    every.chain.gate(1).refuse(true);
    every.chain.gate(1).reset();
    std::this_thread::sleep_for(milliseconds(1200));
    every.chain.gate(1).refuse(false);
    every.chain.node(1).process().kill();
    std::this_thread::sleep_for(milliseconds(500));
    every.chain.start_node(1);
    std::this_thread::sleep_for(milliseconds(700));
    every.chain.node(0).process().kill();
    every.chain.start_node(0);
    std::this_thread::sleep_for(milliseconds(500));
  }
  every.rest();
  ASSERT_TRUE(every.drained());
  EXPECT_GT(every.count("changes"), 10'000);
  EXPECT_EQ(every.count("missing"), 0);
  EXPECT_EQ(every.count("repeated"), 0);
  EXPECT_EQ(every.count("backwards"), 0);
  EXPECT_GE(every.count("gaps"), 3) << "each restart of the plant's node is one";
  const auto gaps = parse_json(every.chain.last().ask({"gaps", "--json"}).output);
  ASSERT_TRUE(gaps);
  int restarts = 0;
  for (const auto& gap : find_json(*gaps, "gaps")->as_array()) {
    if (text_at(gap, "cause") == "restart" && text_at(gap, "node") == "n-1") ++restarts;
  }
  EXPECT_EQ(restarts, 3);
}

TEST(EveryChange, ComesAfterTheLiveValueAndLeavesItAlone) {
  Every every(20'000);
  every.chain.start();
  ASSERT_TRUE(every.chain.wait_points(kPoints)) << every.chain.logs();
  every.chain.gate(0).refuse(true);
  every.chain.gate(0).reset();
  ASSERT_TRUE(eventually([&] { return every.chain.last().points("bad") == std::to_string(kPoints); }, seconds(10)));
  ASSERT_TRUE(eventually([&] { return every.behind(0) > 60'000; }, seconds(20)));
  every.chain.gate(0).refuse(false);
  ASSERT_TRUE(every.chain.wait_points(kPoints, seconds(10))) << every.chain.logs();
  every.rest();
  ASSERT_TRUE(every.drained());
  EXPECT_EQ(every.count("missing"), 0);
  EXPECT_EQ(every.count("repeated"), 0);
  EXPECT_EQ(every.count("backwards"), 0);
}

TEST(EveryChange, CanBeLookedAtInTheFiles) {
  Every every(1000);
  every.chain.start();
  ASSERT_TRUE(every.chain.wait_points(kPoints)) << every.chain.logs();
  every.chain.gate(0).refuse(true);
  every.chain.gate(0).reset();
  ASSERT_TRUE(eventually([&] { return every.behind(0) > 500; }, seconds(20)));
  every.rest();
  Node& plant = every.chain.first();
  const auto inspected = plant.ask({"journal", "inspect"});
  EXPECT_EQ(inspected.code, 0) << inspected.error;
  EXPECT_NE(inspected.output.find(".seg"), std::string::npos);
  const auto verified = plant.ask({"journal", "verify"});
  EXPECT_EQ(verified.code, 0) << verified.error;
  EXPECT_NE(verified.output.find("every record is as it was written"), std::string::npos);
  const auto exported = plant.ask({"journal", "export", "acme/**"});
  EXPECT_EQ(exported.code, 0) << exported.error;
  const auto line = parse_json(exported.output.substr(0, exported.output.find('\n')));
  ASSERT_TRUE(line) << exported.output.substr(0, 300);
  EXPECT_EQ(text_at(*line, "quality"), "good");
  EXPECT_EQ(text_at(*line, "origin"), "n-1");
  EXPECT_TRUE(text_at(*line, "stream").starts_with("n-1/"));
  const auto status = plant.ask({"status"});
  EXPECT_NE(status.output.find("JOURNAL"), std::string::npos) << status.output;
}

}  // namespace
}  // namespace sallyport::tests
