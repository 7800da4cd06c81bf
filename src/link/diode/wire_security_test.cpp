// What an attacker on the way can do to a one-way wire: flip bits, repeat, forge, flood. All of it is refused, counted, and
// has no effect.
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

bool is_sealed(const Bytes& datagram) { return datagram[0] == std::byte{kSealedType}; }

// Everything that a wire carries while one segment is sent.
struct Recorded {
  explicit Recorded(Wire& wire) {
    wire.on_the_way = [this](Datagrams& datagrams) { all.insert(all.end(), datagrams.begin(), datagrams.end()); };
  }
  Datagrams sealed() const { return only(true); }
  Datagrams announcements() const { return only(false); }
  Datagrams only(bool sealed_ones) const {
    Datagrams found = all;
    std::erase_if(found, [&](const Bytes& each) { return is_sealed(each) != sealed_ones; });
    return found;
  }
  Datagrams all;
};

struct Fresh {
  explicit Fresh(Wire& wire, const std::string& file = "fresh.epoch") : of(wire), reader(*wire.make_reader(wire.files / file)) {}
  void give(const Datagrams& datagrams) {
    for (const Bytes& each : datagrams) reader->received(each, of.clock.monotonic(), of.clock.utc());
  }
  std::size_t segments() {
    std::size_t count = 0;
    while (reader->next(of.clock.monotonic())) ++count;
    return count;
  }
  const Refused& refused() { return reader->counters().refused; }
  Wire& of;
  std::unique_ptr<WireReader> reader;
};

// ---- Tampering ----

TEST(WireTampering, ABitFlippedInAnyByteOfADatagramIsRefusedCountedAndWithoutEffect) {
  Wire wire;
  Recorded recorded(wire);
  wire.send("the value is 42");
  wire.settle();
  Fresh victim(wire);
  victim.give(recorded.announcements());
  const Bytes good = recorded.sealed().front();
  std::uint64_t refused = victim.refused().total();
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes tampered = good;
    tampered[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    victim.give({tampered});
    EXPECT_EQ(victim.refused().total(), ++refused) << "bit " << bit;
    EXPECT_EQ(victim.segments(), 0u) << "bit " << bit;
  }
  EXPECT_EQ(victim.reader->counters().accepted, 0u);
  EXPECT_GT(victim.refused().authentication, 0u);
  victim.give({good});
  EXPECT_EQ(victim.segments(), 1u) << "and the right one is still taken";
}

TEST(WireTampering, ADatagramCutOrLengthenedAnywhereIsRefused) {
  Wire wire;
  Recorded recorded(wire);
  wire.send("the value is 42");
  wire.settle();
  Fresh victim(wire);
  victim.give(recorded.announcements());
  const Bytes good = recorded.sealed().front();
  for (std::size_t size = 0; size < good.size() + 40; ++size) {
    if (size == good.size()) continue;
    Bytes other = good;
    other.resize(size);
    victim.give({other});
  }
  EXPECT_EQ(victim.reader->counters().accepted, 0u);
  EXPECT_EQ(victim.segments(), 0u);
  EXPECT_EQ(victim.refused().total(), good.size() + 39);
}

// The announcement as a whole, with the parts put together right: all that is left are its signatures.
class Announcements : public ::testing::Test {
 protected:
  Announcements() {
    wire.on_the_way = [this](Datagrams& datagrams) { all.insert(all.end(), datagrams.begin(), datagrams.end()); };
    wire.send("the value is 42");
    wire.run(50ms);
    wire.on_the_way = nullptr;
    const auto first = read_fragment(*std::ranges::find_if_not(all, is_sealed));
    epoch = first->epoch;
    std::vector<Bytes> parts(first->count);
    for (const Bytes& each : all) {
      const auto part = read_fragment(each);
      if (part && part->id == first->id) parts[part->index].assign(part->bytes.begin(), part->bytes.end());
    }
    for (const Bytes& each : parts) good.insert(good.end(), each.begin(), each.end());
  }
  static Datagrams cut(std::uint64_t number, Bytes bytes) {
    const auto announcement = cut_announcement(number, std::move(bytes), 1400);
    Datagrams datagrams;
    for (std::uint8_t i = 0; i < announcement.count; ++i) append_fragment(datagrams.emplace_back(), kFragmentType, announcement.fragment(i));
    return datagrams;
  }
  Announcement parsed() const { return *parse_announcement(good); }
  // Signed by `signer` after `change`.
  Bytes signed_anew(const net::Signer& signer, const std::function<void(EpochCore&)>& change, UtcNanoseconds utc) {
    EpochCore core = parsed().core;
    change(core);
    return announce(encode_core(core), utc, signer);
  }
  // The announcement, then the datagrams of the epoch: how many segments come out?
  std::size_t accepted(Bytes announcement, Refused* refused = nullptr) {
    Fresh victim(wire, "victim" + std::to_string(++victims) + ".epoch");
    victim.give(cut(epoch, std::move(announcement)));
    const bool believed = victim.reader->counters().announcements > 0;
    if (refused != nullptr) *refused = victim.refused();
    Datagrams sealed = all;
    std::erase_if(sealed, [](const Bytes& each) { return !is_sealed(each); });
    victim.give(sealed);
    const std::size_t segments = victim.segments();
    EXPECT_EQ(believed, segments > 0);
    return segments;
  }
  Wire wire;
  Datagrams all;
  Bytes good;
  std::uint64_t epoch = 0;
  unsigned victims = 0;
};

