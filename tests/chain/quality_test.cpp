// Promise 3: no stale value looks good. Each kind of break on the path of a point, as seen by foreign consumers on MQTT
// and HTTP behind the last node: not good within the bound, the reason named, first thing told to whoever comes late, and
// good again when the path is.
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstdio>

#include "harness.h"
#include "json.h"

namespace sallyport::tests {
namespace {

constexpr std::size_t kPoints = 20;
// Promised: timeout + 0.5 s, or 0.2 s for a reset. A loaded machine that runs other tests beside gets this much more.
constexpr auto kSlack = seconds(1);
constexpr auto kByTimeout = seconds(3) + milliseconds(500) + kSlack;
constexpr auto kByReset = milliseconds(200) + kSlack;

double in_seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

// Chain of three with both kinds of consumers watching; every point good.
class Broken : public testing::Test {
 protected:
  void begin(ChainOptions options, std::size_t points = kPoints) {
    points_ = points;
    chain_ = std::make_unique<Chain>(std::move(options));
    if (!chain_->problem().empty()) GTEST_SKIP() << chain_->problem();
    chain_->start();
    ASSERT_TRUE(eventually([&] { return good() >= points_; }, seconds(30))) << chain_->logs();
    points_ = good();
    mqtt_ = Watcher::mqtt(chain_->broker().port());
    sse_ = Watcher::sse(chain_->http_port());
    ASSERT_TRUE(mqtt_->wait_for_all("good", points_, seconds(10))) << chain_->logs();
    ASSERT_TRUE(sse_->wait_for_all("good", points_, seconds(10))) << chain_->logs();
  }

  std::size_t good() { return static_cast<std::size_t>(std::atoi(chain_->last().points("good").c_str())); }

  void break_by(const std::function<void()>& action) {
    broken_at_ = Clock::now();
    action();
  }

  // Everything promised of a break, until healing.
  void expect_not_good_within(Clock::duration bound, const std::string& node, const std::string& link) {
    EXPECT_TRUE(mqtt_->wait_for_all("!good", points_, bound + seconds(5))) << chain_->logs();
    EXPECT_TRUE(sse_->wait_for_all("!good", points_, bound + seconds(5))) << chain_->logs();
    expect_time("mqtt", mqtt_->until_none_good(broken_at_), bound);
    expect_time("http", sse_->until_none_good(broken_at_), bound);
    expect_value_and_cause(mqtt_->latest(), node, link);
    expect_value_and_cause(sse_->latest(), node, link);
    expect_never_backwards(mqtt_->all());
    expect_never_backwards(sse_->all());
    expect_late_consumers_hear_not_good_first();
  }

  void expect_time(const char* consumer, std::optional<Clock::duration> took, Clock::duration bound) {
    ASSERT_TRUE(took.has_value()) << consumer << ": some point is good";
    std::printf("[ measured ] %s: every point not good after %.3f s\n", consumer, in_seconds(*took));
    EXPECT_LE(in_seconds(*took), in_seconds(bound)) << consumer;
  }

  void expect_value_and_cause(const std::map<std::string, Seen>& latest, const std::string& node, const std::string& link) {
    for (const auto& [path, seen] : latest) {
      EXPECT_NE(seen.value, "null") << path;
      EXPECT_NE(seen.value, "") << path;
      EXPECT_NE(seen.timestamp, "") << path;
      EXPECT_EQ(seen.quality, "bad") << path;
      EXPECT_NE(seen.status_name, "") << path;
      EXPECT_EQ(seen.cause_node, node) << path;
      EXPECT_EQ(seen.cause_link, link) << path;
      EXPECT_NE(seen.cause_what, "") << path;
    }
  }

  // Promise 4, while we are at it: source times are fixed width, so they compare as text.
  void expect_never_backwards(const std::vector<Seen>& all) {
    std::map<std::string, std::string> newest;
    for (const auto& seen : all) {
      EXPECT_GE(seen.timestamp, newest[seen.path]) << seen.path;
      newest[seen.path] = seen.timestamp;
    }
  }

  void expect_late_consumers_hear_not_good_first() {
    const auto late_mqtt = Watcher::mqtt(chain_->broker().port());
    const auto late_sse = Watcher::sse(chain_->http_port());
    EXPECT_TRUE(late_mqtt->wait_for_all("!good", points_, seconds(5)));
    EXPECT_TRUE(late_sse->wait_for_all("!good", points_, seconds(5)));
    for (const auto& seen : late_mqtt->all()) EXPECT_NE(seen.quality, "good") << "mqtt " << seen.path;
    for (const auto& seen : late_sse->all()) EXPECT_NE(seen.quality, "good") << "http " << seen.path;
    const HttpReply reply = http_get(chain_->http_port(), "/api/v1/points?limit=1000");
    EXPECT_EQ(reply.code, 200);
    EXPECT_EQ(reply.body.find("\"quality\":\"good\""), std::string::npos);
  }

