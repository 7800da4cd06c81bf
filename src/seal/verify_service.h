// Verifies the points that [[verify]] names while the node runs: reads containers as a sink does, and brings the points in
// as a source does. One thread for all of them.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/wake_fd.h"
#include "namespace/namespace.h"
#include "seal/unsealer.h"

namespace sallyport::seal {

// What containers are given to: finds the stream that a path belongs to. No thread, no waiting. One thread at a time.
class VerifierSet {
 public:
  VerifierSet(Namespace& ns, std::string node, std::vector<VerifyOptions> options, std::shared_ptr<const net::Trust> trust,
              const std::vector<StreamMemory>& memories);

  Patterns patterns() const;                    // of the containers it wants to see
  void take(std::string_view path, const Update& update);
  void tick();
  void stop();
  void set_trust(const std::shared_ptr<const net::Trust>& trust);
  bool memory_changed();
  std::vector<StreamMemory> memories() const;
  std::vector<StreamStatus> status() const;

 private:
  struct Verify {
    VerifyOptions options;
    std::map<std::string, std::unique_ptr<Unsealer>, std::less<>> streams;   // by prefix
  };
  Unsealer* stream_of(Verify& verify, std::string_view prefix, bool make);
  void look_back(const std::string& origin, const std::string& prefix);

  Namespace& namespace_;
  const std::string node_;
  std::shared_ptr<const net::Trust> trust_;
  std::vector<Verify> verifies_;
  std::vector<StreamMemory> forgotten_;         // of streams that are not configured now
};

class VerifyService {
 public:
  // `state_file`: remembers what must not come again.
  VerifyService(Namespace& ns, std::string node, std::vector<VerifyOptions> options, std::shared_ptr<const net::Trust> trust,
                std::string state_file);
  ~VerifyService() { stop(); }
  VerifyService(const VerifyService&) = delete;
  VerifyService& operator=(const VerifyService&) = delete;

  Result<void> start();   // Main thread.
  void stop();            // its points stay until the destruction, not good. Main thread.
  void set_trust(const std::shared_ptr<const net::Trust>& trust);   // Any thread.
  std::vector<StreamStatus> status() const;                         // Any thread.

 private:
  void run();
  void save(bool now);

  Namespace& namespace_;
  const std::string node_;
  const std::vector<VerifyOptions> options_;
  const std::string state_file_;
  std::shared_ptr<const WakeFd> wake_ = std::make_shared<const WakeFd>();
  std::unique_ptr<Subscription> subscription_;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;
  Duration tick_ = std::chrono::milliseconds(100);
  MonotonicTime save_at_{};
  bool save_failed_ = false;

  mutable std::mutex mutex_;   // over the streams; held per batch
  std::shared_ptr<const net::Trust> trust_;
  std::unique_ptr<VerifierSet> streams_;
};

}  // namespace sallyport::seal
