#include "namespace/path.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "base/utf8.h"

namespace sallyport {
namespace {

std::uint8_t byte_at(std::string_view text, std::size_t at) { return static_cast<std::uint8_t>(text[at]); }

constexpr bool is_control(std::uint8_t byte) { return byte < 0x20 || byte == 0x7f; }

// Bytes that cannot stand in a path besides control characters: patterns on one side of the program or another.
constexpr bool is_pattern(char c) { return c == '+' || c == '#' || c == '*'; }

constexpr std::array<bool, 256> kForbidden = [] {
  std::array<bool, 256> forbidden{};
  for (std::size_t i = 0; i < 256; ++i) {
    forbidden[i] = is_control(static_cast<std::uint8_t>(i)) || (i < 0x80 && is_pattern(static_cast<char>(i)));
  }
  return forbidden;
}();

// Length of the ASCII run at `at`, eight bytes at a time.
std::size_t skip_ascii(std::string_view text, std::size_t at) {
  while (text.size() - at >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, 8);
    if ((word & 0x8080808080808080) != 0) break;
    at += 8;
  }
  while (at < text.size() && byte_at(text, at) < 0x80) ++at;
  return at;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::unexpected<Error> bad_path(std::string_view path, std::string_view what) {
  return fail(ErrorCode::invalid,
              "path '" + std::string(path.substr(0, 120)) + (path.size() > 120 ? "…" : "") + "' " + std::string(what));
}

}  // namespace

bool is_valid_utf8(std::string_view text) {
  for (std::size_t at = skip_ascii(text, 0); at < text.size(); at = skip_ascii(text, at)) {
    const std::size_t size = utf8_sequence_size(text, at);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

Result<void> check_path(std::string_view path) {
  if (path.empty()) return fail(ErrorCode::invalid, "path is empty; expected levels like 'acme/berlin/line1/temp'");
  if (path.size() > kMaxPathBytes) {
    return bad_path(path, "is " + std::to_string(path.size()) + " bytes long; at most " +
                              std::to_string(kMaxPathBytes) + " are allowed");
  }
  if (!is_valid_utf8(path))
    return fail(ErrorCode::invalid, "path '" + escape_level(path.substr(0, 120)) + "' is not UTF-8");
  std::size_t levels = 1;
  char before = '/';
  for (const char c : path) {
    if (c == '/') {
      if (before == '/') return bad_path(path, "has an empty level; use one '/' between levels and none at the ends");
      ++levels;
    } else if (kForbidden[static_cast<std::uint8_t>(c)]) {
      if (is_pattern(c)) return bad_path(path, std::string("contains '") + c + "', which is for patterns only");
      return fail(ErrorCode::invalid, "path '" + escape_level(path.substr(0, 120)) + "' contains a control character");
    }
    before = c;
  }
  if (before == '/') return bad_path(path, "has an empty level; use one '/' between levels and none at the ends");
  if (levels > kMaxPathLevels) {
    return bad_path(
        path, "has " + std::to_string(levels) + " levels; at most " + std::to_string(kMaxPathLevels) + " are allowed");
  }
  return {};
}

std::string escape_level(std::string_view name) {
  if (name.empty()) return "%";
  constexpr std::string_view digits = "0123456789ABCDEF";
  // A name that is no UTF-8 could not stand in a path: escape its upper half byte by byte.
  const bool utf8 = is_valid_utf8(name);
  std::string out;
  out.reserve(name.size());
  for (const char c : name) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (is_control(byte) || is_pattern(c) || c == '/' || c == '%' || (byte >= 0x80 && !utf8)) {
      out += '%';
      out += digits[byte >> 4];
      out += digits[byte & 15];
    } else {
      out += c;
    }
  }
  return out;
}

std::string unescape_level(std::string_view level) {
  if (level == "%") return {};
  std::string out;
  out.reserve(level.size());
  for (std::size_t at = 0; at < level.size(); ++at) {
    const int high = level[at] == '%' && at + 2 < level.size() ? hex_digit(level[at + 1]) : -1;
    const int low = high >= 0 ? hex_digit(level[at + 2]) : -1;
    if (low < 0) {
      out += level[at];
    } else {
      out += static_cast<char>(high * 16 + low);
      at += 2;
    }
  }
  return out;
}

}  // namespace sallyport
