// The whole program: a node of which every change must be in the stream once, killed again and again.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "harness.h"
#include "json.h"

namespace sallyport::tests {
namespace {

TEST(NatsNode, KilledAgainAndAgainItsChangesAreInTheStreamOnce) {
  NatsServer server;
  server.start();
  const TempFolder folder;
  Pki pki(folder.path() + "/pki");
  pki.issue("plant-1");
  Node node(folder, pki, "plant-1", R"(
[[delivery]]
match = "acme/**"
mode = "every"

[[source.simulator]]
name = "line1"
into = "acme"
points = 20
rate = 4000

[[sink.nats]]
name = "stream"
servers = [")" + server.url() + R"("]
publish = ["acme/**"]
subject_prefix = "plant"
stream = "PLANT"
create = true
duplicate_window = "100ms"
)");
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
  const auto status = node.status();
  EXPECT_EQ(text_at(status, "sinks.0.state"), "up") << boost::json::serialize(status);
  node.process().signal(15);
  EXPECT_EQ(node.process().wait(seconds(20)), 0) << node.log();

  // Of each life of the node, everything from 1 to its last: what is kept is there, and nothing twice.
  const auto found = changes_of(client.all("PLANT"));
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> streams;  // count, last
  for (const Found& one : found) {
    auto& [count, last] = streams[one.stream];
    ++count;
    last = std::max(last, one.sequence);
  }
  EXPECT_EQ(streams.size(), 5u);
  for (const auto& [stream, numbers] : streams) EXPECT_EQ(numbers.first, numbers.second) << stream;
  EXPECT_EQ(what_is_wrong(found, found.size()), "");
  EXPECT_GE(found.size(), 12'000u);
}

}  // namespace
}  // namespace sallyport::tests
