// Erasure code, groups and the fields of datagrams by themselves.
#include "link/diode/reassembly.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace sallyport::link::diode {
namespace {

using namespace std::chrono_literals;

Bytes noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (std::byte& each : bytes) each = static_cast<std::byte>(random());
  return bytes;
}

TEST(Fec, GivesBackTheDataFromAnyKShards) {
  Fec fec;
  std::mt19937 random(1);
  struct Shape {
    unsigned k, r;
    std::size_t size;
  };
  for (const Shape& shape : {Shape{1, 2, 50}, {2, 1, 7}, {3, 3, 1}, {10, 4, 1355}, {32, 10, 1355}, {64, 18, 1355}, {128, 127, 33}, {254, 1, 64}}) {
    const Bytes data = noise(shape.k * shape.size, shape.k);
    Bytes parity(shape.r * shape.size);
    fec.encode(shape.k, shape.r, shape.size, data, parity);
    for (int round = 0; round < 30; ++round) {
      std::vector<unsigned> order(shape.k + shape.r);
      for (unsigned i = 0; i < order.size(); ++i) order[i] = i;
      std::ranges::shuffle(order, random);
      ShardSet have;
      for (unsigned i = 0; i < shape.k; ++i) have.set(order[i]);
      Bytes holed = data;
      for (unsigned i = 0; i < shape.k; ++i) {
        if (!have[i]) std::fill_n(holed.begin() + static_cast<std::ptrdiff_t>(i * shape.size), shape.size, std::byte{0xee});
      }
      ASSERT_TRUE(fec.recover(shape.k, shape.r, shape.size, have, holed, parity)) << shape.k << "+" << shape.r;
      ASSERT_EQ(holed, data) << shape.k << "+" << shape.r;
    }
    ShardSet few;
    for (unsigned i = 1; i < shape.k; ++i) few.set(i);
    Bytes holed = data;
    EXPECT_FALSE(fec.recover(shape.k, shape.r, shape.size, few, holed, parity));
  }
}

class Groups : public ::testing::Test {
 protected:
  Groups() { reassembly.begin(0, 2, 200ms); }
  // Group of two shards and one of parity, its number in each byte.
  Reassembly::Added add(std::uint64_t group, std::uint8_t index) {
    return reassembly.add({.group = group, .index = index, .k = 2, .r = 1, .bytes = bytes(group)}, now);
  }
  static std::span<const std::byte> bytes(std::uint64_t group) {
    static std::map<std::uint64_t, Bytes> kept;
    return kept.try_emplace(group, Bytes(10, static_cast<std::byte>(group))).first->second;
  }
  void whole(std::uint64_t group) {
    EXPECT_EQ(add(group, 0), Reassembly::Added::taken);
    EXPECT_EQ(add(group, 1), Reassembly::Added::taken);
  }
  std::string come() {
    std::string out;
    while (const auto ready = reassembly.next(now)) out += (ready->loss_before ? "!" : "") + std::to_string(std::to_integer<int>(ready->payload[0])) + " ";
    return out;
  }
  Reassembly reassembly{16, 4096};
  MonotonicTime now{1h};
};

TEST_F(Groups, ComeOutInOrderWhateverTheOrderOfTheirShards) {
  EXPECT_EQ(add(1, 1), Reassembly::Added::taken);
  EXPECT_EQ(add(0, 0), Reassembly::Added::taken);
  EXPECT_EQ(add(1, 0), Reassembly::Added::taken);
  EXPECT_EQ(come(), "");
  EXPECT_EQ(add(0, 1), Reassembly::Added::taken);
  EXPECT_EQ(come(), "0 1 ");
  EXPECT_EQ(add(0, 2), Reassembly::Added::useless);
}

