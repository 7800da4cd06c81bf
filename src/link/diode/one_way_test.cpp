// The one-way session between two tables in one process, on a virtual clock, with segments that get lost.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "link/diode/one_way_receiver.h"
#include "link/diode/one_way_sender.h"
#include "link/test_pair.h"

namespace sallyport::link::diode {
namespace {

// The sending end, the receiving end, and what lies between: loses what `lose` says.
struct OneWay {
  explicit OneWay(ManualClock& c) : clock(c), plant("plant-1", c), office("office-1", c) { start_receiver(); }

  void start_sender(std::uint64_t life, Duration max_staleness = 2s, std::uint64_t bytes_per_second = 1'000'000) {
    sender.reset();
    auto made = OneWaySender::make(plant.ns, {.peer = "office-1", .life = life, .send = *Patterns::parse({"**"}), .max_staleness = max_staleness, .bytes_per_second = bytes_per_second},
                                   clock.monotonic(), [] {});
    ASSERT_TRUE(made) << made.error().message;
    sender = *std::move(made);
  }
  void start_receiver() {
    receiver_side.reset();
    receiver.reset();
    receiver = std::make_unique<Receiver>(office.ns, "office-1", "diode", *Patterns::parse({"**"}), status::kBadNoCommunication, 1u << 16);
    receiver_side = std::make_unique<OneWayReceiver>(office.ns, *receiver, OneWayReceiveOptions{.link = "diode"}, nullptr, clock.monotonic());
  }
  // Time goes on; in each step what the sender has to say goes over, as much as the rate allows.
  void run(Duration time, Duration step = 10ms) {
    for (Duration t{0}; t < time; t += step) {
      clock.advance(step);
      receiver_side->tick(clock.monotonic());
      step_once(step);
    }
  }
  void step_once(Duration step) {
    if (!sender) return;
    budget = std::min(budget + static_cast<double>(rate) * std::chrono::duration<double>(step).count(), static_cast<double>(rate) * 0.05);
    Bytes segment;
    while (budget > 0 && sender->next(segment, room, clock.monotonic())) {
      budget -= static_cast<double>(segment.size());
      ++sent;
      if (lose && lose(segment)) continue;
      if (!frozen) receiver_side->received(segment, clock.monotonic());
    }
  }
  ::testing::AssertionResult equal() const {
    const auto a = plant.dump(), b = office.dump();
    if (a == b) return ::testing::AssertionSuccess();
    for (const auto& [path, text] : a) {
      if (!b.contains(path)) return ::testing::AssertionFailure() << path << " is missing";
      if (b.at(path) != text) return ::testing::AssertionFailure() << path << ": " << text << " there, " << b.at(path) << " here";
    }
    return ::testing::AssertionFailure() << b.size() - a.size() << " points too many";
  }
  std::size_t good() const {
    std::size_t count = 0;
    for (const auto& [path, text] : office.dump()) count += text.find("/good") != std::string::npos;
    return count;
  }

  ManualClock& clock;
  TestNode plant, office;
  std::unique_ptr<OneWaySender> sender;
  std::unique_ptr<Receiver> receiver;
  std::unique_ptr<OneWayReceiver> receiver_side;
  std::function<bool(const Bytes&)> lose;
  std::size_t room = 8192;
  std::uint64_t rate = 1'000'000, sent = 0;
  double budget = 0;
  bool frozen = false;
};

bool is_news(const Bytes& segment) { return (std::to_integer<unsigned>(segment[1]) & 1) != 0; }

struct Plant {
  Plant(OneWay& w, int points) : way(w), route(w.plant.source("line1")) {
    for (int i = 0; i < points; ++i) ids.push_back(way.plant.define(route, "acme/p" + std::to_string(i), i));
  }
  void change(std::size_t index, double value) { way.plant.change(route, ids[index], value, ++time); }
  OneWay& way;
  RouteId route;
  std::vector<PointId> ids;
  std::int64_t time = 2000;
};

TEST(OneWay, ShowsEverythingAfterTheFirstRound) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 1000);
  way.start_sender(11);
  way.run(1s);
  EXPECT_TRUE(way.equal());
  EXPECT_EQ(way.good(), 1000u);
  EXPECT_FALSE(way.receiver_side->in_doubt());
  EXPECT_EQ(way.receiver->counters().digest_mismatches, 0u);
}

TEST(OneWay, TellsChangesAtOnce) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 100);
  way.start_sender(11);
  way.run(3s);
  plant.change(17, 42.5);
  way.run(10ms);
  EXPECT_EQ(way.office.dump().at("acme/p17"), way.plant.dump().at("acme/p17"));
}

