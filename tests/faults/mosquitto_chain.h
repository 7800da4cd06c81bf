// The same path made of three Mosquitto brokers and bridges with QoS 1 and retained messages: a publisher at the first, a
// subscriber at the last, a gate in each connection. What it is configured with lies in tests/faults/mosquitto.
#pragma once

#include <atomic>
#include <memory>

#include "harness.h"

struct mosquitto;

namespace sallyport::tests {

// The source: one topic per point, each change a retained QoS 1 message `{"path", "value", "quality", "timestamp"}`.
class Publisher {
 public:
  Publisher(std::uint16_t port, std::size_t points);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;
  void change_each_once(std::size_t per_second);
  void change_at(std::size_t per_second);   // all in turn, until rest()
  void rest();                              // and everything published was acknowledged by the first broker
  std::map<std::string, std::string> truth() const;  // value by path

 private:
  void publish(std::size_t point);
  mosquitto* client_;
  std::vector<std::atomic<int>> values_;
  std::atomic<std::uint64_t> asked_{0}, acknowledged_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class MosquittoChain {
 public:
  explicit MosquittoChain(bool tuned);
  Gate& gate(std::size_t hop) { return *gates_[hop]; }
  Process& broker(std::size_t index) { return brokers_[index]; }
  void start(std::size_t index);
  std::uint16_t port(std::size_t index) const { return ports_[index]; }
  std::string log(std::size_t index) const;

 private:
  TempFolder folder_;
  std::vector<std::uint16_t> ports_;
  std::vector<std::unique_ptr<Gate>> gates_;
  std::vector<std::string> files_;
  std::vector<Process> brokers_;
};

}  // namespace sallyport::tests
