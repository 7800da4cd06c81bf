// The whole program: a node of which every change must be in the stream once, killed again and again; two of its sinks write
// to the same stream.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "harness.h"
#include "json.h"

namespace sallyport::tests {
namespace {

// Each of the two sinks tells the gap of a restart.
std::vector<Stored> once_each_gap(const std::vector<Stored>& messages) {
  std::vector<Stored> kept;
  std::set<std::string> seen;
  for (const Stored& message : messages) {
    if (message.subject != "plant.$gaps" || seen.insert(message.header("Nats-Msg-Id")).second) kept.push_back(message);
  }
  return kept;
}

TEST(NatsNode, KilledAgainAndAgainItsChangesAreInTheStreamOnce) {
  NatsServer server;
  server.start();
  const TempFolder folder;
  Pki pki(folder.path() + "/pki");
  pki.issue("plant-1");
  const std::string delivery = R"(
[[delivery]]
match = "acme/**"
mode = "every"
)";
  const std::string sources = R"(
[[source.simulator]]
name = "line1"
into = "acme"
points = 20
rate = 3000

[[source.simulator]]
name = "line2"
into = "acme/line2"
points = 20
rate = 1000
)";
  const std::string sinks = R"(
[[sink.nats]]
name = "stream"
servers = [")" + server.url() + R"("]
publish = ["acme/**", "!acme/line2/**"]
subject_prefix = "plant"
stream = "PLANT"
create = true
duplicate_window = "100ms"

[[sink.nats]]
name = "line2"
servers = [")" + server.url() + R"("]
publish = ["acme/line2/**"]
subject_prefix = "plant"
stream = "PLANT"
create = true
duplicate_window = "100ms"
)";
  Node node(folder, pki, "plant-1", delivery + sources + sinks);
  NatsClient client(server.url());
  std::size_t before = 0;
  for (int round = 0; round < 4; ++round) {
    node.start();
    ASSERT_TRUE(node.wait_ready()) << node.log();
    ASSERT_TRUE(eventually([&] { return client.last("PLANT") > before + 3000; }, seconds(60))) << boost::json::serialize(node.status());
    before = client.last("PLANT");
    if (round == 1) server.kill(), server.start();
    node.process().kill();
    node.process().wait(seconds(10));
  }
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  ASSERT_TRUE(eventually([&] { return client.last("PLANT") > before + 3000; }, seconds(60)));
  node.process().signal(15);
  EXPECT_EQ(node.process().wait(seconds(20)), 0) << node.log();

  // What is still in the journal follows when nothing new comes.
  node.rewrite(delivery + sinks);
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  std::vector<Found> found;
  std::string holes;
  // Of each life of the node, everything from 1 to its last: what is kept is there, and nothing twice.
  EXPECT_TRUE(eventually(
      [&] {
        std::this_thread::sleep_for(milliseconds(500));
        found = changes_of(once_each_gap(client.all("PLANT")));
        std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> streams;  // count, last
        for (const Found& one : found) {
          auto& [count, last] = streams[one.stream];
          ++count;
          last = std::max(last, one.sequence);
        }
        holes = std::to_string(streams.size()) + " streams";
        for (const auto& [name, stream] : streams) {
          if (stream.first != stream.second) holes += "; " + name + " has " + std::to_string(stream.first) + " of " + std::to_string(stream.second);
        }
        return streams.size() >= 5 && std::ranges::all_of(streams, [](const auto& each) { return each.second.first == each.second.second; });
      },
      seconds(60)))
      << holes << "\n" << boost::json::serialize(node.status()) << "\n" << node.log();
  EXPECT_EQ(what_is_wrong(found, found.size()), "");
  EXPECT_GE(found.size(), 12'000u);
  node.process().signal(15);
  EXPECT_EQ(node.process().wait(seconds(20)), 0) << node.log();
}

}  // namespace
}  // namespace sallyport::tests
