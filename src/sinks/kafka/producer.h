// One life of the client library's producer, and what it takes to read the end of a topic back. One thread.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/wake_fd.h"
#include "protocol/stream/message.h"
#include "protocol/stream/tail.h"
#include "sinks/kafka/kafka_settings.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;

namespace sallyport::kafka {

// What became of one message.
struct Report {
  enum class Kind : std::uint8_t { stored, too_large, failed };
  Kind kind = Kind::failed;
  std::uint64_t number = 0;
  std::string reason;
};

class Producer {
 public:
  // Fails only for what will not work at any time. The wake descriptor is woken by reports; it outlives the producer.
  static Result<std::unique_ptr<Producer>> make(const Options& options, const WakeFd& wake);
  ~Producer();  // what was not delivered is dropped
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  // Whether a broker answers; blocks for two seconds at most.
  Result<void> reach();
  // What is in a topic already: of each partition as much as needed, at most `max_back` messages. Blocks for some seconds
  // at most. A topic that does not exist has nothing.
  Result<stream::Tail> read_tail(const std::string& topic, const std::string& writer, std::size_t max_back);
  // Queues. limit: it is too large and will never be taken. unavailable: the library's queue is full, later.
  Result<void> send(const stream::Message& message, const std::string& topic, std::uint64_t number, Position stored);
  void take_reports(std::vector<Report>& out);  // replaces `out`
  // Why this producer is of no further use; "" while it is.
  const std::string& fatal() const { return fatal_; }
  // What the library complained of last since the last call.
  std::string take_complaint() { return std::exchange(complaint_, {}); }

 private:
  explicit Producer(const Options& options) : options_(options) {}
  Result<void> scan(struct rd_kafka_s* consumer, const std::string& topic, int partition, stream::Tail& tail, std::size_t max_back);

  const Options& options_;
  rd_kafka_s* handle_ = nullptr;
  rd_kafka_queue_s* queue_ = nullptr;
  std::string fatal_, complaint_;
};

}  // namespace sallyport::kafka
