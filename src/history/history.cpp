#include "history/history.h"

#include <poll.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "base/log.h"

namespace sallyport::history {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kPull = 4096;                     // rows pulled at once
constexpr std::size_t kMaxRows = 100'000;               // collected before they are written, whatever the interval
constexpr std::size_t kMaxBytes = 32u << 20;            // of their values
constexpr Duration kPullEvery = milliseconds(5);        // woken for each change, it would do little else
constexpr Duration kAliveEvery = std::chrono::seconds(10);
constexpr Duration kFirstRetry = milliseconds(200), kLastRetry = std::chrono::seconds(30);
constexpr Duration kTidyBudget = milliseconds(50);
constexpr Duration kStopBudget = std::chrono::seconds(3);

MonotonicTime now() { return std::chrono::steady_clock::now(); }

}  // namespace

History::History(HistoryOptions options, Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      reads_(options_.path),
      retention_({.max_age = options_.max_age, .max_size = options_.max_size}) {}

Result<void> History::start(Namespace& ns, Feeds* feeds) {
  if (wake_->fd() < 0) return fail(ErrorCode::limit, "no file descriptor left; raise the limit (LimitNOFILE=)");
  auto collector = Collector::make(ns, feeds, kReaderName, options_.match, [wake = wake_] { wake->wake(); });
  if (!collector) return std::unexpected(collector.error());
  collector_ = *std::move(collector);
  names_ = {[this](std::uint32_t id) -> const FeedPoint& { return collector_->point(id); },
            [this](std::uint32_t id) -> const std::string& { return collector_->stream(id); }};
  set_state(ConnectorState::starting, "");
  reads_.start();
  thread_ = std::thread([this] { run(); });
  return {};
}

void History::stop() {
  if (!thread_.joinable()) return;
  reads_.stop();  // first: who closes a database last tidies up its write-ahead log
  stopping_ = true;
  wake_->wake();
  thread_.join();
  collector_.reset();
  set_state(ConnectorState::stopped, "");
}

ConnectorStatus History::status() const {
  ConnectorStatus status;
  {
    const std::lock_guard lock(mutex_);
    status.state = state_;
    status.reason = reason_;
    status.since = since_;
  }
  status.points = points_;
  status.changes = written_;
  status.details.emplace_back("path", options_.path);
  const auto reads = reads_.status();
  status.counters = {{"commits", commits_},   {"failures", failures_}, {"repeats", repeats_},         {"deleted", deleted_},
                     {"bytes", size_},        {"reads", reads.answered}, {"reads_failed", reads.failed}, {"reads_refused", reads.refused}};
  return status;
}

void History::run() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);  // the node's signals are for its main thread
  while (!stopping_) {
    look_after_database();
    wake_->drain();
    if (store_) {
      const bool collected = collect();
      if (collected && commit_due(now())) commit();
      if (store_ && now() >= next_tidy_) tidy();
    }
    if (!stopping_) wait();
  }
  const MonotonicTime deadline = now() + kStopBudget;
  if (!store_ && retry_at_ <= now()) look_after_database();
  do {
    if (!store_ || !collect() || !commit()) break;
  } while (more_ && now() < deadline);
  store_.reset();
}

