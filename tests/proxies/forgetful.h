// A middlebox as cheap routers are: it forgets a connection over which nothing went for a while. Nobody is told; what
// either side says from then on is lost.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "process.h"

namespace sallyport::tests {

class Forgetful {
 public:
  // Listens on a free loopback port and passes to 127.0.0.1:`to_port`.
  Forgetful(std::uint16_t to_port, Clock::duration patience);
  ~Forgetful();
  Forgetful(const Forgetful&) = delete;
  Forgetful& operator=(const Forgetful&) = delete;
  std::uint16_t port() const { return port_; }
  unsigned forgotten() const { return forgotten_; }
  unsigned connections() const { return connections_; }

 private:
  struct Pair;
  void run();
  std::uint16_t to_port_, port_ = 0;
  Clock::duration patience_;
  int listener_ = -1;
  std::atomic<bool> stop_{false};
  std::atomic<unsigned> forgotten_{0}, connections_{0};
  std::thread thread_;
};

}  // namespace sallyport::tests
