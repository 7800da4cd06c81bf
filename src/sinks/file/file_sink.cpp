#include "sinks/file/file_sink.h"

#include <poll.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/wake_fd.h"
#include "sinks/file/append_file.h"
#include "sinks/file/record.h"

namespace sallyport::file {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kPull = 1024;               // updates pulled at once
constexpr std::size_t kFlush_bytes = 256 * 1024;  // a batch of large values is written in pieces of about this size
constexpr std::size_t kMaxRemoved = 10'000;       // removals remembered while the file cannot be written
constexpr Duration kCheckEvery = std::chrono::seconds(1);
constexpr Duration kFirstRetry = milliseconds(200), kLastRetry = std::chrono::seconds(10);
constexpr Duration kStopBudget = std::chrono::seconds(2);

struct Options {
  std::string path;
  Format format = Format::ndjson;
};

MonotonicTime now() { return std::chrono::steady_clock::now(); }

// The node's signals are for its main thread; SIGPIPE would kill the process when a pipe's reader goes.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

class FileSink final : public Sink {
 public:
  FileSink(const SinkCommon& common, Options options)
      : name_(common.name),
        options_(std::move(options)),
        publish_(common.publish),
        file_(options_.path, options_.format == Format::csv ? std::string(kCsvHeader) : "") {}
  ~FileSink() override { stop(); }
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  Result<void> start(Namespace& ns) override {
    if (wake_->fd() < 0) return fail(ErrorCode::limit, "no file descriptor left; raise the limit (LimitNOFILE=)");
    namespace_ = &ns;
    subscribe();
    set_state(ConnectorState::starting, "");
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void stop() override {
    if (!thread_.joinable()) return;
    stopping_ = true;
    wake_->wake();
    thread_.join();
    subscription_.reset();
    set_state(ConnectorState::stopped, "");
  }

  ConnectorStatus status() const override {
    ConnectorStatus status;
    {
      const std::lock_guard lock(mutex_);
      status.state = state_;
      status.reason = reason_;
      status.since = since_;
    }
    status.changes = written_.load(std::memory_order_relaxed);
    status.dropped = dropped_.load(std::memory_order_relaxed);
    status.details.emplace_back("path", options_.path);
    status.counters.emplace_back("bytes", bytes_.load(std::memory_order_relaxed));
    status.counters.emplace_back("opened", opened_.load(std::memory_order_relaxed));
    status.counters.emplace_back("failed_writes", failed_.load(std::memory_order_relaxed));
    return status;
  }

 private:
  void subscribe() {
    subscription_.reset();
    subscription_ = std::make_unique<Subscription>(*namespace_, SubscriptionOptions{.patterns = publish_},
                                                   [wake = wake_] { wake->wake(); });
  }

  void run() {
    block_signals();
    RouteCache routes(*namespace_);
    Batch batch;
    while (!stopping_) {
      look_after_file();
      wake_->drain();
      const bool more = move_batch(batch, routes);
      if (!more && !stopping_) wait();
    }
    const MonotonicTime deadline = now() + kStopBudget;
    if (opened_ == 0) open();  // stopped before the first turn
    while (file_.is_open() && move_batch(batch, routes) && now() < deadline) {
    }
    file_.close();
  }

  void wait() const {
    const MonotonicTime until = file_.is_open() ? next_check_ : retry_at_;
    const auto left = std::chrono::ceil<milliseconds>(until - now()).count();
    pollfd wake{wake_->fd(), POLLIN, 0};
    poll(&wake, 1, static_cast<int>(std::max<std::int64_t>(0, left)));
  }

  // Opens it when it is due, and anew after logrotate took it away.
  void look_after_file() {
    const MonotonicTime time = now();
    if (file_.is_open()) {
      if (time < next_check_) return;
      next_check_ = time + kCheckEvery;
      if (!file_.moved_away()) {
        if (auto ok = file_.check_header(); !ok) go_down(ok.error());
        return;
      }
      log::info("file moved away; opening a new one", log::field("sink", name_), log::field("path", options_.path));
    } else if (time < retry_at_) {
      return;
    }
    open();
  }

  void open() {
    if (auto ok = file_.open(); !ok) return go_down(ok.error());
    ++opened_;
    next_check_ = now() + kCheckEvery;
    if (missed_) {
      if (!write_removed()) return;
      missed_ = false;
      subscribe();  // begins with the present state of every point, which makes up for what was dropped
    }
    if (state_ != ConnectorState::up) {
      log::info("writing", log::field("sink", name_), log::field("path", options_.path));
      set_state(ConnectorState::up, "");
    }
  }

  bool write_removed() {
    std::string text;
    RouteCache routes(*namespace_);
    Update removed;
    removed.kind = UpdateKind::removed;
    for (const std::string& path : removed_) append_record(text, options_.format, path, removed, routes);
    if (!write(text, removed_.size())) return false;
    removed_.clear();
    return true;
  }

  // Returns whether there is more to move at once.
  bool move_batch(Batch& batch, RouteCache& routes) {
    batch.clear();
    subscription_->pull(batch, kPull);
    routes.refresh();
    if (batch.updates.empty()) return batch.more;
    std::size_t lines = 0;
    text_.clear();
    for (std::size_t i = 0; i < batch.updates.size(); ++i) {
      const Update& update = batch.updates[i];
      if (!file_.is_open()) {
        drop(batch, update);
        continue;
      }
      append_record(text_, options_.format, batch.path(update), update, routes);
      ++lines;
      const bool last = i + 1 == batch.updates.size();
      if (!last && text_.size() < kFlush_bytes) continue;
      if (!write(text_, lines)) {
        for (std::size_t k = i + 1 - lines; k <= i; ++k) drop(batch, batch.updates[k]);
      }
      lines = 0;
      text_.clear();
    }
    if (text_.capacity() > 4 * kFlush_bytes) text_ = {};  // one huge value shall not stay
    return batch.more || !batch.updates.empty();
  }

  bool write(std::string_view text, std::size_t lines) {
    if (auto ok = file_.append(text); !ok) {
      go_down(ok.error());
      return false;
    }
    retry_ = kFirstRetry;
    written_.fetch_add(lines, std::memory_order_relaxed);
    bytes_.fetch_add(text.size(), std::memory_order_relaxed);
    return true;
  }

  // What a new subscription tells again (definitions) is not lost, what it cannot tell (removals) is remembered.
  void drop(const Batch& batch, const Update& update) {
    missed_ = true;
    if (update.kind == UpdateKind::defined) return;
    if (update.kind == UpdateKind::removed && removed_.size() < kMaxRemoved)
      removed_.emplace_back(batch.path(update));
    else
      dropped_.fetch_add(1, std::memory_order_relaxed);
  }

  void go_down(const Error& error) {
    file_.close();
    missed_ = true;
    retry_at_ = now() + retry_;
    retry_ = std::min(2 * retry_, kLastRetry);
    ++failed_;
    if (state_ != ConnectorState::down || reason_ != error.message) {
      log::error("cannot write; changes are dropped until it works again", log::field("sink", name_),
                 log::field("reason", error.message));
      set_state(ConnectorState::down, error.message);
    }
  }

  void set_state(ConnectorState state, std::string reason) {
    const std::lock_guard lock(mutex_);
    state_ = state;
    reason_ = std::move(reason);
    since_ = namespace_->clock().utc();
  }

  const std::string name_;
  const Options options_;
  const Patterns publish_;
  Namespace* namespace_ = nullptr;
  std::shared_ptr<const WakeFd> wake_ =
      std::make_shared<const WakeFd>();  // the waker may outlast the subscription a moment
  std::unique_ptr<Subscription> subscription_;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;

  // The thread's own.
  AppendFile file_;
  std::string text_;
  bool missed_ = false;  // updates were dropped since the file could last be written
  std::vector<std::string> removed_;
  MonotonicTime next_check_{}, retry_at_{};
  Duration retry_ = kFirstRetry;

  mutable std::mutex mutex_;  // guards the next three; only the thread writes them while it runs
  ConnectorState state_ = ConnectorState::starting;
  std::string reason_;
  UtcNanoseconds since_ = 0;
  std::atomic<std::uint64_t> written_ = 0, bytes_ = 0, dropped_ = 0, opened_ = 0, failed_ = 0;
};

Options read_options(SettingsReader& settings) {
  Options options;
  options.path = settings.file("path");
  if (!settings.has("path")) settings.problem("", "a file sink needs `path`, the file to append to");
  options.format = settings.choice("format", "ndjson", {"ndjson", "csv"}) == "csv" ? Format::csv : Format::ndjson;
  return options;
}

}  // namespace

const SinkType& sink_type() {
  static const SinkType type{"file", [](const SinkCommon& common, SettingsReader& settings) -> std::unique_ptr<Sink> {
                               return std::make_unique<FileSink>(common, read_options(settings));
                             }};
  return type;
}

}  // namespace sallyport::file
