#include "namespace/pattern.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>

namespace sallyport {
namespace {

bool matches(std::string_view pattern, std::string_view path) {
  const auto parsed = Pattern::parse(pattern);
  EXPECT_TRUE(parsed) << pattern;
  return parsed && parsed->matches(path);
}

Patterns patterns(const std::vector<std::string>& texts) {
  const auto parsed = Patterns::parse(texts);
  EXPECT_TRUE(parsed);
  return parsed ? *parsed : Patterns();
}

TEST(Pattern, MatchesAsItsHeaderSays) {
  const struct {
    std::string_view pattern, path;
    bool expected;
  } table[] = {
      {"acme/temp", "acme/temp", true},
      {"acme/temp", "acme/temperature", false},
      {"acme/temp", "acme", false},
      {"acme", "acme/temp", false},
      {"acme/temp", "acme/temp/x", false},
      {"acme/*", "acme/temp", true},
      {"acme/*", "acme", false},
      {"acme/*", "acme/a/b", false},
      {"*", "acme", true},
      {"*/*", "acme", false},
      {"*/temp", "acme/temp", true},
      {"acme/pump-*", "acme/pump-1", true},
      {"acme/pump-*", "acme/pump-", true},
      {"acme/pump-*", "acme/pump", false},
      {"acme/*-pump", "acme/feed-pump", true},
      {"acme/*-pump", "acme/feed-pumps", false},
      {"acme/p*m*p", "acme/pump", true},
      {"acme/p*m*p", "acme/pmmpmp", true},
      {"acme/p*m*p", "acme/pmpx", false},
      {"a*b*c", "aXbXbXc", true},
      {"a*b*c", "abcb", false},
      {"acme/**", "acme", true},
      {"acme/**", "acme/x", true},
      {"acme/**", "acme/x/y/z", true},
      {"acme/**", "acmes/x", false},
      {"**", "x", true},
      {"**", "a/b/c", true},
      {"**/temp", "temp", true},
      {"**/temp", "a/b/temp", true},
      {"**/temp", "a/b/temps", false},
      {"**/temp", "a/temp/b", false},
      {"acme/**/temp", "acme/temp", true},
      {"acme/**/temp", "acme/a/b/temp", true},
      {"acme/**/temp", "acme/temp/x/temp", true},
      {"acme/**/temp", "acme/temp/x", false},
      {"**/a/**/b", "x/a/y/b", true},
      {"**/a/**/b", "a/b", true},
      {"**/a/**/b", "b/a", false},
      {"**/a/b/**", "a/x/a/b/c", true},
      {"**/a/*/c", "a/a/b/c", true},
      {"**/**", "a", true},
      {"a/**/**/b", "a/b", true},
      {"Füll*", "Füllstand", true},
      {"*", "水位", true},
  };
  for (const auto& row : table)
    EXPECT_EQ(matches(row.pattern, row.path), row.expected) << row.pattern << " on " << row.path;
}

TEST(Pattern, DollarLevelsAreMatchedOnlyWhenNamed) {
  const struct {
    std::string_view pattern, path;
    bool expected;
  } table[] = {
      {"**", "$sys/plant-1/up", false},
      {"*/plant-1/up", "$sys/plant-1/up", false},
      {"$sys/**", "$sys/plant-1/up", true},
      {"$sys/**", "$sys", true},
      {"$*/**", "$sys/plant-1", true},
      {"*sys/**", "$sys/x", false},
      {"acme/**", "acme/$x/y", false},
      {"acme/$x/**", "acme/$x/y", true},
      {"**/$x/**", "acme/$x/y", true},
      {"**/y", "acme/$x/y", false},
      {"**/$a/**/b", "$a/x/$a/b", false},
      {"**/$a/**/$a/b", "$a/x/$a/b", true},
      {"**/$x/y/**", "a/$x/y", true},
      {"**", "a/b$", true},
      {"a/*", "a/b$", true},
      {"$sys/*", "$sys/$x", false},
  };
  for (const auto& row : table)
    EXPECT_EQ(matches(row.pattern, row.path), row.expected) << row.pattern << " on " << row.path;
}

TEST(Pattern, RefusesWhatIsNoPatternAndSaysWhatToWrite) {
  const std::pair<std::string, std::string_view> table[] = {
      {"", "write '**' for everything"},
      {"/", "empty level"},
      {"/acme", "empty level"},
      {"acme/", "empty level"},
      {"a//b", "empty level"},
      {"acme/#", "'**' for any levels"},
      {"acme/+/x", "'*' for one level"},
      {"acme/x**", "inside a level"},
      {"acme/***", "inside a level"},
      {"a\nb", "control character"},
      {"\xff", "not UTF-8"},
      {std::string(2000, 'x'), "longer than"},
      {"a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", "more levels"},
  };
  for (const auto& [text, says] : table) {
    const auto parsed = Pattern::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::invalid);
    EXPECT_TRUE(parsed.error().message.contains(says)) << parsed.error().message;
  }
}

TEST(Pattern, SurvivesPathsThatAreNone) {
  for (const std::string_view path : {"", "/", "//", "a/", "/a", "a//b"}) {
    for (const std::string_view pattern : {"**", "*", "a/**", "**/a", "**/b/**"}) {
      const auto parsed = Pattern::parse(pattern);
      ASSERT_TRUE(parsed);
      (void)parsed->matches(path);  // either answer will do
    }
  }
}

// The definition, as plainly as it can be written.
bool plainly(std::span<const std::string> pattern, std::span<const std::string> path) {
  if (pattern.empty()) return path.empty();
  if (pattern[0] == "**") {
    return plainly(pattern.subspan(1), path) ||
           (!path.empty() && path[0][0] != '$' && plainly(pattern, path.subspan(1)));
  }
  if (path.empty()) return false;
  const bool level = pattern[0] == path[0] || (pattern[0] == "*" && path[0][0] != '$');
  return level && plainly(pattern.subspan(1), path.subspan(1));
}

std::string joined(const std::vector<std::string>& levels) {
  std::string out;
  for (const std::string& level : levels) (out += out.empty() ? "" : "/") += level;
  return out;
}

TEST(Pattern, AgreesWithItsDefinitionOnRandomPatternsAndPaths) {
  std::mt19937 random(7);
  const std::vector<std::string> path_levels = {"a", "b", "$c"}, pattern_levels = {"a", "b", "$c", "*", "**", "**"};
  const auto pick = [&](const std::vector<std::string>& from) {
    std::vector<std::string> out(1 + random() % 6);
    for (auto& level : out) level = from[random() % from.size()];
    return out;
  };
  for (int i = 0; i < 20'000; ++i) {
    const auto pattern = pick(pattern_levels), path = pick(path_levels);
    ASSERT_EQ(matches(joined(pattern), joined(path)), plainly(pattern, path))
        << joined(pattern) << " on " << joined(path);
  }
}

TEST(Patterns, MatchNothingWhenEmpty) {
  EXPECT_TRUE(Patterns().empty());
  EXPECT_FALSE(Patterns().matches("a"));
  EXPECT_FALSE(patterns({}).matches("a"));
}

TEST(Patterns, MatchAnyOfTheIncludedAndNoneOfTheExcluded) {
  const Patterns some = patterns({"!acme/secret/**", "acme/**", "other/x"});
  EXPECT_TRUE(some.matches("acme/a"));
  EXPECT_TRUE(some.matches("other/x"));
  EXPECT_FALSE(some.matches("other/y"));
  EXPECT_FALSE(some.matches("acme/secret"));
  EXPECT_FALSE(some.matches("acme/secret/recipe"));
}

TEST(Patterns, EverythingIncludesTheNodesOwnState) {
  EXPECT_TRUE(Patterns::everything().matches("acme/a"));
  EXPECT_TRUE(Patterns::everything().matches("$sys/plant-1/up"));
}

TEST(Patterns, HaveACanonicalText) {
  EXPECT_EQ(patterns({"b", "!c", "a", "b"}).text(), "a\nb\n!c");
  EXPECT_EQ(patterns({"b", "a"}), patterns({"a", "b", "a"}));
  EXPECT_FALSE(patterns({"a"}) == patterns({"a", "!a/b"}));
  EXPECT_EQ(Patterns().text(), "");
}

TEST(Patterns, RefuseAListThatOnlyExcludes) {
  const auto parsed = Patterns::parse({"!acme/**"});
  ASSERT_FALSE(parsed);
  EXPECT_TRUE(parsed.error().message.contains("put '**' before it")) << parsed.error().message;
  EXPECT_FALSE(Patterns::parse({"a", "!"}));
  EXPECT_FALSE(Patterns::parse(std::vector<std::string>(2000, "a")));
}

TEST(Patterns, AreFastEnoughToAskForEveryPoint) {
  const Patterns some = patterns({"acme/berlin/**", "acme/*/line1/pump-*/temp", "**/motor/speed", "!acme/secret/**"});
  std::vector<std::string> paths;
  for (int i = 0; i < 1000; ++i)
    paths.push_back("acme/hamburg/line" + std::to_string(i % 10) + "/pump-" + std::to_string(i) + "/pressure");
  const auto begin = std::chrono::steady_clock::now();
  std::size_t found = 0;
  for (int round = 0; round < 100; ++round) {
    for (const std::string& path : paths) found += some.matches(path) ? 1 : 0;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(found, 0u);
  EXPECT_LT(took.count(), 1.0) << "for 100,000 paths; a million should take less than a second in a release build";
  RecordProperty("nanoseconds_per_path", std::to_string(took.count() * 1e9 / 100'000));
}

}  // namespace
}  // namespace sallyport
