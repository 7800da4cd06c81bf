// The history built into a node: keeps what the points were in an SQLite database beside the node's other state. A thread
// of its own collects and writes; others answer questions (reads.h). Whatever befalls the database, the rest of the node
// is not disturbed: the journal keeps what waits for it, and the namespace goes on.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/wake_fd.h"
#include "history/last_values.h"
#include "history/reads.h"
#include "history/retention.h"
#include "history/store.h"
#include "namespace/collector.h"
#include "namespace/source.h"

namespace sallyport::history {

struct HistoryOptions {
  std::string node;
  std::string path;                                  // of the database
  std::vector<std::string> texts;                    // patterns, as written
  Patterns match;
  Duration max_age = std::chrono::hours(24) * 365;   // 0: no limit
  std::uint64_t max_size = 0;                        // bytes; 0: no limit
  Duration commit = std::chrono::seconds(1);
  bool sync_each = true;                             // fsync = "batch"; false: "os"
  Duration tidy = std::chrono::seconds(60);          // how often what is too old is looked for
};

// How the journal knows it (Feeds::open).
inline constexpr const char* kReaderName = "history";

class History {
 public:
  History(HistoryOptions options, Clock& clock);
  ~History() { stop(); }
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // Returns at once. `feeds` may be null. Fails only when the journal cannot be read. Main thread.
  Result<void> start(Namespace& ns, Feeds* feeds);
  void stop();                                       // writes what it has; bounded: some seconds. Main thread.
  ConnectorStatus status() const;                    // Any thread.
  Reads& reads() { return reads_; }                  // Any thread.

 private:
  void run();
  void look_after_database();
  Result<void> open();
  bool collect();
  void take(Row& row);
  bool commit();
  void tidy();
  void wait();
  void go_down(const Error& error);
  void go_up();
  void note_outage();
  bool commit_due(MonotonicTime now) const;
  Gap own_gap(GapCause cause, UtcNanoseconds start, UtcNanoseconds end, std::string detail) const;
  void set_state(ConnectorState state, std::string reason);

  const HistoryOptions options_;
  Clock& clock_;
  std::shared_ptr<WakeFd> wake_ = std::make_shared<WakeFd>();
  Reads reads_;
  std::unique_ptr<Collector> collector_;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;

  // The thread's own.
  std::unique_ptr<Store> store_;
  Retention retention_;
  LastValues last_;
  RowNames names_;
  Rows rows_;
  StoreBatch batch_;
  std::size_t batch_bytes_ = 0;
  bool resumed_ = false, more_ = false;
  MonotonicTime last_commit_{}, next_tidy_{}, retry_at_{};
  Duration retry_{0};
  UtcNanoseconds followed_ = 0;                      // when the collector was read last

  mutable std::mutex mutex_;                         // over what follows
  ConnectorState state_ = ConnectorState::starting;
  std::string reason_;
  UtcNanoseconds since_ = 0;
  std::atomic<std::uint64_t> written_ = 0, commits_ = 0, failures_ = 0, repeats_ = 0, deleted_ = 0, size_ = 0, points_ = 0;
};

}  // namespace sallyport::history
