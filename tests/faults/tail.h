// A consumer for days: the event stream of a node, of which only the present state of each point is kept. It connects again
// when its node goes away.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "harness.h"

namespace sallyport::tests {

class Tail {
 public:
  explicit Tail(std::uint16_t http_port);

  void connect();                          // anew; what was known stays known, so that a step back is seen
  std::uint64_t updates() const { return updates_; }
  std::uint64_t backwards() const { return backwards_; }
  std::string first_backwards() const;     // what it was
  std::size_t good() const;
  std::string some_good() const;           // a path
  // When the last of all points turned not good, if none is good.
  std::optional<Clock::time_point> none_good_since() const;

 private:
  struct State {
    bool good = false;
    Clock::time_point turned;
    std::string timestamp;
  };
  void take(Clock::time_point when, const std::string& line);

  std::uint16_t port_;
  std::atomic<std::uint64_t> updates_{0}, backwards_{0};
  mutable std::mutex mutex_;
  std::map<std::string, State> points_;
  std::string first_backwards_;
  std::unique_ptr<LineReader> reader_;     // last: its thread ends before the rest goes
};

}  // namespace sallyport::tests