TEST_F(Announcements, AreBelievedAsTheyAre) { EXPECT_EQ(accepted(good), 1u); }

TEST_F(Announcements, ABitFlippedInAnyByteIsRefusedByItsSignatures) {
  Fresh victim(wire);
  const UtcNanoseconds utc = wire.clock.utc();
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes tampered = good;
    tampered[at] ^= static_cast<std::byte>(1 << at % 8);
    wire.clock.advance(100ms);  // whole ones are checked at a limited rate
    wire.clock.set_utc_offset(utc - wire.clock.monotonic().time_since_epoch().count());
    const std::uint64_t before = victim.refused().total();
    victim.give(cut(epoch, std::move(tampered)));
    EXPECT_EQ(victim.refused().total(), before + 1) << "byte " << at;
    EXPECT_EQ(victim.reader->counters().announcements, 0u) << "byte " << at;
  }
  EXPECT_GT(victim.refused().signature, good.size() / 2);
  EXPECT_EQ(victim.refused().crowded, 0u);
  victim.give(cut(epoch, good));
  EXPECT_EQ(victim.reader->counters().announcements, 1u) << "and the right one is still believed";
}

TEST_F(Announcements, ABitFlippedInAFragmentIsNoticedBeforeAnySignature) {
  const Datagrams fragments = cut(epoch, good);
  for (std::size_t which = 0; which < fragments.size(); ++which) {
    for (std::size_t at = 0; at < fragments[which].size(); at += at < 40 ? 1 : 173) {
      Fresh victim(wire, "bits.epoch");
      Datagrams tampered = fragments;
      tampered[which][at] ^= std::byte{0x10};
      victim.give(tampered);
      EXPECT_EQ(victim.reader->counters().announcements, 0u) << which << " at " << at;
      EXPECT_EQ(victim.refused().signature, 0u);
      victim.give(fragments);  // the repetition heals it
      victim.give(fragments);
      EXPECT_EQ(victim.reader->counters().announcements, 1u) << which << " at " << at;
    }
  }
}

TEST_F(Announcements, NeedBothSignatures) {
  const net::Signer& right = *wire.keys.signers[0];
  const net::Signer& other = *wire.keys.signers[1];
  const auto with = [&](bool fast_right, bool pq_right) {
    Bytes bytes(parsed().signed_bytes.begin(), parsed().signed_bytes.end());
    Bytes message;
    ByteWriter(message).bytes(as_bytes(std::string_view("sallyport diode epoch v1\0", 25)));
    ByteWriter(message).bytes(bytes);
    ByteWriter writer(bytes);
    writer.bytes((fast_right ? right : other).sign_fast(message));
    writer.bytes((pq_right ? right : other).sign_pq(message));
    return bytes;
  };
  Refused refused;
  EXPECT_EQ(accepted(with(true, true)), 1u);
  EXPECT_EQ(accepted(with(false, true), &refused), 0u);
  EXPECT_EQ(refused.signature, 1u);
  EXPECT_EQ(accepted(with(true, false), &refused), 0u);
  EXPECT_EQ(refused.signature, 1u);
  EXPECT_EQ(accepted(with(false, false), &refused), 0u);
  EXPECT_EQ(refused.signature, 1u);
}

