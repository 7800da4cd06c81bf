#include "namespace/path.h"

#include <gtest/gtest.h>

#include <set>

namespace sallyport {
namespace {

std::string levels(std::size_t count) {
  std::string path = "a";
  for (std::size_t i = 1; i < count; ++i) path += "/a";
  return path;
}

TEST(Path, AcceptsLevelsOfUtf8) {
  for (const std::string& path :
       {std::string("a"), std::string("acme/berlin/line1/temp"), std::string("acme/Füllstand/水位 °C"),
        std::string("$sys/plant-1/links"), levels(kMaxPathLevels), std::string(kMaxPathBytes, 'x')}) {
    EXPECT_TRUE(check_path(path)) << path;
  }
}

TEST(Path, RefusesWhatIsNoPathAndSaysWhy) {
  const struct {
    std::string path;
    std::string_view says;
  } table[] = {
      {"", "empty"},
      {"/", "empty level"},
      {"/a", "empty level"},
      {"a/", "empty level"},
      {"a//b", "empty level"},
      {levels(kMaxPathLevels + 1), "17 levels"},
      {levels(20), "20 levels"},
      {std::string(kMaxPathBytes + 1, 'x'), "1025 bytes"},
      {"a/+/b", "'+'"},
      {"a/#", "'#'"},
      {"a/pump*", "'*'"},
      {"a\nb", "control character"},
      {std::string("a\0b", 3), "control character"},
      {"a\x7f", "control character"},
      {"a/\xff", "not UTF-8"},
      {"a/\xC0\xAF/b", "not UTF-8"},
      {"a/\xED\xA0\x80", "not UTF-8"},
  };
  for (const auto& row : table) {
    const auto result = check_path(row.path);
    ASSERT_FALSE(result) << row.path;
    EXPECT_EQ(result.error().code, ErrorCode::invalid);
    EXPECT_TRUE(result.error().message.contains(row.says)) << result.error().message;
    EXPECT_TRUE(is_valid_utf8(result.error().message));
  }
}

TEST(Path, KnowsWellFormedUtf8) {
  for (const std::string_view text :
       {"", "ascii that is longer than eight bytes", "12345678°", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80",
        "\xED\x9F\xBF", "\xEE\x80\x80", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_valid_utf8(text)) << text;
  }
  for (const std::string_view text :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xC2", "\xE0\x9F\xBF", "\xE0\xA0", "\xED\xA0\x80", "\xED\xBF\xBF",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "12345678\xC3", "\xC3(", "\xE6\xB0(",
        "\xF0\x9F\x8C("}) {
    EXPECT_FALSE(is_valid_utf8(text));
  }
}

TEST(Path, EscapesWhatCannotStandInALevel) {
  EXPECT_EQ(escape_level("Temperature"), "Temperature");
  EXPECT_EQ(escape_level("Füllstand"), "Füllstand");
  EXPECT_EQ(escape_level("a/b"), "a%2Fb");
  EXPECT_EQ(escape_level("a+b#c*"), "a%2Bb%23c%2A");
  EXPECT_EQ(escape_level("100%"), "100%25");
  EXPECT_EQ(escape_level("a\n"), "a%0A");
  EXPECT_EQ(escape_level(""), "%");
  EXPECT_EQ(escape_level("\xB0"), "%B0") << "Latin-1";
}

TEST(Path, EscapedNamesAreLevelsStayDistinctAndComeBack) {
  std::set<std::string> seen;
  std::set<std::string> names = {"",  "%",   "%%",   "%2F", "/",        "//",
                                 "a", "%25", "\xB0", "%B0", "\xC2\xB0", "\xC2\xB0\xFF"};
  for (int i = 0; i < 256; ++i) names.insert(std::string(1, static_cast<char>(i)));
  for (const std::string& name : names) {
    const std::string level = escape_level(name);
    EXPECT_TRUE(check_path(level)) << level;
    EXPECT_FALSE(level.contains('/'));
    EXPECT_TRUE(seen.insert(level).second) << level << " twice";
    EXPECT_EQ(unescape_level(level), name);
  }
}

TEST(Path, UnescapingLeavesWhatIsNoEscape) {
  EXPECT_EQ(unescape_level("50%"), "50%");
  EXPECT_EQ(unescape_level("%zz%2"), "%zz%2");
  EXPECT_EQ(unescape_level("%2f"), "%2f") << "never written so";
}

}  // namespace
}  // namespace sallyport
