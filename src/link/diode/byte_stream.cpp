#include "link/diode/byte_stream.h"

#include <algorithm>
#include <array>

namespace sallyport::link::diode {
namespace {

constexpr std::uint32_t kSync = 0x31445053;
constexpr std::array<std::byte, 4> kSyncBytes{std::byte{'S'}, std::byte{'P'}, std::byte{'D'}, std::byte{'1'}};

// Castagnoli's polynomial, reflected; four bytes at a time.
constexpr auto kTables = [] {
  std::array<std::array<std::uint32_t, 256>, 4> tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0);
    tables[0][i] = crc;
  }
  for (std::uint32_t i = 0; i < 256; ++i) {
    for (std::size_t t = 1; t < 4; ++t) tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff];
  }
  return tables;
}();

// The size as it stands in a frame, then the datagram.
std::uint32_t frame_crc(std::span<const std::byte> datagram) {
  const std::array<std::byte, 2> size{static_cast<std::byte>(datagram.size()), static_cast<std::byte>(datagram.size() >> 8)};
  return crc32c(datagram, crc32c(size));
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before) {
  std::uint32_t crc = ~before;
  std::size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    std::uint32_t word;
    std::memcpy(&word, bytes.data() + i, 4);
    crc ^= word;
    crc = kTables[3][crc & 0xff] ^ kTables[2][crc >> 8 & 0xff] ^ kTables[1][crc >> 16 & 0xff] ^ kTables[0][crc >> 24];
  }
  for (; i < bytes.size(); ++i) crc = (crc >> 8) ^ kTables[0][(crc ^ std::to_integer<std::uint32_t>(bytes[i])) & 0xff];
  return ~crc;
}

void append_byte_frame(Bytes& out, std::span<const std::byte> datagram) {
  ByteWriter w(out);
  w.number<std::uint32_t>(kSync);
  w.number<std::uint16_t>(static_cast<std::uint16_t>(datagram.size()));
  w.number<std::uint32_t>(frame_crc(datagram));
  w.bytes(datagram);
}

void ByteFrameReader::received(std::span<const std::byte> bytes, const std::function<void(std::span<const std::byte>)>& take) {
  kept_.insert(kept_.end(), bytes.begin(), bytes.end());
  std::span<const std::byte> rest = kept_;
  while (rest.size() >= kSyncBytes.size()) {
    if (!std::ranges::equal(rest.first(4), kSyncBytes)) {
      const auto next = std::search(rest.begin() + 1, rest.end(), kSyncBytes.begin(), kSyncBytes.end());
      // The last three bytes may be the beginning of one.
      const std::size_t skip = next == rest.end() ? rest.size() - 3 : static_cast<std::size_t>(next - rest.begin());
      skipped_ += skip;
      rest = rest.subspan(skip);
      continue;
    }
    if (rest.size() < kByteFrameHead) break;
    ByteReader in(rest.subspan(4));
    const auto size = in.number<std::uint16_t>();
    const auto crc = in.number<std::uint32_t>();
    if (size > 0 && size <= kLargestDatagram && rest.size() < kByteFrameHead + size) break;
    const bool good = size > 0 && size <= kLargestDatagram && frame_crc(rest.subspan(kByteFrameHead, size)) == crc;
    if (good) take(rest.subspan(kByteFrameHead, size));
    if (!good) ++skipped_;
    rest = rest.subspan(good ? kByteFrameHead + size : 1);
  }
  kept_.erase(kept_.begin(), kept_.end() - static_cast<std::ptrdiff_t>(rest.size()));
}

}  // namespace sallyport::link::diode
