// One thread: it collects lines in memory, at most a batch, and sends them. While the database is away nothing is collected:
// the journal and the namespace hold what there is.
#include "sinks/influxdb/influx_sink.h"

#include <curl/curl.h>

#include <atomic>
#include <random>

#include "base/backoff.h"
#include "base/log.h"
#include "namespace/sink_worker.h"
#include "sinks/influxdb/dead_letters.h"
#include "sinks/influxdb/influx_client.h"
#include "sinks/influxdb/influx_settings.h"
#include "sinks/influxdb/line_protocol.h"

namespace sallyport::influxdb {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kFirstRetry = milliseconds(200), kLastRetry = seconds(30);
constexpr Duration kStopBudget = seconds(3);       // to send what is still to be sent
constexpr std::size_t kMaxBody = 8u << 20;         // bytes of one request
constexpr std::size_t kMaxPull = 16'384;

MonotonicTime now() { return std::chrono::steady_clock::now(); }

class InfluxSink final : public Sink {
 public:
  InfluxSink(const SinkCommon& common, Options options)
      : name_(common.name), publish_(common.publish), options_(std::move(options)), writer_(options_.measurement), letters_(options_.dead_letters) {}
  ~InfluxSink() override { worker_.stop(); }
  InfluxSink(const InfluxSink&) = delete;
  InfluxSink& operator=(const InfluxSink&) = delete;

  bool durable() const override { return true; }
  void use_feeds(Feeds& feeds) override { feeds_ = &feeds; }
  Result<void> start(Namespace& ns) override;
  void stop() override { worker_.stop(); }
  ConnectorStatus status() const override;

 private:
  void run();
  void collect();
  void take(const Rows& rows);
  bool full() const { return starts_.size() >= options_.batch || body_.size() >= kMaxBody; }
  bool anything() const { return !starts_.empty() || position_ > acknowledged_; }
  // The lines from the `first`-th to before the `last`-th. Lines that the server refuses are found by halves.
  Reply send(Client& client, std::size_t first, std::size_t last);
  Reply send_once(Client& client, const std::string& lines);
  void bury(std::string_view lines, const std::string& why, std::uint64_t count);
  void stored();
  void failed(const Reply& reply);

  const std::string name_;
  const Patterns publish_;
  const Options options_;
  Feeds* feeds_ = nullptr;

  // The thread's own.
  LineWriter writer_;
  TieBreak ties_;
  const DeadLetters letters_;
  Rows pulled_;
  std::string body_;                     // lines that wait
  std::vector<std::size_t> starts_;      // where each begins
  Position position_ = 0, acknowledged_ = 0;
  MonotonicTime first_pending_{};
  bool look_again_ = true, told_journal_ = false, told_refused_ = false;

