#include "base/json_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace sallyport {
namespace {

template <typename Write>
std::string written(Write&& write) {
  std::string out;
  JsonWriter json(out);
  write(json);
  return out;
}

std::string string_json(std::string_view text) {
  return written([&](JsonWriter& json) { json.string(text); });
}
std::string number_json(double value) {
  return written([&](JsonWriter& json) { json.number(value); });
}

TEST(JsonWriter, PutsCommasBetweenMembersAndElementsOnly) {
  EXPECT_EQ(written([](JsonWriter& json) {
              json.begin_object();
              json.field("a", 1);
              json.key("b");
              json.begin_array();
              json.begin_object();
              json.end_object();
              json.begin_array();
              json.end_array();
              json.null();
              json.boolean(true);
              json.raw("{\"x\":1}");
              json.end_array();
              json.field("c", false);
              json.field("d", "text");
              json.end_object();
            }),
            R"({"a":1,"b":[{},[],null,true,{"x":1}],"c":false,"d":"text"})");
}

TEST(JsonWriter, AppendsToWhatIsThere) {
  std::string out = "data: ";
  JsonWriter json(out);
  json.integer(7);
  EXPECT_EQ(out, "data: 7");
}

TEST(JsonWriter, WritesTheShortestDoubleThatReadsBackTheSame) {
  EXPECT_EQ(number_json(0.1), "0.1");
  EXPECT_EQ(number_json(23.4), "23.4");
  EXPECT_EQ(number_json(0), "0");
  EXPECT_EQ(number_json(-0.0), "-0");
  EXPECT_EQ(number_json(1e21), "1e+21");
  EXPECT_EQ(number_json(1.0 / 3), "0.3333333333333333");
  EXPECT_EQ(number_json(5e-324), "5e-324");
  EXPECT_EQ(number_json(std::numeric_limits<double>::max()), "1.7976931348623157e+308");
  EXPECT_EQ(written([](JsonWriter& json) { json.number(0.1f); }), "0.1");
  EXPECT_EQ(written([](JsonWriter& json) { json.number(16777216.0f); }), "16777216");
}

TEST(JsonWriter, WritesWhatJsonHasNoNumberForAsStrings) {
  EXPECT_EQ(number_json(std::nan("")), "\"NaN\"");
  EXPECT_EQ(number_json(-std::nan("")), "\"NaN\"");
  EXPECT_EQ(number_json(HUGE_VAL), "\"Infinity\"");
  EXPECT_EQ(number_json(-HUGE_VAL), "\"-Infinity\"");
  EXPECT_EQ(written([](JsonWriter& json) { json.number(-HUGE_VALF); }), "\"-Infinity\"");
}

TEST(JsonWriter, WritesIntegersThatADoubleCannotHoldAsStrings) {
  const auto integer = [](std::int64_t value) { return written([&](JsonWriter& json) { json.integer(value); }); };
  const auto natural = [](std::uint64_t value) {
    return written([&](JsonWriter& json) { json.unsigned_integer(value); });
  };
  EXPECT_EQ(integer(9007199254740992), "9007199254740992");
  EXPECT_EQ(integer(9007199254740993), "\"9007199254740993\"");
  EXPECT_EQ(integer(-9007199254740992), "-9007199254740992");
  EXPECT_EQ(integer(-9007199254740993), "\"-9007199254740993\"");
  EXPECT_EQ(integer(std::numeric_limits<std::int64_t>::min()), "\"-9223372036854775808\"");
  EXPECT_EQ(natural(9007199254740992), "9007199254740992");
  EXPECT_EQ(natural(std::numeric_limits<std::uint64_t>::max()), "\"18446744073709551615\"");
}

TEST(JsonWriter, EscapesWhatJsonMustEscape) {
  EXPECT_EQ(string_json("a\"b\\c/d"), R"("a\"b\\c/d")");
  EXPECT_EQ(string_json("\n\r\t\b\f"), R"("\n\r\t\b\f")");
  EXPECT_EQ(string_json(std::string_view("\0\x1f\x7f", 3)), R"("\u0000\u001f\u007f")");
  EXPECT_EQ(written([](JsonWriter& json) {
              json.begin_object();
              json.field("a\"b", "");
              json.end_object();
            }),
            R"({"a\"b":""})");
}

TEST(JsonWriter, FindsASpecialByteAtAnyPlace) {
  for (std::size_t size = 0; size < 20; ++size) {
    const std::string plain(size, 'x');
    EXPECT_EQ(string_json(plain), '"' + plain + '"');
    for (std::size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string text = plain;
        text[at] = static_cast<char>(byte);
        const std::string json = string_json(text);
        const bool clean = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
        ASSERT_EQ(json == '"' + text + '"', clean) << byte << " at " << at << " of " << size;
      }
    }
  }
  EXPECT_EQ(string_json(std::string_view()), "\"\"");
}

TEST(JsonWriter, KeepsWellFormedUtf8) {
  for (const std::string text :
       {"°C", "Füllstand", "水位", "🌊", "\xC2\x80", "\xEF\xBF\xBF", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF"}) {
    EXPECT_EQ(string_json(text), '"' + text + '"');
  }
}

TEST(JsonWriter, RepairsBytesThatAreNoUtf8) {
  const std::string r = "\xEF\xBF\xBD";
  const struct {
    std::string_view text;
    std::string expected;
  } table[] = {
      {"\xFF", r},
      {"a\x80z", "a" + r + "z"},  // lone continuation
      {"\xC0\xAF", r + r},        // overlong
      {"\xC1\xBF", r + r},
      {"\xE0\x80\x80", r + r + r},
      {"\xF0\x80\x80\x80", r + r + r + r},
      {"\xED\xA0\x80", r + r + r},          // surrogate
      {"\xF4\x90\x80\x80", r + r + r + r},  // beyond U+10FFFF
      {"\xC3", r},                          // cut off
      {"\xE6\xB0", r + r},
      {"\xF0\x9F\x8C", r + r + r},
      {"\xC3(", r + "("},
      {"\xE6\xB0\"", r + r + "\\\""},
      {"18 \xB0"
       "C",
       "18 " + r + "C"},  // Latin-1, as many a PLC sends
  };
  for (const auto& row : table) EXPECT_EQ(string_json(row.text), '"' + row.expected + '"');
}

}  // namespace
}  // namespace sallyport