void History::wait() {
  const MonotonicTime time = now();
  MonotonicTime until = time + kPullEvery;
  if (store_ && more_) return;
  if (!store_) {
    until = retry_at_;
  } else {
    // Nothing came: sleep until something does, or until there is something to be done.
    pollfd pause{-1, 0, 0};
    poll(&pause, 1, static_cast<int>(std::chrono::ceil<milliseconds>(kPullEvery).count()));
    const bool pending = !batch_.rows.empty() || !batch_.gaps.empty() || batch_.progress.position != store_->progress().position;
    until = std::min(last_commit_ + (pending ? options_.commit : kAliveEvery), next_tidy_);
  }
  const auto left = std::chrono::ceil<milliseconds>(until - now()).count();
  pollfd wake{wake_->fd(), POLLIN, 0};
  if (!stopping_) poll(&wake, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
}

void History::look_after_database() {
  if (store_ || now() < retry_at_) return;
  if (auto ok = open(); !ok) return go_down(ok.error());
  last_commit_ = {};  // at once: whether it can be written is seen only then
}

Result<void> History::open() {
  auto store = Store::open({options_.path, options_.sync_each});
  if (!store) return std::unexpected(store.error());
  store_ = *std::move(store);
  if (std::exchange(resumed_, true)) {
    if (store_->progress().alive == 0) last_.restate(batch_.rows);  // a new one in place of another
    note_outage();
    return {};
  }
  const Progress& before = store_->progress();
  batch_.progress = {collector_->journal(), 0, before.alive};
  if (collector_->has_feed() && before.journal == collector_->journal()) {
    collector_->resume(before.position);
    batch_.progress.position = before.position;
  }
  const UtcNanoseconds time = clock_.utc();
  if (before.alive > 0 && time > before.alive) batch_.gaps.push_back(own_gap(GapCause::restart, before.alive, time, "the node was not running"));
  return {};
}

Gap History::own_gap(GapCause cause, UtcNanoseconds start, UtcNanoseconds end, std::string detail) const {
  return {.node = options_.node, .where = kReaderName, .cause = cause, .start = start, .end = end, .match = options_.texts, .detail = std::move(detail)};
}

bool History::commit_due(MonotonicTime time) const {
  if (batch_.rows.size() >= kMaxRows || batch_bytes_ >= kMaxBytes) return true;
  const bool pending = !batch_.rows.empty() || !batch_.gaps.empty() || batch_.progress.position != store_->progress().position;
  return time - last_commit_ >= (pending ? options_.commit : kAliveEvery);
}

// False: the database failed.
bool History::collect() {
  more_ = true;
  while (more_ && batch_.rows.size() < kMaxRows && batch_bytes_ < kMaxBytes && !(stopping_ && batch_.rows.size() > kPull)) {
    const UtcNanoseconds time = clock_.utc();
    if (auto ok = collector_->pull(rows_, kPull); !ok) {
      set_state(ConnectorState::up, ok.error().message);  // of the journal; what the namespace shows goes on
    }
    more_ = rows_.more;
    if (rows_.position > batch_.progress.position) batch_.progress.position = rows_.position;
    for (FeedGap& gap : rows_.gaps) batch_.gaps.push_back(std::move(gap.gap));
    for (std::size_t i = 0; i < rows_.rows.size(); ++i) {
      Row& row = rows_.rows[i];
      if (!row.every) {
        const auto news = last_.look(*store_, row, collector_->point(row.point), time);
        if (!news) {
          // What was pulled is not lost: it is stored as it came.
          for (; i < rows_.rows.size(); ++i) take(rows_.rows[i]);
          go_down(news.error());
          return false;
        }
        if (!*news) continue;
      }
      take(row);
    }
    followed_ = time;
  }
  batch_.progress.alive = std::max(batch_.progress.alive, followed_);
  return true;
}

void History::take(Row& row) {
  points_ = std::max<std::uint64_t>(points_, row.point + std::uint64_t{1});
  batch_bytes_ += sizeof(Row) + (row.value.is_blob() ? row.value.contents().size() : 0);
  batch_.rows.push_back(std::move(row));
}

// False: the database failed; the batch is kept for the next try, and nothing more is collected until then.
bool History::commit() {
  last_commit_ = now();
  if (auto ok = store_->write(batch_, names_); !ok) {
    go_down(ok.error());
    return false;
  }
  collector_->acknowledge(batch_.progress.position);
  written_ += batch_.rows.size();
  ++commits_;
  repeats_ = store_->repeats();
  batch_.clear();
  batch_bytes_ = 0;
  if (store_->moved_away()) {
    go_down({ErrorCode::io, options_.path + ": moved away or replaced; a new one is made"});
    return false;
  }
  retry_ = Duration(0);
  go_up();
  if (auto ok = store_->checkpoint(); !ok) {
    go_down(ok.error());
    return false;
  }
  return true;
}

void History::tidy() {
  const MonotonicTime deadline = now() + kTidyBudget;
  bool more = true;
  while (more && now() < deadline) {
    const auto step = retention_.step(store_->database(), clock_.utc());
    if (!step) return go_down(step.error());
    more = *step;
  }
  deleted_ = retention_.deleted();
  if (const auto used = used_bytes(store_->database())) size_ = *used;
  next_tidy_ = now() + (more ? std::min<Duration>(options_.commit, milliseconds(200)) : options_.tidy);
}

void History::go_down(const Error& error) {
  ++failures_;
  store_.reset();
  retry_ = retry_.count() == 0 ? kFirstRetry : std::min(2 * retry_, kLastRetry);
  retry_at_ = now() + retry_;
  bool news = false;
  {
    const std::lock_guard lock(mutex_);
    news = state_ != ConnectorState::down || reason_ != error.message;
  }
  if (!news) return;
  log::error("history cannot be written; the journal keeps what is marked every", log::field("reason", error.message));
  set_state(ConnectorState::down, error.message);
}

void History::go_up() {
  {
    const std::lock_guard lock(mutex_);
    if (state_ == ConnectorState::up) return;
  }
  log::info("history open", log::field("path", options_.path));
  set_state(ConnectorState::up, "");
}

// While nothing was collected, points that are not journalled may have changed unseen.
void History::note_outage() {
  const UtcNanoseconds time = clock_.utc();
  const auto noted = std::ranges::find_if(batch_.gaps, [](const Gap& gap) { return gap.where == kReaderName && gap.cause == GapCause::too_slow; });
  if (noted != batch_.gaps.end()) noted->end = time;
  else if (followed_ > 0 && followed_ < time) batch_.gaps.push_back(own_gap(GapCause::too_slow, followed_, time, "the history could not be written"));
}

void History::set_state(ConnectorState state, std::string reason) {
  const std::lock_guard lock(mutex_);
  if (state_ != state) since_ = clock_.utc();
  state_ = state;
  reason_ = std::move(reason);
}

}  // namespace sallyport::history
