#include "base/base64.h"

#include <algorithm>
#include <array>

namespace sallyport {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNoDigit = 0xff;

constexpr std::array<std::uint8_t, 256> kDigits = [] {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i)
    digits[static_cast<std::uint8_t>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  return digits;
}();

}  // namespace

void append_base64(std::string& out, std::span<const std::byte> bytes) {
  out.reserve(out.size() + (bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t word = 0;
    for (std::size_t i = 0; i < 3; ++i)
      word = word << 8 | (i < have ? std::to_integer<std::uint32_t>(bytes[at + i]) : 0);
    for (std::size_t i = 0; i < 4; ++i) out += i <= have ? kAlphabet[word >> (18 - 6 * i) & 63] : '=';
  }
}

Result<Bytes> parse_base64(std::string_view text) {
  if (text.size() % 4 != 0) return fail(ErrorCode::malformed, "base64 text is not a multiple of 4 characters long");
  Bytes out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    std::string_view quartet = text.substr(at, 4);
    if (at + 4 == text.size()) {
      for (int i = 0; i < 2 && quartet.ends_with('='); ++i) quartet.remove_suffix(1);
    }
    std::uint32_t word = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::uint8_t digit = i < quartet.size() ? kDigits[static_cast<std::uint8_t>(quartet[i])] : std::uint8_t{0};
      if (digit == kNoDigit)
        return fail(ErrorCode::malformed, "base64 text has a character that does not belong there");
      word = word << 6 | digit;
    }
    const std::size_t bytes = quartet.size() - 1;
    if ((word & (0xffffffu >> (8 * bytes))) != 0) return fail(ErrorCode::malformed, "base64 text ends in stray bits");
    for (std::size_t i = 0; i < bytes; ++i) out.push_back(static_cast<std::byte>(word >> (16 - 8 * i)));
  }
  return out;
}

}  // namespace sallyport
