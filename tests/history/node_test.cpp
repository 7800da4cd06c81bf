// A node that keeps a history: the command line and HTTP give the same answers, also after the node was killed.
#include <gtest/gtest.h>

#include <csignal>
#include <sstream>
#include <thread>

#include "gate.h"
#include "harness.h"
#include "json.h"

namespace sallyport::tests {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class HistoryNode : public testing::Test {
 protected:
  HistoryNode() : port_(free_port()) {
    node_ = std::make_unique<Node>(folder_, pki_, "plant-1", R"(
[[delivery]]
match = "acme/sure/**"
mode = "every"
[[source.simulator]]
name = "fast"
into = "acme/line1"
points = 10
rate = 100
[[source.simulator]]
name = "sure"
into = "acme/sure"
points = 4
rate = 40
[history]
match = ["acme/**"]
commit = "100ms"
[http]
address = "127.0.0.1:)" + std::to_string(port_) + "\"\n");
  }
  void start() {
    node_->start();
    ASSERT_TRUE(node_->wait_ready()) << node_->log();
  }
  // The samples of an answer as JSON lines, by either way.
  std::vector<std::string> by_command(std::vector<std::string> words) {
    words.insert(words.begin(), "history");
    words.emplace_back("--json");
    const auto finished = node_->ask(words);
    EXPECT_EQ(finished.code, 0) << finished.error;
    auto lines = lines_of(finished.output);
    std::erase_if(lines, [](const std::string& line) { return line.starts_with("{\"gap\""); });
    return lines;
  }
  std::vector<std::string> by_http(const std::string& query, const std::string& key = "samples") {
    const auto reply = http_get(port_, "/api/v1/history?" + query);
    EXPECT_EQ(reply.code, 200) << reply.body;
    std::vector<std::string> lines;
    const auto json = parse_json(reply.body);
    const auto* list = json ? find_json(*json, key) : nullptr;
    if (list == nullptr || !list->is_array()) {
      ADD_FAILURE() << reply.body;
      return lines;
    }
    for (const auto& one : list->as_array()) lines.push_back(boost::json::serialize(one));
    return lines;
  }
  static std::vector<std::string> normal(std::vector<std::string> lines) {
    for (auto& line : lines) {
      if (const auto json = parse_json(line)) line = boost::json::serialize(*json);
    }
    return lines;
  }

  TempFolder folder_;
  Pki pki_{folder_.path(), "ed25519"};
  std::uint16_t port_;
  std::unique_ptr<Node> node_;
};

TEST_F(HistoryNode, AnswersTheSameByCommandAndByHttpAndGoesOnAfterAKill) {
  start();
  std::this_thread::sleep_for(3s);
  const std::string now = [&] {
    const auto lines = by_command({"acme/**", "--newest", "--limit", "1"});
    return lines.empty() ? std::string() : text_at(*parse_json(lines[0]), "timestamp");
  }();
  ASSERT_FALSE(now.empty()) << node_->log();

  // To a time that lies back, so that nothing is added between the two questions.
  std::this_thread::sleep_for(1500ms);
  const auto raw = by_command({"acme/**", "--from", "-1h", "--to", now});
  EXPECT_GT(raw.size(), 150u);
  EXPECT_EQ(normal(raw), by_http("match=acme/**&from=-1h&limit=10000&to=" + now));

  const auto average = by_command({"acme/line1/**", "--from", "-1m", "--to", now, "--aggregate", "average"});
  EXPECT_EQ(average.size(), 10u);
  EXPECT_EQ(average.size(), by_http("match=acme/line1/**&from=-1m&aggregate=Average&to=" + now).size());
  const auto as_of = by_command({"acme/**", "--at", now, "--max-age", "1m"});
  ASSERT_EQ(as_of.size(), 1u);
  EXPECT_EQ(normal(as_of), by_http("match=acme/**&max_age=1m&at=" + now, "rows"));
  EXPECT_EQ(parse_json(as_of[0])->as_object()["points"].as_array().size(), 14u);

  node_->process().signal(SIGKILL);
  node_->process().wait(10s);
  start();
  EXPECT_EQ(normal(raw), by_http("match=acme/**&from=-1h&limit=10000&to=" + now));  // what was there stays
  const auto people = node_->ask({"history", "acme/**", "--limit", "3", "--newest"});
  EXPECT_NE(people.output.find("restart"), std::string::npos) << people.output;
}

TEST_F(HistoryNode, SaysWhatIsWrongWithAQuestion) {
  start();
  EXPECT_EQ(http_get(port_, "/api/v1/history").code, 400);
  EXPECT_EQ(http_get(port_, "/api/v1/history?match=acme/**&aggregate=Mean").code, 400);
  EXPECT_EQ(http_get(port_, "/api/v1/history?match=acme/**&colour=red").code, 400);
  EXPECT_EQ(http_get(port_, "/api/v1/history?path=acme/none").code, 404);
  EXPECT_NE(http_get(port_, "/api/v1/history?match=acme/**&from=soon").body.find("is no time"), std::string::npos);
  const auto wrong = node_->ask({"history", "acme/**", "--from", "soon"});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_NE(wrong.error.find("'soon' is no time"), std::string::npos) << wrong.error;
  const auto none = node_->ask({"history", "else/**"});
  EXPECT_EQ(none.code, 1);
  EXPECT_NE(none.error.find("the history has no point"), std::string::npos) << none.error;
}

TEST(HistoryBench, FindsWhatItWrote) {
  const TempFolder folder;
  const auto bench = run({sallyport_program(), "bench", "history", "--points", "5", "--seconds", "7200", "--folder", folder.path(), "--json"}, 60s);
  ASSERT_EQ(bench.code, 0) << bench.error;
  const auto json = parse_json(bench.output);
  ASSERT_TRUE(json) << bench.output;
  EXPECT_EQ(text_at(*json, "rows"), "36000");
  EXPECT_EQ(text_at(*json, "wrong"), "0");
}

}  // namespace
}  // namespace sallyport::tests
