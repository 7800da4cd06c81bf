// What writers and readers of the namespace may rely on.
#include "namespace/namespace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

namespace sallyport {
namespace {

// A consumer that remembers the newest of each path, and complains when it goes backwards.
struct Consumer {
  Consumer(Namespace& ns, std::vector<std::string> patterns, SubscriptionOptions options = {}) {
    options.patterns = *Patterns::parse(patterns);
    subscription = std::make_unique<Subscription>(ns, std::move(options), [this] { ++wakes; });
  }
  std::size_t pull(std::size_t max = 1000) {
    batch.clear();
    subscription->pull(batch, max);
    for (const Update& u : batch.updates) {
      const std::string path(batch.path(u));
      if (u.kind == UpdateKind::removed) {
        seen.erase(path);
        continue;
      }
      const auto [at, fresh] = seen.emplace(path, u);
      if (!fresh) {
        EXPECT_GE(u.revision, at->second.revision) << path;
        at->second = u;
      }
    }
    return batch.updates.size();
  }
  std::size_t pull_all(std::size_t max = 1000) {
    std::size_t total = 0;
    do total += pull(max);
    while (batch.more || !batch.updates.empty());
    return total;
  }
  double value(const std::string& path) { return seen.at(path).value.float64(); }
  Quality quality(const std::string& path) { return quality_of(seen.at(path).status); }

  std::unique_ptr<Subscription> subscription;
  Batch batch;
  std::map<std::string, Update> seen;
  std::atomic<int> wakes = 0;
};

struct Table : ::testing::Test {
  ManualClock clock;
  Namespace ns{clock, {.max_points = 4096, .ring_entries = 64, .max_routes = 16}};
  RouteId route = *ns.add_route({"n", "s", {"n"}});

