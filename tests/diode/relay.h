// What lies between the two sides of a diode: a way that loses datagrams, and one that carries the bytes of a TCP connection
// on and never answers. Both forward in one direction only; each has a thread of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace sallyport::tests {

class LossyRelay {
 public:
  // From a free UDP port on loopback to 127.0.0.1:`to_port`.
  explicit LossyRelay(std::uint16_t to_port);
  ~LossyRelay();
  LossyRelay(const LossyRelay&) = delete;
  LossyRelay& operator=(const LossyRelay&) = delete;

  std::uint16_t port() const { return port_; }
  void lose(double share) { loss_ = share; }
  void burst(unsigned datagrams) { burst_ = datagrams; }   // so many in a row, now
  void cut(bool on) { cut_ = on; }
  void swap_order(bool on) { swap_ = on; }                 // each second datagram goes before the first
  std::uint64_t forwarded() const { return forwarded_; }
  std::uint64_t lost() const { return lost_; }

 private:
  void work();
  int in_ = -1, out_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<double> loss_ = 0;
  std::atomic<unsigned> burst_ = 0;
  std::atomic<bool> cut_ = false, swap_ = false, stop_ = false;
  std::atomic<std::uint64_t> forwarded_ = 0, lost_ = 0;
  std::thread thread_;
};

class ByteRelay {
 public:
  // A TCP-emulating diode: takes connections on a free port, and opens one of its own to 127.0.0.1:`to_port` for each.
  explicit ByteRelay(std::uint16_t to_port);
  ~ByteRelay();
  ByteRelay(const ByteRelay&) = delete;
  ByteRelay& operator=(const ByteRelay&) = delete;

  std::uint16_t port() const { return port_; }
  void reset();                                            // both connections
  void drop_bytes(std::size_t count) { drop_ = count; }    // out of the middle of the stream
  void insert_garbage(std::size_t count) { garbage_ = count; }
  std::uint64_t carried() const { return carried_; }
  std::uint64_t came_back() const { return came_back_; }   // bytes that the far side sent, which went nowhere

 private:
  void work();
  int listener_ = -1;
  std::uint16_t port_ = 0, to_port_;
  std::atomic<std::size_t> drop_ = 0, garbage_ = 0;
  std::atomic<bool> reset_ = false, stop_ = false;
  std::atomic<std::uint64_t> carried_ = 0, came_back_ = 0;
  std::thread thread_;
};

}  // namespace sallyport::tests
