// Seals a node's own points while it runs: reads them as a sink does, and puts the containers into the namespace as a source
// does, so that links carry them like everything else. One thread.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/wake_fd.h"
#include "namespace/source.h"
#include "seal/sealer.h"

namespace sallyport::seal {

struct SealingStatus {
  std::string prefix;
  bool confidential = false, plain = true;
  SealCounters counters;
  std::uint64_t foreign = 0;      // matching points that entered the network elsewhere: not sealed here
  std::string failure;
};

class SealService {
 public:
  // `state_file`: remembers epochs.
  SealService(Namespace& ns, std::string node, std::vector<SealOptions> seals, std::shared_ptr<const net::Signer> signer,
              std::string state_file);
  ~SealService() { stop(false); }
  SealService(const SealService&) = delete;
  SealService& operator=(const SealService&) = delete;

  Result<void> start();       // Main thread. io: the state cannot be kept
  // `gone`: the containers vanish; else they stay as they are, for the next start. Main thread.
  void stop(bool gone);
  void set_signer(std::shared_ptr<const net::Signer> signer);   // Any thread.
  std::vector<SealingStatus> status() const;                    // Any thread.

 private:
  struct Rule {   // one pattern of a [[seal]]
    Pattern pattern;
    std::size_t seal;
    std::size_t stream;
  };
  struct Stream {
    std::string prefix;
    std::size_t seal;
    std::unique_ptr<Sealer> sealer;
    std::string failure;
    std::uint64_t foreign = 0;
  };
  struct Known {
    std::int32_t stream = -1;
    RouteId route = kNoRoute;
  };

  void run();
  void take(const Batch& batch);
  void take_one(const Batch& batch, const Update& update);
  std::int32_t stream_of(std::string_view path, RouteId route);
  void tick();
  void put(const std::string& path, Bytes container, UtcNanoseconds now);
  void flush(UtcNanoseconds now);
  Result<void> begin_epoch();
  std::pair<Duration, bool> wait() const;   // until the next tick, and whether something waits for it

  Namespace& namespace_;
  const std::string node_;
  const std::vector<SealOptions> seals_;
  std::vector<Patterns> matches_;      // of each seal, exclusions included
  std::vector<Rule> rules_;
  const std::string state_file_;
  std::shared_ptr<const WakeFd> wake_ = std::make_shared<const WakeFd>();
  std::unique_ptr<Subscription> subscription_;
  std::unique_ptr<Publisher> publisher_;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;

  // The thread's.
  std::uint64_t epoch_ = 0;
  std::vector<Known> known_;                        // by point
  std::map<RouteId, bool> own_;                     // routes that begin at this node; for one batch
  std::map<std::string, PointId, std::less<>> ids_; // of containers
  struct Fresh {
    std::string path;
    Value value;
  };
  std::vector<Fresh> fresh_;
  std::vector<Change> changes_;
  bool snapshot_ = true;                            // not everything has been seen yet

  mutable std::mutex mutex_;                        // over the streams; held per batch
  std::vector<Stream> streams_;
  std::shared_ptr<const net::Signer> signer_, new_signer_;
  bool renewal_failed_ = false;
};

}  // namespace sallyport::seal
