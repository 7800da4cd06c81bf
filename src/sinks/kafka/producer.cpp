#include "sinks/kafka/producer.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>

namespace sallyport::kafka {
namespace {

constexpr int kReachMs = 2000;
constexpr int kTailMs = 5000;             // to read one partition back
constexpr std::size_t kFirstLook = 64;    // messages of a partition; then eight times as many, and so on

using Settings = std::vector<std::pair<std::string, std::string>>;

void say_nothing(const rd_kafka_t*, int, const char*, const char*) {}  // errors come as events

// The library takes the configuration when it succeeds.
Result<rd_kafka_t*> make_handle(rd_kafka_type_t type, std::initializer_list<const Settings*> lists) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char text[512] = {};
  rd_kafka_conf_set_log_cb(conf, say_nothing);
  if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
  for (const Settings* list : lists) {
    for (const auto& [key, value] : *list) {
      if (rd_kafka_conf_set(conf, key.c_str(), value.c_str(), text, sizeof text) == RD_KAFKA_CONF_OK) continue;
      rd_kafka_conf_destroy(conf);
      return fail(ErrorCode::invalid, text);
    }
  }
  rd_kafka_t* handle = rd_kafka_new(type, conf, text, sizeof text);
  if (handle != nullptr) return handle;
  rd_kafka_conf_destroy(conf);
  return fail(ErrorCode::invalid, text);
}

std::unexpected<Error> kafka_error(std::string_view what, rd_kafka_resp_err_t error) {
  return fail(ErrorCode::unavailable, std::string(what) + ": " + rd_kafka_err2str(error));
}

Report report_of(const rd_kafka_message_t& message) {
  Report report;
  report.number = reinterpret_cast<std::uintptr_t>(message._private);
  switch (message.err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      report.kind = Report::Kind::stored;
      return report;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
      report.kind = Report::Kind::too_large;
      break;
    default:
      break;
  }
  report.reason = rd_kafka_err2str(message.err);
  if (message.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || message.err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
    report.reason += "; make the topic, or let the brokers make topics";
  }
  return report;
}

std::string_view header(const rd_kafka_headers_t* headers, const char* name) {
  const void* value = nullptr;
  std::size_t size = 0;
  if (headers == nullptr || rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return {static_cast<const char*>(value), size};
}

struct Consumer {
  rd_kafka_t* handle = nullptr;
  ~Consumer() {
    if (handle == nullptr) return;
    rd_kafka_consumer_close(handle);
    rd_kafka_destroy(handle);
  }
};

}  // namespace

Result<std::unique_ptr<Producer>> Producer::make(const Options& options, const WakeFd& wake) {
  std::unique_ptr<Producer> producer(new Producer(options));
  // It tries for ever; what it may hold is bounded by the outbox. Its own order and de-duplication: enable.idempotence.
  const Settings ours = {{"enable.idempotence", "true"},
                         {"acks", "all"},
                         {"message.timeout.ms", "0"},
                         {"queue.buffering.max.messages", std::to_string(options.max_outstanding + 1)},
                         {"queue.buffering.max.kbytes", "2097151"}};
  auto handle = make_handle(RD_KAFKA_PRODUCER, {&ours, &options.client, &options.producer});
  if (!handle) return std::unexpected(handle.error());
  producer->handle_ = *handle;
  producer->queue_ = rd_kafka_queue_get_main(*handle);
  static constexpr std::uint64_t kOne = 1;  // what an eventfd wants to be written
  rd_kafka_queue_io_event_enable(producer->queue_, wake.fd(), &kOne, sizeof kOne);
  return producer;
}

Producer::~Producer() {
  if (queue_ != nullptr) {
    rd_kafka_queue_io_event_enable(queue_, -1, nullptr, 0);
    rd_kafka_queue_destroy(queue_);
  }
  if (handle_ == nullptr) return;
  rd_kafka_purge(handle_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  rd_kafka_destroy(handle_);
}

Result<void> Producer::reach() {
  const struct rd_kafka_metadata* metadata = nullptr;
  const auto error = rd_kafka_metadata(handle_, 0, nullptr, &metadata, kReachMs);
  if (metadata != nullptr) rd_kafka_metadata_destroy(metadata);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  std::vector<Report> none;  // nothing has been sent yet
  take_reports(none);
  if (const std::string more = take_complaint(); !more.empty()) return fail(ErrorCode::unavailable, more);
  return kafka_error("brokers " + options_.brokers, error);
}

// --- The end of a topic ----------------------------------------------------------------------------------------------

Result<stream::Tail> Producer::read_tail(const std::string& topic, const std::string& writer, std::size_t max_back) {
  stream::Tail tail(writer);
  if (writer.empty()) return tail;
  const Settings ours = {{"group.id", "sallyport-reads-back"}, {"enable.auto.commit", "false"}, {"enable.partition.eof", "true"},
                         {"fetch.wait.max.ms", "20"},          {"allow.auto.create.topics", "false"}, {"auto.offset.reset", "earliest"}};
  auto handle = make_handle(RD_KAFKA_CONSUMER, {&ours, &options_.client});
  if (!handle) return std::unexpected(handle.error());
  const Consumer consumer{*handle};
  rd_kafka_poll_set_consumer(consumer.handle);
  rd_kafka_topic_t* local = rd_kafka_topic_new(consumer.handle, topic.c_str(), nullptr);
  const struct rd_kafka_metadata* metadata = nullptr;
  auto error = rd_kafka_metadata(consumer.handle, 0, local, &metadata, kReachMs);
  int partitions = 0;
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    error = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    partitions = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
  }
  rd_kafka_topic_destroy(local);
  if (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) return tail;
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error("read back topic '" + topic + "'", error);
  for (int partition = 0; partition < partitions; ++partition) {
    if (auto ok = scan(consumer.handle, topic, partition, tail, max_back); !ok) return std::unexpected(ok.error());
  }
  return tail;
}

// From the end backwards in growing steps, until it reaches what is known to be stored.
Result<void> Producer::scan(rd_kafka_s* consumer, const std::string& topic, int partition, stream::Tail& tail, std::size_t max_back) {
  const std::string what = "read back topic '" + topic + "', partition " + std::to_string(partition);
  std::int64_t low = 0, high = 0;
  if (const auto error = rd_kafka_query_watermark_offsets(consumer, topic.c_str(), partition, &low, &high, kReachMs);
      error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(what, error);
  }
  Position oldest = 0;
  std::int64_t until = high;  // what is behind this has been seen
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kTailMs);
  for (std::size_t look = kFirstLook; until > low && (oldest == 0 || oldest > tail.stored_to()); look *= 8) {
    const std::size_t back = std::min(look, max_back);
    const std::int64_t from = std::max(low, high - static_cast<std::int64_t>(back));
    if (from >= until) break;  // as far back as may be
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic.c_str(), partition)->offset = from;
    const auto assigned = rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (assigned != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(what, assigned);
    for (std::int64_t at = from; at < until;) {
      if (std::chrono::steady_clock::now() > deadline) return fail(ErrorCode::timeout, what + ": no answer in time");
      rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer, 100);
      if (message == nullptr) continue;
      const auto error = message->err;
      if (error == RD_KAFKA_RESP_ERR__PARTITION_EOF) at = until;
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset < until) {
        rd_kafka_headers_t* headers = nullptr;
        rd_kafka_message_headers(message, &headers);
        const Position position = tail.note({.journal = header(headers, stream::kJournal.plain),
                                             .position = header(headers, stream::kPosition.plain),
                                             .stored = header(headers, stream::kStored.plain),
                                             .stream = header(headers, stream::kStream.plain),
                                             .sequence = header(headers, stream::kSequence.plain)});
        if (position != 0 && (oldest == 0 || position < oldest)) oldest = position;
      }
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) at = message->offset + 1;
      rd_kafka_message_destroy(message);
    }
    until = from;
  }
  rd_kafka_assign(consumer, nullptr);
  return {};
}

