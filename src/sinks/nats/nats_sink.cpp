#include "sinks/nats/nats_sink.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>

#include "base/backoff.h"
#include "base/log.h"
#include "namespace/sink_worker.h"
#include "protocol/nats/subject.h"
#include "protocol/stream/outbox.h"
#include "sinks/nats/session.h"

namespace sallyport::nats {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kPull = 512;           // rows read at once
constexpr std::size_t kMaxBack = 20'000;     // messages of the stream looked at after a break
constexpr int kOrderBreaks = 3;              // then others write to the stream too, and the guard would only hinder
constexpr Duration kFirstRetry = milliseconds(200), kLastRetry = seconds(30), kSteady = seconds(5);
constexpr Duration kLook = milliseconds(250);  // at the connection, when nothing happens
constexpr Duration kStopBudget = seconds(2);   // to publish what is still to be published

MonotonicTime now() { return std::chrono::steady_clock::now(); }

class NatsSink final : public Sink {
 public:
  NatsSink(const SinkCommon& common, SinkOptions options)
      : name_(common.name), node_(common.node), publish_(common.publish), options_(std::move(options)),
        outbox_(options_.max_outstanding, options_.max_outstanding_bytes) {}
  ~NatsSink() override { worker_.stop(); }
  NatsSink(const NatsSink&) = delete;
  NatsSink& operator=(const NatsSink&) = delete;

  bool durable() const override { return !options_.stream.empty(); }
  void use_feeds(Feeds& feeds) override { feeds_ = durable() ? &feeds : nullptr; }
  Result<void> start(Namespace& ns) override;
  void stop() override { worker_.stop(); }
  ConnectorStatus status() const override;

 private:
  void run();
  // Until the connection ends; says why, "" for a reason to try again at once.
  std::string serve(Session& session);
  std::string turn(Session& session);
  Result<void> read();
  void add(stream::Message&& message);
  Result<void> send(Session& session);
  std::string take_answers(Session& session);
  void publish_plain(Session& session, const stream::Message& message);
  void dead(const stream::Message& message, const std::string& why);
  void show();
  void note_down(const std::string& reason, bool was_up);

  const std::string name_, node_;
  const Patterns publish_;
  const SinkOptions options_;
  Feeds* feeds_ = nullptr;

  Rows rows_;                             // the thread's own from here
  std::vector<stream::Message> plain_;    // to be published without JetStream
  stream::Outbox outbox_;
  std::unique_ptr<stream::Tail> tail_;    // of this session
  std::vector<Answer> answers_;
  std::string subject_, writer_;
  std::string incarnation_;               // for ids of what is not from the journal
  std::uint64_t latest_number_ = 0;
  int order_breaks_ = 0;
  bool read_again_ = true, order_broke_ = false;
  Position acknowledged_ = 0;

