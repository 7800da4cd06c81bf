// The benchmarks, each as a user types it, in small.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "harness.h"
#include "json.h"

namespace sallyport::tests {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

Finished bench(std::vector<std::string> words) {
  words.insert(words.begin(), {sallyport_program(), "bench"});
  return run(words, seconds(150));
}

json::value bench_json(std::vector<std::string> words) {
  words.emplace_back("--json");
  const Finished finished = bench(words);
  EXPECT_EQ(finished.code, 0) << finished.error;
  const auto parsed = parse_json(finished.output);
  EXPECT_TRUE(parsed) << finished.output;
  return parsed.value_or(json::value());
}

double number_at(const json::value& value, const std::string& name) {
  const auto* at = find_json(value, name);
  return at != nullptr && at->is_number() ? at->to_number<double>() : -1;
}

std::size_t processes_that_mention(const std::string& text) {
  std::size_t count = 0;
  std::error_code gone;
  for (const auto& process : fs::directory_iterator("/proc", gone)) {
    std::ifstream in(process.path() / "cmdline", std::ios::binary);
    const std::string words{std::istreambuf_iterator<char>(in), {}};
    count += words.contains(text);
  }
  return count;
}

void expect_all_right(const json::value& figures) {
  for (const char* name : {"wrong", "backwards", "missing"}) EXPECT_EQ(number_at(figures, name), 0) << name;
}

TEST(BenchChain, SaysWhatScriptsLeanOn) {
  const json::value figures =
      bench_json({"chain", "--points", "500", "--hops", "2", "--seconds", "0.5", "--rate", "5000"});
  for (const char* name : {"changes_per_second", "latency_us.p50", "latency_us.p99", "latency_us.p999",
                           "bytes_per_change", "cpu_ns_per_change_per_node", "rss_bytes.0", "rss_bytes.2"}) {
    EXPECT_GT(number_at(figures, name), 0) << name;
  }
  EXPECT_EQ(find_json(figures, "rss_bytes")->as_array().size(), 3u);
  EXPECT_EQ(text_at(figures, "group"), "X25519MLKEM768");
  EXPECT_EQ(text_at(figures, "rate"), "5000");
  EXPECT_GT(number_at(figures, "machine.cores"), 0);
  EXPECT_TRUE(text_at(figures, "machine.openssl").starts_with("3."));
  EXPECT_NEAR(number_at(figures, "changes_per_second"), 5000, 1500);
  expect_all_right(figures);
}

TEST(BenchChain, RunsAsFastAsItGoesWithNothingWrongBackwardsOrMissing) {
  const json::value figures = bench_json({"chain", "--points", "5000", "--seconds", "0.5"});
  EXPECT_GT(number_at(figures, "changes_per_second"), 10'000);
  expect_all_right(figures);
}

TEST(BenchOpcua, BringsEachChangeOfAServerToTheSecondNode) {
  const json::value figures =
      bench_json({"opcua", "--points", "500", "--rate", "500", "--seconds", "1", "--warm-up", "0.5"});
  for (const char* name : {"lost", "wrong", "backwards", "missing", "not_good"}) EXPECT_EQ(number_at(figures, name), 0) << name;
  EXPECT_GT(number_at(figures, "arrived"), 100);
  EXPECT_EQ(number_at(figures, "arrived"), number_at(figures, "written"));
  for (const char* name : {"start_seconds.browse", "start_seconds.good_at_second_node", "processes.0.cpu_share",
                           "processes.2.rss_bytes", "latency_ms.p50", "bytes_per_change"}) {
    EXPECT_GT(number_at(figures, name), 0) << name;
  }
}

TEST(BenchChain, TakesOneHopOrFourAndOtherTypesInRandomOrder) {
  for (const auto& [hops, type] : {std::pair{"1", "Int32"}, std::pair{"4", "String"}}) {
    const json::value figures = bench_json({"chain", "--points", "300", "--hops", hops, "--seconds", "0.3", "--rate",
                                            "2000", "--type", type, "--order", "random"});
    EXPECT_EQ(find_json(figures, "rss_bytes")->as_array().size(), static_cast<std::size_t>(hops[0] - '0' + 1));
    EXPECT_GT(number_at(figures, "changes_per_second"), 0);
    expect_all_right(figures);
  }
}

TEST(BenchChain, PrintsATableForPeople) {
  const Finished finished = bench({"latency", "--points", "100", "--hops", "1", "--seconds", "0.3", "--rate", "1000"});
  EXPECT_EQ(finished.code, 0) << finished.error;
  for (const char* text : {"latency p99.9", "CPU per change", "X25519MLKEM768", "wrong, backwards, missing"})
    EXPECT_TRUE(finished.output.contains(text)) << text;
}

TEST(BenchChain, AWrongOptionIsExplained) {
  EXPECT_TRUE(bench({"chain", "--rate", "fast"}).error.contains("neither \"max\""));
  EXPECT_TRUE(bench({"chain", "--points", "10", "--type", "Dobule"}).error.contains("Dobule"));
  const TempFolder folder;
  folder.write("mine.txt", "x");
  EXPECT_TRUE(bench({"chain", "--keep", folder.path()}).error.contains("not empty"));
  EXPECT_TRUE(fs::exists(folder.path() + "/mine.txt"));
}

// A bench that runs for a minute, and the folder it works in.
struct Running {
  Running() : folder(temp.path() + "/kept") {
    process = Process({sallyport_program(), "bench", "chain", "--points", "100", "--rate", "100", "--seconds", "60",
                       "--keep", folder},
                      {.output_file = temp.path() + "/out"});
  }
  bool has_nodes() const {
    return eventually([&] { return processes_that_mention(folder + "/bench-") == 3; }, seconds(60));
  }
  TempFolder temp;
  std::string folder;
  Process process;
};

TEST(BenchChain, CtrlCStopsEveryNodeInOrder) {
  Running running;
  ASSERT_TRUE(running.has_nodes());
  running.process.signal(SIGINT);
  EXPECT_EQ(running.process.wait(seconds(30)), 128 + SIGINT);  // so that a loop in a shell ends too
  EXPECT_EQ(processes_that_mention(running.folder), 0u);
  EXPECT_TRUE(fs::exists(running.folder + "/bench-0.toml"));  // kept, as asked
}

TEST(BenchChain, NoNodeOutlivesABenchThatIsKilled) {
  Running running;
  ASSERT_TRUE(running.has_nodes());
  running.process.kill();
  EXPECT_TRUE(eventually([&] { return processes_that_mention(running.folder) == 0; }, seconds(20)));
}

TEST(BenchMemory, SaysWhatAPointCosts) {
  const json::value figures = bench_json({"memory", "--points", "20000"});
  EXPECT_GT(number_at(figures, "bytes_per_point"), 100);
  EXPECT_GT(number_at(figures, "bytes_per_point_over_empty"), 50);
  EXPECT_LT(number_at(figures, "bytes_per_point_over_empty"), 1000);
}

TEST(BenchSnapshot, SaysHowLongANewNodeTakes) {
  const json::value figures = bench_json({"snapshot", "--points", "5000"});
  EXPECT_GT(number_at(figures, "seconds"), 0);
  EXPECT_GE(number_at(figures, "seconds_from_process_start"), number_at(figures, "seconds"));
  EXPECT_GT(number_at(figures, "bytes_per_point"), 8);
}

TEST(BenchResume, AfterACutOnlyWhatChangedIsSent) {
  const json::value figures = bench_json({"resume", "--points", "5000", "--changed", "1", "--cut", "0.2"});
  EXPECT_EQ(number_at(figures, "changed"), 50);
  EXPECT_GT(number_at(figures, "milliseconds"), 0);
  EXPECT_EQ(number_at(figures, "definitions_again"), 0);
  expect_all_right(figures);
}

TEST(BenchSlowLink, SaysHowOldTheValuesAre) {
  const json::value figures =
      bench_json({"slow-link", "--points", "200", "--rate", "5000", "--bits-per-second", "100000", "--seconds", "2"});
  EXPECT_GT(number_at(figures, "changes_per_second"), 0);
  EXPECT_LT(number_at(figures, "changes_per_second"), 5000);
  EXPECT_GT(number_at(figures, "age_max_seconds"), 0);
  EXPECT_GT(number_at(figures, "full_pass_seconds"), 0);
}

TEST(BenchFanOut, SendsToEveryLink) {
  const json::value figures =
      bench_json({"fan-out", "--links", "4", "--points", "500", "--rate", "2000", "--seconds", "1"});
  EXPECT_GT(number_at(figures, "slowest_link"), 0);
  EXPECT_GT(number_at(figures, "changes_per_second"), number_at(figures, "fastest_link"));
}

TEST(BenchIdleLinks, SaysWhatALinkCosts) {
  const json::value figures = bench_json({"idle-links", "--links", "20", "--points", "100", "--seconds", "1"});
  EXPECT_EQ(number_at(figures, "up"), 20);
  EXPECT_GT(number_at(figures, "bytes_per_link"), 0);
}

}  // namespace
}  // namespace sallyport::tests