TEST(OneWay, DefinesAndRemovesPointsAsTheyComeAndGo) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 100);
  way.start_sender(11);
  way.run(3s);
  way.plant.define(plant.route, "acme/new", 1);
  way.plant.ns.remove(plant.route, std::span(plant.ids).first(10));
  way.run(20ms);
  EXPECT_TRUE(way.equal());
  EXPECT_EQ(way.office.dump().size(), 91u);
}

TEST(OneWay, GoesOnGoodWhenOnlyTheCarouselLosesSegments) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 1000);
  way.start_sender(11);
  way.run(3s);
  way.lose = [](const Bytes& segment) { return !is_news(segment) && segment.size() > 300; };
  way.run(1s);
  plant.change(3, 7);
  way.run(20ms);
  EXPECT_TRUE(way.equal());
  EXPECT_EQ(way.receiver_side->counters().losses, 0u);
}

TEST(OneWay, TakesNothingForGoodAfterALossUntilItWasToldAgain) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 1000);
  way.start_sender(11);
  way.run(3s);
  way.lose = [](const Bytes&) { return true; };
  plant.change(3, 7);
  way.run(10ms);
  way.lose = [](const Bytes& segment) { return !is_news(segment); };   // no carousel for now
  plant.change(4, 8);
  way.run(10ms);
  EXPECT_EQ(way.good(), 1u) << "only what came live";
  EXPECT_TRUE(way.receiver_side->in_doubt());
  way.lose = nullptr;
  way.run(2s);
  EXPECT_TRUE(way.equal());
  EXPECT_EQ(way.good(), 1000u);
  EXPECT_EQ(way.receiver_side->counters().losses, 1u);
}

TEST(OneWay, NeverGivesAnIdTheValueOfThePointThatHadItBefore) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 50);
  way.start_sender(11);
  way.run(3s);
  way.lose = [](const Bytes&) { return true; };
  way.plant.ns.remove(plant.route, plant.ids);
  way.run(100ms);
  std::vector<PointId> fresh;
  for (int i = 0; i < 50; ++i) fresh.push_back(way.plant.define(plant.route, "acme/other" + std::to_string(i), 500 + i));
  way.run(100ms);
  EXPECT_NE(std::set<PointId>(fresh.begin(), fresh.end()), std::set<PointId>()) << "ids may be the same";
  way.lose = [](const Bytes& segment) { return !is_news(segment); };
  for (const PointId id : fresh) way.plant.change(plant.route, id, 1000 + id, 9000);
  way.run(50ms);
  EXPECT_EQ(way.good(), 0u);
  for (const auto& [path, text] : way.office.dump()) EXPECT_TRUE(path.starts_with("acme/p") && std::stod(text) < 100) << path << " " << text;
  way.lose = nullptr;
  way.run(3s);
  EXPECT_TRUE(way.equal());
}

TEST(OneWay, RemovesWhatVanishedWhileNothingCame) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 300);
  way.start_sender(11);
  way.run(3s);
  way.lose = [](const Bytes&) { return true; };
  way.plant.ns.remove(plant.route, std::span(plant.ids).first(100));
  way.run(6s);
  EXPECT_EQ(way.good(), 0u);
  EXPECT_FALSE(way.receiver_side->up());
  way.lose = nullptr;
  way.run(3s);
  EXPECT_TRUE(way.equal());
  EXPECT_EQ(way.good(), 200u);
}

TEST(OneWay, IsGoodAgainAtOnceAfterASilenceInWhichNothingHappened) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 300);
  way.start_sender(11, 60s);
  way.run(20s);
  way.lose = [](const Bytes&) { return true; };
  way.run(5s);
  EXPECT_EQ(way.good(), 0u);
  way.lose = [](const Bytes& segment) { return segment.size() > 400; };   // a beat is enough
  way.run(1s);
  EXPECT_EQ(way.good(), 300u);
  EXPECT_TRUE(way.equal());
}

TEST(OneWay, CarriesOverlaysWithTheirCauses) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 30);
  way.start_sender(11);
  way.run(3s);
  way.plant.ns.cover(plant.route, status::kBadNoCommunication, {"plant-1", "line1", 77, "source gone"});
  way.run(20ms);
  const auto covered = way.office.ns.read("acme/p3");
  ASSERT_TRUE(covered && covered->cause);
  EXPECT_EQ(covered->cause->what, "source gone");
  EXPECT_EQ(covered->cause->node, "plant-1");
  EXPECT_EQ(covered->underlying, status::kGood);
  way.plant.ns.uncover(plant.route);
  way.run(20ms);
  EXPECT_TRUE(way.equal());
  EXPECT_EQ(way.good(), 30u);
  // A cover that is lost is seen with the next round.
  way.lose = [](const Bytes& segment) { return is_news(segment); };
  way.plant.ns.cover(plant.route, status::kBadNoCommunication, {"plant-1", "line1", 78, "cable"});
  way.run(20ms);
  way.lose = nullptr;
  plant.change(1, 5);
  way.run(3s);
  EXPECT_TRUE(way.equal());
  EXPECT_EQ(way.office.ns.read("acme/p3")->cause->what, "cable");
  EXPECT_EQ(way.good(), 1u);
}

