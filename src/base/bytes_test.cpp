#include "base/bytes.h"

#include <gtest/gtest.h>

#include <limits>

namespace sallyport {
namespace {

Bytes bytes_of(std::initializer_list<int> list) {
  Bytes out;
  for (const int value : list) out.push_back(static_cast<std::byte>(value));
  return out;
}

TEST(Bytes, NumbersAreLittleEndianAndRoundTrip) {
  Bytes out;
  ByteWriter writer(out);
  writer.number<std::uint16_t>(0x1234);
  writer.number<std::int64_t>(-2);
  writer.number<double>(23.5);
  EXPECT_EQ(out[0], std::byte{0x34});
  EXPECT_EQ(out[1], std::byte{0x12});
  ByteReader reader(out);
  EXPECT_EQ(reader.number<std::uint16_t>(), 0x1234);
  EXPECT_EQ(reader.number<std::int64_t>(), -2);
  EXPECT_EQ(reader.number<double>(), 23.5);
  EXPECT_TRUE(reader.done());
}

TEST(Bytes, VarintsRoundTripAtEveryLength) {
  for (unsigned shift = 0; shift < 64; ++shift) {
    for (const std::uint64_t value : {std::uint64_t{1} << shift, (std::uint64_t{1} << shift) - 1, ~std::uint64_t{0} >> shift}) {
      Bytes out;
      ByteWriter(out).varint(value);
      EXPECT_LE(out.size(), 10u);
      ByteReader reader(out);
      EXPECT_EQ(reader.varint(), value);
      EXPECT_TRUE(reader.done());
    }
  }
}

TEST(Bytes, RefusesMalformedVarints) {
  const Bytes table[] = {
      {},
      bytes_of({0x80}),
      bytes_of({0xff, 0xff}),
      bytes_of({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02}),        // 2^64
      bytes_of({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}),  // 11 bytes
  };
  for (const Bytes& bytes : table) {
    ByteReader reader(bytes);
    EXPECT_EQ(reader.varint(), 0u);
    EXPECT_FALSE(reader.ok());
  }
}

TEST(Bytes, TextsRoundTrip) {
  Bytes out;
  ByteWriter writer(out);
  writer.text("acme/berlin");
  writer.text("");
  ByteReader reader(out);
  EXPECT_EQ(reader.text(100), "acme/berlin");
  EXPECT_EQ(reader.text(0), "");
  EXPECT_TRUE(reader.done());
}

TEST(Bytes, RefusesTextsLongerThanAllowedOrThanThereIs) {
  const Bytes hello = bytes_of({5, 'h', 'e', 'l', 'l', 'o'});
  ByteReader exact(hello);
  EXPECT_EQ(exact.text(5), "hello");
  ByteReader too_long(hello);
  EXPECT_EQ(too_long.text(4), "");
  EXPECT_FALSE(too_long.ok());
  const Bytes cut = bytes_of({6, 'h', 'e', 'l', 'l', 'o'});
  ByteReader cut_off(cut);
  EXPECT_EQ(cut_off.text(100), "");
  EXPECT_FALSE(cut_off.ok());
  const Bytes huge = bytes_of({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'x'});
  ByteReader endless(huge);
  EXPECT_EQ(endless.text(std::numeric_limits<std::size_t>::max()), "");
  EXPECT_FALSE(endless.ok());
}

TEST(Bytes, StaysFailedAfterTheFirstReadPastTheEnd) {
  const Bytes two = bytes_of({1, 2});
  ByteReader reader(two);
  EXPECT_EQ(reader.number<std::uint32_t>(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.number<std::uint8_t>(), 0) << "although one byte would be there";
  EXPECT_TRUE(reader.bytes(1).empty());
  EXPECT_FALSE(reader.done());
}

TEST(Bytes, ZigzagKeepsSmallMagnitudesSmall) {
  EXPECT_EQ(zigzag(0), 0u);
  EXPECT_EQ(zigzag(-1), 1u);
  EXPECT_EQ(zigzag(1), 2u);
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{12345}, std::numeric_limits<std::int64_t>::min(),
                                   std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(unzigzag(zigzag(value)), value);
  }
}

}  // namespace
}  // namespace sallyport
