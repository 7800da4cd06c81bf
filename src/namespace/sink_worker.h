// The thread of a sink that reads a Collector and writes to a server which may be away: its start and stop, how it waits, and
// what every such sink tells of itself. The sink owns one, and stops it before its own members go.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/wake_fd.h"
#include "namespace/collector.h"
#include "namespace/source.h"

namespace sallyport {

class SinkWorker {
 public:
  // `stop_budget`: how long the thread may go on after stop() was called, to hand over what there is.
  SinkWorker(std::string sink, std::string thread_name, Duration stop_budget);
  ~SinkWorker() { stop(); }
  SinkWorker(const SinkWorker&) = delete;
  SinkWorker& operator=(const SinkWorker&) = delete;

  // Opens the collector; `prepare` runs before the thread does. limit: no file descriptor left. Main thread.
  Result<void> start(Namespace& ns, Feeds* feeds, const Patterns& publish, std::function<void()> run, const std::function<void()>& prepare = {});
  void stop();                                      // Main thread.

  // The sink's thread.
  Collector& collector() { return *collector_; }
  const std::atomic<bool>& stopping() const { return stopping_; }  // Any thread.
  bool giving_up() const;                           // stopping, and the budget is spent. Any thread.
  const WakeFd& wake() const { return *wake_; }     // readable when there is something to collect, or on stop()
  bool wait(Duration at_most) const;                // for the above; whether it came
  void pause(Duration time) const;                  // only stop() ends it early

  // Any thread. Whether this is news.
  bool set_state(ConnectorState state, const std::string& reason);
  void dead_letter(const std::string& example);     // shown in the status
  // Fills in state, reason, how far the journal is behind, and the last dead letter.
  void describe(ConnectorStatus& status) const;     // Any thread.

 private:
  const std::string sink_, thread_name_;
  const Duration stop_budget_;
  Namespace* namespace_ = nullptr;
  std::shared_ptr<const WakeFd> wake_ = std::make_shared<const WakeFd>();  // wakers may outlast us a moment
  std::thread thread_;
  std::atomic<bool> stopping_ = false;
  std::atomic<MonotonicTime> stop_by_{};

  mutable std::mutex mutex_;                        // guards what follows; the thread uses the collector without it
  std::unique_ptr<Collector> collector_;
  ConnectorState state_ = ConnectorState::starting;
  std::string reason_, dead_example_;
  UtcNanoseconds since_ = 0;
};

}  // namespace sallyport
