#include "base/settings.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>

namespace sallyport {
namespace {

using namespace std::chrono_literals;

// Parses `text` as "plant.toml", lets `read` ask for what it knows, and returns every problem as a line.
template <typename Read>
std::vector<std::string> problems_of(std::string_view text, Read&& read) {
  Problems problems;
  if (const auto settings = Settings::parse(text, "plant.toml", problems)) {
    SettingsReader reader(*settings, problems);
    read(reader);
  }
  std::vector<std::string> lines;
  for (const Problem& problem : problems) lines.push_back(to_string(problem));
  return lines;
}

using Lines = std::vector<std::string>;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "sallyport-settings-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string write(const std::string& name, std::string_view text) const {
    const std::string file = path_ + "/" + name;
    std::ofstream(file, std::ios::binary) << text;
    return file;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Settings, ReadsEveryKindOfValue) {
  constexpr std::string_view text = R"(
name = "plant-1"
rate = 5
low = 0.5
whole = 3
retain = true
timeout = "250ms"
limit = "64MiB"
send = ["acme/**", "!acme/secret/**"]
format = "csv"
)";
  EXPECT_EQ(problems_of(text,
                        [](SettingsReader& r) {
                          EXPECT_EQ(r.required_string("name"), "plant-1");
                          EXPECT_EQ(r.integer("rate", 1, 1, 10), 5);
                          EXPECT_EQ(r.number("low", 0, 0, 1), 0.5);
                          EXPECT_EQ(r.number("whole", 0, 0, 10), 3.0);
                          EXPECT_TRUE(r.boolean("retain", false));
                          EXPECT_EQ(r.duration("timeout", 1s, 1ms, 1h), 250ms);
                          EXPECT_EQ(r.size_bytes("limit", 0, 0, 1u << 30), 64u << 20);
                          EXPECT_EQ(r.strings("send", {}), (Lines{"acme/**", "!acme/secret/**"}));
                          EXPECT_EQ(r.choice("format", "ndjson", {"ndjson", "csv"}), "csv");
                        }),
            Lines{});
}

TEST(Settings, AbsentKeysReadAsTheirDefaults) {
  EXPECT_EQ(problems_of("",
                        [](SettingsReader& r) {
                          EXPECT_FALSE(r.has("name"));
                          EXPECT_EQ(r.string("name", "x"), "x");
                          EXPECT_EQ(r.integer("rate", 7, 1, 10), 7);
                          EXPECT_EQ(r.number("low", 1.5, 0, 2), 1.5);
                          EXPECT_TRUE(r.boolean("retain", true));
                          EXPECT_EQ(r.duration("timeout", 3s, 1ms, 1h), 3s);
                          EXPECT_EQ(r.size_bytes("limit", 9, 0, 10), 9u);
                          EXPECT_EQ(r.strings("send", {"a"}), Lines{"a"});
                          EXPECT_EQ(r.choice("format", "csv", {"csv"}), "csv");
                          EXPECT_EQ(r.file("log"), "");
                          EXPECT_EQ(r.secret("password"), "");
                          EXPECT_FALSE(r.table("http"));
                          EXPECT_TRUE(r.tables("link").empty());
                        }),
            Lines{});
}

TEST(Settings, ReportsEveryProblemOfAFileWithItsPlace) {
  constexpr std::string_view text =
      "nmae = \"x\"\n"
      "rate = \"fast\"\n"
      "  timeout = 3\n"
      "send = \"acme/**\"\n";
  EXPECT_EQ(problems_of(text,
                        [](SettingsReader& r) {
                          EXPECT_EQ(r.required_string("name"), "");
                          EXPECT_EQ(r.integer("rate", 10, 1, 100), 10);
                          EXPECT_EQ(r.duration("timeout", 3s, 1ms, 1h), 3s);
                          EXPECT_TRUE(r.strings("send", {}).empty());
                        }),
            (Lines{"plant.toml:1:1: missing key 'name'; expected a string: name = \"…\"",
                   "plant.toml:2:1: 'rate' must be an integer, such as rate = 10; found the string \"fast\"",
                   "plant.toml:3:3: 'timeout' must be a duration with its unit in quotes, such as timeout = \"3s\"; "
                   "found the integer 3",
                   "plant.toml:4:1: 'send' must be an array of strings, such as send = [\"acme/**\"]; found the string "
                   "\"acme/**\"",
                   "plant.toml:1:1: unknown key 'nmae'; did you mean 'name'?"}));
}

