// A plant and an office with a diode between them: two real nodes, their keys and settings.
#pragma once

#include <memory>
#include <string>

#include "harness.h"

namespace sallyport::tests {

struct DiodePairOptions {
  int points = 500;
  int rate = 500;                        // changes a second
  std::string send = {}, receive = {};   // "udp://…"; default: straight over loopback
  std::string bit_rate = "20 Mbit/s";
  std::string max_staleness = "4s";
  std::string more_diode = {};           // of the sender: ", repeat = 2"
  std::string plant_more = {}, office_more = {};   // tables
  bool every = false;
  pid_t plant_network = 0, office_network = 0;
};

class DiodePair {
 public:
  explicit DiodePair(DiodePairOptions options);
  DiodePair(const DiodePair&) = delete;
  DiodePair& operator=(const DiodePair&) = delete;

  Node& plant() { return *plant_; }
  Node& office() { return *office_; }
  bool start_plant(const std::vector<std::string>& before = {});
  bool start_office();
  bool start() { return start_office() && start_plant(); }
  // All points are there and good.
  bool complete(Clock::duration limit = seconds(20));
  bool equal(Clock::duration limit = seconds(10));   // digests, and all good; the source rests by now
  void rest();                                       // the source
  std::string figure(const std::string& name);       // of the office's diode
  std::uint64_t count(const std::string& name);
  std::string logs();
  std::uint16_t port() const { return port_; }       // where the office receives
  const TempFolder& folder() const { return folder_; }

 private:
  DiodePairOptions options_;
  TempFolder folder_;
  std::uint16_t port_;
  std::unique_ptr<Pki> pki_;
  std::unique_ptr<Node> plant_, office_;
};

}  // namespace sallyport::tests
