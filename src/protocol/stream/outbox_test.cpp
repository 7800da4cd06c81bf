#include "protocol/stream/outbox.h"

#include <gtest/gtest.h>

namespace sallyport::stream {
namespace {

Message at(Position position) {
  Message message;
  message.position = position;
  message.stream = "plant-1/1";
  message.sequence = position * 10;
  message.payload = "payload";
  return message;
}

struct OutboxTest : testing::Test {
  void send_all() {
    while (const auto* entry = outbox.next({})) sent.push_back(entry->message.position);
  }
  Outbox outbox{10, 1 << 20};
  std::vector<Position> sent;
};

TEST_F(OutboxTest, AcknowledgesOnlyThePrefixOfWhichNothingIsMissing) {
  for (Position position : {5, 6, 7}) outbox.add(at(position));
  outbox.read_to(9);
  send_all();
  EXPECT_TRUE(outbox.settle(2));
  EXPECT_EQ(outbox.acknowledged(), 0u);
  EXPECT_TRUE(outbox.settle(1));
  EXPECT_EQ(outbox.acknowledged(), 6u);
  EXPECT_FALSE(outbox.settle(1));
  EXPECT_TRUE(outbox.settle(3));
  EXPECT_EQ(outbox.acknowledged(), 9u);
  EXPECT_EQ(outbox.size(), 0u);
  EXPECT_EQ(outbox.bytes(), 0u);
  EXPECT_FALSE(outbox.settle(99));
}

TEST_F(OutboxTest, SendsInOrderAndEachOnce) {
  outbox.add(at(5));
  send_all();
  outbox.add(at(6));
  outbox.add(at(7));
  send_all();
  EXPECT_EQ(sent, (std::vector<Position>{5, 6, 7}));
  EXPECT_TRUE(outbox.all_sent());
}

TEST_F(OutboxTest, IsBoundedByMessagesAndBytes) {
  for (Position position = 1; position <= 10; ++position) outbox.add(at(position));
  EXPECT_EQ(outbox.room(), 0u);
  Outbox small(100, 1000);
  Message large = at(1);
  large.payload.assign(5000, 'x');
  EXPECT_EQ(small.room(), 100u);
  small.add(std::move(large));
  EXPECT_EQ(small.room(), 0u);
}

TEST_F(OutboxTest, AfterABreakSendsAgainWhatIsNotThere) {
  for (Position position = 1; position <= 6; ++position) outbox.add(at(position));
  send_all();
  outbox.settle(1);
  Tail tail("aa/ai-1/s");
  tail.note({.journal = "aa/ai-1/s", .position = "4", .stored = "2"});
  sent.clear();
  EXPECT_EQ(outbox.begin_again(tail), 2u);  // 2 by what was said, 4 by what is there
  send_all();
  EXPECT_EQ(sent, (std::vector<Position>{3, 5, 6}));
  EXPECT_EQ(outbox.acknowledged(), 2u);
}

TEST(StreamTail, IsCompleteOnceItReachesBackToWhatWasAcknowledged) {
  Tail tail("aa/ai-1/s");
  EXPECT_FALSE(tail.complete());
  EXPECT_EQ(tail.note({.journal = "aa/ai-1/s", .position = "100", .stored = "90"}), 100u);
  EXPECT_FALSE(tail.complete());
  EXPECT_EQ(tail.note({.journal = "bb/ai-1/s", .position = "80", .stored = "80", .stream = "other/1", .sequence = "7"}), 0u);
  EXPECT_FALSE(tail.complete());
  EXPECT_EQ(tail.note({.journal = "aa/ai-1/s", .position = "90", .stored = "70"}), 90u);
  EXPECT_TRUE(tail.complete());
  EXPECT_TRUE(tail.has(at(90)));
  EXPECT_TRUE(tail.has(at(12)));
  EXPECT_TRUE(tail.has(at(100)));
  EXPECT_FALSE(tail.has(at(95)));
  EXPECT_FALSE(tail.has(at(101)));
  EXPECT_FALSE(tail.has(at(0)));
}

TEST(StreamTail, WhatAnotherJournalWroteIsKnownByItsSequence) {
  Tail tail("aa/ai-1/s");
  tail.note({.journal = "bb/ai-1/s", .position = "3", .stored = "1", .stream = "plant-1/1", .sequence = "500"});
  EXPECT_TRUE(tail.has(at(50)));
  EXPECT_FALSE(tail.has(at(51)));
}

TEST(StreamTail, PositionsThatAreGivenOutASecondTimeHideNothing) {
  Tail tail("aa/ai-1/s");
  tail.note({.journal = "aa/ai-1/s", .position = "100", .stored = "90", .stream = "plant-1/1", .sequence = "1000"});
  EXPECT_TRUE(tail.has(at(90)));
  Message again = at(90);
  again.sequence = 1001;  // newer than all that is here
  EXPECT_FALSE(tail.has(again));
  again.position = 100;
  EXPECT_FALSE(tail.has(again));
}

TEST(StreamTail, WhatOtherSinksWroteSaysNothing) {
  Tail tail("aa/ai-1/s");
  for (const char* writer : {"aa/ai-1/other", "bb/ai-2/s", "aa", ""}) {
    EXPECT_EQ(tail.note({.journal = writer, .position = "100", .stored = "90", .stream = "plant-1/1", .sequence = "5000"}), 0u);
  }
  EXPECT_FALSE(tail.has(at(100)));
  EXPECT_FALSE(tail.has(at(80)));
}

TEST(StreamTail, MalformedLabelsSayNothing) {
  Tail tail("aa/ai-1/s");
  for (const char* text : {"", "x", "-1", "1x", "99999999999999999999999"}) {
    EXPECT_EQ(tail.note({.journal = "aa/ai-1/s", .position = text, .stored = text, .stream = "s", .sequence = text}), 0u) << text;
  }
  EXPECT_FALSE(tail.complete());
  EXPECT_FALSE(tail.has(at(1)));
}

}  // namespace
}  // namespace sallyport::stream