TEST(Settings, SaysWhatIsWrongWithAValue) {
  const struct {
    std::string_view text;
    std::function<void(SettingsReader&)> read;
    std::string expected;
  } table[] = {
      {"x = 5", [](auto& r) { r.string("x", "a"); }, "'x' must be a string, such as x = \"a\"; found the integer 5"},
      {"x = 2.5", [](auto& r) { r.integer("x", 1, 1, 9); },
       "'x' must be an integer, such as x = 1; found the number 2.5"},
      {"x = 0", [](auto& r) { r.integer("x", 1, 1, 9); }, "'x' is 0; it must be 1 to 9"},
      {"x = 0", [](auto& r) { r.integer("x", 1, 1, std::numeric_limits<std::int64_t>::max()); },
       "'x' is 0; it must be at least 1"},
      {"x = true", [](auto& r) { r.number("x", 1, 0, 9); },
       "'x' must be a number, such as x = 1; found the boolean true"},
      {"x = nan", [](auto& r) { r.number("x", 1, 0, 9); }, "'x' is nan; it must be 0 to 9"},
      {"x = \"yes\"", [](auto& r) { r.boolean("x", true); },
       "'x' must be true or false without quotes, such as x = true; found the string \"yes\""},
      {"x = \"3 weeks\"", [](auto& r) { r.duration("x", 1s, 1ms, 1h); },
       "'x': '3 weeks' is no duration; expected a number with ns, us, ms, s, m, h or d, such as \"250ms\""},
      {"x = \"2h\"", [](auto& r) { r.duration("x", 1s, 10ms, 1h); }, "'x' is \"2h\"; it must be \"10ms\" to \"1h\""},
      {"x = \"64Mib\"", [](auto& r) { r.size_bytes("x", 1, 1, 9); },
       "'x': '64Mib' is no size; expected a number with B, KB, KiB, MB, MiB, GB or GiB, such as \"64MiB\""},
      {"x = 64", [](auto& r) { r.size_bytes("x", 65536, 1, 9); },
       "'x' must be a size with its unit in quotes, such as x = \"64KiB\"; found the integer 64"},
      {"x = \"1GiB\"", [](auto& r) { r.size_bytes("x", 1, 1024, 1u << 20); },
       "'x' is \"1GiB\"; it must be \"1KiB\" to \"1MiB\""},
      {"x = \"1 kbit/s\"", [](auto& r) { r.bit_rate("x", 9600, 9600, 1'000'000); },
       "'x' is \"1 kbit/s\"; it must be \"9600 bit/s\" to \"1 Mbit/s\""},
      {"x = 100", [](auto& r) { r.bit_rate("x", 1'000'000, 1, 2'000'000); },
       "'x' must be a rate with its unit in quotes, such as x = \"1 Mbit/s\"; found the integer 100"},
      {"x = [\"a\", 1]", [](auto& r) { r.strings("x", {}); }, "'x' must hold strings only; found the integer 1"},
      {"x = \"jsno\"", [](auto& r) { r.choice("x", "json", {"json", "value"}); },
       "'x' must be one of \"json\", \"value\"; found the string \"jsno\"; did you mean \"json\"?"},
      {"x = 1979-05-27", [](auto& r) { r.choice("x", "json", {"json"}); },
       "'x' must be one of \"json\"; found a date or time"},
      {"x = \"\"", [](auto& r) { r.required_string("x"); }, "'x' must not be empty"},
      {"x = \"\"", [](auto& r) { r.file("x"); }, "'x' must name a file; found an empty string"},
      {"x = 1", [](auto& r) { r.table("x"); }, "'x' must be one table, written [x]; found the integer 1"},
      {"[[x]]", [](auto& r) { r.table("x"); }, "'x' must be one table, written [x]; found a list of tables ([[…]])"},
      {"[x]", [](auto& r) { r.tables("x"); }, "'x' must be a list of tables, each written [[x]]; found a table"},
      {"x = [1]", [](auto& r) { r.tables("x"); }, "'x' must be a list of tables, each written [[x]]; found an array"},
  };
  for (const auto& row : table) {
    const Lines lines = problems_of(row.text, row.read);
    ASSERT_EQ(lines.size(), 1u) << row.text;
    EXPECT_TRUE(lines[0].starts_with("plant.toml:1:")) << lines[0];
    EXPECT_EQ(lines[0].substr(lines[0].find(": ") + 2), row.expected);
  }
}