  PointId define(const std::string& path, double value, RouteId of) {
    const Definition d{path, nullptr, {kNoPoint, status::kGood, 1, Value::from(value)}};
    PointId id = kNoPoint;
    ns.define(of, std::span(&d, 1), std::span(&id, 1));
    return id;
  }
  PointId define(const std::string& path, double value) { return define(path, value, route); }
  void change(PointId id, double value, Status code = status::kGood) {
    Change c{id, code, 2, Value::from(value)};
    ns.apply(route, std::span(&c, 1));
  }
};
using NamespaceTable = Table;

TEST_F(NamespaceTable, GivesASubscriberTheSnapshotThenChanges) {
  const PointId a = define("x/a", 1);
  define("y/b", 2);
  Consumer c(ns, {"x/**"});
  EXPECT_EQ(c.pull_all(), 1u);
  change(a, 5);
  EXPECT_EQ(c.pull_all(), 1u);
  EXPECT_EQ(c.value("x/a"), 5);
  EXPECT_FALSE(c.seen.contains("y/b"));
}

TEST_F(NamespaceTable, ConflatesForASlowReader) {
  const PointId a = define("a", 1);
  Consumer c(ns, {"**"});
  c.pull_all();
  for (int i = 0; i < 50; ++i) change(a, i);
  EXPECT_EQ(c.pull_all(), 1u);
  EXPECT_EQ(c.value("a"), 49);
}

TEST_F(NamespaceTable, LosesNoPointWhenAReaderFallsOffTheRing) {
  std::vector<PointId> ids;
  for (int i = 0; i < 300; ++i) ids.push_back(define("p" + std::to_string(i), 0));
  Consumer c(ns, {"**"});
  c.pull_all();
  for (int i = 0; i < 300; ++i) change(ids[static_cast<std::size_t>(i)], i + 1);
  c.pull(7);  // begins to scan
  for (int i = 0; i < 300; ++i) change(ids[static_cast<std::size_t>(i)], i + 1000);
  c.pull_all(13);
  for (int i = 0; i < 300; ++i) ASSERT_EQ(c.value("p" + std::to_string(i)), i + 1000);
}

TEST_F(NamespaceTable, WakesOnceAndOnlyWhoWaits) {
  const PointId a = define("a", 1);
  Consumer c(ns, {"**"});
  change(a, 2);
  EXPECT_EQ(c.wakes, 0);
  c.pull_all();
  change(a, 3);
  change(a, 4);
  EXPECT_EQ(c.wakes, 1);
}

TEST_F(NamespaceTable, KeepsTheLastValueWhenItsSourceGoesAway) {
  define("a", 7);
  Consumer c(ns, {"**"});
  c.pull_all();
  ns.cover(route, status::kBadNoCommunication, {"n", "s", 5, "gone"});
  c.pull_all();
  EXPECT_EQ(c.quality("a"), Quality::bad);
  EXPECT_EQ(c.value("a"), 7);
  EXPECT_EQ(c.seen.at("a").source_time, 1);
  EXPECT_EQ(c.seen.at("a").underlying, status::kGood);
  ns.uncover(route);
  c.pull_all();
  EXPECT_EQ(c.quality("a"), Quality::good);
}

TEST_F(NamespaceTable, ShowsAChangeUnderAnOverlayAsLive) {
  const PointId a = define("a", 1);
  define("b", 1);
  ns.cover(route, status::kBadNoCommunication, {"n", "s", 5, "gone"});
  change(a, 2);
  EXPECT_EQ(quality_of(ns.read("a")->status), Quality::good);
  EXPECT_EQ(quality_of(ns.read("b")->status), Quality::bad);
  ns.cover(route, status::kBadNoCommunication, {"n", "s", 6, "gone again"});
  EXPECT_EQ(quality_of(ns.read("a")->status), Quality::bad);
}

TEST_F(NamespaceTable, NeverRaisesQualityByAnOverlay) {
  const PointId a = define("a", 1);
  change(a, 2, 0x80A90000);
  ns.cover(route, status::kUncertainNoCommunicationLastUsableValue, {"n", "s", 5, "gone"});
  EXPECT_EQ(ns.read("a")->status, 0x80A90000u);
}

TEST_F(NamespaceTable, TellsANewSubscriberBadAsTheFirstValueOfACoveredPoint) {
  define("a", 1);
  ns.cover(route, status::kBadNoCommunication, {"n", "s", 5, "gone"});
  Consumer c(ns, {"**"});
  c.pull_all();
  EXPECT_EQ(c.quality("a"), Quality::bad);
}

TEST_F(NamespaceTable, TellsOverlaysOfTwoRoutesThoughTheSecondComesDuringTheFirst) {
  const RouteId second = *ns.add_route({"n", "t", {"n"}});
  for (int i = 0; i < 100; ++i) define("a" + std::to_string(i), 1);
  for (int i = 0; i < 100; ++i) define("b" + std::to_string(i), 1, second);
  Consumer c(ns, {"**"});
  c.pull_all();
  ns.cover(route, status::kBadNoCommunication, {});
  c.pull(20);
  ns.cover(second, status::kBadNoCommunication, {});
  c.pull_all(20);
  for (const auto& [path, update] : c.seen) EXPECT_EQ(quality_of(update.status), Quality::bad) << path;
}

TEST_F(NamespaceTable, RemovesAndReusesIdsWithoutMixingPointsUp) {
  Consumer c(ns, {"**"});
  std::vector<PointId> ids;
  for (int round = 0; round < 20; ++round) {
    ids.clear();
    for (int i = 0; i < 200; ++i) ids.push_back(define("r" + std::to_string(round) + "/" + std::to_string(i), round));
    if (round % 3 == 0) c.pull_all();
    ns.remove(route, ids);
    if (round % 2 == 0) c.pull(50);
  }
  define("last", 1);
  c.pull_all();
  EXPECT_EQ(c.seen.size(), 1u);
  EXPECT_TRUE(c.seen.contains("last"));
}

TEST_F(NamespaceTable, RefusesWhatAnotherLiveRouteProvides) {
  const RouteId second = *ns.add_route({"n", "t", {"n"}});
  define("a", 1);
  EXPECT_EQ(define("a", 2, second), kNoPoint);
  EXPECT_EQ(ns.read("a")->value.float64(), 1);
  ns.cover(route, status::kBadNoCommunication, {});
  EXPECT_NE(define("a", 2, second), kNoPoint);  // the first is gone: the second takes over
  EXPECT_EQ(ns.read("a")->value.float64(), 2);
}

TEST_F(NamespaceTable, RefusesBadPathsAndAFullTableWithAReason) {
  const std::string deep = "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20";
  std::vector<Definition> definitions(3);
  definitions[0].path = deep;
  definitions[1].path = "a//b";
  definitions[2].path = "\xff\xfe";
  std::vector<PointId> ids(3);
  const auto refused = ns.define(route, definitions, ids);
  EXPECT_EQ(refused.count, 3u);
  EXPECT_THAT(refused.first_reason, ::testing::HasSubstr("16"));
  for (int i = 0; i < 4096; ++i) ASSERT_NE(define("p" + std::to_string(i), 0), kNoPoint);
  EXPECT_EQ(define("one more", 0), kNoPoint);
}

TEST_F(NamespaceTable, HoldsTheSameDigestHoweverAStateWasReached) {
  ManualClock other_clock;
  Namespace other(other_clock, {.max_points = 100, .ring_entries = 64, .max_routes = 16});
  const std::uint32_t mine = ns.add_provider(), theirs = other.add_provider();
  const RouteId r1 = *ns.add_route({"n", "q", {}}, mine), r2 = *other.add_route({"m", "q", {}}, theirs);
  const auto put = [](Namespace& n, RouteId r, const std::string& path, Value v) {
    const Definition d{path, nullptr, {kNoPoint, status::kGood, 5, std::move(v)}};
    PointId id = kNoPoint;
    n.define(r, std::span(&d, 1), std::span(&id, 1));
    return id;
  };
  const PointId a = put(ns, r1, "a", Value::from(1.0));
  put(ns, r1, "b", Value::text("hello"));
  const PointId gone = put(ns, r1, "c", Value::from(true));
  Change c{a, status::kGood, 9, Value::from(2.0)};
  ns.apply(r1, std::span(&c, 1));
  ns.remove(r1, std::span(&gone, 1));
  put(other, r2, "b", Value::text("hello"));
  const PointId oa = put(other, r2, "a", Value());
  EXPECT_NE(ns.holding(mine)->digest, other.holding(theirs)->digest);
  Change oc{oa, status::kGood, 9, Value::from(2.0)};
  other.apply(r2, std::span(&oc, 1));
  EXPECT_EQ(ns.holding(mine)->digest, other.holding(theirs)->digest);
  EXPECT_EQ(ns.holding(mine)->points, 2u);
}

// Digests are summed a little at a time between large batches, so that the list of what is to be summed is never empty.
TEST(NamespaceDigest, StaysRightWhenItIsSummedLittleByLittle) {
  SystemClock clock;
  Namespace busy(clock, {.max_points = 4000, .ring_entries = 256, .max_routes = 16}), quiet(clock, {.max_points = 4000, .ring_entries = 256, .max_routes = 16});
  constexpr std::size_t kPoints = 2000;
  std::vector<PointId> ids(kPoints);
  std::vector<RouteId> routes;
  for (Namespace* ns : {&busy, &quiet}) {
    routes.push_back(*ns->add_route({"n", "s", {"n"}}));
    for (std::size_t i = 0; i < kPoints; ++i) {
      const std::string path = "p" + std::to_string(i);
      const Definition d{path, nullptr, {kNoPoint, 0, 1, Value::from(0.0)}};
      ns->define(routes.back(), std::span(&d, 1), std::span(&ids[i], 1));
    }
  }
  std::vector<double> values(kPoints);
  for (std::size_t round = 1; round <= 500; ++round) {
    for (const std::size_t size : {100u, 1u}) {
      std::vector<Change> changes;
      for (std::size_t i = 0; i < size; ++i) {
        const std::size_t point = (round * 100 + i) % kPoints;
        values[point] = static_cast<double>(round);
        changes.push_back({ids[point], 0, static_cast<UtcNanoseconds>(round), Value::from(values[point])});
      }
      busy.apply(routes[0], changes);
    }
  }
  std::vector<PointView> points;
  busy.list(Patterns::everything(), 0, kPoints, points);
  std::vector<Change> all;
  for (const PointView& point : points) all.push_back({point.id, point.underlying, point.source_time, point.value});
  quiet.apply(routes[1], all);
  EXPECT_EQ(busy.route_holding(routes[0]).digest, quiet.route_holding(routes[1]).digest);
}

TEST(NamespaceThreads, AgreeInTheEndWithOneWriterAndThreeReaders) {
  SystemClock clock;
  Namespace ns(clock, {.max_points = 1000, .ring_entries = 256, .max_routes = 16});
  const RouteId route = *ns.add_route({"n", "s", {"n"}});
  std::vector<PointId> ids(100);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::string path = "p" + std::to_string(i);
    const Definition d{path, nullptr, {kNoPoint, 0, 1, Value::from(0.0)}};
    ns.define(route, std::span(&d, 1), std::span(&ids[i], 1));
  }
  std::atomic<bool> done = false;
  std::vector<std::jthread> threads;
  std::vector<std::unique_ptr<Consumer>> consumers;
  for (int i = 0; i < 3; ++i) consumers.push_back(std::make_unique<Consumer>(ns, std::vector<std::string>{"**"}));
  for (auto& consumer : consumers) {
    threads.emplace_back([&consumer, &done] {
      while (!done) consumer->pull(64);
      consumer->pull_all();
    });
  }
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<Change> changes;
    for (int i = 0; i < 20; ++i) changes.push_back({ids[random() % 100], 0, round, Value::from(static_cast<double>(round))});
    ns.apply(route, changes);
    if (round % 100 == 0) ns.cover(route, status::kBadNoCommunication, {});
    if (round % 100 == 50) ns.uncover(route);
  }
  done = true;
  threads.clear();
  for (auto& consumer : consumers) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::string path = "p" + std::to_string(i);
      ASSERT_EQ(consumer->value(path), ns.read(path)->value.float64());
      ASSERT_EQ(consumer->seen.at(path).status, ns.read(path)->status);
    }
  }
}

}  // namespace
}  // namespace sallyport
