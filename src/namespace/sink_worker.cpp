#include "namespace/sink_worker.h"

#include <poll.h>
#include <sys/prctl.h>

#include <csignal>

#include "namespace/sink.h"

namespace sallyport {
namespace {

MonotonicTime now() { return std::chrono::steady_clock::now(); }

// The node's signals are for its main thread.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

SinkWorker::SinkWorker(std::string sink, std::string thread_name, Duration stop_budget)
    : sink_(std::move(sink)), thread_name_(std::move(thread_name)), stop_budget_(stop_budget) {}

Result<void> SinkWorker::start(Namespace& ns, Feeds* feeds, const Patterns& publish, std::function<void()> run, const std::function<void()>& prepare) {
  if (wake_->fd() < 0) return fail(ErrorCode::limit, "no file descriptor left; raise the limit (LimitNOFILE=)");
  namespace_ = &ns;
  auto collector = Collector::make(ns, feeds, reader_name(sink_), publish, [wake = wake_] { wake->wake(); });
  if (!collector) return std::unexpected(collector.error());
  {
    const std::lock_guard lock(mutex_);
    collector_ = *std::move(collector);
  }
  set_state(ConnectorState::connecting, "");
  if (prepare) prepare();
  thread_ = std::thread([this, run = std::move(run)] {
    block_signals();
    prctl(PR_SET_NAME, thread_name_.c_str());
    run();
  });
  return {};
}

void SinkWorker::stop() {
  if (!thread_.joinable()) return;
  stop_by_ = now() + stop_budget_;
  stopping_ = true;
  wake_->wake();
  thread_.join();
  {
    const std::lock_guard lock(mutex_);
    collector_.reset();
  }
  set_state(ConnectorState::stopped, "");
}

bool SinkWorker::giving_up() const { return stopping_ && now() >= stop_by_.load(); }

bool SinkWorker::wait(Duration at_most) const {
  pollfd woken{wake_->fd(), POLLIN, 0};
  poll(&woken, 1, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(std::max(at_most, Duration(0))).count()));
  return wake_->drain();
}

void SinkWorker::pause(Duration time) const {
  const MonotonicTime until = now() + time;
  while (!stopping_ && now() < until) std::this_thread::sleep_for(std::min<Duration>(until - now(), std::chrono::milliseconds(50)));
}

bool SinkWorker::set_state(ConnectorState state, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (state_ == state && reason_ == reason) return false;
  state_ = state;
  reason_ = reason;
  since_ = namespace_->clock().utc();
  return true;
}

void SinkWorker::dead_letter(const std::string& example) {
  const std::lock_guard lock(mutex_);
  dead_example_ = example;
}

void SinkWorker::describe(ConnectorStatus& status) const {
  const std::lock_guard lock(mutex_);
  status.state = state_;
  status.reason = reason_;
  status.since = since_;
  const FeedStatus feed = collector_ && collector_->has_feed() ? collector_->status() : FeedStatus{};
  status.counters.emplace_back("behind", feed.behind);
  status.counters.emplace_back("behind_bytes", feed.behind_bytes);
  if (feed.oldest != 0) status.details.emplace_back("oldest unacknowledged", format_utc(feed.oldest));
  if (!dead_example_.empty()) status.details.emplace_back("dead letter", dead_example_);
}

}  // namespace sallyport
