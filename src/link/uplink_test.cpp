// What a side that only sends makes of whatever its peer says.
#include "link/uplink.h"

#include <gtest/gtest.h>

#include <random>

#include "link/lane.h"
#include "link/test_pair.h"

namespace sallyport::link {
namespace {

Bytes frame(unsigned type, std::size_t body, std::byte fill = std::byte{0}) {
  Bytes out;
  ByteWriter w(out);
  w.number<std::uint32_t>(static_cast<std::uint32_t>(body + 1));
  w.number<std::uint8_t>(static_cast<std::uint8_t>(type));
  out.resize(out.size() + body, fill);
  return out;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Passed {
  std::vector<std::pair<FrameType, std::size_t>> frames;   // type, bytes of the body
  std::uint64_t discarded = 0;
  std::size_t longest_kept = 0;
};

// `pieces`: as it comes from the network.
Passed filtered(const Bytes& bytes, std::size_t pieces, bool strict = false) {
  UplinkFilter filter(strict);
  Passed out;
  Bytes buffer;
  for (std::size_t at = 0; at < bytes.size(); at += pieces) {
    const std::size_t n = std::min(pieces, bytes.size() - at);
    buffer.insert(buffer.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin() + static_cast<std::ptrdiff_t>(at + n));
    for (;;) {
      std::size_t taken = 0;
      const auto found = filter.next(buffer, taken);
      if (found) out.frames.emplace_back(found->type, found->body.size());
      buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(taken));
      if (!found) break;
    }
    out.longest_kept = std::max(out.longest_kept, buffer.size());
  }
  out.discarded = filter.discarded_bytes();
  return out;
}

TEST(UplinkFilter, PassesAcknowledgementsOfFixedSizeAndNothingElse) {
  for (unsigned type = 0; type < 256; ++type) {
    for (const std::size_t size : {0u, 1u, 2u, 3u, 7u, 8u, 9u, 32u, 130u, 131u, 5000u}) {
      const auto kind = static_cast<FrameType>(type);
      const bool good = ((kind == FrameType::ack || kind == FrameType::journal_ack) && size == 8) || (kind == FrameType::heartbeat && size == 32) ||
                        ((kind == FrameType::refresh || kind == FrameType::ask_digests) && size == 2) || (kind == FrameType::ask_repair && size == 130);
      const bool close = kind == FrameType::close && size >= 2;
      const Passed passed = filtered(frame(type, size) + frame(9, 8), 4096);
      ASSERT_EQ(passed.frames.size(), good || close ? 2u : 1u) << "type " << type << " size " << size;
      EXPECT_EQ(passed.frames.back(), (std::pair{FrameType::ack, std::size_t{8}}));
      if (close) {
        EXPECT_EQ(passed.frames.front().second, 2u) << "only the code of a close frame";
      }
      EXPECT_EQ(passed.discarded, good ? 0 : close ? size - 2 : size + kFrameHeader);
    }
  }
}

TEST(UplinkFilter, FindsThemInWhateverPiecesTheyCome) {
  const Bytes bytes = frame(4, 70'000, std::byte{9}) + frame(9, 8) + frame(7, 32) + frame(8, 3) + frame(10, 40) + frame(22, 8) + frame(11, 2);
  for (const std::size_t pieces : {std::size_t{1}, std::size_t{2}, std::size_t{5}, std::size_t{4096}, bytes.size()}) {
    const Passed passed = filtered(bytes, pieces);
    EXPECT_EQ(passed.frames.size(), 5u) << pieces;
    EXPECT_EQ(passed.discarded, 70'005u + 8 + 38) << pieces;
    EXPECT_LT(passed.longest_kept, UplinkFilter::kLongest) << "what is passed over is not kept";
  }
}

TEST(UplinkFilter, PassesOverEverythingAfterALengthThatNoFrameMayHave) {
  for (const std::uint32_t length : {0u, static_cast<std::uint32_t>(kMaxFrame + 2), 0xffffffffu}) {
    Bytes bytes;
    ByteWriter(bytes).number<std::uint32_t>(length);
    bytes = frame(9, 8) + bytes + Bytes(1) + frame(9, 8) + frame(7, 32);
    EXPECT_EQ(filtered(bytes, 7).frames.size(), 1u);
    EXPECT_EQ(filtered(bytes, 7).discarded, bytes.size() - 13);
  }
}

TEST(UplinkFilter, WhenStrictPassesNothing) {
  const Passed passed = filtered(frame(9, 8) + frame(7, 32) + frame(10, 2), 3, true);
  EXPECT_TRUE(passed.frames.empty());
  EXPECT_EQ(passed.discarded, 13u + 37 + 7);
}

TEST(UplinkFilter, NoiseComesToNothing) {
  std::mt19937 random(4);
  for (int round = 0; round < 200; ++round) {
    Bytes noise(3000);
    for (std::byte& b : noise) b = static_cast<std::byte>(random());
    EXPECT_LT(filtered(noise, 1 + random() % 900).longest_kept, UplinkFilter::kLongest);
  }
}

// --- The session -----------------------------------------------------------------------------------------------------------

struct Uplink : ::testing::Test {
  void connect(OneWay mode, std::uint64_t pace = 10'000'000) {
    link.a.one_way = mode;
    link.a.pace = pace;
    link.connect();
    link.exchange();
  }
  void say(const Bytes& bytes) {
    for (std::size_t at = 0; at < bytes.size() && link.a.session->state() != Session::State::closed;) {
      const auto space = link.a.session->input_space();
      const std::size_t n = std::min(space.size(), bytes.size() - at);
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), n, space.begin());
      link.a.session->received(n, clock.monotonic());
      at += n;
    }
  }
  ManualClock clock;
  TestNode plant{"plant-1", clock, 11}, dmz{"dmz-1", clock, 22};
  TestLink link{clock, plant, dmz, {"acme/**"}};
  RouteId line = plant.source("line1");
};

TEST_F(Uplink, MirrorsAndStaysUpOnAcknowledgementsAlone) {
  const PointId point = plant.define(line, "acme/a", 1);
  for (int i = 0; i < 2000; ++i) plant.define(line, "acme/more/" + std::to_string(i), i);
  connect(OneWay::acks);
  link.run(10s, 100ms);
  plant.change(line, point, 2, 2000);
  link.run(100ms);
  EXPECT_TRUE(link.a.session->up());
  EXPECT_EQ(dmz.dump(), plant.dump());
  EXPECT_EQ(link.a.session->discarded_bytes(), 0u) << "an honest peer says nothing else";
}

TEST_F(Uplink, ADifferenceOfTheMirrorIsStillFoundAndMended) {
  for (int i = 0; i < 50; ++i) plant.define(line, "acme/" + std::to_string(i), i);
  connect(OneWay::acks);
  link.run(2s);
  std::vector<PointView> points;
  dmz.ns.list(Patterns::everything(), 0, 1, points);
  dmz.ns.remove_from(link.b.receiver.provider(), std::span(&points[0].id, 1));   // a fault that nobody told
  EXPECT_NE(dmz.dump(), plant.dump());
  link.run(5s);
  EXPECT_EQ(dmz.dump(), plant.dump());
}

TEST_F(Uplink, APeerThatSaysEverythingChangesNothing) {
  plant.define(line, "acme/a", 1);
  connect(OneWay::acks);
  const auto before = plant.dump();
  Bytes everything;
  encode(everything, Begin{false, 7});
  encode(everything, RouteMessage{1, {"rogue", "l", {"rogue"}}, {}, true, false});
  encode_renew(everything);
  encode_remove(everything, std::vector<PointId>{0, 1, 2});
  encode_hops(everything, std::vector<HopStatus>{{"a", "b", "c", LinkState::up, 1, "", Duration(1), true}});
  encode_journal_held(everything, {});
  bool hops = false, renewed = false;
  link.a.session->on_hops = [&] { hops = true; };
  link.a.session->on_renew = [&] { renewed = true; };
  for (unsigned type = 0; type < 256; ++type) {
    if (type != 9 && type != 10) everything = everything + frame(type, 100, std::byte{1});
  }
  say(everything);
  EXPECT_TRUE(link.a.session->up()) << link.a.session->reason();
  EXPECT_EQ(link.a.session->discarded_bytes(), everything.size());
  EXPECT_EQ(plant.dump(), before);
  EXPECT_FALSE(hops || renewed);
  link.run(5s);
  EXPECT_TRUE(link.a.session->up()) << "its acknowledgements are still read";
}

TEST_F(Uplink, ChatterIsNoSignOfLife) {
  plant.define(line, "acme/a", 1);
  connect(OneWay::acks);
  for (int i = 0; i < 40; ++i) {
    clock.advance(100ms);
    say(frame(5, 500));
    link.a.session->tick(clock.monotonic());
  }
  EXPECT_EQ(link.a.session->reason(), "timeout");
}

TEST_F(Uplink, AFloodIsClosed) {
  connect(OneWay::acks);
  for (int i = 0; i < 6; ++i) say(frame(5, 1 << 20));
  EXPECT_EQ(link.a.session->closed_with(), CloseCode::limit);
}

TEST_F(Uplink, OfTheLastWordOnlyTheCodeIsRead) {
  connect(OneWay::acks);
  link.b.session->close(CloseCode::not_allowed, "a text that nobody here reads");
  link.carry(link.b, link.a);
  EXPECT_EQ(link.a.session->reason(), "peer closed: not allowed");
  EXPECT_TRUE(link.a.session->refused_by_peer());
}

TEST_F(Uplink, AcknowledgementsThatLieEndIt) {
  connect(OneWay::acks);
  Bytes lie;
  encode_ack(lie, 1ull << 40);
  say(lie);
  EXPECT_EQ(link.a.session->closed_with(), CloseCode::malformed);
}

TEST_F(Uplink, WhenStrictMirrorsAtItsPaceAndReadsNothing) {
  for (int i = 0; i < 3000; ++i) plant.define(line, "acme/" + std::to_string(i), i);
  connect(OneWay::strict, 100'000);
  EXPECT_LT(dmz.dump().size(), 2000u) << "the first 20 ms of it";
  link.run(4s);
  EXPECT_EQ(dmz.dump(), plant.dump());
  link.run(20s, 100ms);
  EXPECT_TRUE(link.a.session->up());
  EXPECT_TRUE(link.b.session->up());
  EXPECT_EQ(link.a.session->discarded_bytes(), 0u) << "a peer that was told so says nothing";
  say(frame(9, 8, std::byte{0xff}) + frame(10, 2) + frame(5, 5000));
  EXPECT_TRUE(link.a.session->up());
  EXPECT_EQ(link.a.session->discarded_bytes(), 13u + 7 + 5005);
}

TEST_F(Uplink, WhenStrictTheMirrorStillTurnsBadWithTheLink) {
  plant.define(line, "acme/a", 1);
  connect(OneWay::strict);
  for (int i = 0; i < 31; ++i) {
    clock.advance(100ms);
    link.b.session->tick(clock.monotonic());
  }
  EXPECT_EQ(dmz.dump()["acme/a"], "1.000000/bad@1000");
}

}  // namespace
}  // namespace sallyport::link