// --- Producing -------------------------------------------------------------------------------------------------------

Result<void> Producer::send(const stream::Message& message, const std::string& topic, std::uint64_t number, Position stored) {
  rd_kafka_headers_t* headers = rd_kafka_headers_new(message.labels.size() + 1);
  const auto add = [&](const char* name, const std::string& value) {
    rd_kafka_header_add(headers, name, -1, value.data(), static_cast<ssize_t>(value.size()));
  };
  for (const stream::Label& label : message.labels) add(label.name->plain, label.value);
  if (message.position != 0) add(stream::kStored.plain, std::to_string(stored));
  const std::string& key = message.gap ? std::string("$gaps") : message.path;
  rd_kafka_vu_t parts[7];
  parts[0].vtype = RD_KAFKA_VTYPE_TOPIC;
  parts[0].u.cstr = topic.c_str();
  parts[1].vtype = RD_KAFKA_VTYPE_KEY;
  parts[1].u.mem = {const_cast<char*>(key.data()), key.size()};  // it copies
  parts[2].vtype = RD_KAFKA_VTYPE_VALUE;
  parts[2].u.mem = {const_cast<char*>(message.payload.data()), message.payload.size()};
  parts[3].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  parts[3].u.i = RD_KAFKA_MSG_F_COPY;
  parts[4].vtype = RD_KAFKA_VTYPE_HEADERS;
  parts[4].u.headers = headers;
  parts[5].vtype = RD_KAFKA_VTYPE_OPAQUE;
  parts[5].u.ptr = reinterpret_cast<void*>(static_cast<std::uintptr_t>(number));
  rd_kafka_error_t* failed = rd_kafka_produceva(handle_, parts, 6);
  if (failed == nullptr) return {};
  const auto code = rd_kafka_error_code(failed);
  rd_kafka_error_destroy(failed);
  rd_kafka_headers_destroy(headers);
  if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) return fail(ErrorCode::limit, "larger than max_message");
  if (code == RD_KAFKA_RESP_ERR__FATAL) fatal_ = rd_kafka_err2str(code);
  return kafka_error("topic '" + topic + "'", code);
}

void Producer::take_reports(std::vector<Report>& out) {
  out.clear();
  while (rd_kafka_event_t* event = rd_kafka_queue_poll(queue_, 0)) {
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR) {
      while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event)) out.push_back(report_of(*message));
    } else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR) {
      complaint_ = rd_kafka_event_error_string(event);
      if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__FATAL) {
        char text[512] = {};
        rd_kafka_fatal_error(handle_, text, sizeof text);
        fatal_ = text;
      }
    }
    rd_kafka_event_destroy(event);
  }
}

}  // namespace sallyport::kafka