TEST(Settings, PointsAtTheElementOfAListThatIsWrong) {
  EXPECT_EQ(problems_of("x = [\n  \"a\",\n  7,\n]", [](SettingsReader& r) { r.strings("x", {}); }),
            Lines{"plant.toml:3:3: 'x' must hold strings only; found the integer 7"});
}

TEST(Settings, UnknownKeysAreReportedInTheOrderOfTheFileWithTheKnownOnes) {
  EXPECT_EQ(
      problems_of("zebra = 1\naardvark = 2\n", [](SettingsReader& r) { (void)r.has("name"), (void)r.has("rate"); }),
      (Lines{"plant.toml:1:1: unknown key 'zebra'; known here are name, rate",
             "plant.toml:2:1: unknown key 'aardvark'; known here are name, rate"}));
  EXPECT_EQ(problems_of("x = 1", [](SettingsReader&) {}),
            Lines{"plant.toml:1:1: unknown key 'x'; no keys are expected here"});
}

TEST(Settings, FinishReportsOnce) {
  EXPECT_EQ(problems_of("x = 1", [](SettingsReader& r) { r.finish(), r.finish(); }).size(), 1u);
}

TEST(Settings, SyntaxErrorsHaveAPlace) {
  const std::pair<std::string_view, std::string_view> table[] = {
      {"a = 1\na = 2\n", "plant.toml:2:"},
      {"[a]\nx = 1\n[a]\n", "plant.toml:3:"},
      {"a = \n", "plant.toml:1:5: "},
      {"[node\n", "plant.toml:1:"},
      {"name = \"open\n", "plant.toml:1:"},
      {"a = \"\xff\"\n", "plant.toml:1:"},
      {std::string_view("a = \"\0\"", 7), "plant.toml:1:"},
      {"a = 1 b = 2", "plant.toml:1:"},
  };
  for (const auto& [text, place] : table) {
    const Lines lines = problems_of(text, [](SettingsReader&) { FAIL() << "parsed"; });
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_TRUE(lines[0].starts_with(place)) << lines[0];
    EXPECT_FALSE(lines[0].contains('\n'));
  }
}

TEST(Settings, HintsAtQuotesWhereADurationIsWrittenBare) {
  const Lines lines = problems_of("timeout = 3s\n", [](SettingsReader&) {});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].starts_with("plant.toml:1:12: ")) << lines[0];
  EXPECT_TRUE(lines[0].ends_with("texts, durations and sizes stand in quotes, such as \"3s\"")) << lines[0];
}

