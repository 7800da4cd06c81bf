// One thread: it collects rows in memory, at most a batch, and writes them. While the database is away nothing is collected:
// the journal and the namespace hold what there is.
#include "sinks/postgres/postgres_sink.h"

#include <poll.h>

#include <atomic>
#include <iterator>
#include <mutex>
#include <optional>
#include <random>

#include "base/backoff.h"
#include "base/log.h"
#include "namespace/sink_worker.h"
#include "sinks/postgres/pg_settings.h"
#include "sinks/postgres/store.h"

namespace sallyport::postgres {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kFirstRetry = milliseconds(200), kLastRetry = seconds(30);
constexpr Duration kStopBudget = seconds(3);             // to write what is still to be written
constexpr std::size_t kMaxBytes = 64u << 20;             // of values that wait in memory
constexpr std::size_t kMaxPull = 16'384;

MonotonicTime now() { return std::chrono::steady_clock::now(); }

class PostgresSink final : public Sink {
 public:
  PostgresSink(const SinkCommon& common, Options options)
      : name_(common.name), node_(common.node), publish_(common.publish), options_(std::move(options)) {}
  ~PostgresSink() override { worker_.stop(); }
  PostgresSink(const PostgresSink&) = delete;
  PostgresSink& operator=(const PostgresSink&) = delete;

  bool durable() const override { return true; }
  void use_feeds(Feeds& feeds) override { feeds_ = &feeds; }
  Result<void> start(Namespace& ns) override;
  void stop() override { worker_.stop(); }
  ConnectorStatus status() const override;

 private:
  void run();
  Error serve(Connection& connection);  // until it fails or the sink stops
  Result<void> settle(Store& store);    // after a (re)connect: what of the rows in memory is in the database already?
  Result<void> write(Store& store);
  void collect();
  void take(Rows& pulled);
  bool full() const { return pending_.rows.size() >= options_.batch || pending_bytes_ >= kMaxBytes; }
  bool anything() const { return !pending_.rows.empty() || !pending_.gaps.empty() || pending_.position > stored_; }
  void wait(int fd, Duration at_most) const;
  void forget_pending(bool live_too);
  void came_up(const Connection& connection, const Schema& schema);
  void note_failure(const Error& error);
  void note_written(const Written& written);

  const std::string name_, node_;
  const Patterns publish_;
  const Options options_;
  Feeds* feeds_ = nullptr;

  // The thread's own.
  Rows pulled_, pending_;
  std::size_t pending_bytes_ = 0;
  Position stored_ = 0;                 // as the database said last
  bool resumed_ = false, look_again_ = true, told_journal_ = false;
  MonotonicTime first_pending_{};

  bool told_refused_ = false;