TEST_F(Announcements, OfAnotherNodeAreRefusedWhateverTheyClaim) {
  const net::Signer& other = *wire.keys.signers[1];  // dmz-1, a node of the same authority
  const UtcNanoseconds now = wire.clock.utc();
  Refused refused;
  EXPECT_EQ(accepted(signed_anew(other, [](EpochCore&) {}, now), &refused), 0u) << "says plant-1, signed by dmz-1";
  EXPECT_EQ(refused.signature, 1u);
  EXPECT_EQ(accepted(signed_anew(other, [](EpochCore& core) { core.sender = "dmz-1"; }, now), &refused), 0u);
  EXPECT_EQ(refused.wrong_sender, 1u);
}

TEST_F(Announcements, ForAnotherReceiverOrKeyAreRefused) {
  const net::Signer& right = *wire.keys.signers[0];
  Refused refused;
  EXPECT_EQ(accepted(signed_anew(right, [](EpochCore& core) { core.receiver = "ai-2"; }, wire.clock.utc()), &refused), 0u);
  EXPECT_EQ(refused.wrong_sender, 1u);
  const auto other_key = WireReader::make(wire.reader_options(), *crypto::XWingPrivate::generate(), wire.keys.trust, wire.files / "other.epoch");
  for (const Bytes& each : cut(epoch, good)) (*other_key)->received(each, wire.clock.monotonic(), wire.clock.utc());
  EXPECT_EQ((*other_key)->counters().refused.wrong_sender, 1u);
  EXPECT_TRUE((*other_key)->counters().last_refusal.contains("another key"));
}

TEST_F(Announcements, UnderAnotherAuthorityAreRefused) {
  net::testing::Pki foreign;
  const auto signer = net::Signer::load(net::with_sign_files(foreign.issue("plant-1")), "plant-1");
  Refused refused;
  EXPECT_EQ(accepted(signed_anew(**signer, [](EpochCore&) {}, wire.clock.utc()), &refused), 0u);
  EXPECT_EQ(refused.signature, 1u);
}

TEST_F(Announcements, OfYesterdayAreRefusedByAReceiverThatKnowsNothingYet) {
  Fresh victim(wire);
  wire.clock.advance(24h);
  victim.give(all);
  EXPECT_EQ(victim.segments(), 0u);
  EXPECT_GE(victim.refused().stale, 1u);
  EXPECT_EQ(victim.reader->counters().announcements, 0u);
}

TEST_F(Announcements, OfARightSignedTimeTooFarOffAreRefused) {
  const net::Signer& right = *wire.keys.signers[0];
  const UtcNanoseconds now = wire.clock.utc();
  constexpr std::int64_t kMinute = 60'000'000'000;
  for (const std::int64_t off : {-11 * kMinute, 11 * kMinute}) {
    Refused refused;
    EXPECT_EQ(accepted(signed_anew(right, [](EpochCore&) {}, now + off), &refused), 0u);
    EXPECT_EQ(refused.stale, 1u);
  }
  EXPECT_EQ(accepted(signed_anew(right, [](EpochCore&) {}, now - 9 * kMinute)), 1u);
  EXPECT_EQ(accepted(signed_anew(right, [](EpochCore&) {}, now + 9 * kMinute)), 1u);
}

// ---- Replays ----

TEST(WireReplay, AtOnceAfterASecondAndAfterAnEpochIsRefusedWithoutEffect) {
  Wire wire(WireOptions{.rekey_after = 20s, .rekey_lead = 3s});
  Recorded recorded(wire);
  wire.send("the value is 42");
  wire.settle();
  const Datagrams old = recorded.all;
  const auto replay = [&] {
    const auto before = wire.reader->counters();
    for (const Bytes& each : old) wire.reader->received(each, wire.clock.monotonic(), wire.clock.utc());
    wire.drain();
    const auto& after = wire.reader->counters();
    EXPECT_EQ(after.accepted, before.accepted);
    EXPECT_EQ(after.epoch, before.epoch);
    EXPECT_EQ(after.segments, before.segments);
    return after.refused;
  };
  const std::size_t sealed = recorded.sealed().size(), told = recorded.announcements().size();
  ASSERT_EQ(wire.arrived.size(), 1u);
  EXPECT_EQ(replay().replay, sealed);
  wire.run(1s);
  EXPECT_EQ(replay().replay, 2 * sealed);
  while (wire.writer->counters().rekeys == 0) wire.run(1s);
  wire.send("the value is 43");
  wire.run(5s);
  const Refused after_epoch = replay();
  EXPECT_EQ(after_epoch.old_epoch, sealed + told);
  EXPECT_EQ(after_epoch.replay, 2 * sealed);
  EXPECT_EQ(wire.arrived.size(), 2u);
}

