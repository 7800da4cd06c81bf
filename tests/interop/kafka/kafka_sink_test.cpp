// What a foreign consumer reads.
#include <gtest/gtest.h>

#include <set>

#include "harness.h"
#include "sinks/kafka/kafka_sink.h"

namespace sallyport::tests {
namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(KafkaSink, ProducesEachChangeUnderItsPathWithItsLabels) {
  MockCluster cluster;
  cluster.create("plant", 3);
  Stage stage(kafka::sink_type(), settings_for(cluster));
  stage.start();
  for (std::size_t point = 0; point < 6; ++point) stage.put(point, 3);
  stage.put_gap({.node = "plant-1", .where = "line1", .cause = GapCause::overflow, .start = 1, .end = 2, .lost = 3, .match = {"acme/p1"}, .detail = "x"});
  ASSERT_TRUE(stage.drained(seconds(60))) << stage.status().reason;
  EXPECT_EQ(stage.counter("acknowledged"), 19u);
  KafkaConsumer consumer(cluster, {"plant"});
  ASSERT_TRUE(consumer.reaches(19, seconds(60)));
  EXPECT_EQ(what_is_wrong(consumer.changes(), 19), "");
  std::map<std::string, std::set<int>> partitions;
  for (const Consumed& message : consumer.messages()) {
    partitions[message.key].insert(message.partition);
    if (message.key == "$gaps") {
      EXPECT_TRUE(has(message.value, R"("cause":"overflow")")) << message.value;
      continue;
    }
    EXPECT_TRUE(message.value.starts_with(R"({"path":")" + message.key + R"(","value":)")) << message.value;
    EXPECT_EQ(message.headers.at("status"), "0x00000000");
    EXPECT_EQ(message.headers.at("quality"), "good");
    EXPECT_EQ(message.headers.at("unit"), "bar");
    EXPECT_EQ(message.headers.at("origin"), "plant-1");
    EXPECT_TRUE(message.headers.at("stream").starts_with("plant-1/"));
  }
  for (const auto& [key, where] : partitions) EXPECT_EQ(where.size(), 1u) << key;
}

TEST(KafkaSink, TheTopicMayComeFromThePath) {
  MockCluster cluster;
  for (const char* topic : {"acme.p1", "acme.p2"}) cluster.create(topic, 1);
  Stage stage(kafka::sink_type(), settings_for(cluster, "topic = \"{1}.{2}\"\n"));
  stage.start();
  stage.put(1, 2);
  stage.put(2, 3);
  ASSERT_TRUE(stage.drained(seconds(60))) << stage.status().reason;
  KafkaConsumer consumer(cluster, {"acme.p1", "acme.p2"});
  ASSERT_TRUE(consumer.reaches(5, seconds(60)));
  for (const Consumed& message : consumer.messages()) EXPECT_EQ(message.topic, message.key == "acme/p1" ? "acme.p1" : "acme.p2");
}

TEST(KafkaSink, PointsThatAreNotKeptAreProducedAsTheyChange) {
  MockCluster cluster;
  cluster.create("plant", 1);
  Stage stage(kafka::sink_type(), settings_for(cluster), R"(["live/**"])");
  KafkaConsumer consumer(cluster, {"plant"});
  stage.start();
  Definition definition{.path = "pump", .first = {.status = status::kGood, .source_time = 5, .value = Value::from(1.5)}};
  PointId id = kNoPoint;
  stage.live->define({&definition, 1}, {&id, 1});
  stage.live->live();
  ASSERT_TRUE(eventually([&] { return consumer.messages().size() >= 1 && consumer.messages().back().headers.at("quality") == "good"; }, seconds(60)));
  stage.live->lost("connection refused");
  ASSERT_TRUE(eventually([&] { return consumer.messages().back().headers.at("quality") == "bad"; }, seconds(60)));
  EXPECT_TRUE(has(consumer.messages().back().value, "\"value\":1.5"));
}

TEST(KafkaSink, AMessageTooLargeIsADeadLetterAndTheRestGoesOn) {
  MockCluster cluster;
  cluster.create("plant", 1);
  Stage stage(kafka::sink_type(), settings_for(cluster, "max_message = \"20KB\"\n"));
  stage.start();
  stage.put(1, 2);
  stage.put(2, Value::text(std::string(40'000, 'x')));  // for the client
  ASSERT_TRUE(stage.drained(seconds(60))) << stage.status().reason;
  cluster.fail_produce({10});  // MESSAGE_TOO_LARGE, of the broker
  stage.put(2, 1);
  ASSERT_TRUE(stage.drained(seconds(60))) << stage.status().reason;
  stage.put(1, 2);
  ASSERT_TRUE(stage.drained(seconds(60))) << stage.status().reason;
  EXPECT_EQ(stage.counter("dead_letters"), 2u);
  EXPECT_TRUE(has(stage.detail("dead letter"), "acme/p2: ")) << stage.detail("dead letter");
  KafkaConsumer consumer(cluster, {"plant"});
  ASSERT_TRUE(consumer.reaches(4, seconds(60)));
  EXPECT_EQ(consumer.messages().back().key, "acme/p1");
}

TEST(KafkaSink, SaysWhyNothingIsDelivered) {
  MockCluster cluster;
  cluster.create("plant", 1);
  Stage stage(kafka::sink_type(), "brokers = [\"127.0.0.1:" + std::to_string(free_port()) + "\"]\n");
  stage.start();
  ASSERT_TRUE(eventually([&] { return stage.status().state == ConnectorState::down; }, seconds(20)));
  EXPECT_TRUE(has(stage.status().reason, "refused")) << stage.status().reason;
}

}  // namespace
}  // namespace sallyport::tests