TEST(OneWay, HealsWhenTheReceiverIsRestarted) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 500);
  way.start_sender(11);
  way.run(3s);
  way.start_receiver();
  EXPECT_EQ(way.good(), 0u);
  way.run(2s);
  EXPECT_TRUE(way.equal());
  EXPECT_EQ(way.good(), 500u);
}

TEST(OneWay, KeepsWhatItKnewOverARestartOfTheReceiver) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 500);
  way.start_sender(11);
  way.run(3s);
  way.receiver_side->stop("shutting down");
  ReceiverMemory memory = way.receiver->memory();
  TestNode again("office-1", clock);
  again.restart_of(way.office);
  plant.change(0, 99);   // its segment with news goes nowhere
  way.lose = [](const Bytes&) { return true; };
  way.run(50ms);
  way.lose = nullptr;
  Receiver receiver(again.ns, "office-1", "diode", *Patterns::parse({"**"}), status::kBadNoCommunication, 1u << 16);
  receiver.recall(std::move(memory));
  OneWayReceiver second(again.ns, receiver, {.link = "diode"}, nullptr, clock.monotonic());
  EXPECT_EQ(again.dump().size(), 500u);
  plant.change(1, 77);
  Bytes segment;
  for (int i = 0; i < 300; ++i) {
    clock.advance(10ms);
    while (way.sender->next(segment, 8192, clock.monotonic())) second.received(segment, clock.monotonic());
    if (i == 0) {
      EXPECT_TRUE(again.dump().at("acme/p1").starts_with("77.000000/good")) << "ids are known still";
    }
  }
  EXPECT_EQ(again.dump(), way.plant.dump());
}

TEST(OneWay, HealsWhenTheSenderIsRestarted) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 500);
  way.start_sender(11);
  way.run(3s);
  way.sender.reset();
  way.plant.ns.remove(plant.route, std::span(plant.ids).first(5));
  way.start_sender(12);
  way.run(10ms);
  way.run(2s);
  EXPECT_TRUE(way.equal());
  EXPECT_EQ(way.good(), 495u);
  EXPECT_EQ(way.receiver_side->counters().lives, 2u);
}

TEST(OneWay, ShowsWhatComesLateAsOld) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 50);
  way.start_sender(11);
  way.run(3s);
  // A relay holds everything back for 5 s and then lets go.
  std::vector<Bytes> held;
  for (int i = 0; i < 500; ++i) {
    clock.advance(10ms);
    plant.change(static_cast<std::size_t>(i % 50), i);
    Bytes segment;
    while (way.sender->next(segment, 8192, clock.monotonic())) held.push_back(segment);
    way.receiver_side->tick(clock.monotonic());
  }
  EXPECT_EQ(way.good(), 0u);
  const std::size_t old = held.size() / 4;   // more than three seconds old
  for (std::size_t i = 0; i < old; ++i) way.receiver_side->received(held[i], clock.monotonic());
  EXPECT_EQ(way.good(), 0u);
  EXPECT_FALSE(way.receiver_side->up());
  for (std::size_t i = old; i < held.size(); ++i) way.receiver_side->received(held[i], clock.monotonic());
  way.run(2s);
  EXPECT_TRUE(way.equal());
  EXPECT_EQ(way.good(), 50u);
}

TEST(OneWay, TellsOfTheHopsBehindTheSender) {
  ManualClock clock;
  OneWay way(clock);
  Plant plant(way, 5);
  way.start_sender(11);
  way.sender->set_hops({{"plant-1", "cell-7", "cell-7", LinkState::up, 5, "", 3ms, true}});
  way.run(1s);
  ASSERT_EQ(way.receiver_side->hops().size(), 1u);
  EXPECT_EQ(way.receiver_side->hops()[0].link, "cell-7");
  way.sender->set_hops({{"plant-1", "cell-7", "cell-7", LinkState::down, 9, "timeout", 0ms, true}});
  way.run(1s);
  EXPECT_EQ(way.receiver_side->hops()[0].state, LinkState::down);
  EXPECT_EQ(way.receiver_side->hops()[0].reason, "timeout");
}