  void heal_by(const std::function<void()>& action, Clock::duration limit = seconds(20)) {
    const auto healed_at = Clock::now();
    action();
    EXPECT_TRUE(mqtt_->wait_for_all("good", points_, limit)) << chain_->logs();
    EXPECT_TRUE(sse_->wait_for_all("good", points_, limit)) << chain_->logs();
    const auto mqtt = mqtt_->until_all_good(healed_at);
    const auto sse = sse_->until_all_good(healed_at);
    if (mqtt && sse) std::printf("[ measured ] good again: mqtt %.3f s, http %.3f s\n", in_seconds(*mqtt), in_seconds(*sse));
    expect_never_backwards(sse_->all());
  }

  std::size_t points_ = kPoints;
  std::unique_ptr<Chain> chain_;
  std::unique_ptr<Watcher> mqtt_, sse_;
  Clock::time_point broken_at_;
};

ChainOptions gated() {
  ChainOptions options;
  options.gated = true;
  return options;
}

TEST_F(Broken, ByACablePulledWithoutAFin) {
  ChainOptions options;
  options.cable = true;
  begin(options);
  if (IsSkipped() || HasFatalFailure()) return;
  break_by([&] { chain_->cable().pull(); });
  expect_not_good_within(kByTimeout, "n-2", "n-1");
  heal_by([&] { chain_->cable().plug(); }, seconds(40));
}

TEST_F(Broken, ByAResetOfTheFirstHop) {
  begin(gated());
  if (HasFatalFailure()) return;
  break_by([&] {
    chain_->gate(0).refuse(true);
    chain_->gate(0).reset();
  });
  expect_not_good_within(kByReset, "n-2", "n-1");
  heal_by([&] { chain_->gate(0).refuse(false); }, seconds(40));
}

TEST_F(Broken, ByAResetOfTheSecondHop) {
  begin(gated());
  if (HasFatalFailure()) return;
  break_by([&] {
    chain_->gate(1).refuse(true);
    chain_->gate(1).reset();
  });
  expect_not_good_within(kByReset, "n-3", "n-2");
  heal_by([&] { chain_->gate(1).refuse(false); }, seconds(40));
}

TEST_F(Broken, ByAStalledSecondHop) {
  begin(gated());
  if (HasFatalFailure()) return;
  break_by([&] { chain_->gate(1).stall(true); });
  expect_not_good_within(kByTimeout, "n-3", "n-2");
  heal_by([&] { chain_->gate(1).stall(false); }, seconds(40));
}

TEST_F(Broken, ByKillingThePlantNode) {
  begin({});
  if (HasFatalFailure()) return;
  break_by([&] { chain_->first().process().kill(); });
  expect_not_good_within(kByReset, "n-2", "n-1");
  heal_by([&] { chain_->start_node(0); });
}

TEST_F(Broken, ByKillingTheDmzNode) {
  begin({});
  if (HasFatalFailure()) return;
  break_by([&] { chain_->node(1).process().kill(); });
  expect_not_good_within(kByReset, "n-3", "n-2");
  heal_by([&] { chain_->start_node(1); }, seconds(40));
}

TEST_F(Broken, ByFreezingThePlantNodeWhoseKernelStillAcknowledges) {
  begin({});
  if (HasFatalFailure()) return;
  break_by([&] { chain_->first().process().freeze(); });
  expect_not_good_within(kByTimeout, "n-2", "n-1");
  heal_by([&] { chain_->first().process().thaw(); });
}

TEST_F(Broken, ByFreezingTheDmzNodeWhoseKernelStillAcknowledges) {
  begin({});
  if (HasFatalFailure()) return;
  break_by([&] { chain_->node(1).process().freeze(); });
  expect_not_good_within(kByTimeout, "n-3", "n-2");
  heal_by([&] { chain_->node(1).process().thaw(); }, seconds(40));
}

TEST_F(Broken, ByStoppingThePlantNodeOnPurpose) {
  begin({});
  if (HasFatalFailure()) return;
  break_by([&] { chain_->first().process().signal(SIGTERM); });
  // Which of the two is told: the source that was stopped, or the link that ended.
  EXPECT_TRUE(mqtt_->wait_for_all("!good", points_, kByReset + seconds(5)));
  expect_time("mqtt", mqtt_->until_none_good(broken_at_), kByReset);
  expect_late_consumers_hear_not_good_first();
  EXPECT_EQ(chain_->first().process().wait(seconds(10)), 0) << chain_->first().log();
  heal_by([&] { chain_->start_node(0); });
}

TEST_F(Broken, ByKillingTheLastNodeIsToldByTheBrokerAsItsWill) {
  begin({});
  if (HasFatalFailure()) return;
  std::atomic<int> told{0};
  const LineReader will({"mosquitto_sub", "-p", std::to_string(chain_->broker().port()), "-t", "sallyport/n-3/broker/online"},
                        [&](Clock::time_point, const std::string& line) { told = line == "true" ? 1 : 2; });
  ASSERT_TRUE(eventually([&] { return told == 1; }, seconds(5)));
  chain_->last().process().kill();
  EXPECT_TRUE(eventually([&] { return told == 2; }, seconds(5)));
}

TEST_F(Broken, InTheFirstOfFourHopsIsKnownAtTheFifthNode) {
  ChainOptions options;
  options.nodes = 5;
  begin(options);
  if (HasFatalFailure()) return;
  break_by([&] { chain_->first().process().freeze(); });
  expect_not_good_within(kByTimeout, "n-2", "n-1");
  heal_by([&] { chain_->first().process().thaw(); });
}

// --- The source itself -------------------------------------------------------------------------------------------------

class BrokenSource : public Broken {
 protected:
  void begin_with_plant() {
    ChainOptions options;
    options.source = "[[source.opcua]]\nname = \"line1\"\nendpoint = \"" + plant_.endpoint() +
                     "\"\ninto = \"acme/line1\"\nbrowse = [\"nsu=urn:sallyport:plant;s=Plant\"]\nsecurity = \"none\"\npublishing_interval = \"100ms\"\n";
    begin(options, 1);
  }
  TempFolder folder_;
  Plant plant_{folder_, {}};
};

TEST_F(BrokenSource, ByKillingTheOpcUaServer) {
  begin_with_plant();
  if (HasFatalFailure()) return;
  break_by([&] { plant_.process().kill(); });
  expect_not_good_within(kByTimeout, "n-1", "line1");
  heal_by([&] { plant_.start(); }, seconds(40));
}

TEST_F(BrokenSource, ByFreezingTheOpcUaServer) {
  begin_with_plant();
  if (HasFatalFailure()) return;
  break_by([&] { plant_.process().freeze(); });
  expect_not_good_within(seconds(10) + kSlack, "n-1", "line1");
  heal_by([&] { plant_.process().thaw(); }, seconds(40));
}

// --- Not there from the beginning --------------------------------------------------------------------------------------

TEST(Unreachable, TargetAtStartIsReportedAndEverythingComesOnceItIsThere) {
  Chain chain;
  chain.node(0).start();
  chain.node(2).start();
  ASSERT_TRUE(chain.node(0).wait_ready()) << chain.node(0).log();
  ASSERT_TRUE(chain.node(2).wait_ready()) << chain.node(2).log();
  EXPECT_TRUE(eventually([&] { return !chain.first().link_field("n-2", "reason").empty(); }, seconds(5)));
  EXPECT_NE(chain.first().link_field("n-2", "state"), "up");
  EXPECT_NE(chain.first().link_field("n-2", "reason").find("refused"), std::string::npos) << chain.first().link_field("n-2", "reason");
  EXPECT_EQ(http_get(chain.http_port(), "/healthz").code, 200);
  EXPECT_NE(http_get(chain.http_port(), "/readyz").code, 200);
  EXPECT_EQ(http_get(chain.http_port(), "/api/v1/points").body.find("\"good\""), std::string::npos);
  chain.start_node(1);
  EXPECT_TRUE(chain.wait_points(kPoints, seconds(40))) << chain.logs();
  EXPECT_EQ(http_get(chain.http_port(), "/readyz").code, 200);
}

TEST(Unreachable, PlantIsKnownFromTheDmzOnAtTheFarEnd) {
  Chain chain;
  chain.node(1).start();
  chain.node(2).start();
  ASSERT_TRUE(chain.node(1).wait_ready() && chain.node(2).wait_ready()) << chain.logs();
  ASSERT_TRUE(chain.last().wait_link("n-2", "up", seconds(20))) << chain.logs();
  // The last node says where: its neighbour's link to the plant is not up.
  EXPECT_TRUE(eventually([&] { return text_at(chain.last().status(), "links.0.hops").find("n-1") != std::string::npos; }, seconds(10)))
      << text_at(chain.last().status(), "links.0");
  chain.start_node(0);
  EXPECT_TRUE(chain.wait_points(kPoints, seconds(20))) << chain.logs();
}

}  // namespace
}  // namespace sallyport::tests
