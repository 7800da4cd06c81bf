// A TCP relay between two nodes, for cables that can be pulled and lines that are slow. Has a thread of its own;
// methods are for the main thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/wake_fd.h"

namespace sallyport::cli::bench {

struct RelayOptions {
  std::uint16_t target = 0;            // port on 127.0.0.1
  std::uint64_t bytes_per_second = 0;  // each way; 0: no limit
};

struct RelayFigures {
  std::uint64_t forward_bytes = 0, backward_bytes = 0;  // from who dials, and to it
  std::uint64_t connections = 0;
  UtcNanoseconds connected = 0;  // when the newest connection was let through
};

class Relay {
 public:
  static Result<std::unique_ptr<Relay>> start(const RelayOptions& options);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  std::uint16_t port() const { return port_; }
  // Resets every connection and every new one, until mend().
  void cut();
  void mend();
  RelayFigures figures() const;

 private:
  struct Pair;
  explicit Relay(const RelayOptions& options);
  Result<void> open();
  void run();
  void accept_one();
  bool move(Pair& pair, bool forward, MonotonicTime now);
  void drop(Pair& pair) const;

  const RelayOptions options_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  WakeFd wake_;
  std::vector<std::unique_ptr<Pair>> pairs_;
  std::atomic<bool> stopping_ = false, cut_ = false;
  std::atomic<std::uint64_t> forward_ = 0, backward_ = 0, connections_ = 0;
  std::atomic<UtcNanoseconds> connected_ = 0;
  std::thread thread_;
};

}  // namespace sallyport::cli::bench
