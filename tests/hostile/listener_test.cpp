// A plant that dials somebody with the right name and a good certificate who means harm. The plant's other link goes on.
#include <gtest/gtest.h>

#include <set>

#include "attacked.h"
#include "json.h"
#include "rogue.h"

namespace sallyport::tests {
namespace {

using link::CloseCode;
using link::FrameType;

class RogueDmz : public testing::Test {
 protected:
  void SetUp() override {
    rogue_port_ = rogue_.listen();
    ASSERT_NE(rogue_port_, 0);
    const std::string dmz_port = std::to_string(free_port());
    good_ = std::make_unique<Node>(folder_, pki_, "good-1",
                                   "[listen]\naddress = \"127.0.0.1:" + dmz_port + "\"\n[[listen.peer]]\nname = \"plant-1\"\nreceive = [\"**\"]\n");
    plant_ = std::make_unique<Node>(folder_, pki_, "plant-1",
                                    "[[source.simulator]]\nname = \"sim\"\ninto = \"acme/line1\"\npoints = 20\nrate = 100\nseed = 7\nshape = \"ramp\"\n"
                                    "[[link]]\nname = \"good\"\ndial = \"127.0.0.1:" + dmz_port + "\"\npeer = \"good-1\"\nsend = [\"**\"]\n"
                                    "[[link]]\nname = \"bad\"\ndial = \"127.0.0.1:" + std::to_string(rogue_port_) + "\"\npeer = \"rogue\"\nsend = [\"acme/**\"]\none_way = \"off\"\n");   // reads everything: see uplink_test.cpp for the default
    good_->start();
    plant_->start();
    ASSERT_TRUE(good_->wait_ready() && plant_->wait_ready()) << plant_->log();
    ASSERT_TRUE(good_->wait_link("plant-1", "up", seconds(20)));
    memory_ = resident_bytes(plant_->process().pid());
  }
  void TearDown() override {
    EXPECT_TRUE(plant_->process().running()) << plant_->log();
    EXPECT_EQ(plant_->link_field("good", "state"), "up");
    EXPECT_EQ(plant_->link_field("good", "connects"), "1");
    EXPECT_EQ(good_->points("good"), "20");
    EXPECT_LE(resident_bytes(plant_->process().pid()), memory_ + (64u << 20));
    // One way means one way: nothing of what was said reached the plant's table.
    EXPECT_EQ(plant_->ask({"dump"}).output.find("rogue/"), std::string::npos);
  }
  long closed(const std::string& reason) { return std::atol(plant_->link_field("bad", "closed." + reason).c_str()); }

  TempFolder folder_;
  Pki pki_{folder_.path() + "/pki"};
  Rogue rogue_{pki_, "rogue"};
  std::uint16_t rogue_port_ = 0;
  std::unique_ptr<Node> good_, plant_;
  std::size_t memory_ = 0;
};

TEST_F(RogueDmz, IsClosedAndCountedForWhateverItDoesAndDialledAgainWithPatience) {
  struct Row {
    const char* name;
    CloseCode code;
    const char* counter;
    std::function<void(Rogue&)> commit;
  };
  const std::vector<Row> rows{
      {"data to a plant that receives nothing", CloseCode::not_allowed, "not_allowed",
       [](Rogue& r) { r.say(encoded(link::Begin{false, 7}) + definitions_of(1, 0, 10, "rogue")); }},
      {"a flood of questions", CloseCode::limit, "limit",
       [](Rogue& r) {
         Bytes ask;
         link::encode_ask_digests(ask, 1);
         r.repeat(ask, 1'000'000);
       }},
      {"a frame of 4 GiB", CloseCode::malformed, "malformed", [](Rogue& r) { r.say(Bytes(8, std::byte{0xff})); }},
      {"a flood of renewals", CloseCode::limit, "limit", [](Rogue& r) { r.repeat(frame_of(19, {}), 1'000'000); }},
  };
  std::map<std::string, long> expected;
  bool connected = rogue_.accepted() > 0 || rogue_.accept(seconds(20));
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    ASSERT_TRUE(connected);
    ASSERT_TRUE(rogue_.greet()) << rogue_.end();
    const unsigned before = rogue_.accepted();
    row.commit(rogue_);
    ++expected[row.counter];
    EXPECT_TRUE(rogue_.accepted() > before || rogue_.wait_ended(seconds(5)));
    EXPECT_TRUE(eventually([&] { return closed(row.counter) >= expected[row.counter]; }, seconds(5))) << closed(row.counter) << plant_->link_field("bad", "reason");
    EXPECT_TRUE(!rogue_.close() || rogue_.close()->code == static_cast<unsigned>(row.code)) << rogue_.close()->text;
    connected = rogue_.accepted() > before || rogue_.accept(seconds(20));
  }
}

TEST_F(RogueDmz, ThatHangsUpAtOnceIsNotDialledInAStorm) {
  const auto until = Clock::now() + seconds(8);
  while (Clock::now() < until) {
    if (rogue_.accept(seconds(1))) rogue_.hang_up();
  }
  EXPECT_LE(rogue_.accepted(), 20u);
  EXPECT_NE(plant_->link_field("bad", "state"), "up");
}

TEST_F(RogueDmz, ThatSaysNothingAfterTheHandshakeIsGivenUp) {
  ASSERT_TRUE(rogue_.accepted() > 0 || rogue_.accept(seconds(20)));
  EXPECT_TRUE(rogue_.wait_ended(seconds(10)));
  EXPECT_TRUE(eventually([&] { return closed("timeout") >= 1; }, seconds(5)));
}

TEST_F(RogueDmz, ThatAsksForPatternsItMayNotHaveGetsOnlyWhatThePlantSends) {
  ASSERT_TRUE(rogue_.accepted() > 0 || rogue_.accept(seconds(20)));
  std::set<std::string> paths;
  rogue_.on_frame = [&](const link::Frame& frame) {
    link::DefineFrame define;
    if (frame.type != FrameType::define || !link::decode_define(frame.body, define)) return;
    for (const auto& record : define.records) paths.insert(define.paths.substr(record.path_at, record.path_size));
  };
  link::Hello hello = rogue_.hello();
  hello.receive = {"**", "$sys/**", "*/**"};
  ASSERT_TRUE(rogue_.greet(hello));
  EXPECT_TRUE(rogue_.wait_for([&] { return paths.size() >= 20; }, seconds(10)));
  rogue_.wait(seconds(1));
  EXPECT_EQ(paths.size(), 20u);
  for (const auto& path : paths) EXPECT_TRUE(path.starts_with("acme/")) << path;
}

}  // namespace
}  // namespace sallyport::tests
