// A TCP gate between two peers that can stall, reset, slow to a trickle, close, and be far away; the faults that need no
// privilege.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace sallyport::tests {

// A long way. A relay in user space cannot drop a segment of its own: it shows what TCP makes of the loss. A segment that is
// lost comes one retransmission (a round trip and a bit) later, and everything behind it waits for it, as TCP delivers in
// order. What the peers' TCP would do to their rate on account of the loss is not modelled; give `bytes_per_second` for that.
struct Distance {
  std::chrono::nanoseconds round_trip{0};
  double loss = 0;                     // share of 1,460-byte segments
  std::uint64_t bytes_per_second = 0;  // 0: no limit
};

class Gate {
 public:
  // Listens on a free loopback port and passes to 127.0.0.1:`to_port`.
  explicit Gate(std::uint16_t to_port);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  std::uint16_t port() const;
  void stall(bool on);               // connections stay, bytes wait; new ones are accepted and hear nothing
  void trickle(unsigned bytes_per_second);  // 0: full speed again
  void move_away(const Distance& distance);  // from now on; with {} and nothing on the way it is near again
  void reset();                      // RST to both sides of every connection
  void refuse(bool on);              // new connections are reset at once
  unsigned connections() const;      // accepted so far

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A free TCP port on loopback, outside the range the kernel gives to outgoing connections; no other test process is given
// it as long as this one runs.
std::uint16_t free_port();

// A raw TCP connection that says something and listens for what comes back until the peer closes or `limit_ms` is over.
struct RawReply {
  bool connected = false;
  bool closed = false;               // the peer closed it within the limit
  std::string bytes;
};
RawReply send_raw(std::uint16_t port, const std::string& bytes, int limit_ms, bool half_close = false);

}  // namespace sallyport::tests