TEST(WireReplay, AfterARestartOfTheReceiverIsRefused) {
  for (const bool killed : {false, true}) {
    Wire wire;
    Recorded recorded(wire);
    wire.send_numbered(300);
    wire.settle();
    const Datagrams old = recorded.all;
    ASSERT_EQ(wire.arrived.size(), 300u);
    if (killed) wire.kill_reader();
    else wire.restart_reader();
    for (const Bytes& each : old) wire.reader->received(each, wire.clock.monotonic(), wire.clock.utc());
    for (const Bytes& each : old) wire.reader->received(each, wire.clock.monotonic(), wire.clock.utc());  // with the key known
    wire.clock.advance(10s);
    wire.drain();
    EXPECT_EQ(wire.arrived.size(), 300u);
    EXPECT_EQ(wire.reader->counters().accepted, 0u);
    EXPECT_GT(wire.reader->counters().refused.replay, 300u);
    // The sender notices nothing, and what it sends from now on arrives: at once, or after the step that was noted ahead.
    wire.on_the_way = nullptr;
    for (int i = 0; i < 100 && wire.arrived.size() == 300; ++i) {
      wire.send("after the restart");
      wire.run(100ms);
    }
    EXPECT_GT(wire.arrived.size(), 300u);
    EXPECT_TRUE(wire.losses[300]);
    if (!killed) {
      EXPECT_EQ(wire.last.number + 1, wire.arrived.size()) << "a restart in order costs nothing";
    }
  }
}

TEST(WireReplay, AReceiverKilledWhileDataComesLosesNoMoreThanAboutASecondOfIt) {
  Wire wire;
  for (int i = 0; i < 100; ++i) {
    wire.send_numbered(20);
    wire.run(50ms);
  }
  wire.kill_reader();
  const std::size_t before = wire.arrived.size();
  const MonotonicTime killed = wire.clock.monotonic();
  while (wire.arrived.size() == before && wire.clock.monotonic() < killed + 20s) {
    wire.send_numbered(20);
    wire.run(50ms);
  }
  EXPECT_LT(wire.clock.monotonic() - killed, 3s);
  EXPECT_EQ(wire.wrong + wire.backwards, 0u);
}

TEST(WireReplay, AnOlderEpochIsRefusedAfterARestartToo) {
  Wire wire;
  Recorded recorded(wire);
  wire.send("of the first run");
  wire.settle();
  const Datagrams old = recorded.all;
  wire.restart_writer();
  wire.send("of the second run");
  wire.settle();
  wire.restart_reader();
  const std::size_t before = wire.arrived.size();
  for (const Bytes& each : old) wire.reader->received(each, wire.clock.monotonic(), wire.clock.utc());
  wire.drain();
  EXPECT_EQ(wire.arrived.size(), before);
  EXPECT_EQ(wire.reader->counters().refused.old_epoch, old.size());
}

TEST(WireReplay, TheSameEpochWithAnotherKeyIsRefused) {
  Wire wire;
  wire.send("first");
  wire.settle();
  // A sender whose file was lost and whose clock stands still would begin an epoch of the same number.
  const std::uint64_t number = wire.reader->counters().epoch;
  const auto made = crypto::x_wing_encapsulate(wire.keys.receiver->public_key());
  EpochCore core{.life = 7, .epoch = number, .started = wire.clock.utc(), .hold = 1s, .sender = "plant-1", .receiver = "ai-1",
                 .receiver_key = crypto::sha256(wire.keys.receiver->public_key()), .ciphertext = made->ciphertext};
  wire.restart_reader();
  const auto cut = cut_announcement(number, announce(encode_core(core), wire.clock.utc(), *wire.keys.signers[0]), 1400);
  for (std::uint8_t i = 0; i < cut.count; ++i) {
    Bytes datagram;
    append_fragment(datagram, kFragmentType, cut.fragment(i));
    wire.reader->received(datagram, wire.clock.monotonic(), wire.clock.utc());
  }
  EXPECT_EQ(wire.reader->counters().refused.old_epoch, 1u);
  EXPECT_EQ(wire.reader->counters().announcements, 0u);
}

