// The one-way wire from end to end: what is lost, mixed up, repeated and tampered with between a writer and a reader.
#include <gtest/gtest.h>

#include <random>

#include "link/diode/datagram.h"
#include "link/diode/epoch.h"
#include "link/diode/test_wire.h"

namespace sallyport::link::diode {
namespace {

using namespace std::chrono_literals;
using testing::Datagrams;
using testing::Wire;
using testing::WireKeys;

// ---- What arrives ----

class WireLoss : public ::testing::Test, public ::testing::WithParamInterface<int> {};

// 2,000 segments; of the datagrams, so many in a hundred are lost by chance.
TEST_P(WireLoss, IsMadeGoodOrSaidAndNothingArrivesWrongOrOutOfOrder) {
  Wire wire;
  std::mt19937 random(42);
  wire.on_the_way = [&](Datagrams& datagrams) {
    std::erase_if(datagrams, [&](const Bytes&) { return static_cast<int>(random() % 100) < GetParam(); });
  };
  wire.run(5s);  // until the announcement is there
  const unsigned sent = wire.send_numbered(2'000);
  wire.settle();
  EXPECT_EQ(wire.wrong, 0u);
  EXPECT_EQ(wire.backwards, 0u);
  const auto& counters = wire.reader->counters();
  EXPECT_EQ(wire.arrived.size() + counters.lost_segments + wire.never_seen(sent), sent);
  EXPECT_GE(wire.arrived.size(), sent * (GetParam() <= 5 ? 99 : 97) / 100);
  if (GetParam() == 0) {
    EXPECT_EQ(wire.arrived.size(), sent);
    EXPECT_EQ(counters.lost_datagrams, 0u);
    EXPECT_EQ(counters.recovered_shards, 0u);
    EXPECT_EQ(counters.refused.total(), 0u);
  } else {
    EXPECT_GT(counters.lost_datagrams, 0u);
    EXPECT_GT(counters.recovered_shards, 0u);
  }
  EXPECT_EQ(wire.unsaid_holes, 0u);
}
INSTANTIATE_TEST_SUITE_P(Percent, WireLoss, ::testing::Values(0, 1, 5, 10));

TEST(Wire, ABurstThatTheMixingCoversCostsNothing) {
  Wire wire;
  wire.send_numbered(10);
  wire.settle();
  unsigned seen = 0;
  // As many as the parity of the groups that are sent mixed: 10 of 32+10 in each of four groups.
  wire.on_the_way = [&](Datagrams& datagrams) {
    std::erase_if(datagrams, [&](const Bytes&) { return ++seen >= 300 && seen < 336; });
  };
  wire.send_numbered(2'000);
  wire.settle();
  EXPECT_EQ(wire.arrived.size(), 2'010u);
  EXPECT_GT(wire.reader->counters().recovered_shards, 20u);
  EXPECT_EQ(wire.reader->counters().lost_groups, 0u);
}

TEST(Wire, ABurstThatIsTooLongIsSaidOnceWithItsCount) {
  Wire wire;
  wire.send_numbered(10);
  wire.settle();
  unsigned seen = 0;
  wire.on_the_way = [&](Datagrams& datagrams) {
    std::erase_if(datagrams, [&](const Bytes&) { return ++seen >= 300 && seen < 500; });
  };
  const unsigned sent = 10 + wire.send_numbered(2'000);
  wire.settle();
  const auto& counters = wire.reader->counters();
  EXPECT_LT(wire.arrived.size(), sent);
  EXPECT_EQ(wire.arrived.size() + counters.lost_segments, sent);
  EXPECT_GT(counters.lost_groups, 0u);
  EXPECT_EQ(wire.unsaid_holes, 0u);
  EXPECT_EQ(wire.wrong + wire.backwards, 0u);
}

TEST(Wire, PutsMixedUpDatagramsInOrderAndDropsRepeatedOnes) {
  Wire wire;
  wire.settle();
  std::mt19937 random(3);
  unsigned doubled = 0;
  wire.on_the_way = [&](Datagrams& datagrams) {
    for (std::size_t i = datagrams.size(); i-- > 0;) {
      if (random() % 10 == 0) {
        datagrams.push_back(datagrams[i]);
        doubled += datagrams[i][0] == std::byte{kSealedType};
      }
    }
    std::ranges::shuffle(datagrams, random);
  };
  const unsigned sent = wire.send_numbered(2'000);
  wire.settle();
  EXPECT_EQ(wire.arrived.size(), sent);
  EXPECT_EQ(wire.wrong + wire.backwards, 0u);
  EXPECT_EQ(wire.reader->counters().refused.replay, doubled);
  EXPECT_EQ(wire.reader->counters().lost_datagrams, 0u);
}

TEST(Wire, ASingleSmallSegmentArrivesAloneAndSmall) {
  Wire wire;
  wire.send("one");
  wire.run(20ms);
  ASSERT_EQ(wire.arrived.size(), 1u);
  EXPECT_EQ(wire.arrived[0], "one");
  EXPECT_FALSE(wire.losses[0]);
  EXPECT_LT(wire.smallest_datagram, 100u);
}

TEST(Wire, TakesSegmentsUpToAWholeGroupAndNoLargerOnes) {
  Wire wire;
  const std::size_t most = wire.writer->max_segment();
  EXPECT_EQ(wire.writer->room(), most);
  EXPECT_FALSE(wire.writer->add(Bytes(most + 1)));
  EXPECT_FALSE(wire.writer->add({}));
  wire.send(std::string(most, 'x'));
  wire.send("after it");
  wire.settle();
  ASSERT_EQ(wire.arrived.size(), 2u);
  EXPECT_EQ(wire.arrived[0], std::string(most, 'x'));
}

TEST(Wire, ASenderThatIsNotAskedForDatagramsTakesNoMore) {
  Wire wire;
  std::size_t taken = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::size_t room = wire.writer->room();
    if (room == 0) break;
    if (room < 1000) {
      wire.writer->flush();
      continue;
    }
    EXPECT_TRUE(wire.writer->add(Bytes(1000)));
    taken += 1000;
  }
  EXPECT_LT(taken, 8 * wire.writer->max_segment());
}

TEST(Wire, AReceiverThatComesLateReadsFromThereOn) {
  Wire wire;
  wire.deliver = false;
  wire.send_numbered(500);
  wire.settle();
  wire.deliver = true;
  wire.run(2s);  // announcements are repeated
  wire.send("late");
  wire.settle();
  ASSERT_EQ(wire.arrived.size(), 1u);
  EXPECT_TRUE(wire.losses[0]) << "something was before it";
  EXPECT_EQ(wire.reader->counters().lost_segments, 0u);
  EXPECT_EQ(wire.reader->counters().lost_datagrams, 0u);
}

TEST(Wire, AReceiverThatComesLateHoursIntoAnEpochBelievesTheAnnouncementSignedAnew) {
  Wire wire(WireOptions{.rekey_after = 24h});
  wire.deliver = false;
  for (int i = 0; i < 60; ++i) wire.jump(5min);
  wire.deliver = true;
  wire.run(2s);
  wire.send("late");
  wire.settle();
  EXPECT_EQ(wire.arrived.size(), 1u);
  EXPECT_EQ(wire.reader->counters().refused.stale, 0u);
}

TEST(Wire, ASenderThatIsRestartedIsANewLifeFromItsFirstSegmentOn) {
  Wire wire;
  wire.send_numbered(100);
  wire.settle();
  const auto first_epoch = wire.reader->counters().epoch;
  wire.restart_writer();
  wire.send("again");
  wire.settle();
  ASSERT_EQ(wire.arrived.size(), 101u);
  EXPECT_EQ(wire.last.number, 0u);
  EXPECT_FALSE(wire.last.loss_before);
  EXPECT_NE(wire.lives.front(), wire.lives.back());
  EXPECT_GT(wire.reader->counters().epoch, first_epoch);
}

// ---- Epochs ----

TEST(Wire, NewEpochsBeginByTimeAndByCountWithoutLoss) {
  Wire wire(WireOptions{.depth = 2, .rekey_after = 20s, .rekey_datagrams = 3'000, .rekey_lead = 3s});
  unsigned sent = 0;
  for (int i = 0; i < 120; ++i) {
    sent += wire.send_numbered(100);
    wire.run(500ms);
  }
  wire.settle();
  EXPECT_EQ(wire.arrived.size(), sent);
  EXPECT_GE(wire.writer->counters().rekeys, 2u);
  EXPECT_GE(wire.reader->counters().epochs, wire.writer->counters().rekeys);  // nothing may have come in the last yet
  EXPECT_EQ(wire.reader->counters().refused.total(), 0u);
  EXPECT_EQ(wire.wrong + wire.backwards + wire.unsaid_holes, 0u);
}

// Announcements in the clear can be crowded out by anyone who can inject; those of the next epoch come sealed as well.
TEST(Wire, WhoInjectsAnnouncementsCannotKeepAReceiverFromTheNextEpoch) {
  Wire wire(WireOptions{.rekey_after = 20s, .rekey_lead = 3s});
  wire.send_numbered(10);
  wire.settle();
  std::mt19937_64 random(1);
  wire.on_the_way = [&](Datagrams& datagrams) {
    std::erase_if(datagrams, [](const Bytes& each) { return each[0] == std::byte{kFragmentType}; });
    for (int i = 0; i < 20; ++i) {
      Fragment forged{.epoch = ~std::uint64_t{0} - random() % 100, .index = 0, .count = 2, .bytes = as_bytes("forged")};
      forged.id[0] = static_cast<std::byte>(random());
      Bytes datagram;
      append_fragment(datagram, kFragmentType, forged);
      datagrams.push_back(datagram);
    }
  };
  unsigned sent = 10;
  for (int i = 0; i < 60; ++i) {
    sent += wire.send_numbered(5);
    wire.run(500ms);
  }
  wire.settle();
  EXPECT_GE(wire.writer->counters().rekeys, 1u);
  EXPECT_EQ(wire.arrived.size(), sent);
}

TEST(Wire, EpochsNeverGoBackWhateverIsLostOfTheSendersFile) {
  Wire wire;
  std::uint64_t last = wire.writer->counters().epoch;
  for (const char* what : {"kept", "lost", "old", "damaged", "clock back"}) {
    const std::string file = wire.sender_file();
    const std::string old = net::testing::read_text(file);
    if (what == std::string_view("old")) wire.restart_writer();
    if (what == std::string_view("lost")) std::filesystem::remove(file);
    if (what == std::string_view("old")) net::testing::write_text(file, old);
    if (what == std::string_view("damaged")) net::testing::write_text(file, "garbage");
    if (what == std::string_view("clock back")) wire.clock.set_utc_offset(1'600'000'000'000'000'000);
    last = std::max(last, wire.writer->counters().epoch);
    wire.run(10ms);
    wire.restart_writer();
    EXPECT_GT(wire.writer->counters().epoch, last) << what;
    last = wire.writer->counters().epoch;
  }
}

TEST(Wire, ASenderThatCannotNoteItsEpochDoesNotStartAndGoesOnInTheRunningOne) {
  Wire wire(WireOptions{.rekey_after = 20s, .rekey_lead = 3s});
  wire.send_numbered(10);
  wire.settle();
  wire.block_writer_file();
  unsigned sent = 10;
  for (int i = 0; i < 60; ++i) {
    sent += wire.send_numbered(5);
    wire.run(500ms);
  }
  wire.settle();
  EXPECT_EQ(wire.writer->counters().rekeys, 0u);
  EXPECT_GT(wire.writer->counters().failed_rekeys, 0u);
  EXPECT_FALSE(wire.writer->counters().last_failure.empty());
  EXPECT_EQ(wire.arrived.size(), sent);
  EXPECT_FALSE(wire.make_writer());
}

// Two starts from the very same state, as after a crash before anything was written: other keys, so no nonce twice.
TEST(Wire, NoNonceComesTwiceAfterACrashForTheKeyIsAnother) {
  Wire wire;
  const std::string file = wire.sender_file();
  const std::string before = net::testing::read_text(file);
  Datagrams first, second;
  wire.on_the_way = [&](Datagrams& datagrams) { first.insert(first.end(), datagrams.begin(), datagrams.end()); };
  wire.send("the very same segment");
  wire.settle();
  net::testing::write_text(file, before);
  wire.restart_writer();
  wire.on_the_way = [&](Datagrams& datagrams) { second.insert(second.end(), datagrams.begin(), datagrams.end()); };
  wire.send("the very same segment");
  wire.settle();
  const auto sealed = [](const Datagrams& all) { return *std::ranges::find(all, std::byte{kSealedType}, [](const Bytes& each) { return each[0]; }); };
  const Bytes a = sealed(first), b = sealed(second);
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(read_sealed_header(a)->counter, read_sealed_header(b)->counter);
  EXPECT_NE(read_sealed_header(a)->epoch, read_sealed_header(b)->epoch);
  EXPECT_FALSE(std::equal(a.begin() + kSealedHeaderBytes, a.end(), b.begin() + kSealedHeaderBytes));
}

TEST(Wire, AReaderThatIsKilledInTheMomentWhenLessComesIsBlindForASecondOnly) {
  Wire wire;
  unsigned sent = 0;
  for (int i = 0; i < 300; ++i) {   // thousands of datagrams a second, and the mark as far ahead
    sent += wire.send_numbered(40);
    wire.run(10ms);
  }
  wire.settle();
  ASSERT_EQ(wire.arrived.size(), sent);
  wire.kill_reader();
  for (int i = 0; i < 40; ++i) {    // then ten
    wire.send_numbered(1);
    wire.run(100ms);
  }
  EXPECT_GT(wire.arrived.size(), sent + 15);
}

TEST(Wire, AReaderThatIsKilledIsBlindForSecondsOnlyAlsoWhenLessComesThanBefore) {
  Wire wire;
  unsigned sent = 0;
  for (int i = 0; i < 200; ++i) {   // thousands of datagrams a second
    sent += wire.send_numbered(40);
    wire.run(10ms);
  }
  for (int i = 0; i < 30; ++i) {    // then some dozens
    sent += wire.send_numbered(1);
    wire.run(100ms);
  }
  wire.settle();
  ASSERT_EQ(wire.arrived.size(), sent);
  wire.kill_reader();
  for (int i = 0; i < 50; ++i) {
    wire.send_numbered(1);
    wire.run(100ms);
  }
  EXPECT_GT(wire.arrived.size(), sent + 10);
}

}  // namespace
}  // namespace sallyport::link::diode