TEST_F(Groups, AreGivenUpWhenEnoughLaterOnesAreWhole) {
  whole(0);
  EXPECT_EQ(come(), "0 ");
  EXPECT_EQ(add(1, 0), Reassembly::Added::taken);
  for (std::uint64_t group = 2; group <= 4; ++group) whole(group);
  EXPECT_EQ(come(), "");
  whole(5);
  EXPECT_EQ(come(), "!2 3 4 5 ");
  EXPECT_EQ(reassembly.counters().lost_groups, 1u);
}

TEST_F(Groups, AreGivenUpWhenTheirTimeIsUp) {
  whole(0);
  whole(2);
  EXPECT_EQ(come(), "0 ");
  EXPECT_EQ(reassembly.next_tick(), now + 200ms);
  now += 200ms;
  EXPECT_EQ(come(), "!2 ");
  EXPECT_EQ(reassembly.next_tick(), MonotonicTime::max());
}

TEST_F(Groups, BeforeTheFirstThatCameAreNotMissed) {
  reassembly.begin(100, 2, 200ms);
  whole(100);
  EXPECT_EQ(come(), "");
  now += 200ms;
  EXPECT_EQ(come(), "100 ");
  EXPECT_EQ(reassembly.counters().lost_groups, 0u);
}

TEST_F(Groups, AJumpGivesUpWhatIsLeftBehind) {
  whole(0);
  EXPECT_EQ(come(), "0 ");
  whole(1'000'000);
  now += 200ms;
  EXPECT_EQ(come(), "!64 ");  // 1,000,000 in one byte
  EXPECT_EQ(reassembly.counters().lost_groups, 999'999u);
}

TEST_F(Groups, RefuseWhatDoesNotFitThem) {
  EXPECT_EQ(add(0, 0), Reassembly::Added::taken);
  EXPECT_EQ(add(0, 0), Reassembly::Added::useless);
  EXPECT_EQ(reassembly.add({.group = 0, .index = 1, .k = 3, .r = 1, .bytes = bytes(0)}, now), Reassembly::Added::malformed);
  EXPECT_EQ(reassembly.add({.group = 0, .index = 1, .k = 2, .r = 2, .bytes = bytes(0)}, now), Reassembly::Added::malformed);
  EXPECT_EQ(reassembly.add({.group = 0, .index = 1, .k = 2, .r = 1, .bytes = bytes(0).first(9)}, now), Reassembly::Added::malformed);
  EXPECT_EQ(reassembly.add({.group = ~std::uint64_t{0}, .index = 1, .k = 2, .r = 1, .bytes = bytes(0)}, now), Reassembly::Added::malformed);
}

TEST_F(Groups, NeverHoldMoreThanTheyMay) {
  std::mt19937_64 random(5);
  const Bytes large(1000);
  std::uint64_t crowded = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint8_t k = static_cast<std::uint8_t>(1 + random() % 5), r = static_cast<std::uint8_t>(1 + random() % 3);
    const Shard shard{.group = static_cast<std::uint64_t>(i / 4) + random() % 20, .index = static_cast<std::uint8_t>(random() % (k + r)), .k = k, .r = r,
                      .bytes = std::span(large).first(1 + random() % 1000)};
    crowded += reassembly.add(shard, now) == Reassembly::Added::crowded;
    EXPECT_LE(reassembly.held_bytes(), 4096u);
    if (i % 3 == 0) now += 1ms;
    if (i % 50 == 0) static_cast<void>(come());
  }
  EXPECT_GT(crowded, 0u);
}

// ---- Fields ----

TEST(DiodeDatagram, FieldsComeBackAsTheyWere) {
  Bytes bytes(kShardHeaderBytes + 3, std::byte{9});
  write_shard_header(bytes, {.group = 1ull << 40, .index = 5, .k = 4, .r = 2});
  const auto shard = read_shard(bytes);
  ASSERT_TRUE(shard);
  EXPECT_EQ(shard->group, 1ull << 40);
  EXPECT_EQ(shard->index, 5u);
  EXPECT_EQ(shard->bytes.size(), 3u);
  Bytes datagram;
  append_fragment(datagram, kFragmentType, {.epoch = 77, .index = 3, .count = 9, .bytes = as_bytes("part")});
  const auto fragment = read_fragment(datagram);
  ASSERT_TRUE(fragment);
  EXPECT_EQ(fragment->epoch, 77u);
  EXPECT_EQ(as_text(fragment->bytes), "part");
}