TEST(Settings, DeepNestingIsASyntaxErrorNotACrash) {
  const std::string text = "x = " + std::string(100'000, '[');
  EXPECT_EQ(problems_of(text, [](SettingsReader&) {}).size(), 1u);
}

TEST(Settings, ReadsTablesInsideTables) {
  constexpr std::string_view text = R"(
[listen]
address = "0.0.0.0:4433"
[[listen.peer]]
name = "plant-1"
[[listen.peer]]
nane = "ai-1"
[[source.opcua]]
[[source.simulator]]
)";
  Problems problems;
  const auto settings = Settings::parse(text, "dmz.toml", problems);
  ASSERT_TRUE(settings);
  {
    SettingsReader root(*settings, problems);
    const auto listen = root.table("listen");
    ASSERT_TRUE(listen);
    EXPECT_EQ(listen->place().line, 2u);
    SettingsReader reader(*listen, problems);
    EXPECT_EQ(reader.string("address", ""), "0.0.0.0:4433");
    const auto peers = reader.tables("peer");
    ASSERT_EQ(peers.size(), 2u);
    for (const Settings& peer : peers) SettingsReader(peer, problems).required_string("name");
    const auto source = root.table("source");
    ASSERT_TRUE(source);
    EXPECT_EQ(SettingsReader(*source, problems).keys(), (Lines{"opcua", "simulator"}));
  }
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_TRUE(to_string(problems[0]).starts_with("dmz.toml:6:")) << to_string(problems[0]);
  EXPECT_EQ(to_string(problems[1]), "dmz.toml:7:1: unknown key 'nane'; did you mean 'name'?");
}

TEST(Settings, AHandleKeepsTheFileAlive) {
  Problems problems;
  std::optional<Settings> inner;
  {
    const auto settings = Settings::parse("[a]\nb = \"still here\"", "x.toml", problems);
    inner = SettingsReader(*settings, problems).table("a");
  }
  EXPECT_EQ(SettingsReader(*inner, problems).string("b", ""), "still here");
}

TEST(Settings, FileNamesAreRelativeToTheSettingsFile) {
  const TemporaryFolder folder;
  Problems problems;
  const auto settings =
      Settings::load(folder.write("a.toml", "x = \"pki/../pki/a.crt\"\ny = \"/etc/b.crt\""), problems);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->folder(), folder.path());
  SettingsReader reader(*settings, problems);
  EXPECT_EQ(reader.file("x"), folder.path() + "/pki/a.crt");
  EXPECT_EQ(reader.file("y"), "/etc/b.crt");
}

TEST(Settings, FilesThatCannotBeReadAreAProblemAtTheFirstLine) {
  const TemporaryFolder folder;
  const std::pair<std::string, std::string> table[] = {
      {folder.path(), "is a directory; expected a file"},
      {folder.path() + "/none.toml", "cannot open: No such file or directory"},
      {folder.write("empty.toml", ""), "is empty; a node needs at least [node] with a name"},
      {folder.write("blank.toml", " \n\t\r\n"), "is empty; a node needs at least [node] with a name"},
      {folder.write("big.toml", std::string(4 * 1024 * 1024 + 1, '#')), "is larger than 4096 KiB"},
  };
  for (const auto& [file, message] : table) {
    Problems problems;
    EXPECT_FALSE(Settings::load(file, problems));
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_EQ(to_string(problems[0]), file + ":1:1: " + message);
  }
}

TEST(Settings, ReadsSecretsFromFilesAndTheEnvironment) {
  const TemporaryFolder folder;
  folder.write("password", "hunter2\r\n");
  ::setenv("SALLYPORT_TEST_SECRET", "from the environment", 1);
  Problems problems;
  const auto settings = Settings::load(
      folder.write("a.toml", "a_file = \"password\"\nb_env = \"SALLYPORT_TEST_SECRET\"\nc = \"literal\"\n"), problems);
  ASSERT_TRUE(settings);
  {
    SettingsReader reader(*settings, problems);
    EXPECT_EQ(reader.secret("a"), "hunter2");
    EXPECT_EQ(reader.secret("b"), "from the environment");
    EXPECT_EQ(reader.secret("c"), "literal");
  }
  ::unsetenv("SALLYPORT_TEST_SECRET");
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_TRUE(problems[0].warning);
  EXPECT_TRUE(to_string(problems[0]).contains(":3:1: warning: a secret stands in the settings file; use c_file"))
      << to_string(problems[0]);
}

TEST(Settings, SecretsThatCannotBeReadAreProblemsAndNeverShown) {
  ::unsetenv("SALLYPORT_TEST_NO_SECRET");
  const auto secret = [](SettingsReader& r) { EXPECT_EQ(r.secret("p"), ""); };
  EXPECT_EQ(problems_of("p_env = \"SALLYPORT_TEST_NO_SECRET\"", secret),
            Lines{"plant.toml:1:1: environment variable 'SALLYPORT_TEST_NO_SECRET' is not set or empty"});
  EXPECT_EQ(problems_of("p = 12345", secret),
            Lines{"plant.toml:1:1: 'p' must be a string; better: p_file = \"…\" or p_env = \"…\""});
  const Lines twice = problems_of("p = \"hunter2\"\np_env = \"X\"", secret);
  ASSERT_EQ(twice.size(), 1u);
  EXPECT_FALSE(twice[0].contains("hunter2"));
  const Lines missing = problems_of("p_file = \"/nonexistent/secret\"", secret);
  EXPECT_EQ(missing,
            Lines{"plant.toml:1:1: secret file '/nonexistent/secret': cannot open: No such file or directory"});
}

