#include "harness.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "json.h"

namespace sallyport::tests {

MockCluster::MockCluster() {
  char text[512] = {};
  handle_ = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
  cluster_ = rd_kafka_mock_cluster_new(handle_, 1);
  broker_ = rd_kafka_mock_cluster_bootstraps(cluster_);
}

MockCluster::~MockCluster() {
  rd_kafka_mock_cluster_destroy(cluster_);
  rd_kafka_destroy(handle_);
}

void MockCluster::create(const std::string& topic, int partitions) {
  EXPECT_EQ(rd_kafka_mock_topic_create(cluster_, topic.c_str(), partitions, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}
void MockCluster::down() { rd_kafka_mock_broker_set_down(cluster_, 1); }
void MockCluster::up() { rd_kafka_mock_broker_set_up(cluster_, 1); }

void MockCluster::fail_produce(const std::vector<int>& errors) {
  std::vector<rd_kafka_resp_err_t> codes;
  for (const int error : errors) codes.push_back(static_cast<rd_kafka_resp_err_t>(error));
  rd_kafka_mock_push_request_errors_array(cluster_, 0 /* Produce */, codes.size(), codes.data());
}

KafkaConsumer::KafkaConsumer(const MockCluster& cluster, const std::vector<std::string>& topics) {
  std::vector<std::string> command{"node", std::string(SALLYPORT_SOURCE_DIR) + "/tests/interop/kafka/consumer.js", cluster.broker()};
  command.insert(command.end(), topics.begin(), topics.end());
  reader_ = std::make_unique<LineReader>(command, [this](Clock::time_point, const std::string& line) {
    const auto json = parse_json(line);
    if (!json) return;
    Consumed message{.topic = text_at(*json, "topic"), .key = text_at(*json, "key"), .value = text_at(*json, "value")};
    message.partition = std::stoi(text_at(*json, "partition"));
    for (const auto& [name, value] : json->at("headers").as_object()) message.headers[name] = value.as_string();
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
  });
}

std::vector<Consumed> KafkaConsumer::messages() const {
  const std::lock_guard lock(mutex_);
  return messages_;
}

std::vector<Found> KafkaConsumer::changes() const {
  std::vector<Found> found;
  for (const Consumed& message : messages()) {
    const auto sequence = message.headers.find("sequence");
    if (sequence != message.headers.end()) found.push_back({message.key, message.headers.at("stream"), std::stoull(sequence->second)});
  }
  return found;
}

bool KafkaConsumer::reaches(std::size_t count, Clock::duration limit) const {
  return eventually([&] {
    const std::lock_guard lock(mutex_);
    return messages_.size() >= count;
  }, limit);
}

std::string settings_for(const MockCluster& cluster, const std::string& more) {
  return "brokers = [\"" + cluster.broker() + "\"]\ncompression = \"gzip\"\n" +
         (more.find("topic =") == std::string::npos ? "topic = \"plant\"\n" : "") + more;
}

}  // namespace sallyport::tests
