// What the Kafka tests are made of: a mock cluster that speaks the protocol on real sockets, and a foreign consumer.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "stage.h"

struct rd_kafka_s;
struct rd_kafka_mock_cluster_s;

namespace sallyport::tests {

// librdkafka's own; it stores at most 5 MB per partition, forgets transactions, and does not drop what an idempotent producer
// sends again.
class MockCluster {
 public:
  MockCluster();
  ~MockCluster();
  MockCluster(const MockCluster&) = delete;
  MockCluster& operator=(const MockCluster&) = delete;
  void create(const std::string& topic, int partitions);
  void down();
  void up();
  // The next produce requests are answered so; numbers of the protocol.
  void fail_produce(const std::vector<int>& errors);
  const std::string& broker() const { return broker_; }

 private:
  rd_kafka_s* handle_ = nullptr;
  rd_kafka_mock_cluster_s* cluster_ = nullptr;
  std::string broker_;
};

struct Consumed {
  std::string topic, key, value;
  int partition = 0;
  std::map<std::string, std::string> headers{};
};

class KafkaConsumer {
 public:
  KafkaConsumer(const MockCluster& cluster, const std::vector<std::string>& topics);
  std::vector<Consumed> messages() const;
  std::vector<Found> changes() const;  // of the numbered ones
  bool reaches(std::size_t count, Clock::duration limit) const;

 private:
  mutable std::mutex mutex_;
  std::vector<Consumed> messages_;
  std::unique_ptr<LineReader> reader_;
};

std::string settings_for(const MockCluster& cluster, const std::string& more = {});

}  // namespace sallyport::tests