TEST(Settings, AReaderCanAddProblemsOfItsOwn) {
  EXPECT_EQ(problems_of("x = 1\ny = 2",
                        [](SettingsReader& r) {
                          (void)r.has("x"), (void)r.has("y");
                          r.problem("y", "is odd");
                          r.warning("", "the whole table is odd");
                          r.problem("absent", "is absent");
                        }),
            (Lines{"plant.toml:2:1: is odd", "plant.toml:1:1: warning: the whole table is odd",
                   "plant.toml:1:1: is absent"}));
}

TEST(Settings, DurationsHaveAUnit) {
  const std::pair<std::string_view, Duration> table[] = {
      {"250ms", 250ms}, {"3s", 3s}, {"1m", 1min},   {"1min", 1min}, {"24h", 24h}, {"7d", 168h},
      {"1.5s", 1500ms}, {"0s", 0s}, {"10us", 10us}, {"10µs", 10us}, {"5 s", 5s},  {"100ns", 100ns},
  };
  for (const auto& [text, expected] : table) EXPECT_EQ(parse_duration(text), expected) << text;
  for (const std::string_view text : {"", "s", "3", "-3s", "+3s", " 3s", "3x", "3s ", "1e3s", "0x10s", "inf", "nan s",
                                      "1h30m", "99999999999d", "9223372036854775808ns", "3.s.s"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
  EXPECT_EQ(parse_duration("9223372036854775807ns"), Duration::max());
}

TEST(Settings, SizesHaveAUnit) {
  const std::pair<std::string_view, std::uint64_t> table[] = {
      {"0B", 0},        {"1024B", 1024}, {"64KiB", 65536}, {"64MiB", 64u << 20}, {"1GB", 1'000'000'000},
      {"1.5KiB", 1536}, {"2kB", 2000}};
  for (const auto& [text, expected] : table) EXPECT_EQ(parse_size(text), expected) << text;
  for (const std::string_view text : {"", "64", "64M", "64mib", "-1B", "99999999TiB", "B"})
    EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Settings, RatesHaveAUnit) {
  const std::pair<std::string_view, std::uint64_t> table[] = {
      {"9600 bit/s", 9600}, {"64kbit/s", 64'000}, {"100 Mbit/s", 100'000'000}, {"2.5 Gbit/s", 2'500'000'000}};
  for (const auto& [text, expected] : table) EXPECT_EQ(parse_bit_rate(text), expected) << text;
  for (const std::string_view text : {"", "100", "100M", "100 MB/s", "100 mbit/s", "-1 bit/s", "99999999999 Gbit/s"})
    EXPECT_FALSE(parse_bit_rate(text)) << text;
  for (const std::string_view text : {"9600 bit/s", "64 kbit/s", "1500 kbit/s", "100 Mbit/s", "1 Gbit/s"})
    EXPECT_EQ(bit_rate_text(*parse_bit_rate(text)), text);
}

TEST(Settings, TheNearestKeyIsNearEnoughToBeATypingError) {
  const Lines known = {"browse", "endpoint", "heartbeat", "name", "qos", "into"};
  EXPECT_EQ(nearest("brose", known), "browse");
  EXPECT_EQ(nearest("Browse", known), "browse");
  EXPECT_EQ(nearest("nmae", known), "name");
  EXPECT_EQ(nearest("hearbeat", known), "heartbeat");
  EXPECT_EQ(nearest("end_point", known), "endpoint");
  EXPECT_EQ(nearest("qs", known), "qos");
  EXPECT_EQ(nearest("publish", known), std::nullopt);
  EXPECT_EQ(nearest("", known), std::nullopt);
  EXPECT_EQ(nearest("x", {"y"}), std::nullopt);
  EXPECT_EQ(nearest(std::string(100'000, 'x'), known), std::nullopt);
}

}  // namespace
}  // namespace sallyport