  std::atomic<std::uint64_t> lines_ = 0, requests_ = 0, refused_ = 0, retries_ = 0, bytes_ = 0, waiting_ = 0, journal_errors_ = 0;
  SinkWorker worker_{name_, "sink-influxdb", kStopBudget};
};

Result<void> InfluxSink::start(Namespace& ns) {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return fail(ErrorCode::internal, "libcurl cannot be used");
  return worker_.start(ns, feeds_, publish_, [this] { run(); });
}

void InfluxSink::run() {
  Client client(options_, [this] { return worker_.giving_up(); });
  Backoff backoff(kFirstRetry, kLastRetry, std::random_device()());
  while (!worker_.giving_up()) {
    const bool last = worker_.stopping();  // then everything that there was before is collected below
    collect();
    const bool due = full() || last || (anything() && now() >= first_pending_ + options_.commit);
    if (due && anything()) {
      const Reply reply = starts_.empty() ? Reply{.kind = Reply::Kind::stored} : send(client, 0, starts_.size());
      bytes_ = client.bytes_sent();
      if (reply.kind == Reply::Kind::stored) {
        stored();
        backoff.reset();
        continue;
      }
      failed(reply);
      if (last) return;
      worker_.pause(std::max(backoff.next(), reply.wait));
      continue;
    }
    if (last) return;
    if (look_again_) continue;
    const Duration rest = anything() ? std::max<Duration>(first_pending_ + options_.commit - now(), Duration(0)) : seconds(1);
    if (worker_.wait(rest)) look_again_ = true;
  }
}

// --- Lines -----------------------------------------------------------------------------------------------------------

void InfluxSink::collect() {
  if (worker_.wake().drain()) look_again_ = true;
  while (look_again_ && !full()) {
    if (auto ok = worker_.collector().pull(pulled_, std::min(kMaxPull, options_.batch - starts_.size())); !ok) {
      ++journal_errors_;
      if (!std::exchange(told_journal_, true)) {
        log::error("the journal cannot be read; trying on", log::field("sink", name_), log::field("reason", ok.error().message));
      }
      pulled_.more = false;
    }
    look_again_ = pulled_.more;
    take(pulled_);
    pulled_.clear();
  }
  waiting_ = starts_.size();
}

void InfluxSink::take(const Rows& rows) {
  const bool before = anything();
  for (const Row& row : rows.rows) {
    starts_.push_back(body_.size());
    writer_.add(body_, row, worker_.collector().point(row.point), ties_.time_of(row));
  }
  for (const FeedGap& gap : rows.gaps) {
    starts_.push_back(body_.size());
    writer_.add(body_, gap);
  }
  position_ = std::max(position_, rows.position);
  if (!before && anything()) first_pending_ = now();
}

Reply InfluxSink::send(Client& client, std::size_t first, std::size_t last) {
  const std::size_t begin = starts_[first], end = last < starts_.size() ? starts_[last] : body_.size();
  const std::string lines = body_.substr(begin, end - begin);
  Reply reply = send_once(client, lines);
  switch (reply.kind) {
    case Reply::Kind::stored:
      lines_ += last - first;
      return reply;
    case Reply::Kind::in_part:  // the others are stored
      lines_ += last - first - std::min<std::uint64_t>(reply.dropped, last - first);
      bury(last - first == 1 ? lines : "", reply.message, reply.dropped);
      return {.kind = Reply::Kind::stored};
    case Reply::Kind::refused:
    case Reply::Kind::too_large:
      break;
    default:
      return reply;
  }
  if (last - first == 1) {
    bury(lines, reply.message, 1);
    return {.kind = Reply::Kind::stored};
  }
  const std::size_t middle = first + (last - first) / 2;
  reply = send(client, first, middle);
  return reply.kind == Reply::Kind::stored ? send(client, middle, last) : reply;
}

Reply InfluxSink::send_once(Client& client, const std::string& lines) {
  ++requests_;
  Reply reply = client.write(lines);
  if (reply.kind != Reply::Kind::missing || options_.version2) return reply;
  if (const Reply made = client.create_database(); made.kind != Reply::Kind::stored) {
    reply.message += "; it cannot be made either: " + made.message + "; let somebody with that right say CREATE DATABASE \"" + options_.database + "\"";
    return reply;
  }
  log::info("database made", log::field("sink", name_), log::field("database", options_.database));
  return client.write(lines);
}

void InfluxSink::bury(std::string_view lines, const std::string& why, std::uint64_t count) {
  refused_ += count;
  worker_.dead_letter(why);
  const bool kept = letters_.put(lines, why);
  if (std::exchange(told_refused_, true)) return;
  log::error(kept ? "changes that the database never takes are left out; more are only counted" : "changes that the database never takes are left out, and the file for them cannot be written",
             log::field("sink", name_), log::field("reason", why));
}

void InfluxSink::stored() {
  if (position_ > acknowledged_) {
    acknowledged_ = position_;
    worker_.collector().acknowledge(position_);
  }
  body_.clear();
  starts_.clear();
  waiting_ = 0;
  if (worker_.set_state(ConnectorState::up, "")) log::info("database connected", log::field("sink", name_), log::field("server", options_.url));
}

void InfluxSink::failed(const Reply& reply) {
  ++retries_;
  std::string reason = reply.message;
  if (reply.kind == Reply::Kind::missing && options_.version2) reason += "; make it: influx bucket create --org '" + options_.org + "' --name '" + options_.bucket + "'";
  if (!worker_.set_state(ConnectorState::down, reason)) return;
  log::warn("not written to the database; trying on", log::field("sink", name_), log::field("server", options_.url), log::field("reason", reason));
}

ConnectorStatus InfluxSink::status() const {
  ConnectorStatus status;
  status.changes = lines_;
  status.dropped = refused_;
  status.counters = {{"lines", lines_}, {"requests", requests_}, {"bytes", bytes_}, {"dead_letters", refused_}, {"retries", retries_},
                     {"journal_errors", journal_errors_}, {"waiting", waiting_}};
  status.details.emplace_back("server", options_.url);
  worker_.describe(status);
  return status;
}

}  // namespace

const SinkType& sink_type() {
  static const SinkType type{"influxdb", [](const SinkCommon& common, SettingsReader& settings) -> std::unique_ptr<Sink> {
                               return std::make_unique<InfluxSink>(common, read_options(settings));
                             }};
  return type;
}

}  // namespace sallyport::influxdb
