// Once in the topic, whatever breaks.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "harness.h"
#include "json.h"
#include "sinks/kafka/kafka_sink.h"

namespace sallyport::tests {
namespace {

TEST(KafkaFaults, EachChangeIsThereOnceAndInOrderThroughRestartsOfTheSink) {
  MockCluster cluster;
  cluster.create("plant", 4);
  KafkaConsumer consumer(cluster, {"plant"});
  Stage stage(kafka::sink_type(), settings_for(cluster, "max_outstanding = 500\n"));
  std::mt19937 random(3);
  std::uint64_t put = 0;
  for (int round = 0; round < 15; ++round) {
    stage.start();
    for (std::size_t point = 0; point < 5; ++point) stage.put(point, 300);
    put += 1500;
    std::this_thread::sleep_for(milliseconds(random() % 150));
    stage.stop();
  }
  stage.start();
  ASSERT_TRUE(stage.drained(seconds(60))) << stage.status().reason;
  ASSERT_TRUE(consumer.reaches(put, seconds(60)));
  EXPECT_EQ(what_is_wrong(consumer.changes(), put), "");
}

// As after `kill -9` of a node, whose journal may not remember the last acknowledgements.
TEST(KafkaFaults, WhatTheJournalGivesOutAgainIsNotProducedAgain) {
  MockCluster cluster;
  cluster.create("plant", 4);
  Stage stage(kafka::sink_type(), settings_for(cluster));
  for (std::size_t point = 0; point < 5; ++point) stage.put(point, 500);
  stage.save_journal();
  stage.start();
  ASSERT_TRUE(stage.drained(seconds(60)));
  stage.stop();
  stage.restore_journal();
  stage.start();
  stage.put(1, 10);
  ASSERT_TRUE(stage.drained(seconds(60)));
  EXPECT_EQ(stage.counter("repeats"), 2500u);
  KafkaConsumer consumer(cluster, {"plant"});
  ASSERT_TRUE(consumer.reaches(2510, seconds(60)));
  const auto found = consumer.changes();
  EXPECT_EQ(what_is_wrong(found, found.size()), "");
}

// The mock does not drop what an idempotent producer sends again, as brokers do: repeats are possible here, and only here.
TEST(KafkaFaults, NothingIsMissingAfterBrokersWereAwayAndErrors) {
  MockCluster cluster;
  cluster.create("plant", 4);
  Stage stage(kafka::sink_type(), settings_for(cluster));
  stage.start();
  std::uint64_t put = 0;
  for (int round = 0; round < 4; ++round) {
    for (std::size_t point = 0; point < 5; ++point) stage.put(point, 200);
    put += 1000;
    if (round % 2 == 0) cluster.down();
    else cluster.fail_produce({6, 7, 19});  // NOT_LEADER, REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS
    std::this_thread::sleep_for(milliseconds(700));
    cluster.up();
  }
  ASSERT_TRUE(stage.drained(seconds(60))) << stage.status().reason;
  EXPECT_EQ(stage.counter("dead_letters"), 0u);
  KafkaConsumer consumer(cluster, {"plant"});
  ASSERT_TRUE(consumer.reaches(put, seconds(60)));
  std::set<std::uint64_t> seen;
  std::map<std::string, std::uint64_t> last;
  for (const Found& one : consumer.changes()) {
    if (!seen.insert(one.sequence).second) continue;
    EXPECT_GT(one.sequence, last[one.key]);
    last[one.key] = one.sequence;
  }
  EXPECT_EQ(seen.size(), put);
}

TEST(KafkaFaults, ANodeKilledAgainAndAgainHasItsChangesInTheTopicOnce) {
  MockCluster cluster;
  cluster.create("plant", 4);
  KafkaConsumer consumer(cluster, {"plant"});
  const TempFolder folder;
  Pki pki(folder.path() + "/pki");
  pki.issue("plant-1");
  Node node(folder, pki, "plant-1", "[[delivery]]\nmatch = \"acme/**\"\nmode = \"every\"\n"
                                    "[[source.simulator]]\nname = \"line1\"\ninto = \"acme\"\npoints = 20\nrate = 2000\n"
                                    "[[sink.kafka]]\nname = \"stream\"\npublish = [\"acme/**\"]\n" + settings_for(cluster));
  std::size_t before = 0;
  for (int round = 0; round < 4; ++round) {
    node.start();
    ASSERT_TRUE(node.wait_ready()) << node.log();
    ASSERT_TRUE(consumer.reaches(before + 1500, seconds(60))) << boost::json::serialize(node.status());
    before = consumer.messages().size();
    node.process().kill();
    node.process().wait(seconds(10));
  }
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  ASSERT_TRUE(consumer.reaches(before + 1500, seconds(60)));
  EXPECT_EQ(text_at(node.status(), "sinks.0.state"), "up") << boost::json::serialize(node.status());
  node.process().signal(15);
  EXPECT_EQ(node.process().wait(seconds(20)), 0) << node.log();
  std::this_thread::sleep_for(seconds(1));
  const auto found = consumer.changes();
  EXPECT_EQ(what_is_wrong(found, found.size()), "");
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> streams;  // count, last
  for (const Found& one : found) {
    auto& [count, last] = streams[one.stream];
    ++count;
    last = std::max(last, one.sequence);
  }
  for (const auto& [stream, numbers] : streams) EXPECT_EQ(numbers.first, numbers.second) << stream;
  EXPECT_EQ(streams.size(), 5u);
}

}  // namespace
}  // namespace sallyport::tests
