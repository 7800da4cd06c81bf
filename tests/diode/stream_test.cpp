// A diode that emulates TCP: bytes go on to the other side, and nobody ever answers.
#include <gtest/gtest.h>

#include "pair.h"
#include "relay.h"

namespace sallyport::tests {
namespace {

TEST(DiodeStream, CarriesTheMirrorThroughARelayThatNeverAnswers) {
  const std::uint16_t port = free_port();
  ByteRelay relay(port);
  DiodePairOptions options;
  options.send = "tcp://127.0.0.1:" + std::to_string(relay.port());
  options.receive = "tcp://127.0.0.1:" + std::to_string(port);
  DiodePair pair(std::move(options));
  ASSERT_TRUE(pair.start_plant()) << pair.logs();
  ASSERT_TRUE(pair.start_office()) << pair.logs();
  ASSERT_TRUE(pair.complete()) << pair.logs();
  relay.drop_bytes(5000);
  relay.insert_garbage(20'000);
  std::this_thread::sleep_for(seconds(1));
  EXPECT_GT(pair.count("skipped_bytes"), 19'000u);
  EXPECT_TRUE(pair.complete(seconds(10))) << pair.logs();
  relay.reset();
  EXPECT_TRUE(eventually([&] { return pair.plant().link_field("office", "state") == "up" && pair.office().link_field("plant", "state") == "up"; }, seconds(15))) << pair.logs();
  EXPECT_TRUE(pair.complete(seconds(10))) << pair.logs();
  pair.office().process().kill();
  pair.office().process().wait(seconds(5));
  ASSERT_TRUE(pair.start_office());
  EXPECT_TRUE(pair.complete(seconds(15))) << pair.logs();
  pair.rest();
  EXPECT_TRUE(pair.equal()) << pair.logs();
  EXPECT_EQ(relay.came_back(), 0u);
}

}  // namespace
}  // namespace sallyport::tests
