// Datagrams on a stream of bytes that goes one way, for diodes that emulate TCP: self-synchronising frames. Whoever begins
// in the middle, or meets bytes that are none, looks for the next frame. No I/O. Every length is checked.
//
//   frame  u32 sync 0x31445053 ("SPD1"), u16 size, u32 CRC-32C of size and datagram, datagram
#pragma once

#include <functional>
#include <span>

#include "base/bytes.h"

namespace sallyport::link::diode {

inline constexpr std::size_t kLargestDatagram = 9'216;
inline constexpr std::size_t kByteFrameHead = 10;

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0);
void append_byte_frame(Bytes& out, std::span<const std::byte> datagram);   // 1 to kLargestDatagram bytes

class ByteFrameReader {
 public:
  // Calls `take` for each whole datagram found; keeps the beginning of the next.
  void received(std::span<const std::byte> bytes, const std::function<void(std::span<const std::byte>)>& take);
  std::uint64_t skipped() const { return skipped_; }   // bytes that belong to no frame
  std::size_t buffered() const { return kept_.size(); }

 private:
  Bytes kept_;
  std::uint64_t skipped_ = 0;
};

}  // namespace sallyport::link::diode
