#include "namespace/source.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

// A source's publisher over a real namespace, as a connector sees it.
class PublisherTest : public testing::Test {
 protected:
  PointId define(std::string_view path, double value) {
    const Definition definition{
        .path = path, .meta = &meta, .first = {.source_time = clock.utc(), .value = Value::from(value)}};
    PointId id = kNoPoint;
    publisher.define({&definition, 1}, {&id, 1});
    return id;
  }
  void publish(PointId point, double value) {
    Change change{.point = point, .source_time = clock.utc(), .value = Value::from(value)};
    publisher.publish({&change, 1});
  }
  PointView point(std::string_view path) { return *ns.read(path); }

  ManualClock clock;
  Namespace ns{clock};
  Meta meta;
  Publisher publisher{ns, "plant-1", "line1", "acme/berlin", status::kBadNoCommunication};
};

TEST_F(PublisherTest, AddsOneRouteOfItsOwn) {
  const RouteInfo info = ns.route_info(publisher.route());
  EXPECT_EQ(info.origin, "plant-1");
  EXPECT_EQ(info.source, "line1");
  EXPECT_EQ(info.hops, std::vector<std::string>{"plant-1"});
}

TEST_F(PublisherTest, WaitsForTheFirstConnection) {
  EXPECT_FALSE(publisher.is_live());
  define("temp", 1);
  const PointView before = point("acme/berlin/temp");
  EXPECT_EQ(before.status, status::kBadWaitingForInitialData);
  ASSERT_TRUE(before.cause);
  EXPECT_EQ(before.cause->node, "plant-1");
  EXPECT_EQ(before.cause->link, "line1");
  EXPECT_EQ(before.cause->what, "waiting for the first connection");
}

TEST_F(PublisherTest, PutsItsPointsBelowInto) {
  EXPECT_NE(define("a/b", 1), kNoPoint);
  EXPECT_TRUE(ns.find("acme/berlin/a/b"));
  EXPECT_FALSE(ns.find("a/b"));
}

TEST_F(PublisherTest, DefinesManyPointsAtOnce) {
  std::vector<std::string> paths;
  for (int i = 0; i < 1000; ++i) paths.push_back("point-" + std::to_string(i));
  std::vector<Definition> definitions;
  for (const std::string& path : paths) definitions.push_back({.path = path, .meta = &meta, .first = {}});
  std::vector<PointId> ids(paths.size(), kNoPoint);
  EXPECT_EQ(publisher.define(definitions, ids).count, 0u);
  EXPECT_EQ(ns.path(ids[999]), "acme/berlin/point-999");
}

TEST_F(PublisherTest, LiveUncoversAndLostCoversWithTheReason) {
  const PointId id = define("temp", 1);
  publisher.live();
  EXPECT_TRUE(publisher.is_live());
  publish(id, 2);
  EXPECT_EQ(point("acme/berlin/temp").status, status::kGood);
  publisher.lost("connection refused");
  EXPECT_FALSE(publisher.is_live());
  const PointView lost = point("acme/berlin/temp");
  EXPECT_EQ(lost.status, status::kBadNoCommunication);
  EXPECT_EQ(lost.value, Value::from(2.0)) << "the last value stays";
  ASSERT_TRUE(lost.cause);
  EXPECT_EQ(lost.cause->what, "connection refused");
  publisher.live();
  EXPECT_EQ(point("acme/berlin/temp").status, status::kGood);
  EXPECT_FALSE(point("acme/berlin/temp").cause);
}

TEST_F(PublisherTest, SinceStaysAtTheFirstOfManyFailedRetries) {
  define("temp", 1);
  publisher.live();
  clock.advance(std::chrono::seconds(10));
  const UtcNanoseconds lost_at = clock.utc();
  publisher.lost("connection reset");
  for (int i = 0; i < 3; ++i) {
    clock.advance(std::chrono::seconds(5));
    publisher.lost("connection refused");
  }
  const auto cause = point("acme/berlin/temp").cause;
  ASSERT_TRUE(cause);
  EXPECT_EQ(cause->since, lost_at);
  EXPECT_EQ(cause->what, "connection refused");
}

TEST_F(PublisherTest, ALossCoversAlsoWhatCameBetweenTwoFailedTries) {
  const PointId id = define("temp", 1);
  publisher.live();
  publisher.lost("timeout");
  publish(id, 2);  // reconnected, but lost again before everything was read
  publisher.lost("timeout");
  EXPECT_EQ(point("acme/berlin/temp").status, status::kBadNoCommunication);
}

TEST_F(PublisherTest, PointsDefinedWhileLostStayCoveredUntilLive) {
  define("early", 1);
  publisher.live();
  publisher.lost("timeout");
  define("late", 1);
  EXPECT_EQ(point("acme/berlin/late").status, status::kBadNoCommunication);
  publisher.live();
  EXPECT_EQ(point("acme/berlin/late").status, status::kGood);
}

TEST(Publisher, GivesPointsTheDeliveryTheirNodeAsksFor) {
  ManualClock clock;
  Namespace ns(clock, {.max_points = 100, .ring_entries = 128, .max_routes = 8});
  std::vector<DeliveryRule> rules;
  rules.push_back({.match = *Patterns::parse({"acme/*/door"}), .every = true, .burst = 3});
  rules.push_back({.match = *Patterns::parse({"acme/**"})});
  Publisher publisher(ns, "plant-1", "line1", "acme/berlin", status::kBadNoCommunication, 0,
                      std::make_shared<const DeliveryRules>(std::move(rules)));
  Meta meta;
  meta.unit = "bar";
  const Definition definitions[] = {{"door", &meta, {}}, {"temp", &meta, {}}};
  PointId ids[2];
  publisher.define(definitions, ids);
  EXPECT_EQ(ns.meta(ids[0])->burst, 3);
  EXPECT_EQ(ns.meta(ids[0])->unit, "bar");
  EXPECT_EQ(ns.meta(ids[1])->burst, 0);
}

TEST_F(PublisherTest, RemovesItsPoints) {
  const PointId id = define("temp", 1);
  publisher.remove({&id, 1});
  EXPECT_FALSE(ns.find("acme/berlin/temp"));
}

TEST(Publisher, WithoutARouteLeftRefusesEveryPointAndSaysWhy) {
  ManualClock clock;
  Namespace ns(clock, {.max_routes = 1});
  Publisher first(ns, "plant-1", "line1", "a", status::kBadNoCommunication);
  Publisher second(ns, "plant-1", "line2", "b", status::kBadNoCommunication);
  const Meta meta;
  const Definition definition{.path = "x", .meta = &meta, .first = {}};
  PointId id = 7;
  const auto refused = second.define({&definition, 1}, {&id, 1});
  EXPECT_EQ(refused.count, 1u);
  EXPECT_TRUE(refused.first_reason.contains("too many routes")) << refused.first_reason;
  EXPECT_EQ(id, kNoPoint);
  second.live();
  second.lost("timeout");
  EXPECT_FALSE(second.is_live());
}

TEST(ConnectorStateText, HasAWordForEachState) {
  EXPECT_EQ(to_string(ConnectorState::starting), "starting");
  EXPECT_EQ(to_string(ConnectorState::up), "up");
  EXPECT_EQ(to_string(ConnectorState::connecting), "connecting");
  EXPECT_EQ(to_string(ConnectorState::down), "down");
  EXPECT_EQ(to_string(ConnectorState::stopped), "stopped");
}

}  // namespace
}  // namespace sallyport
