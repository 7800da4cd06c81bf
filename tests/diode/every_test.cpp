// Changes of `every` points over a diode: each once and in order as long as one of its repeats comes; what does not is a gap.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "json.h"
#include "pair.h"
#include "relay.h"

namespace sallyport::tests {
namespace {

constexpr int kPoints = 50;

struct Every {
  explicit Every(const std::string& more_diode = {}) : relay(port), pair(options(more_diode)) {}
  DiodePairOptions options(const std::string& more_diode) {
    DiodePairOptions o;
    o.points = kPoints;
    o.rate = 2000;
    o.every = true;
    o.more_diode = more_diode;
    o.send = "udp://127.0.0.1:" + std::to_string(relay.port());
    o.receive = "udp://127.0.0.1:" + std::to_string(port);
    o.office_more = "[[sink.recorder]]\nname = \"meter\"\npublish = [\"acme/**\"]\nresult = \"" + results.path() + "/meter.json\"\nevery = \"100ms\"\ndelivery = \"every\"\n";
    return o;
  }
  std::int64_t meter(const std::string& field) const {
    std::ostringstream text;
    text << std::ifstream(results.path() + "/meter.json").rdbuf();
    const auto json = parse_json(text.str());
    return json ? std::atoll(text_at(*json, field).c_str()) : -1;
  }
  std::int64_t appended(Node& node) { return std::atoll(text_at(node.status(), "journal.appended").c_str()); }
  // The plant's journal has been passed on, and the meter has read all of it.
  bool drained() {
    std::int64_t before = -1;
    return eventually([&] {
      const std::int64_t now = meter("changes");
      const bool still = std::exchange(before, now) == now && text_at(pair.plant().status(), "journal.readers.0.behind") == "0" &&
                         text_at(pair.office().status(), "journal.readers.0.behind") == "0" && pair.count("records_held_back") == 0;
      if (!still) std::this_thread::sleep_for(milliseconds(700));
      return still;
    }, seconds(40));
  }
  TempFolder results;
  std::uint16_t port = free_port();
  LossyRelay relay;
  DiodePair pair;
};

TEST(DiodeEvery, ArrivesOnceThroughLossBurstsAndACutShorterThanTheRepeats) {
  Every every;
  ASSERT_TRUE(every.pair.start()) << every.pair.logs();
  ASSERT_TRUE(every.pair.complete()) << every.pair.logs();
  every.relay.lose(0.05);
  std::this_thread::sleep_for(seconds(2));
  every.relay.cut(true);
  std::this_thread::sleep_for(milliseconds(100));
  every.relay.cut(false);
  std::this_thread::sleep_for(seconds(2));
  every.pair.rest();
  ASSERT_TRUE(every.drained()) << every.pair.logs();
  EXPECT_GT(every.meter("changes"), 5000);
  EXPECT_EQ(every.meter("changes"), every.appended(every.pair.plant()));
  EXPECT_EQ(every.meter("missing"), 0);
  EXPECT_EQ(every.meter("repeated"), 0);
  EXPECT_EQ(every.meter("backwards"), 0);
  EXPECT_EQ(every.meter("gaps"), 0) << every.pair.logs();
}

TEST(DiodeEvery, MarksWhatIsLostForGoodAsAGapWithItsCount) {
  Every every;
  ASSERT_TRUE(every.pair.start()) << every.pair.logs();
  ASSERT_TRUE(every.pair.complete()) << every.pair.logs();
  std::this_thread::sleep_for(seconds(1));
  every.relay.cut(true);
  std::this_thread::sleep_for(seconds(2));
  every.relay.cut(false);
  std::this_thread::sleep_for(seconds(2));
  every.pair.rest();
  ASSERT_TRUE(every.drained()) << every.pair.logs();
  const std::int64_t all = every.appended(every.pair.plant()), came = every.meter("changes");
  EXPECT_LT(came, all);
  EXPECT_EQ(every.meter("gaps"), 1) << every.pair.logs();
  EXPECT_EQ(every.pair.count("records_lost"), static_cast<std::uint64_t>(all - came));
  const auto gaps = parse_json(every.pair.office().ask({"gaps", "--json"}).output);
  ASSERT_TRUE(gaps);
  std::int64_t lost = 0;
  for (const auto& gap : find_json(*gaps, "gaps")->as_array()) {
    if (text_at(gap, "cause") == "sequence") lost += std::atoll(text_at(gap, "lost").c_str());
  }
  EXPECT_EQ(lost, all - came);
  EXPECT_EQ(every.meter("repeated"), 0);
  EXPECT_EQ(every.meter("backwards"), 0);
}

TEST(DiodeEvery, LosesNothingWithoutAGapWhenEitherSideIsKilled) {
  Every every;
  ASSERT_TRUE(every.pair.start()) << every.pair.logs();
  ASSERT_TRUE(every.pair.complete()) << every.pair.logs();
  std::this_thread::sleep_for(seconds(1));
  every.pair.plant().process().kill();
  every.pair.plant().process().wait(seconds(5));
  ASSERT_TRUE(every.pair.start_plant()) << every.pair.logs();
  std::this_thread::sleep_for(seconds(2));
  every.pair.office().process().kill();
  every.pair.office().process().wait(seconds(5));
  ASSERT_TRUE(every.pair.start_office()) << every.pair.logs();
  std::this_thread::sleep_for(seconds(2));
  every.pair.rest();
  ASSERT_TRUE(every.drained()) << every.pair.logs();
  // The meter counts anew after a restart; the office's journal has all there is.
  const auto gaps = parse_json(every.pair.office().ask({"gaps", "--json"}).output);
  ASSERT_TRUE(gaps);
  bool of_office = false;
  for (const auto& gap : find_json(*gaps, "gaps")->as_array()) of_office = of_office || (text_at(gap, "cause") == "sequence" && text_at(gap, "node") == "office-1");
  EXPECT_TRUE(of_office) << "what went by while the office was dead";
  EXPECT_EQ(every.meter("repeated"), 0);
  EXPECT_EQ(every.meter("backwards"), 0);
}

}  // namespace
}  // namespace sallyport::tests
