#include "sinks/kafka/kafka_sink.h"

#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>

#include "base/backoff.h"
#include "base/log.h"
#include "base/wake_fd.h"
#include "namespace/collector.h"
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
  ~KafkaSink() override { stop(); }
  KafkaSink(const KafkaSink&) = delete;
  KafkaSink& operator=(const KafkaSink&) = delete;

  bool durable() const override { return true; }
  void use_feeds(Feeds& feeds) override { feeds_ = &feeds; }
  Result<void> start(Namespace& ns) override;
  void stop() override;
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
  void pause(Duration time) const;
  void set_state(ConnectorState state, const std::string& reason);

  const std::string name_, node_;
  const Patterns publish_;
  const Options options_;
  Namespace* namespace_ = nullptr;
  Feeds* feeds_ = nullptr;
  std::shared_ptr<const WakeFd> wake_ = std::make_shared<const WakeFd>();  // wakers may outlast us a moment
  std::thread thread_;
  std::atomic<bool> stopping_ = false;

  std::unique_ptr<Collector> collector_;  // the thread's own from here
  Rows rows_;
  stream::Outbox outbox_;
  std::unordered_map<std::string, stream::Tail> tails_;  // by topic, of this producer
  std::vector<Report> reports_;
  std::string topic_, writer_;
  bool read_again_ = true;
  Position acknowledged_ = 0;

  mutable std::mutex mutex_;              // guards the next four
  ConnectorState state_ = ConnectorState::starting;
  std::string reason_, dead_example_;
  UtcNanoseconds since_ = 0;
  std::atomic<std::uint64_t> published_ = 0, acknowledged_count_ = 0, repeats_ = 0, dead_letters_ = 0, bytes_ = 0, producers_ = 0, in_flight_ = 0;
};

Result<void> KafkaSink::start(Namespace& ns) {
  if (wake_->fd() < 0) return fail(ErrorCode::limit, "no file descriptor left; raise the limit (LimitNOFILE=)");
  namespace_ = &ns;
  auto collector = Collector::make(ns, feeds_, reader_name(name_), publish_, [wake = wake_] { wake->wake(); });
  if (!collector) return std::unexpected(collector.error());
  collector_ = std::move(*collector);
  writer_ = stream::writer_name(*collector_, node_, name_);
  set_state(ConnectorState::connecting, "");
  thread_ = std::thread([this] { run(); });
  return {};
}

void KafkaSink::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  wake_->wake();
  thread_.join();
  {
    const std::lock_guard lock(mutex_);
    collector_.reset();
  }
  set_state(ConnectorState::stopped, "");
}

// --- Producers -------------------------------------------------------------------------------------------------------

void KafkaSink::run() {
  sigset_t all;  // the node's signals are for its main thread
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  prctl(PR_SET_NAME, "sink-kafka");
  Backoff backoff(kFirstRetry, kLastRetry, std::random_device()());
  while (!stopping_) {
    const MonotonicTime began = now();
    auto producer = Producer::make(options_, *wake_);
    const std::string reason = producer ? serve(**producer) : producer.error().message;
    if (stopping_) return;
    set_state(ConnectorState::down, reason);
    if (now() - began > kSteady) backoff.reset();
    pause(backoff.next());
  }
}

std::string KafkaSink::serve(Producer& producer) {
  while (!stopping_) {
    const auto reached = producer.reach();
    if (reached) break;
    set_state(ConnectorState::down, reached.error().message);
    if (!producer.fatal().empty()) return producer.fatal();
    pause(kLook);
  }
  ++producers_;
  tails_.clear();
  outbox_.begin_again(stream::Tail(""));  // what is on its way is looked for in its topic before it is sent again
  set_state(ConnectorState::up, "");
  read_again_ = true;
  MonotonicTime deadline = MonotonicTime::max();
  for (;;) {
    if (stopping_ && deadline == MonotonicTime::max()) deadline = now() + kStopBudget;
    if (now() > deadline) return "stopped";
    if (std::string reason = turn(producer); !reason.empty()) return reason;
    if (stopping_ && !read_again_ && outbox_.size() == 0) return "stopped";
    watch(producer);
    if (read_again_ && outbox_.room() > 1) continue;
    pollfd wait{wake_->fd(), POLLIN, 0};
    poll(&wait, 1, static_cast<int>(std::chrono::ceil<milliseconds>(stopping_ ? milliseconds(20) : kLook).count()));
    if (wake_->drain()) read_again_ = true;
  }
}

// Why the producer is of no further use, "" when it is.
std::string KafkaSink::turn(Producer& producer) {
  if (std::string reason = take_reports(producer); !reason.empty()) return reason;
  if (!producer.fatal().empty()) return producer.fatal();
  if (read_again_ && outbox_.room() > 1) {
    const auto take = [this](stream::Message&& message) { outbox_.add(std::move(message)); };
    if (auto ok = stream::read_messages(*collector_, writer_, rows_, std::min(kPull, outbox_.room() / 2), take); !ok) return ok.error().message;
    read_again_ = rows_.more;
    outbox_.read_to(rows_.position);
  }
  if (auto ok = send(producer); !ok) return ok.error().message;
  if (const Position position = outbox_.acknowledged(); position > acknowledged_) {
    collector_->acknowledge(position);
    acknowledged_ = position;
  }
  in_flight_.store(outbox_.size(), std::memory_order_relaxed);
  return "";
}

void KafkaSink::pause(Duration time) const {
  const MonotonicTime until = now() + time;
  while (!stopping_ && now() < until) {
    pollfd wake{wake_->fd(), POLLIN, 0};
    poll(&wake, 1, static_cast<int>(std::chrono::ceil<milliseconds>(until - now()).count()));
    wake_->drain();
  }
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
  const std::lock_guard lock(mutex_);
  dead_example_ = example;
}

// --- Status ----------------------------------------------------------------------------------------------------------

void KafkaSink::set_state(ConnectorState state, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (state_ == state && reason_ == reason) return;
  if (state == ConnectorState::up) log::info("Kafka connected", log::field("sink", name_), log::field("brokers", options_.brokers));
  if (state == ConnectorState::down) log::warn("Kafka not usable; trying on", log::field("sink", name_), log::field("reason", reason));
  state_ = state;
  reason_ = reason;
  since_ = namespace_->clock().utc();
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
  const std::lock_guard lock(mutex_);
  status.state = state_;
  status.reason = reason_;
  status.since = since_;
  if (collector_ && collector_->has_feed()) {
    const FeedStatus feed = collector_->status();
    status.counters.emplace_back("behind", feed.behind);
    status.counters.emplace_back("behind_bytes", feed.behind_bytes);
    if (feed.oldest != 0) status.details.emplace_back("oldest unacknowledged", format_utc(feed.oldest));
  }
  if (!dead_example_.empty()) status.details.emplace_back("dead letter", dead_example_);
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
