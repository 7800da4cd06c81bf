// Whatever the way loses, and whoever is killed, frozen or late: the office is complete and right within max_staleness.
#include <gtest/gtest.h>

#include "pair.h"
#include "relay.h"

namespace sallyport::tests {
namespace {

constexpr auto kMaxStaleness = seconds(4);
constexpr auto kSlack = seconds(6);      // starting a node, asking it, a busy machine

struct Lossy {
  explicit Lossy(DiodePairOptions options = {}) : relay(port_), pair(with(std::move(options))) {}
  DiodePairOptions with(DiodePairOptions options) const {
    options.send = "udp://127.0.0.1:" + std::to_string(relay.port());
    options.receive = "udp://127.0.0.1:" + std::to_string(port_);
    return options;
  }
  std::uint16_t port_ = free_port();
  LossyRelay relay;
  DiodePair pair;
};

TEST(DiodeLoss, HealsRestartsOfTheReceiverAtAnyLoss) {
  Lossy lossy;
  DiodePair& pair = lossy.pair;
  ASSERT_TRUE(pair.start()) << pair.logs();
  ASSERT_TRUE(pair.complete()) << pair.logs();
  for (const double loss : {0.0, 0.01, 0.05, 0.10}) {
    SCOPED_TRACE(loss);
    lossy.relay.lose(loss);
    pair.office().process().kill();
    pair.office().process().wait(seconds(5));
    ASSERT_TRUE(pair.start_office());
    EXPECT_TRUE(pair.complete(kMaxStaleness + kSlack)) << pair.logs();
  }
  pair.rest();
  EXPECT_TRUE(pair.equal(kMaxStaleness + kSlack)) << pair.logs();   // at 10 % still
  EXPECT_GT(pair.count("recovered"), 0u);
}

TEST(DiodeLoss, HealsBurstsCutsAndDisorder) {
  Lossy lossy;
  DiodePair& pair = lossy.pair;
  ASSERT_TRUE(pair.start()) << pair.logs();
  ASSERT_TRUE(pair.complete()) << pair.logs();
  lossy.relay.swap_order(true);
  std::this_thread::sleep_for(seconds(1));
  EXPECT_TRUE(pair.complete(kSlack)) << pair.logs();
  EXPECT_EQ(pair.count("losses"), 0u) << "order is mended";
  lossy.relay.swap_order(false);
  lossy.relay.burst(400);
  ASSERT_TRUE(eventually([&] { return pair.count("losses") > 0; }, seconds(10))) << pair.logs();
  EXPECT_TRUE(pair.complete(kMaxStaleness + kSlack)) << pair.logs();
  lossy.relay.cut(true);
  EXPECT_TRUE(eventually([&] { return pair.office().points("good") == "0"; }, seconds(8))) << "nothing good and old";
  EXPECT_EQ(pair.office().link_field("plant", "state"), "down");
  lossy.relay.cut(false);
  EXPECT_TRUE(pair.complete(kMaxStaleness + kSlack)) << pair.logs();
  pair.rest();
  EXPECT_TRUE(pair.equal(kMaxStaleness + kSlack)) << pair.logs();
}

TEST(DiodeLoss, HealsWhoeverIsFrozenKilledOrLate) {
  Lossy lossy;
  DiodePair& pair = lossy.pair;
  ASSERT_TRUE(pair.start_plant()) << pair.logs();
  std::this_thread::sleep_for(seconds(2));
  ASSERT_TRUE(pair.start_office()) << pair.logs();
  EXPECT_TRUE(pair.complete(kMaxStaleness + kSlack)) << pair.logs();
  pair.office().process().freeze();
  std::this_thread::sleep_for(seconds(5));
  pair.office().process().thaw();
  EXPECT_TRUE(pair.complete(kMaxStaleness + kSlack)) << pair.logs();
  pair.plant().process().kill();
  pair.plant().process().wait(seconds(5));
  EXPECT_TRUE(eventually([&] { return pair.office().points("good") == "0"; }, seconds(8)));
  ASSERT_TRUE(pair.start_plant());
  EXPECT_TRUE(pair.complete(kMaxStaleness + kSlack)) << pair.logs();
  EXPECT_EQ(pair.figure("senders"), "2");
  pair.plant().process().freeze();
  EXPECT_TRUE(eventually([&] { return pair.office().points("good") == "0"; }, seconds(8)));
  pair.plant().process().thaw();
  EXPECT_TRUE(pair.complete(kMaxStaleness + kSlack)) << pair.logs();
  // An orderly stop of the office: it keeps its mirror.
  pair.office().process().signal(15);
  EXPECT_EQ(pair.office().process().wait(seconds(10)), 0);
  ASSERT_TRUE(pair.start_office());
  EXPECT_TRUE(pair.complete(kMaxStaleness + kSlack)) << pair.logs();
  pair.rest();
  EXPECT_TRUE(pair.equal(kMaxStaleness + kSlack)) << pair.logs();
}

}  // namespace
}  // namespace sallyport::tests