TEST(DiodeDatagram, RefusesNumbersThatCannotBe) {
  const auto shard = [](std::uint8_t index, std::uint8_t k, std::uint8_t r, std::size_t size, std::uint8_t kind = 0) {
    Bytes bytes(kShardHeaderBytes + size);
    write_shard_header(bytes, {.group = 1, .index = index, .k = k, .r = r});
    bytes[0] = std::byte{kind};
    return read_shard(bytes).has_value();
  };
  EXPECT_TRUE(shard(0, 1, 0, 1));
  EXPECT_FALSE(shard(0, 0, 1, 1)) << "no data";
  EXPECT_FALSE(shard(3, 2, 1, 1)) << "index above all";
  EXPECT_FALSE(shard(0, 200, 56, 1)) << "too many";
  EXPECT_FALSE(shard(0, 1, 0, 0)) << "empty";
  EXPECT_FALSE(shard(0, 1, 0, 1, 7)) << "of another kind";
  EXPECT_FALSE(read_shard({}));
  const auto fragment = [](std::uint8_t index, std::uint8_t count, std::string_view text) {
    Bytes bytes;
    append_fragment(bytes, kFragmentType, {.index = index, .count = count, .bytes = as_bytes(text)});
    return read_fragment(bytes).has_value();
  };
  EXPECT_TRUE(fragment(0, 1, "x"));
  EXPECT_FALSE(fragment(1, 1, "x"));
  EXPECT_FALSE(fragment(0, 0, "x"));
  EXPECT_FALSE(fragment(0, 129, "x"));
  EXPECT_FALSE(fragment(0, 1, ""));
  EXPECT_FALSE(read_fragment({}));
  EXPECT_FALSE(read_sealed_header(Bytes(kSealedHeaderBytes + crypto::kTagBytes, std::byte{kSealedType})));
  EXPECT_FALSE(read_sealed_header(Bytes(100)));
  EXPECT_FALSE(read_sealed_header(Bytes(kMaxDatagram + 1, std::byte{kSealedType})));
}

TEST(DiodeDatagram, AGroupIsRightToItsEndOrNotAtAll) {
  Bytes good(kGroupHeaderBytes);
  ByteWriter writer(good);
  for (const std::string_view text : {"one", "three"}) {
    writer.number<std::uint32_t>(static_cast<std::uint32_t>(text.size()));
    writer.bytes(as_bytes(text));
  }
  write_group_header(good, {.first_segment = 10, .sent = 5, .segments = 2});
  good.resize(good.size() + 3);
  GroupReader reader(good);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(as_text(*reader.next()), "one");
  EXPECT_EQ(as_text(*reader.next()), "three");
  EXPECT_FALSE(reader.next());
  for (std::size_t size = 0; size + 3 < good.size(); ++size) EXPECT_FALSE(GroupReader(std::span(good).first(size)).ok()) << size;
  for (const std::uint32_t segments : {0u, 3u, 0xffff'ffffu}) {
    Bytes other = good;
    write_group_header(other, {.first_segment = 10, .segments = segments});
    EXPECT_FALSE(GroupReader(other).ok()) << segments;
  }
  Bytes rest = good;
  rest.back() = std::byte{1};
  EXPECT_FALSE(GroupReader(rest).ok()) << "only zeros fill up";
  Bytes number = good;
  write_group_header(number, {.first_segment = ~std::uint64_t{0}, .segments = 2});
  EXPECT_FALSE(GroupReader(number).ok()) << "numbers that run over";
}

}  // namespace
}  // namespace sallyport::link::diode
