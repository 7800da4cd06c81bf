#include "sources/opcua/opcua_source.h"

#include <pthread.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <random>
#include <thread>

#include "base/log.h"
#include "sources/opcua/opcua_session.h"

namespace sallyport::opcua {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kFirstRetry = milliseconds(200);
constexpr Duration kSecondRetry = seconds(1);
constexpr Duration kMaxRetry = seconds(30);
constexpr Duration kStable = seconds(5);  // live for so long: the next retry is quick again
constexpr Duration kSayAgain = std::chrono::minutes(10);

// Grows from one retry to the next; ± 20 % so that forty sources do not come back in step.
class BackOff {
 public:
  Duration next() {
    const Duration base = wait_;
    wait_ = wait_ < kSecondRetry ? kSecondRetry : std::min<Duration>(2 * wait_, kMaxRetry);
    return std::chrono::duration_cast<Duration>(base * std::uniform_real_distribution<double>(0.8, 1.2)(random_));
  }
  void reset() { wait_ = kFirstRetry; }

 private:
  Duration wait_ = kFirstRetry;
  std::minstd_rand random_{std::random_device{}()};
};

// The node's signals are for its main thread.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

class OpcUaSource final : public Source {
 public:
  OpcUaSource(std::string name, SourceSettings settings) : name_(std::move(name)), settings_(std::move(settings)) {}
  ~OpcUaSource() override { OpcUaSource::stop(); }

  Result<void> start(Publisher& out) override {
    out_ = &out;
    set_state(ConnectorState::connecting, "");
    thread_ = std::thread([this] { run(); });
    return {};
  }
  void stop() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }
  ConnectorStatus status() const override {
    const std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  void run();
  void wait(Duration duration);
  void say(const Error& error, bool was_live, Duration retry);
  void set_state(ConnectorState state, std::string reason);
  void on_report(const Session::Report& report);
  void copy_counters();

  const std::string name_;
  const SourceSettings settings_;
  Publisher* out_ = nullptr;
  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::condition_variable wake_;

  // The thread's own.
  Points points_;
  Counters counters_;
  BackOff back_off_;
  std::string last_said_;
  MonotonicTime last_said_at_{};
  std::int64_t said_count_ = 0;

  mutable std::mutex mutex_;
  ConnectorStatus status_;
};

void OpcUaSource::run() {
  pthread_setname_np(pthread_self(), "opcua");
  block_signals();
  while (!stop_) {
    bool was_live = false;
    Result<void> ended;
    MonotonicTime live_since{};
    {
      Session session(name_, settings_, *out_, points_, counters_, stop_, [&](const Session::Report& report) {
        if (report.live && live_since == MonotonicTime{}) live_since = out_->clock().monotonic();
        on_report(report);
      });
      ended = session.run();
      was_live = session.was_live();
      // At once: closing the session takes a moment, and the points are stale already.
      if (!ended && !stop_) out_->lost(ended.error().message);
    }
    if (stop_) break;
    if (was_live && out_->clock().monotonic() - live_since > kStable) back_off_.reset();
    if (was_live) ++counters_.reconnects;
    const Duration retry = back_off_.next();
    set_state(was_live ? ConnectorState::connecting : ConnectorState::down, ended.error().message);
    say(ended.error(), was_live, retry);
    wait(retry);
  }
  if (out_ != nullptr) out_->lost("source stopped");
  set_state(ConnectorState::stopped, "");
}

void OpcUaSource::wait(Duration duration) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, duration, [this] { return stop_.load(); });
}

// A repeated failure is one line, with a count when it is said again.
void OpcUaSource::say(const Error& error, bool was_live, Duration retry) {
  const MonotonicTime now = out_->clock().monotonic();
  ++said_count_;
  if (!was_live && error.message == last_said_ && now - last_said_at_ < kSayAgain) return;
  const bool someone_must_act =
      error.code == ErrorCode::refused || error.code == ErrorCode::invalid || error.code == ErrorCode::limit;
  const log::Level level = was_live || someone_must_act ? log::Level::error : log::Level::warn;
  // The reason is not a field: it may say what to do, which a field would cut off.
  log::line(level, (was_live ? "opcua: connection lost: " : "opcua: cannot connect: ") + error.message,
            log::field("source", name_), log::field("endpoint", settings_.endpoint),
            log::field("retry_ms", std::chrono::duration_cast<milliseconds>(retry).count()),
            log::field("times", said_count_));
  last_said_ = error.message;
  last_said_at_ = now;
  said_count_ = 0;
}

void OpcUaSource::set_state(ConnectorState state, std::string reason) {
  const std::lock_guard lock(mutex_);
  if (status_.state != state) status_.since = out_ != nullptr ? out_->clock().utc() : SystemClock().utc();
  status_.state = state;
  status_.reason = std::move(reason);
  copy_counters();
}

// With the lock held.
void OpcUaSource::copy_counters() {
  status_.points = points_.by_path.size();
  status_.changes = counters_.changes;
  status_.dropped = counters_.overflows;
  status_.counters = {{"reconnects", counters_.reconnects},       {"overflows", counters_.overflows},
                      {"sequence_gaps", counters_.sequence_gaps}, {"republished", counters_.republished},
                      {"items_failed", counters_.items_failed},   {"points_refused", counters_.points_refused},
                      {"stale_dropped", counters_.stale_dropped}};
}

void OpcUaSource::on_report(const Session::Report& report) {
  if (report.live) last_said_.clear();
  const bool up = report.live && (report.missing.empty() || !points_.by_path.empty());
  const ConnectorState state = up            ? ConnectorState::up
                               : report.live ? ConnectorState::down
                                             : ConnectorState::connecting;
  set_state(state, report.missing);
  const std::lock_guard lock(mutex_);
  status_.details = report.details;
}

}  // namespace

const SourceType& source_type() {
  static const SourceType type{"opcua",
                               [](const SourceCommon& common, SettingsReader& settings) -> std::unique_ptr<Source> {
                                 return std::make_unique<OpcUaSource>(common.name, read_source_settings(settings));
                               }};
  return type;
}

}  // namespace sallyport::opcua
