// Exactly once, whatever breaks: the sink, the way to the server, the server.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "harness.h"
#include "sinks/nats/nats_sink.h"

namespace sallyport::tests {
namespace {

std::string settings(const std::string& url, const std::string& window, const std::string& more = {}) {
  return "servers = [\"" + url + "\"]\nsubject_prefix = \"plant\"\nstream = \"PLANT\"\ncreate = true\nack_timeout = \"1s\"\nduplicate_window = \"" +
         window + "\"\n" + more;
}

TEST(NatsFaults, AChangeIsStoredOnceAlsoAfterARestartLongerThanTheDuplicateWindow) {
  NatsServer server;
  server.start();
  Gate gate(server.port());
  Stage stage(nats::sink_type(), settings(server.url(gate.port()), "100ms"));
  for (int round = 0; round < 6; ++round) {
    stage.start();
    stage.put(round % 3, 3000);
    // In the middle of it, with answers on their way: nothing of what is under way will be heard of.
    ASSERT_TRUE(eventually([&] { return stage.counter("acknowledged") > 200; }, seconds(30))) << stage.status().reason;
    gate.stall(true);
    std::this_thread::sleep_for(milliseconds(50));
    gate.reset();
    gate.refuse(true);
    stage.stop();
    std::this_thread::sleep_for(milliseconds(300));  // longer than the window
    gate.stall(false);
    gate.refuse(false);
  }
  stage.start();
  ASSERT_TRUE(stage.drained(seconds(60))) << stage.status().reason;
  EXPECT_EQ(what_is_wrong(changes_of(NatsClient(server.url()).all("PLANT")), 18'000), "");
}

// As after `kill -9` of a node, whose journal may not remember the last acknowledgements.
TEST(NatsFaults, WhatTheJournalGivesOutAgainIsNotStoredAgain) {
  NatsServer server;
  server.start();
  Stage stage(nats::sink_type(), settings(server.url(), "100ms"));
  stage.put(1, 2500);
  stage.save_journal();
  stage.start();
  ASSERT_TRUE(stage.drained(seconds(30)));
  stage.stop();
  std::this_thread::sleep_for(milliseconds(300));  // longer than the window
  stage.restore_journal();
  stage.start();
  stage.put(1, 10);
  ASSERT_TRUE(stage.drained(seconds(30)));
  EXPECT_EQ(stage.counter("repeats"), 2500u);
  const auto found = changes_of(NatsClient(server.url()).all("PLANT"));
  EXPECT_EQ(std::ranges::count(found, found.front().stream, &Found::stream), 2500);
  EXPECT_EQ(what_is_wrong(found, found.size()), "");
  EXPECT_GE(found.size(), 2510u);
}

TEST(NatsFaults, EachChangeIsThereOnceAndInOrderThroughRestartsCutsAndKills) {
  NatsServer server;
  server.start();
  Gate gate(server.port());
  Stage stage(nats::sink_type(), settings(server.url(gate.port()), "2s", "max_outstanding = 300\n"));
  stage.start();
  std::mt19937 random(7);
  std::uint64_t put = 0;
  const auto until = Clock::now() + seconds(20);
  while (Clock::now() < until) {
    for (std::size_t point = 0; point < 4; ++point) stage.put(point, 50);
    put += 200;
    std::this_thread::sleep_for(milliseconds(20));
    switch (random() % 40) {
      case 0: gate.reset(); break;
      case 1:
        stage.stop();
        stage.start();
        break;
      case 2:
        server.kill();
        server.start();
        break;
      case 3:
        gate.stall(true);
        std::this_thread::sleep_for(milliseconds(random() % 1500));
        gate.reset();
        gate.stall(false);
        break;
      case 4:
        server.freeze();
        std::this_thread::sleep_for(milliseconds(random() % 1500));
        server.thaw();
        break;
      default: break;
    }
  }
  ASSERT_TRUE(stage.drained(seconds(60))) << stage.status().reason << " " << stage.behind();
  EXPECT_EQ(what_is_wrong(changes_of(NatsClient(server.url()).all("PLANT")), put), "");
  RecordProperty("changes", std::to_string(put));
}

TEST(NatsFaults, ABacklogOfADayIsDeliveredOnceTheServerIsThere) {
  NatsServer server;
  Stage stage(nats::sink_type(), settings(server.url(), "2m"));
  stage.start();
  for (int i = 0; i < 50; ++i) stage.put(static_cast<std::size_t>(i % 5), 1000);
  ASSERT_TRUE(eventually([&] { return stage.status().state == ConnectorState::down; }, seconds(20)));
  server.start();
  const auto began = Clock::now();
  ASSERT_TRUE(stage.drained(seconds(100))) << stage.status().reason;
  const double took = std::chrono::duration<double>(Clock::now() - began).count();
  std::printf("50,000 changes in %.1f s\n", took);
  EXPECT_EQ(what_is_wrong(changes_of(NatsClient(server.url()).all("PLANT")), 50'000), "");
}

}  // namespace
}  // namespace sallyport::tests