// Its file lost, a receiver believes the next announcement of the right time: so it heals, and a recording older than ten
// minutes does not get in.
TEST(WireReplay, AReceiverWhoseFileIsLostOrDamagedStartsAnewWithinTheLimitOfTime) {
  for (const bool damaged : {false, true}) {
    Wire wire;
    Recorded recorded(wire);
    wire.send("old");
    wire.settle();
    const Datagrams old = recorded.all;
    wire.reader.reset();
    if (damaged) net::testing::write_text(wire.files / "receiver.epoch", "garbage");
    else std::filesystem::remove(wire.files / "receiver.epoch");
    wire.clock.advance(11min);
    wire.restart_reader();
    for (const Bytes& each : old) wire.reader->received(each, wire.clock.monotonic(), wire.clock.utc());
    EXPECT_EQ(wire.reader->counters().announcements, 0u);
    EXPECT_GE(wire.reader->counters().refused.stale, 1u);
    wire.on_the_way = nullptr;
    wire.run(2s);
    wire.send("new");
    wire.settle();
    EXPECT_EQ(wire.arrived.back(), "new");
  }
}

TEST(WireReplay, AReceiverThatCannotNoteWhatItTookTakesNothing) {
  Wire wire;
  wire.reader = *wire.make_reader(wire.files / "none/receiver.epoch");
  wire.send("the value is 42");
  wire.settle();
  EXPECT_EQ(wire.arrived.size(), 0u);
  EXPECT_GT(wire.reader->counters().failed_writes, 0u);
  EXPECT_LT(wire.reader->counters().failed_writes, 12u) << "tried now and then, not for each datagram";
  EXPECT_GT(wire.reader->counters().refused.crowded, 0u);
  std::filesystem::create_directories(wire.files / "none");
  wire.send("the value is 43");
  wire.settle();
  EXPECT_EQ(wire.arrived.size(), 1u);
}

// ---- Floods ----

TEST(WireFlood, GarbageOfEveryKindIsCountedAndTheWireWorksOn) {
  Wire wire;
  wire.settle();
  std::mt19937_64 random(11);
  const std::uint64_t epoch = wire.writer->counters().epoch;
  wire.on_the_way = [&](Datagrams& datagrams) {
    for (int i = 0; i < 30; ++i) {
      Bytes garbage(random() % 1500);
      for (std::byte& each : garbage) each = static_cast<std::byte>(random());
      if (!garbage.empty()) garbage[0] = static_cast<std::byte>(i % 3 == 0 ? kSealedType : i % 3 == 1 ? kFragmentType : random());
      if (i % 2 == 0 && garbage.size() > 9) std::memcpy(garbage.data() + 1, &epoch, sizeof epoch);
      datagrams.insert(datagrams.begin() + static_cast<std::ptrdiff_t>(random() % (datagrams.size() + 1)), garbage);
    }
  };
  const unsigned sent = wire.send_numbered(500);
  wire.settle();
  EXPECT_EQ(wire.arrived.size(), sent);
  EXPECT_EQ(wire.wrong + wire.backwards + wire.unsaid_holes, 0u);
  EXPECT_GT(wire.reader->counters().refused.malformed, 1000u);
  EXPECT_GT(wire.reader->counters().refused.authentication, 1000u);
}

TEST(WireFlood, WholeAnnouncementsOfNobodyAreCheckedAtALimitedRate) {
  Wire wire;
  wire.settle();
  const auto& refused = wire.reader->counters().refused;
  for (std::uint64_t i = 0; i < 200; ++i) {
    Bytes forged(100, static_cast<std::byte>(i));
    const auto cut = cut_announcement(~i, forged, 1400);
    Bytes datagram;
    append_fragment(datagram, kFragmentType, cut.fragment(0));
    wire.reader->received(datagram, wire.clock.monotonic(), wire.clock.utc());
  }
  EXPECT_EQ(wire.reader->counters().refused.malformed, 20u);
  EXPECT_EQ(refused.crowded, 180u);
}

}  // namespace
}  // namespace sallyport::link::diode
