// What an honest peer says at its busiest stays within the budget, and a flood does not.
#include "link/peer_budget.h"

#include <gtest/gtest.h>

namespace sallyport::link {
namespace {

using namespace std::chrono_literals;

struct PeerBudgetTest : ::testing::Test {
  // How many of `count` frames pass, one every `apart`.
  int admitted(FrameType type, int count, Duration apart, std::size_t body = 8, std::uint64_t sent_a_frame = 0) {
    const Bytes bytes(body);
    for (int i = 0; i < count; ++i) {
      clock.advance(apart);
      sent += sent_a_frame;
      if (!budget.admit(Frame{type, bytes, body + kFrameHeader}, sent, clock.monotonic())) return i;
    }
    return count;
  }
  ManualClock clock;
  PeerBudget budget{250ms};
  std::uint64_t sent = 0;
};
using PeerBudgetSays = PeerBudgetTest;

TEST_F(PeerBudgetSays, ADayOfHeartbeatsIsFineAndAFloodIsNot) {
  EXPECT_EQ(admitted(FrameType::heartbeat, 345'600, 250ms), 345'600);
  EXPECT_LE(admitted(FrameType::heartbeat, 1'000'000, 1us), 400);
}

TEST_F(PeerBudgetSays, AcknowledgementsOfWhatWasSentAreFineAndOthersAreNot) {
  EXPECT_EQ(admitted(FrameType::ack, 100'000, 25us, 8, 32 * 1024), 100'000) << "more than 1 GB/s";
  EXPECT_EQ(admitted(FrameType::ack, 100'000, 20ms), 100'000);
  EXPECT_LE(admitted(FrameType::ack, 1'000'000, 1us), 6000);
}

TEST_F(PeerBudgetSays, QuestionsAboutDigestsAreFewEvenOfADifferenceThatStays) {
  EXPECT_EQ(admitted(FrameType::ask_digests, 10'000, 100ms, 2), 10'000);
  EXPECT_LE(admitted(FrameType::ask_repair, 1'000'000, 1ms, 130), 300);
}

TEST_F(PeerBudgetSays, WhatANodeTellsOfHopsIsFineWhateverHappensAndMegabytesAreNot) {
  Allowance own = own_hops();
  for (int i = 0; i < 100'000; ++i) {
    clock.advance(1ms);
    if (own.afford(hops_cost(kMaxHopsBytes), clock.monotonic())) {
      ASSERT_EQ(admitted(FrameType::hops, 1, 0ns, kMaxHopsBytes), 1) << i;
    }
    if (own.afford(hops_cost(70), clock.monotonic())) {
      ASSERT_EQ(admitted(FrameType::hops, 1, 0ns, 70), 1) << i;
    }
  }
  EXPECT_LE(admitted(FrameType::hops, 1000, 10ms, kMaxHopsBytes), 20);
  clock.advance(60s);
  EXPECT_LE(admitted(FrameType::hops, 1'000'000, 1us, 1), 3000);
}

TEST_F(PeerBudgetSays, EveryRouteMayChangeAtOnceAFewTimes) {
  EXPECT_EQ(admitted(FrameType::route, 8 * 4096, 0ns, 40), 8 * 4096);
  EXPECT_LE(admitted(FrameType::route, 1'000'000, 1us, 40), 80'000);
}

TEST_F(PeerBudgetSays, PositionsBehindDataAreFineAndOthersAreNot) {
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_EQ(admitted(FrameType::changes, 1, 0ns), 1);
    ASSERT_EQ(admitted(FrameType::position, 1, 0ns), 1) << i;
  }
  EXPECT_LE(admitted(FrameType::position, 1'000'000, 1us), 500);
}

TEST_F(PeerBudgetSays, DataAreNotItsBusiness) {
  EXPECT_EQ(admitted(FrameType::changes, 1'000'000, 0ns), 1'000'000);
  EXPECT_EQ(admitted(FrameType::define, 1'000'000, 0ns), 1'000'000);
}

}  // namespace
}  // namespace sallyport::link
