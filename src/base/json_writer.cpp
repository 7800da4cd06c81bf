#include "base/json_writer.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "base/utf8.h"

namespace sallyport {
namespace {

constexpr std::int64_t kExact = std::int64_t{1} << 53;  // beyond it a reader that holds numbers as doubles rounds
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// What a byte needs: 0 nothing, 1 an escape, 2 a look at the UTF-8 sequence that it begins or breaks.
constexpr std::array<std::uint8_t, 256> kNeeds = [] {
  std::array<std::uint8_t, 256> needs{};
  for (std::size_t i = 0; i < 0x20; ++i) needs[i] = 1;
  needs['"'] = needs['\\'] = needs[0x7f] = 1;
  for (std::size_t i = 0x80; i < 256; ++i) needs[i] = 2;
  return needs;
}();

std::uint8_t byte_at(std::string_view text, std::size_t at) { return static_cast<std::uint8_t>(text[at]); }

void append_escape(std::string& out, char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    default:
      break;
  }
  const auto byte = static_cast<std::uint8_t>(c);
  out += "\\u00";
  out += digits[byte >> 4];
  out += digits[byte & 15];
}

// Length of the beginning that needs nothing, eight bytes at a time.
std::size_t clean_size(std::string_view text) {
  constexpr std::uint64_t ones = 0x0101010101010101, tops = ones * 0x80;
  const auto has_zero = [](std::uint64_t word) {
    return (word - ones) & ~word;
  };  // in the top bit of the lowest such byte
  std::size_t at = 0;
  for (; text.size() - at >= 8; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, 8);
    const std::uint64_t below_space = (word - ones * 0x20) & ~word;
    const std::uint64_t special =
        has_zero(word ^ ones * '"') | has_zero(word ^ ones * '\\') | has_zero(word ^ ones * 0x7f);
    if (((word | below_space | special) & tops) != 0) break;
  }
  while (at < text.size() && kNeeds[byte_at(text, at)] == 0) ++at;
  return at;
}

void append_clean(std::string& out, std::string_view text) {
  const std::size_t before = out.size();
  out.resize_and_overwrite(before + text.size() + 2, [&](char* chars, std::size_t size) {
    chars[before] = chars[size - 1] = '"';
    text.copy(chars + before + 1, text.size());
    return size;
  });
}

void append_quoted(std::string& out, std::string_view text) {
  if (clean_size(text) == text.size()) return append_clean(out, text);
  out += '"';
  std::size_t clean = 0;  // everything before it is written
  for (std::size_t at = 0; at < text.size();) {
    const std::uint8_t needs = kNeeds[byte_at(text, at)];
    const std::size_t size = needs == 2 ? utf8_sequence_size(text, at) : 1;
    if (needs == 0 || (needs == 2 && size != 0)) {
      at += size;
      continue;
    }
    out.append(text, clean, at - clean);
    if (needs == 1)
      append_escape(out, text[at]);
    else
      out += kReplacement;
    clean = ++at;
  }
  out.append(text, clean);
  out += '"';
}

template <typename T>
void append_number(std::string& out, T value) {
  std::array<char, 40> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  out.append(text.data(), end.ptr);
}

template <typename T>
void append_real(std::string& out, T value) {
  if (std::isfinite(value))
    append_number(out, value);
  else if (std::isnan(value))
    out += "\"NaN\"";
  else
    out += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
}

template <typename T>
void append_integer(std::string& out, T value, bool exact) {
  if (!exact) out += '"';
  append_number(out, value);
  if (!exact) out += '"';
}

}  // namespace

void JsonWriter::key(std::string_view name) {
  separate();
  append_quoted(out_, name);
  out_ += ':';
  fresh_ = true;
}

void JsonWriter::string(std::string_view text) {
  separate();
  append_quoted(out_, text);
}

void JsonWriter::number(double value) {
  separate();
  append_real(out_, value);
}

void JsonWriter::number(float value) {
  separate();
  append_real(out_, value);
}

void JsonWriter::integer(std::int64_t value) {
  separate();
  append_integer(out_, value, value >= -kExact && value <= kExact);
}

void JsonWriter::unsigned_integer(std::uint64_t value) {
  separate();
  append_integer(out_, value, value <= static_cast<std::uint64_t>(kExact));
}

void JsonWriter::boolean(bool value) {
  separate();
  out_ += value ? "true" : "false";
}

void JsonWriter::null() {
  separate();
  out_ += "null";
}

void JsonWriter::raw(std::string_view json) {
  separate();
  out_ += json;
}

}  // namespace sallyport