TEST(OneWay, FragmentsLargeValuesAndSaysThatOthersAreTooLarge) {
  ManualClock clock;
  OneWay way(clock);
  way.rate = 20'000'000;
  Plant plant(way, 5);
  Meta meta;
  meta.type = Type::string;
  const std::string large(300'000, 'x'), huge(kLargestValue + 1, 'y');
  const Definition d[2] = {{"acme/large", &meta, {kNoPoint, status::kGood, 5, Value::text(large)}}, {"acme/huge", &meta, {kNoPoint, status::kGood, 5, Value::text(huge)}}};
  PointId ids[2];
  way.plant.ns.define(plant.route, d, ids);
  way.start_sender(11, 2s, 20'000'000);
  way.run(3s);
  EXPECT_EQ(way.office.ns.read("acme/large")->value.text(), large);
  EXPECT_EQ(way.office.ns.read("acme/large")->status, status::kGood);
  EXPECT_EQ(way.office.ns.read("acme/huge")->status, 0x80080000u);
  EXPECT_EQ(way.sender->counters().too_large, 1u);
  Change change{ids[0], status::kGood, 6, Value::text(std::string(200'000, 'z'))};
  way.plant.ns.apply(plant.route, std::span(&change, 1));
  way.run(100ms);
  EXPECT_EQ(way.office.ns.read("acme/large")->value.text().size(), 200'000u);
  EXPECT_EQ(way.receiver->counters().digest_mismatches, 0u);
}

TEST(OneWay, LeavesAQuarterToTheCarouselWhateverChanges) {
  ManualClock clock;
  OneWay way(clock);
  way.rate = 200'000;
  Plant plant(way, 5000);
  way.start_sender(11, 10s, 200'000);
  int value = 0;
  for (int i = 0; i < 1000; ++i) {
    for (int k = 0; k < 400; ++k, ++value) plant.change(static_cast<std::size_t>(value % 2000), value);   // more than the rate
    way.run(10ms);
  }
  EXPECT_GE(way.sender->counters().rounds, 1u);
  EXPECT_FALSE(way.receiver_side->in_doubt());
  EXPECT_EQ(way.good(), 5000u);
  way.run(5s);
  EXPECT_TRUE(way.equal());
}

TEST(OneWay, SaysByHowMuchTheRateIsShort) {
  ManualClock clock;
  OneWay way(clock);
  way.rate = 20'000;
  Plant plant(way, 5000);
  way.start_sender(11, 2s, 20'000);
  way.run(30s);
  EXPECT_GT(way.sender->shortage(), 3.0);
}

// Whatever is lost: never backwards, never good but old for longer than it takes to see the loss, and equal in the end.
TEST(OneWay, IsRightAgainAfterAnyLoss) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    ManualClock clock;
    OneWay way(clock);
    Plant plant(way, 200);
    way.start_sender(seed);
    const double loss = 0.02 * static_cast<double>(seed);
    int burst = 0;
    way.lose = [&](const Bytes&) {
      if (burst > 0) return --burst >= 0;
      if (random() % 400 == 0) burst = 20;
      return std::uniform_real_distribution<>(0, 1)(random) < loss;
    };
    std::map<std::string, std::int64_t> newest;
    for (int i = 0; i < 600; ++i) {
      const auto what = static_cast<unsigned>(random() % 100);
      if (what < 60) plant.change(random() % plant.ids.size(), static_cast<double>(i));
      else if (what < 63) way.plant.define(plant.route, "acme/extra" + std::to_string(random() % 40), i, 3000 + i);
      else if (what < 66) {
        if (const auto id = way.plant.ns.find("acme/extra" + std::to_string(random() % 40))) way.plant.ns.remove(plant.route, std::span(&*id, 1));
      } else if (what == 66) {
        way.plant.ns.cover(plant.route, status::kBadNoCommunication, {"plant-1", "line1", i, "gone"});
      } else if (what == 67) {
        way.plant.ns.uncover(plant.route);
      } else if (what == 68 && random() % 4 == 0) {
        way.start_sender(1000 + static_cast<unsigned>(i));
      } else if (what == 69 && random() % 4 == 0) {
        way.start_receiver();
        newest.clear();
      }
      way.run(10ms);
      for (const auto& [path, text] : way.office.dump()) {
        const std::int64_t time = std::stoll(text.substr(text.find('@') + 1));
        if (path.starts_with("acme/p")) {
          EXPECT_GE(time, newest[path]) << path;
          newest[path] = time;
        }
      }
    }
    way.plant.ns.uncover(plant.route);
    way.lose = nullptr;
    plant.change(0, -1);   // so that the last loss shows
    way.run(2500ms);
    EXPECT_TRUE(way.equal());
    EXPECT_EQ(way.good(), way.plant.dump().size());
  }
}

}  // namespace
}  // namespace sallyport::link::diode
