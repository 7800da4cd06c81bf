// Promise 8: a plant that only sends, dialling a DMZ node that has been taken over. The rogue has a good certificate and says
// everything there is to say; the plant's table stays as it is, and a counter tells how much was not read.
#include <gtest/gtest.h>

#include "json.h"
#include "link/lane.h"
#include "rogue.h"

namespace sallyport::tests {
namespace {

using link::FrameType;

class UplinkOnly : public testing::Test {
 protected:
  void start(const std::string& link_settings) {
    const std::uint16_t port = dmz_.listen();
    plant_.rewrite("[[source.simulator]]\nname = \"line1\"\ninto = \"acme/line1\"\npoints = 500\nrate = 0\n"
                   "[[link]]\nname = \"dmz\"\npeer = \"dmz-1\"\nsend = [\"acme/**\"]\ndial = \"127.0.0.1:" + std::to_string(port) + "\"\n" + link_settings);
    plant_.start();
    ASSERT_TRUE(dmz_.accept(seconds(20))) << plant_.log();
    ASSERT_TRUE(dmz_.greet()) << dmz_.end();
    ASSERT_TRUE(plant_.wait_ready()) << plant_.log();
  }

  // Every frame of the protocol, well made; every type there is not; a length that no frame may have comes last, alone.
  static Bytes everything() {
    Bytes said = encoded(link::Begin{false, 7}) + encoded(link::RouteMessage{1, {"dmz-1", "evil", {"dmz-1"}}, {}, true, false}) +
                 definitions_of(1, 0, 400, "acme/line1") + definitions_of(1, 400, 400, "acme/planted") + changes_of(0, 800, -1.0, 1'900'000'000'000'000'000);
    Bytes more;
    link::encode_remove(more, std::vector<PointId>{0, 1, 2, 3});
    link::encode_renew(more);
    link::encode_hops(more, std::vector<link::HopStatus>{{"dmz-1", "l", "p", link::LinkState::up, 1, "", Duration(1), true}});
    link::encode_journal_held(more, {});
    said = said + more + encoded(link::Position{1, 1, true, true, true, 99, 99});
    for (unsigned type = 0; type < 256; ++type) {
      if (type != static_cast<unsigned>(FrameType::close)) said = said + frame_of(type, Bytes(500, static_cast<std::byte>(type)));
    }
    return said;
  }

  std::uint64_t discarded() { return std::strtoull(plant_.link_field("dmz", "discarded_bytes").c_str(), nullptr, 10); }

  // Acknowledges and lives as an honest peer would.
  void live(Clock::duration time) {
    const auto end = Clock::now() + time;
    while (Clock::now() < end && !dmz_.ended()) {
      Bytes said = heartbeat_of(static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()));
      link::encode_ack(said, dmz_.heard_bytes());
      dmz_.say(said);
      dmz_.wait(milliseconds(200));
    }
  }

  TempFolder folder_;
  Pki pki_{folder_.path() + "/pki"};
  Rogue dmz_{pki_, "dmz-1"};
  Node plant_{folder_, pki_, "plant-1", ""};
};

TEST_F(UplinkOnly, ReadsNothingButAcknowledgementsAndCountsTheRest) {
  start("");
  const std::string before = plant_.digest();
  ASSERT_FALSE(before.empty());
  live(seconds(1));
  EXPECT_EQ(plant_.link_field("dmz", "one_way"), "acks");
  EXPECT_EQ(discarded(), 0u);
  const Bytes said = everything();
  ASSERT_TRUE(dmz_.say(said)) << dmz_.end();
  EXPECT_TRUE(eventually([&] { return discarded() >= said.size() - 10; }, seconds(10))) << discarded() << " of " << said.size();
  EXPECT_EQ(plant_.digest(), before);
  live(seconds(4));
  EXPECT_FALSE(dmz_.ended()) << dmz_.end() << "\n" << plant_.log();
  EXPECT_EQ(plant_.link_field("dmz", "state"), "up") << "what it acknowledges still counts";
  EXPECT_EQ(plant_.link_field("dmz", "connects"), "1");
  EXPECT_NE(plant_.ask({"status"}).output.find("were not read"), std::string::npos) << plant_.ask({"status"}).output;
  EXPECT_EQ(plant_.ask({"write", "acme/line1/p0000", "1"}).code != 0, true);
  // Broken framing: nothing can be read after it, so the link ends by silence and is dialled again.
  ASSERT_TRUE(dmz_.say(Bytes(4, std::byte{0xff}) + Bytes(100'000, std::byte{0x41})));
  EXPECT_TRUE(dmz_.accept(seconds(20))) << plant_.log();
  EXPECT_EQ(plant_.digest(), before);
  EXPECT_GE(discarded(), said.size() - 10 + 100'000);
}

TEST_F(UplinkOnly, WhenStrictReadsNothingAtAll) {
  start("one_way = \"strict\"\nrate = \"10 Mbit/s\"\n");
  const std::string before = plant_.digest();
  EXPECT_TRUE(dmz_.wait_for([&] { return dmz_.heard(FrameType::define) > 0 && dmz_.heard(FrameType::position) > 0; }, seconds(20))) << dmz_.end();
  Bytes said = everything();
  link::encode_ack(said, 1ull << 60);   // also what would end another link
  link::encode_close(said, link::CloseCode::not_allowed, "go away");
  ASSERT_TRUE(dmz_.say(said)) << dmz_.end();
  EXPECT_TRUE(eventually([&] { return discarded() == said.size(); }, seconds(10))) << discarded() << " of " << said.size();
  dmz_.wait(seconds(4));   // more than its timeout
  EXPECT_EQ(plant_.digest(), before);
  EXPECT_FALSE(dmz_.ended()) << dmz_.end();
  EXPECT_EQ(plant_.link_field("dmz", "state"), "up");
  EXPECT_EQ(plant_.link_field("dmz", "connects"), "1");
  EXPECT_GT(dmz_.heard(FrameType::heartbeat), 3u) << "it goes on sending";
}

TEST_F(UplinkOnly, AFloodEndsTheConnectionAndNothingElse) {
  start("");
  const std::string before = plant_.digest();
  const unsigned times = dmz_.repeat(changes_of(0, 1000, 1, 1), 100'000, seconds(30));
  EXPECT_LT(times, 100'000u);
  EXPECT_TRUE(dmz_.accept(seconds(30))) << plant_.log();
  EXPECT_EQ(plant_.digest(), before);
  EXPECT_GT(discarded(), 4u << 20);
  EXPECT_EQ(plant_.link_field("dmz", "closed.limit"), "1");
}

}  // namespace
}  // namespace sallyport::tests
