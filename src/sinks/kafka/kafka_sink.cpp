#include "sinks/kafka/kafka_sink.h"

#include <algorithm>
#include <atomic>
#include <random>
#include <unordered_map>

#include "base/backoff.h"
#include "base/log.h"
#include "namespace/sink_worker.h"
#include "protocol/stream/outbox.h"
#include "sinks/kafka/producer.h"

namespace sallyport::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kPull = 1024;        // rows read at once
constexpr std::size_t kMaxBack = 20'000;   // messages of a partition looked at after a start
constexpr Duration kFirstRetry = milliseconds(200), kLastRetry = seconds(30), kSteady = seconds(5);
constexpr Duration kLook = milliseconds(500);
constexpr Duration kSilent = seconds(5);   // nothing delivered for so long, though something is on its way: down
constexpr Duration kStopBudget = seconds(2);

MonotonicTime now() { return std::chrono::steady_clock::now(); }

class KafkaSink final : public Sink {
 public:
  KafkaSink(const SinkCommon& common, Options options)
      : name_(common.name), node_(common.node), publish_(common.publish), options_(std::move(options)),
        outbox_(options_.max_outstanding, options_.max_outstanding_bytes) {}
  ~KafkaSink() override { worker_.stop(); }
  KafkaSink(const KafkaSink&) = delete;
  KafkaSink& operator=(const KafkaSink&) = delete;

  bool durable() const override { return true; }
  void use_feeds(Feeds& feeds) override { feeds_ = &feeds; }
  Result<void> start(Namespace& ns) override;
  void stop() override { worker_.stop(); }
  ConnectorStatus status() const override;

 private:
  void run();
  // One producer, until it is of no further use; says why.
  std::string serve(Producer& producer);
  std::string turn(Producer& producer);
  Result<void> send(Producer& producer);
  // The end of this topic, read before the first message to it. Null: `why` says.
  const stream::Tail* tail_of(Producer& producer, const std::string& topic, std::string& why);
  std::string take_reports(Producer& producer);
  void watch(Producer& producer);
  void dead(const stream::Message& message, const std::string& why);
  void set_state(ConnectorState state, const std::string& reason);

  const std::string name_, node_;
  const Patterns publish_;
  const Options options_;
  Feeds* feeds_ = nullptr;

  Rows rows_;                             // the thread's own from here
  stream::Outbox outbox_;
  std::unordered_map<std::string, stream::Tail> tails_;  // by topic, of this producer
  std::vector<Report> reports_;
  std::string topic_, writer_;
  bool read_again_ = true;
  Position acknowledged_ = 0;

  std::atomic<std::uint64_t> published_ = 0, acknowledged_count_ = 0, repeats_ = 0, dead_letters_ = 0, bytes_ = 0, producers_ = 0, in_flight_ = 0;
  SinkWorker worker_{name_, "sink-kafka", kStopBudget};
};

Result<void> KafkaSink::start(Namespace& ns) {
  return worker_.start(ns, feeds_, publish_, [this] { run(); }, [this] { writer_ = stream::writer_name(worker_.collector(), node_, name_); });
}

// --- Producers -------------------------------------------------------------------------------------------------------

void KafkaSink::run() {
  Backoff backoff(kFirstRetry, kLastRetry, std::random_device()());
  while (!worker_.stopping()) {
    const MonotonicTime began = now();
    auto producer = Producer::make(options_, worker_.wake());
    const std::string reason = producer ? serve(**producer) : producer.error().message;
    if (worker_.stopping()) return;
    set_state(ConnectorState::down, reason);
    if (now() - began > kSteady) backoff.reset();
    worker_.pause(backoff.next());
  }
}

std::string KafkaSink::serve(Producer& producer) {
  while (!worker_.stopping()) {
    const auto reached = producer.reach();
    if (reached) break;
    set_state(ConnectorState::down, reached.error().message);
    if (!producer.fatal().empty()) return producer.fatal();
    worker_.pause(kLook);
  }
  ++producers_;
  tails_.clear();
  outbox_.begin_again(stream::Tail(""));  // what is on its way is looked for in its topic before it is sent again
  set_state(ConnectorState::up, "");
  read_again_ = true;
  for (;;) {
    if (worker_.giving_up()) return "stopped";
    if (std::string reason = turn(producer); !reason.empty()) return reason;
    if (worker_.stopping() && !read_again_ && outbox_.size() == 0) return "stopped";
    watch(producer);
    if (read_again_ && outbox_.room() > 1) continue;
    if (worker_.wait(worker_.stopping() ? milliseconds(20) : kLook)) read_again_ = true;
  }
}

