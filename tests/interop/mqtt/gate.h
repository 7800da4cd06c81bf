// A gate on the way to the broker: passes bytes on, slowly if told, and cuts connections or refuses new ones on
// command.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

namespace sallyport::interop {

class Gate {
 public:
  explicit Gate(std::uint16_t to_port);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  std::string url() const { return "mqtt://127.0.0.1:" + std::to_string(port_); }
  void set_bytes_per_second(std::uint64_t rate) { rate_ = rate; }  // towards the broker; 0: no limit
  void cut() { ++cuts_; }                                          // resets what is connected
  void set_open(bool open) { open_ = open; }                       // closed: connections are reset at once

 private:
  void serve();
  void pass(int client, int broker);

  std::uint16_t to_port_, port_ = 0;
  int listener_ = -1;
  std::atomic<bool> stopping_ = false, open_ = true;
  std::atomic<std::uint64_t> rate_ = 0;
  std::atomic<unsigned> cuts_ = 0;
  std::thread thread_;
};

}  // namespace sallyport::interop
