#include "link/diode/byte_stream.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace sallyport::link::diode {
namespace {

Bytes datagram(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

struct Taken {
  ByteFrameReader reader;
  std::vector<Bytes> all;
  void receive(std::span<const std::byte> bytes) {
    reader.received(bytes, [this](std::span<const std::byte> d) { all.emplace_back(d.begin(), d.end()); });
  }
};

TEST(ByteStream, ChecksumIsThatOfTheStandard) { EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283u); }  // RFC 3720 §B.4 polynomial

TEST(ByteStream, FindsDatagramsHoweverTheBytesAreCut) {
  Bytes stream;
  std::vector<Bytes> sent;
  for (unsigned i = 0; i < 20; ++i) append_byte_frame(stream, sent.emplace_back(datagram(1 + i * 71 % 1400, i)));
  for (const std::size_t cut : {std::size_t{1}, std::size_t{3}, std::size_t{7}, std::size_t{1000}, stream.size()}) {
    Taken taken;
    for (std::size_t at = 0; at < stream.size(); at += cut) taken.receive(std::span(stream).subspan(at, std::min(cut, stream.size() - at)));
    EXPECT_EQ(taken.all, sent);
    EXPECT_EQ(taken.reader.skipped(), 0u);
  }
}

TEST(ByteStream, GoesOnBehindGarbageAndInTheMiddle) {
  const Bytes a = datagram(500, 1), b = datagram(900, 2);
  Bytes stream = datagram(333, 3);
  for (const char c : {'S', 'P', 'D', '1', '\xff', '\xff'}) stream.push_back(static_cast<std::byte>(c));   // a size that none has
  append_byte_frame(stream, a);
  Bytes piece;
  append_byte_frame(piece, datagram(700, 4));
  stream.insert(stream.end(), piece.begin() + 350, piece.end());
  append_byte_frame(stream, b);
  Taken taken;
  taken.receive(stream);
  EXPECT_EQ(taken.all, (std::vector<Bytes>{a, b}));
}

TEST(ByteStream, LosesNoMoreThanWhatWasDamaged) {
  std::vector<Bytes> sent;
  Bytes stream;
  for (unsigned i = 0; i < 3; ++i) append_byte_frame(stream, sent.emplace_back(datagram(100, i)));
  const std::size_t frame = kByteFrameHead + 100;
  for (std::size_t at = 0; at < frame; ++at) {
    Bytes damaged = stream;
    damaged[frame + at] ^= std::byte{0x20};
    Taken taken;
    taken.receive(damaged);
    ASSERT_EQ(taken.all.size(), at == 5 ? taken.all.size() : 2u) << at;   // 4, 5: a size that waits for more
    EXPECT_EQ(taken.all.front(), sent[0]);
    Bytes missing = stream;
    missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(frame + at));
    Taken fewer;
    fewer.receive(missing);
    if (at == 4 || at == 5) continue;
    EXPECT_EQ(fewer.all, (std::vector<Bytes>{sent[0], sent[2]})) << at;
  }
}

TEST(ByteStream, KeepsNoMoreThanAFrame) {
  Taken taken;
  for (unsigned i = 0; i < 200; ++i) taken.receive(datagram(4000, i));
  EXPECT_LE(taken.reader.buffered(), kLargestDatagram + 4000 + kByteFrameHead);
  EXPECT_TRUE(taken.all.empty());
}

}  // namespace
}  // namespace sallyport::link::diode