  mutable std::mutex mutex_;            // guards the next one
  std::string server_;
  std::atomic<std::uint64_t> rows_ = 0, repeated_ = 0, gaps_ = 0, refused_ = 0, transactions_ = 0, retries_ = 0, connects_ = 0, journal_errors_ = 0, waiting_ = 0;
  SinkWorker worker_{name_, "sink-postgres", kStopBudget};
};

Result<void> PostgresSink::start(Namespace& ns) {
  return worker_.start(ns, feeds_, publish_, [this] { run(); });
}

// --- Connecting ------------------------------------------------------------------------------------------------------

void PostgresSink::run() {
  Backoff backoff(kFirstRetry, kLastRetry, std::random_device()());
  while (!worker_.stopping()) {
    const std::uint64_t before = transactions_;
    const bool first = connects_ == 0;
    auto connection = Connection::open(options_, "sallyport " + options_.reader, [this] { return worker_.giving_up() || (worker_.stopping() && connects_ == 0); });
    Error error = connection ? serve(**connection) : connection.error();
    if (worker_.stopping()) return;
    note_failure(error);
    ++retries_;
    if (transactions_ != before || (first && connects_ > 0)) backoff.reset();
    worker_.pause(backoff.next());
  }
}

Error PostgresSink::serve(Connection& connection) {
  Schema schema(connection, options_);
  if (auto ok = schema.prepare(); !ok) return ok.error();
  Store store(connection, schema, worker_.collector(), options_);
  if (auto ok = settle(store); !ok) return ok.error();
  came_up(connection, schema);
  while (!worker_.giving_up()) {
    const bool last = worker_.stopping();  // then everything that there was before is collected below
    collect();
    const bool due = full() || last || (anything() && now() >= first_pending_ + options_.commit);
    if (due && anything()) {
      if (auto ok = write(store); !ok) return ok.error();
      continue;
    }
    if (last) break;
    if (look_again_) continue;
    wait(connection.fd(), anything() ? std::max<Duration>(first_pending_ + options_.commit - now(), Duration(0)) : seconds(1));
    if (!connection.check()) return {ErrorCode::unavailable, "the server ended the connection"};
  }
  return {ErrorCode::closed, "stopping"};
}

Result<void> PostgresSink::settle(Store& store) {
  if (!worker_.collector().has_feed()) return {};
  auto found = store.position();
  if (!found) return std::unexpected(found.error());
  const Position at = *found;
  if (!resumed_) {
    if (at != 0) worker_.collector().resume(at);
    resumed_ = true;
  } else if (pending_.position != 0 && at == pending_.position && at != stored_) {
    forget_pending(true);  // the last transaction was committed; only its answer was lost
    worker_.collector().acknowledge(at);
  } else if (at != stored_) {
    // The database was set back or moved on without us: what it holds counts.
    log::warn("the database is at another place of the journal than it was left at; going on from there", log::field("sink", name_),
              log::field("left", std::to_string(stored_)), log::field("found", std::to_string(at)));
    forget_pending(false);
    worker_.collector().resume(at);
    look_again_ = true;
  }
  stored_ = at;
  return {};
}

void PostgresSink::forget_pending(bool live_too) {
  if (live_too) pending_.clear();
  std::erase_if(pending_.rows, [](const Row& row) { return row.every; });
  pending_.gaps.clear();
  pending_.position = 0;
  if (pending_.rows.empty()) pending_bytes_ = 0;
}

// --- Rows ------------------------------------------------------------------------------------------------------------

void PostgresSink::collect() {
  if (worker_.wake().drain()) look_again_ = true;
  while (look_again_ && !full()) {
    const std::size_t room = std::min(kMaxPull, options_.batch - pending_.rows.size());
    if (auto ok = worker_.collector().pull(pulled_, room); !ok) {
      if (journal_errors_++ == 0 || !told_journal_) {
        log::error("the journal cannot be read; trying on", log::field("sink", name_), log::field("reason", ok.error().message));
        told_journal_ = true;
      }
      pulled_.more = false;
    }
    look_again_ = pulled_.more;
    take(pulled_);
  }
  waiting_ = pending_.rows.size();
}

void PostgresSink::take(Rows& pulled) {
  const bool before = anything();
  for (const Row& row : pulled.rows) pending_bytes_ += sizeof(Row) + row.value.contents().size();
  std::ranges::move(pulled.rows, std::back_inserter(pending_.rows));
  std::ranges::move(pulled.gaps, std::back_inserter(pending_.gaps));
  pending_.position = std::max(pending_.position, pulled.position);
  pulled.clear();
  if (!before && anything()) first_pending_ = now();
}

Result<void> PostgresSink::write(Store& store) {
  auto written = store.write(pending_, stored_);
  if (!written) {
    if (written.error().code == ErrorCode::exists) return settle(store);
    return std::unexpected(written.error());
  }
  if (pending_.position > stored_) {
    stored_ = pending_.position;
    worker_.collector().acknowledge(stored_);
  }
  forget_pending(true);
  waiting_ = 0;
  note_written(*written);
  return {};
}

// --- Waiting ---------------------------------------------------------------------------------------------------------

void PostgresSink::wait(int fd, Duration at_most) const {
  pollfd on[2] = {{worker_.wake().fd(), POLLIN, 0}, {fd, POLLIN, 0}};
  poll(on, 2, static_cast<int>(std::chrono::ceil<milliseconds>(at_most).count()));
}

// --- Telling ---------------------------------------------------------------------------------------------------------

void PostgresSink::came_up(const Connection& connection, const Schema& schema) {
  ++connects_;
  const std::string tls = connection.tls();
  std::string server = "PostgreSQL " + connection.server_version() + (schema.hypertable() ? ", TimescaleDB" : "") + (tls.empty() ? "" : ", " + tls);
  log::info("database connected", log::field("sink", name_), log::field("server", options_.server), log::field("is", server));
  {
    const std::lock_guard lock(mutex_);
    server_ = std::move(server);
  }
  worker_.set_state(ConnectorState::up, "");
}

void PostgresSink::note_failure(const Error& error) {
  if (!worker_.set_state(ConnectorState::down, error.message)) return;
  log::warn("not written to the database; trying on", log::field("sink", name_), log::field("server", options_.server), log::field("reason", error.message));
}

void PostgresSink::note_written(const Written& written) {
  rows_ += written.rows;
  repeated_ += written.repeated;
  gaps_ += written.gaps;
  refused_ += written.refused;
  ++transactions_;
  if (written.refused == 0) return;
  worker_.dead_letter(written.reason);
  if (std::exchange(told_refused_, true)) return;
  log::error("rows that the database never takes lie in the table dead_letters; more are only counted", log::field("sink", name_), log::field("reason", written.reason));
}

ConnectorStatus PostgresSink::status() const {
  ConnectorStatus status;
  status.changes = rows_;
  status.dropped = refused_;
  const std::uint64_t connects = connects_;
  status.counters = {{"rows", rows_}, {"repeated", repeated_}, {"gaps", gaps_}, {"dead_letters", refused_},
                     {"transactions", transactions_}, {"retries", retries_}, {"reconnects", connects > 0 ? connects - 1 : 0},
                     {"journal_errors", journal_errors_}, {"waiting", waiting_}};
  status.details.emplace_back("server", options_.server);
  {
    const std::lock_guard lock(mutex_);
    if (!server_.empty()) status.details.emplace_back("is", server_);
  }
  worker_.describe(status);
  return status;
}

}  // namespace

const SinkType& sink_type() {
  static const SinkType type{"postgres", [](const SinkCommon& common, SettingsReader& settings) -> std::unique_ptr<Sink> {
                               return std::make_unique<PostgresSink>(common, read_options(common, settings));
                             }};
  return type;
}

}  // namespace sallyport::postgres