  mutable std::mutex mutex_;              // guards the next one
  std::string server_;
  std::atomic<std::uint64_t> published_ = 0, acknowledged_count_ = 0, duplicates_ = 0, repeats_ = 0, dead_letters_ = 0, bytes_ = 0,
                             connects_ = 0, retries_ = 0, in_flight_ = 0, plain_count_ = 0;
  std::atomic<bool> unguarded_ = false;
  SinkWorker worker_{name_, "sink-nats", kStopBudget};
};

Result<void> NatsSink::start(Namespace& ns) {
  return worker_.start(ns, feeds_, publish_, [this] { run(); }, [&] {
    writer_ = stream::writer_name(worker_.collector(), node_, name_);
    incarnation_ = options_.server.client_name + "/" + std::to_string(ns.clock().utc());
  });
}

// --- Connecting ------------------------------------------------------------------------------------------------------

void NatsSink::run() {
  Backoff backoff(kFirstRetry, kLastRetry, std::random_device()());
  while (!worker_.stopping()) {
    const MonotonicTime began = now();
    auto session = Session::open(options_, worker_.wake());
    std::string reason = session ? serve(**session) : session.error().message;
    if (worker_.stopping()) return;
    ++retries_;
    note_down(reason, session.has_value());
    if (session && now() - began > kSteady) {
      backoff.reset();
      order_breaks_ = 0;
    }
    if (std::exchange(order_broke_, false)) backoff.reset();  // the server is well
    worker_.pause(backoff.next());
  }
}

std::string NatsSink::serve(Session& session) {
  auto tail = session.read_tail(writer_, kMaxBack, worker_.stopping());
  if (!tail) return tail.error().message;
  if (worker_.stopping()) return "stopped";  // it may not be complete
  repeats_ += outbox_.begin_again(*tail);
  tail_ = std::make_unique<stream::Tail>(std::move(*tail));
  ++connects_;
  {
    const std::lock_guard lock(mutex_);
    server_ = session.server();
  }
  log::info("NATS connected", log::field("sink", name_), log::field("server", session.server()));
  worker_.set_state(ConnectorState::up, "");
  read_again_ = true;
  for (;;) {
    if (worker_.giving_up()) return "stopped";
    if (session.closed()) return session.reason();
    if (std::string reason = turn(session); !reason.empty()) return reason;
    const bool idle = !read_again_ && outbox_.size() == 0 && plain_.empty();
    if (worker_.stopping() && idle) {
      static_cast<void>(session.flush());
      return "stopped";
    }
    show();
    if (read_again_ && outbox_.room() > 1) continue;
    if (worker_.wait(worker_.stopping() ? milliseconds(20) : kLook)) read_again_ = true;
  }
}

// Why the session is over, "" when it is not.
std::string NatsSink::turn(Session& session) {
  if (std::string reason = take_answers(session); !reason.empty()) return reason;
  if (read_again_ && outbox_.room() > 1) {
    if (auto ok = read(); !ok) return ok.error().message;
  }
  if (auto ok = send(session); !ok) return ok.error().message;
  if (const Position position = outbox_.acknowledged(); position > acknowledged_) {
    worker_.collector().acknowledge(position);
    acknowledged_ = position;
  }
  const auto oldest = outbox_.oldest_sent();
  if (oldest && now() - *oldest > options_.ack_timeout) return "JetStream did not acknowledge in time";
  return "";
}

// --- Reading ---------------------------------------------------------------------------------------------------------

Result<void> NatsSink::read() {
  const auto take = [this](stream::Message&& message) { add(std::move(message)); };
  if (auto ok = stream::read_messages(worker_.collector(), writer_, rows_, std::min(kPull, outbox_.room() / 2), take); !ok) return ok;
  read_again_ = rows_.more;
  outbox_.read_to(rows_.position);
  return {};
}

void NatsSink::add(stream::Message&& message) {
  const bool kept = message.position != 0;
  if (!kept && !options_.latest_in_stream) {
    plain_.push_back(std::move(message));
    return;
  }
  if (!kept) message.id = incarnation_ + ":" + std::to_string(++latest_number_);
  if (tail_->has(message)) ++repeats_;
  else outbox_.add(std::move(message));
}

// --- Sending ---------------------------------------------------------------------------------------------------------

Result<void> NatsSink::send(Session& session) {
  for (const stream::Message& message : plain_) publish_plain(session, message);
  plain_.clear();
  while (stream::Outbox::Entry* entry = outbox_.next(now())) {
    const stream::Message& message = entry->message;
    subject_.clear();
    if (message.gap) subject_ = options_.prefix + ".$gaps";
    else append_subject(subject_, options_.prefix, message.path);
    const std::uint64_t number = entry->number;
    const auto sent = session.send(message, subject_, number, outbox_.acknowledged(), !unguarded_);
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

// Nobody waits for these: what does not arrive is replaced by what is newer.
void NatsSink::publish_plain(Session& session, const stream::Message& message) {
  subject_.clear();
  append_subject(subject_, options_.latest_prefix, message.path);
  const auto sent = session.send_plain(message, subject_);
  if (sent) plain_count_.fetch_add(1, std::memory_order_relaxed);
  else if (sent.error().code == ErrorCode::limit) dead(message, sent.error().message);
}

std::string NatsSink::take_answers(Session& session) {
  session.take_answers(answers_);
  std::string reason;
  bool order = false;
  for (const Answer& answer : answers_) {
    switch (answer.kind) {
      case Answer::Kind::duplicate:
        ++duplicates_;
        [[fallthrough]];
      case Answer::Kind::stored:
        if (outbox_.settle(answer.number)) ++acknowledged_count_;
        break;
      case Answer::Kind::too_large:
        if (const stream::Message* message = outbox_.find(answer.number)) dead(*message, answer.reason);
        outbox_.settle(answer.number);
        break;
      case Answer::Kind::order:
        order = true;
        break;
      case Answer::Kind::failed:
        if (reason.empty()) reason = answer.reason;
        break;
    }
  }
  if (!reason.empty() || !order) return reason;
  order_broke_ = true;
  if (++order_breaks_ >= kOrderBreaks && !unguarded_.exchange(true)) {
    log::warn("others write to the stream too; the order of messages there is no longer guarded", log::field("sink", name_),
              log::field("stream", options_.stream));
  }
  return "a message before was not taken; going on behind the last one that was";
}

void NatsSink::dead(const stream::Message& message, const std::string& why) {
  const std::string example = (message.gap ? std::string("gap") : message.path) + ": " + why;
  if (dead_letters_.fetch_add(1, std::memory_order_relaxed) == 0) {
    log::error("a message cannot be delivered and is left out; raise max_payload of the server or max_msg_size of the stream",
               log::field("sink", name_), log::field("example", example));
  }
  worker_.dead_letter(example);
}

// --- Status ----------------------------------------------------------------------------------------------------------

void NatsSink::show() { in_flight_.store(outbox_.size(), std::memory_order_relaxed); }

void NatsSink::note_down(const std::string& reason, bool was_up) {
  if (worker_.set_state(ConnectorState::down, reason))
    log::warn(was_up ? "NATS lost" : "NATS not usable; trying on", log::field("sink", name_), log::field("reason", reason));
}

ConnectorStatus NatsSink::status() const {
  ConnectorStatus status;
  const auto value = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  const std::uint64_t connects = value(connects_);
  status.changes = value(published_) + value(plain_count_);
  status.dropped = value(dead_letters_);
  status.counters = {{"published", status.changes},
                     {"acknowledged", value(acknowledged_count_)},
                     {"duplicates", value(duplicates_)},
                     {"repeats", value(repeats_)},
                     {"dead_letters", value(dead_letters_)},
                     {"bytes", value(bytes_)},
                     {"retries", value(retries_)},
                     {"reconnects", connects > 0 ? connects - 1 : 0}};
  status.details.emplace_back("in flight", std::to_string(value(in_flight_)));
  {
    const std::lock_guard lock(mutex_);
    if (!server_.empty()) status.details.emplace_back("server", server_);
  }
  if (unguarded_) status.details.emplace_back("order", "not guarded: others write to the stream too");
  worker_.describe(status);
  return status;
}

}  // namespace

const SinkType& sink_type() {
  static const SinkType type{"nats", [](const SinkCommon& common, SettingsReader& settings) -> std::unique_ptr<Sink> {
                               return std::make_unique<NatsSink>(common, read_options(common, settings));
                             }};
  return type;
}

}  // namespace sallyport::nats