// Why the producer is of no further use, "" when it is.
std::string KafkaSink::turn(Producer& producer) {
  if (std::string reason = take_reports(producer); !reason.empty()) return reason;
  if (!producer.fatal().empty()) return producer.fatal();
  if (read_again_ && outbox_.room() > 1) {
    const auto take = [this](stream::Message&& message) { outbox_.add(std::move(message)); };
    if (auto ok = stream::read_messages(worker_.collector(), writer_, rows_, std::min(kPull, outbox_.room() / 2), take); !ok) return ok.error().message;
    read_again_ = rows_.more;
    outbox_.read_to(rows_.position);
  }
  if (auto ok = send(producer); !ok) return ok.error().message;
  if (const Position position = outbox_.acknowledged(); position > acknowledged_) {
    worker_.collector().acknowledge(position);
    acknowledged_ = position;
  }
  in_flight_.store(outbox_.size(), std::memory_order_relaxed);
  return "";
}

// The library goes on trying by itself and says little; whether anything arrives is what counts.
void KafkaSink::watch(Producer& producer) {
  const auto oldest = outbox_.oldest_sent();
  const bool silent = oldest && now() - *oldest > kSilent;
  const std::string complaint = producer.take_complaint();
  if (silent) set_state(ConnectorState::down, complaint.empty() ? "the brokers acknowledge nothing; trying on" : complaint);
  else if (!oldest || !reports_.empty()) set_state(ConnectorState::up, "");
}

// --- Sending ---------------------------------------------------------------------------------------------------------

Result<void> KafkaSink::send(Producer& producer) {
  while (stream::Outbox::Entry* entry = outbox_.next(now())) {
    const stream::Message& message = entry->message;
    const std::uint64_t number = entry->number;
    topic_.clear();
    if (message.gap) topic_ = options_.gaps_topic;
    else append_topic(topic_, options_.topic, message.path);
    if (message.position != 0) {
      std::string why;
      const stream::Tail* tail = tail_of(producer, topic_, why);
      if (tail == nullptr) return fail(ErrorCode::unavailable, why);
      if (tail->has(message)) {
        ++repeats_;
        outbox_.settle(number);
        continue;
      }
    }
    const auto sent = producer.send(message, topic_, number, outbox_.acknowledged());
    if (!sent && sent.error().code == ErrorCode::limit) {
      dead(message, sent.error().message);
      outbox_.settle(number);
      continue;
    }
    if (!sent) return sent;
    published_.fetch_add(1, std::memory_order_relaxed);
    bytes_.fetch_add(message.payload.size(), std::memory_order_relaxed);
  }
  return {};
}

const stream::Tail* KafkaSink::tail_of(Producer& producer, const std::string& topic, std::string& why) {
  if (const auto known = tails_.find(topic); known != tails_.end()) return &known->second;
  auto tail = producer.read_tail(topic, writer_, kMaxBack);
  if (!tail) {
    why = tail.error().message;
    return nullptr;
  }
  return &tails_.emplace(topic, std::move(*tail)).first->second;
}

std::string KafkaSink::take_reports(Producer& producer) {
  producer.take_reports(reports_);
  std::string reason;
  for (const Report& report : reports_) {
    switch (report.kind) {
      case Report::Kind::stored:
        if (outbox_.settle(report.number)) ++acknowledged_count_;
        break;
      case Report::Kind::too_large:
        if (const stream::Message* message = outbox_.find(report.number)) dead(*message, report.reason);
        outbox_.settle(report.number);
        break;
      case Report::Kind::failed:
        if (reason.empty()) reason = report.reason;
        break;
    }
  }
  return reason;
}

void KafkaSink::dead(const stream::Message& message, const std::string& why) {
  const std::string example = (message.gap ? std::string("gap") : message.path) + ": " + why;
  if (dead_letters_.fetch_add(1, std::memory_order_relaxed) == 0) {
    log::error("a message cannot be delivered and is left out; raise max_message here and max.message.bytes of the topic",
               log::field("sink", name_), log::field("example", example));
  }
  worker_.dead_letter(example);
}

// --- Status ----------------------------------------------------------------------------------------------------------

void KafkaSink::set_state(ConnectorState state, const std::string& reason) {
  if (!worker_.set_state(state, reason)) return;
  if (state == ConnectorState::up) log::info("Kafka connected", log::field("sink", name_), log::field("brokers", options_.brokers));
  if (state == ConnectorState::down) log::warn("Kafka not usable; trying on", log::field("sink", name_), log::field("reason", reason));
}

ConnectorStatus KafkaSink::status() const {
  ConnectorStatus status;
  const auto value = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  const std::uint64_t producers = value(producers_);
  status.changes = value(published_);
  status.dropped = value(dead_letters_);
  status.counters = {{"published", status.changes},
                     {"acknowledged", value(acknowledged_count_)},
                     {"repeats", value(repeats_)},
                     {"dead_letters", value(dead_letters_)},
                     {"bytes", value(bytes_)},
                     {"new_producers", producers > 0 ? producers - 1 : 0}};
  status.details.emplace_back("brokers", options_.brokers);
  status.details.emplace_back("in flight", std::to_string(value(in_flight_)));
  worker_.describe(status);
  return status;
}

}  // namespace

const SinkType& sink_type() {
  static const SinkType type{"kafka", [](const SinkCommon& common, SettingsReader& settings) -> std::unique_ptr<Sink> {
                               return std::make_unique<KafkaSink>(common, read_options(common, settings));
                             }};
  return type;
}

}  // namespace sallyport::kafka
