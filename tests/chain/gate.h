// A TCP gate between two peers that can stall, reset, slow to a trickle and close; the faults that need no privilege.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace sallyport::tests {

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
