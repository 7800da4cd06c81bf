// UTF-8, one sequence at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sallyport {

// Bytes of the well-formed sequence that begins at `at` (Unicode 15 table 3-7), 1 for ASCII; 0 when it is none.
constexpr std::size_t utf8_sequence_size(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(at);
  if (lead < 0x80) return 1;
  const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() - at < size) return 0;
  std::uint8_t low = 0x80, high = 0xBF;  // of the second byte: neither overlong, nor a surrogate, nor beyond U+10FFFF
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  for (std::size_t i = 1; i < size; ++i, low = 0x80, high = 0xBF) {
    if (byte(at + i) < low || byte(at + i) > high) return 0;
  }
  return size;
}

}  // namespace sallyport
