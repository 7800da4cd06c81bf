// The session's behaviour between two and three nodes, on a virtual clock.
#include "link/session.h"

#include <gmock/gmock.h>

#include "link/test_pair.h"
#include "namespace/source.h"

namespace sallyport::link {
namespace {

struct Pair : ::testing::Test {
  ManualClock clock;
  TestNode plant{"plant-1", clock, 11}, dmz{"dmz-1", clock, 22};
  TestLink link{clock, plant, dmz, {"acme/**"}};
  RouteId line = plant.source("line1");
};

using LinkSession = Pair;

TEST_F(LinkSession, MirrorsWhatIsThereAndWhatComes) {
  const PointId t = plant.define(line, "acme/berlin/temp", 1.5);
  plant.define(line, "acme/berlin/level", 2.5);
  plant.define(line, "other/secret", 9);
  link.connect();
  link.exchange();
  EXPECT_EQ(dmz.dump().size(), 2u);
  EXPECT_EQ(dmz.dump()["acme/berlin/temp"], plant.dump()["acme/berlin/temp"]);
  EXPECT_TRUE(link.b.receiver.synchronized());
  plant.change(line, t, 7.25, 2000);
  plant.define(line, "acme/berlin/new", 3);
  link.run(100ms);
  EXPECT_EQ(dmz.dump()["acme/berlin/temp"], "7.250000/good@2000");
  EXPECT_EQ(dmz.dump()["acme/berlin/new"], "3.000000/good@1000");
  EXPECT_EQ(dmz.ns.read("acme/berlin/new")->meta->unit, "bar");
  EXPECT_EQ(dmz.ns.read("acme/berlin/new")->origin, "plant-1");
}

TEST_F(LinkSession, RemovesPointsThatVanish) {
  const PointId t = plant.define(line, "acme/a", 1);
  plant.define(line, "acme/b", 2);
  link.connect();
  link.exchange();
  plant.ns.remove(line, std::span(&t, 1));
  link.run(100ms);
  EXPECT_EQ(dmz.dump().size(), 1u);
  EXPECT_FALSE(dmz.ns.read("acme/a"));
}

TEST_F(LinkSession, TurnsEverythingBadWhenThePeerFallsSilent) {
  plant.define(line, "acme/a", 1);
  link.connect();
  link.exchange();
  link.run(2s);
  ASSERT_EQ(dmz.dump()["acme/a"], "1.000000/good@1000");
  for (int i = 0; i < 31; ++i) {  // the plant hangs; the DMZ's clock goes on
    clock.advance(100ms);
    link.b.session->tick(clock.monotonic());
  }
  EXPECT_EQ(dmz.dump()["acme/a"], "1.000000/bad@1000");
  const auto point = dmz.ns.read("acme/a");
  ASSERT_TRUE(point->cause);
  EXPECT_EQ(point->cause->node, "dmz-1");
  EXPECT_EQ(point->cause->link, "to-plant-1");
  EXPECT_EQ(point->cause->what, "timeout");
  EXPECT_EQ(link.b.session->reason(), "timeout");
}

TEST_F(LinkSession, StaysUpOnHeartbeatsAlone) {
  plant.define(line, "acme/a", 1);
  link.connect();
  link.exchange();
  link.run(60s, 100ms);
  EXPECT_TRUE(link.a.session->up());
  EXPECT_EQ(dmz.dump()["acme/a"], "1.000000/good@1000");
  EXPECT_LT(link.carried, 20000u);
}

TEST_F(LinkSession, ResumesWithOnlyWhatChanged) {
  std::vector<PointId> ids;
  for (int i = 0; i < 500; ++i) ids.push_back(plant.define(line, "acme/p" + std::to_string(i), i));
  link.connect();
  link.exchange();
  link.run(1s);
  link.a.session->lost("cut");
  link.b.session->lost("cut");
  EXPECT_EQ(dmz.dump()["acme/p3"], "3.000000/bad@1000");
  plant.change(line, ids[7], 77, 5000);
  plant.ns.remove(line, std::span(&ids[8], 1));
  plant.define(line, "acme/late", 1);
  link.carried = 0;
  link.connect();
  link.exchange();
  EXPECT_LT(link.carried, 1500u);
  EXPECT_EQ(dmz.dump(), plant.dump());
  EXPECT_EQ(link.b.receiver.counters().resumes, 1u);
}

// Found by the simulation: the ids of removed points are used again, in one frame with the points that came back.
TEST_F(LinkSession, KeepsAPointThatCameBackUnderAnotherIdWhileItsOldOneWasUsedAgain) {
  const PointId a = plant.define(line, "acme/a", 1);
  plant.define(line, "acme/b", 2);
  link.connect();
  link.exchange();
  link.a.session->lost("cut");
  link.b.session->lost("cut");
  plant.ns.remove(line, std::span(&a, 1));
  ASSERT_EQ(plant.define(line, "acme/new", 3), a);
  plant.define(line, "acme/a", 4);
  link.connect();
  link.exchange();
  EXPECT_EQ(dmz.dump(), plant.dump());
  EXPECT_EQ(link.b.receiver.counters().digest_mismatches, 0u);
}

// Found by the simulation: points that went together with their route stayed at the peer until the digests differed.
TEST_F(LinkSession, TellsOfPointsThatWentWithTheirRoute) {
  plant.define(line, "acme/a", 1);
  const RouteId other = plant.source("line2");
  plant.define(other, "acme/b", 2);
  link.connect();
  link.exchange();
  ASSERT_EQ(dmz.dump().size(), 2u);
  plant.ns.remove_route(line);
  link.run(10ms);
  EXPECT_EQ(dmz.dump(), plant.dump());
  EXPECT_EQ(link.b.receiver.counters().digest_mismatches, 0u);
}

TEST_F(LinkSession, ForgetsWhatARestartedPeerNoLongerHas) {
  plant.define(line, "acme/a", 1);
  plant.define(line, "acme/b", 2);
  link.connect();
  link.exchange();
  link.b.session->lost("reset");
  TestNode again("plant-1", clock, 12);  // restarted: a new table
  TestLink relink(clock, again, dmz, {"acme/**"});
  const RouteId line2 = again.source("line1");
  again.define(line2, "acme/b", 5, 9000);
  again.define(line2, "acme/c", 6, 9000);
  relink.a.connect(clock.monotonic());
  link.b.session.reset();
  link.b.connect(clock.monotonic());
  for (int i = 0; i < 10; ++i) {
    relink.carry(relink.a, link.b);
    relink.carry(link.b, relink.a);
  }
  EXPECT_EQ(dmz.dump(), again.dump());
}

TEST_F(LinkSession, ShowsALiveValueAtOnceAfterAnOutageAndTheRestWhenSynchronized) {
  std::vector<PointId> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(plant.define(line, "acme/p" + std::to_string(i), i));
  link.connect();
  link.exchange();
  link.a.session->lost("cut");
  link.b.session->lost("cut");
  link.connect();
  link.exchange();
  EXPECT_EQ(dmz.dump(), plant.dump());
}

struct Chain : ::testing::Test {
  ManualClock clock;
  TestNode plant{"plant-1", clock, 11}, dmz{"dmz-1", clock, 22}, ai{"ai-1", clock, 33};
  TestLink first{clock, plant, dmz, {"acme/**"}};
  TestLink second{clock, dmz, ai, {"acme/**"}};
  RouteId line = plant.source("line1");
  void run(Duration time) {
    for (Duration t{0}; t < time; t += 10ms) {
      clock.advance(10ms);
      for (TestLink* link : {&first, &second}) {
        if (!link->a.session || !link->b.session) continue;
        link->a.session->tick(clock.monotonic());
        link->b.session->tick(clock.monotonic());
        link->exchange();
      }
    }
  }
};
using LinkChain = Chain;

TEST_F(LinkChain, CarriesABrokenFirstHopToTheThirdNodeAsOneMessageAndHeals) {
  for (int i = 0; i < 1000; ++i) plant.define(line, "acme/p" + std::to_string(i), i);
  first.connect();
  second.connect();
  run(1s);
  ASSERT_EQ(ai.dump(), plant.dump());
  first.a.session->lost("cut");
  first.b.session->lost("reset");
  second.carried = 0;
  run(100ms);
  EXPECT_LT(second.carried, 600u);
  for (const auto& [path, text] : ai.dump()) ASSERT_NE(text.find("/bad@"), std::string::npos) << path;
  const auto point = ai.ns.read("acme/p7");
  ASSERT_TRUE(point->cause);
  EXPECT_EQ(point->cause->node, "dmz-1");
  EXPECT_EQ(point->cause->what, "reset");
  first.connect();
  run(200ms);
  EXPECT_EQ(ai.dump(), plant.dump());
}

TEST_F(LinkChain, GivesALateConsumerBadAsItsFirstValue) {
  plant.define(line, "acme/a", 1);
  first.connect();
  first.exchange();
  first.b.session->lost("reset");
  second.connect();
  second.exchange();
  EXPECT_EQ(ai.dump()["acme/a"], "1.000000/bad@1000");
}

TEST_F(LinkChain, CarriesACoveredSourceThroughAllHopsAndLiftsItAfterTheValues) {
  const PointId id = plant.define(line, "acme/a", 1);
  plant.define(line, "acme/b", 1);
  first.connect();
  second.connect();
  run(100ms);
  plant.ns.cover(line, status::kBadNoCommunication, {"plant-1", "line1", 5, "connection refused"});
  run(100ms);
  EXPECT_EQ(ai.dump()["acme/a"], "1.000000/bad@1000");
  EXPECT_EQ(ai.ns.read("acme/b")->cause->what, "connection refused");
  plant.change(line, id, 2, 2000);  // live again before the rest
  run(100ms);
  EXPECT_EQ(ai.dump()["acme/a"], "2.000000/good@2000");
  EXPECT_EQ(ai.dump()["acme/b"], "1.000000/bad@1000");
  plant.ns.uncover(line);
  run(100ms);
  EXPECT_EQ(ai.dump(), plant.dump());
}

TEST_F(LinkChain, KeepsPointsAsBadWhenTheMiddleRestartsUntilTheFirstHopIsBack) {
  for (int i = 0; i < 50; ++i) plant.define(line, "acme/p" + std::to_string(i), i);
  first.connect();
  second.connect();
  run(1s);
  const auto before = ai.dump();
  ASSERT_EQ(before.size(), 50u);
  second.b.session->lost("reset");  // kill -9 of the DMZ node
  TestNode again("dmz-1", clock, 99);
  TestLink up(clock, plant, again, {"acme/**"}), down(clock, again, ai, {"acme/**"});
  second.b.session.reset();
  down.a.connect(clock.monotonic());
  second.b.connect(clock.monotonic());
  const auto talk = [&] {
    for (int i = 0; i < 20; ++i) {
      clock.advance(100ms);
      down.a.session->tick(clock.monotonic());
      second.b.session->tick(clock.monotonic());
      while (down.carry(down.a, second.b) + down.carry(second.b, down.a) > 0) {}
    }
  };
  talk();
  EXPECT_EQ(ai.dump().size(), 50u);  // not gone: the DMZ has not heard of them yet
  for (const auto& [path, text] : ai.dump()) ASSERT_NE(text.find("/bad@"), std::string::npos) << path;
  first.a.session->lost("reset");
  plant.ns.remove(line, std::vector<PointId>{*plant.ns.find("acme/p3")});
  first.a.session.reset();
  first.a.connect(clock.monotonic());
  up.b.connect(clock.monotonic());
  while (up.carry(first.a, up.b) + up.carry(up.b, first.a) > 0) {}
  talk();
  EXPECT_EQ(ai.dump(), plant.dump());
}

TEST_F(LinkSession, FindsAndRepairsAMirrorThatDiffers) {
  for (int i = 0; i < 100; ++i) plant.define(line, "acme/p" + std::to_string(i), i);
  link.connect();
  link.run(3s);
  const PointId p7 = *dmz.ns.find("acme/p7");
  const RouteId route = dmz.ns.read("acme/p7")->route;
  dmz.change(route, p7, 999, 1);                       // as a bug or a flipped bit would
  dmz.define(route, "acme/ghost", 1);
  dmz.ns.remove(route, std::vector<PointId>{*dmz.ns.find("acme/p8")});
  EXPECT_NE(dmz.dump(), plant.dump());
  link.run(4s);
  EXPECT_EQ(dmz.dump(), plant.dump());
  EXPECT_GE(link.b.receiver.counters().digest_mismatches, 1u);
  EXPECT_LE(link.b.receiver.counters().repaired_points, 6u);
}

TEST_F(LinkSession, GoesOnOverANewConnectionWithoutABreak) {
  const PointId one = plant.define(line, "acme/one", 1, 1000);
  const PointId two = plant.define(line, "acme/two", 1, 1000);
  link.connect();
  link.exchange();
  plant.change(line, one, 2, 2000);
  link.exchange();
  // The next pair greets while the first still carries; one value goes over each.
  auto old_a = std::move(link.a.session);
  auto old_b = std::move(link.b.session);
  link.connect();
  plant.change(line, two, 2, 3000);
  link.a.session->on_running = [&] { EXPECT_TRUE(link.a.session->succeed(*old_a)); };
  link.b.session->on_running = [&] { EXPECT_TRUE(link.b.session->succeed(*old_b)); };
  link.exchange();
  EXPECT_EQ(old_a->state(), Session::State::closed);
  EXPECT_EQ(dmz.dump(), (std::map<std::string, std::string>{{"acme/one", "2.000000/good@2000"}, {"acme/two", "2.000000/good@3000"}}));
  EXPECT_EQ(link.b.receiver.counters().resumes, 1u);
  EXPECT_EQ(link.b.receiver.counters().full_resends, 1u);
  // And its silence is noticed like that of any other.
  clock.advance(10s);
  link.b.session->tick(clock.monotonic());
  EXPECT_EQ(dmz.dump().at("acme/one"), "2.000000/bad@2000");
}

TEST_F(LinkSession, LosesEverythingWhenTheNewConnectionIsOfARestartedPeer) {
  plant.define(line, "acme/one", 1, 1000);
  link.connect();
  link.exchange();
  auto old_a = std::move(link.a.session);
  auto old_b = std::move(link.b.session);
  plant.incarnation = 8;
  link.connect();
  std::map<std::string, std::string> at_takeover;
  link.b.session->on_running = [&] {
    EXPECT_FALSE(link.b.session->succeed(*old_b));
    old_b->close(CloseCode::replaced, "another one");
    at_takeover = dmz.dump();
  };
  link.exchange();
  EXPECT_EQ(at_takeover, (std::map<std::string, std::string>{{"acme/one", "1.000000/bad@1000"}}));
  Bytes word;
  old_b->fill(word, clock.monotonic());
  old_a->on_running = nullptr;
  const auto space = old_a->input_space();
  ASSERT_LE(word.size(), space.size());
  std::copy(word.begin(), word.end(), space.begin());
  old_a->received(word.size(), clock.monotonic());
  EXPECT_TRUE(old_a->refused_by_peer());
  EXPECT_EQ(old_a->reason(), "peer closed: another one");
  EXPECT_EQ(dmz.dump(), (std::map<std::string, std::string>{{"acme/one", "1.000000/good@1000"}}));
}

TEST_F(LinkSession, ResumesAfterARestartOfTheReceivingSideWithWhatItKept) {
  std::vector<PointId> ids;
  for (int i = 0; i < 500; ++i) ids.push_back(plant.define(line, "acme/p" + std::to_string(i), i));
  link.connect();
  link.run(100ms);
  link.a.session->lost("peer stopped");
  link.b.session->lost("stopped");
  plant.change(line, ids[7], 77, 5000);
  plant.ns.remove(line, std::span(&ids[8], 1));
  plant.define(line, "acme/late", 1);

  TestNode restarted("dmz-1", clock);
  restarted.restart_of(dmz);
  TestLink again(clock, plant, restarted, {"acme/**"});
  again.b.receiver.recall(link.b.receiver.memory());
  restarted.ns.drop_restored();
  EXPECT_EQ(restarted.dump()["acme/p3"], "3.000000/bad@1000");
  again.connect();
  again.exchange();
  EXPECT_LT(again.carried, 1500u);
  EXPECT_EQ(restarted.dump(), plant.dump());
  EXPECT_EQ(again.b.receiver.counters().full_resends, 0u);
  again.run(3s);
  EXPECT_EQ(again.b.receiver.counters().digest_mismatches, 0u);
}

TEST_F(LinkSession, ResumesAfterARestartOfTheSendingSideWithWhatItKept) {
  std::vector<PointId> ids;
  for (int i = 0; i < 500; ++i) ids.push_back(plant.define(line, "acme/p" + std::to_string(i), i));
  link.connect();
  link.run(100ms);
  link.a.session->lost("stopped");
  link.b.session->lost("peer stopped");

  TestNode restarted("plant-1", clock);
  restarted.restart_of(plant);
  Publisher source(restarted.ns, "plant-1", "line1", "acme", status::kBadNoCommunication);
  restarted.ns.drop_restored();
  TestEnd again(restarted, dmz, {"acme/**"}, {});
  again.connect(clock.monotonic());
  link.b.connect(clock.monotonic());
  link.carried = 0;
  const auto exchange = [&] {
    while (link.carry(again, link.b) + link.carry(link.b, again) > 0 || again.session->more()) {
    }
  };
  exchange();
  EXPECT_EQ(dmz.dump()["acme/p3"], "3.000000/bad@1000");
  // The source reads everything again: one has changed, one is gone, one is new.
  std::vector<Definition> all;
  std::vector<std::string> paths;
  for (int i = 0; i < 500; ++i) paths.push_back("p" + std::to_string(i));
  Meta meta;
  meta.type = Type::float64;
  meta.unit = "bar";
  for (int i = 0; i < 500; ++i) {
    if (i != 8) all.push_back({paths[static_cast<std::size_t>(i)], &meta, {kNoPoint, status::kGood, 1000, Value::from(i == 7 ? 77.0 : i)}});
  }
  all.push_back({"late", &meta, {kNoPoint, status::kGood, 1000, Value::from(1.0)}});
  std::vector<PointId> now(all.size());
  source.define(all, now);
  std::vector<Change> values;
  for (std::size_t i = 0; i < all.size(); ++i) values.push_back({now[i], status::kGood, i == 7 ? 5000 : 1000, all[i].first.value});
  source.publish(values);
  source.live();
  exchange();
  EXPECT_EQ(dmz.dump(), restarted.dump());
  EXPECT_EQ(dmz.dump()["acme/p7"], "77.000000/good@5000");
  EXPECT_EQ(dmz.dump().size(), 500u);
  EXPECT_LT(link.carried, 2500u);
  EXPECT_EQ(link.b.receiver.counters().full_resends, 1u) << "the first";
}

TEST_F(LinkSession, KeepsTheEdgesAPointAsksForAndOnlyThose) {
  Meta meta;
  meta.burst = 3;
  const Definition d{"acme/switch", &meta, {kNoPoint, 0, 1, Value::from(0.0)}};
  PointId id = kNoPoint;
  plant.ns.define(line, std::span(&d, 1), std::span(&id, 1));
  link.connect();
  link.run(1s);
  Subscription consumer(dmz.ns, {.patterns = *Patterns::parse({"**"})}, [] {});
  Batch batch;
  consumer.pull(batch, 100);
  for (int i = 1; i <= 6; ++i) plant.change(line, id, i, i * 1000);
  link.exchange();
  batch.clear();
  consumer.pull(batch, 100);
  std::vector<double> seen;
  for (const Update& u : batch.updates) seen.push_back(u.value.float64());
  EXPECT_THAT(seen, ::testing::ElementsAre(4.0, 5.0, 6.0));
}

TEST_F(LinkChain, DoesNotSendAPeerItsOwnPointsBack) {
  TestNode left("left", clock, 1), right("right", clock, 2);
  TestLink both(clock, left, right, {"**"}, {"**"});
  left.define(left.source("s"), "l/a", 1);
  right.define(right.source("s"), "r/a", 2);
  both.connect();
  both.exchange();
  EXPECT_EQ(left.dump(), right.dump());
  EXPECT_EQ(left.dump().size(), 2u);
  EXPECT_EQ(both.a.receiver.counters().definitions, 1u);
}

TEST_F(LinkSession, AnswersEveryViolationWithACloseThatSaysWhy) {
  const auto feed = [&](Bytes bytes) {
    link.connect();
    link.exchange();
    const auto space = link.b.session->input_space();
    std::ranges::copy(bytes, space.begin());
    link.b.session->received(bytes.size(), clock.monotonic());
    return link.b.session->reason();
  };
  const auto raw = [](std::initializer_list<int> list) {
    Bytes b;
    for (const int i : list) b.push_back(static_cast<std::byte>(i));
    return b;
  };
  EXPECT_THAT(feed(raw({0, 0, 0, 0, 1})), ::testing::HasSubstr("frame of 0 bytes"));
  EXPECT_THAT(feed(raw({255, 255, 255, 255, 5})), ::testing::HasSubstr("frame of 4294967295 bytes"));
  EXPECT_THAT(feed(raw({1, 0, 0, 0, 99})), ::testing::HasSubstr("unknown frame type 99"));
  EXPECT_THAT(feed(raw({1, 0, 0, 0, 1})), ::testing::HasSubstr("second hello"));
  EXPECT_THAT(feed(raw({1, 0, 0, 0, 9})), ::testing::HasSubstr("ack"));
  EXPECT_THAT(feed(raw({2, 0, 0, 0, 5, 0xff})), ::testing::HasSubstr("cut short"));
  Bytes define;
  DefineEncoder encoder(define);
  encoder.add(1, 9, "acme/x", Meta{}, 0, false, 0, 0, Value());
  encoder.finish();
  EXPECT_THAT(feed(define), ::testing::HasSubstr("route was never told"));
}

}  // namespace
}  // namespace sallyport::link
