// Consumers that nobody here wrote, mosquitto_sub and curl, remembered point by point with the time of each arrival.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "process.h"

namespace sallyport::tests {

// A point as a consumer saw it.
struct Seen {
  Clock::time_point when;
  std::string path, value, quality, status, status_name, timestamp, origin;
  std::string cause_node, cause_link, cause_what;
};
// Reads a point's JSON; nullopt when it is none.
std::optional<Seen> parse_point(const std::string& json);

class Watcher {
 public:
  // `mosquitto_sub -t '#'` at this broker.
  static std::unique_ptr<Watcher> mqtt(std::uint16_t port, const std::string& topic = "#");
  // `curl -N` on the node's event stream.
  static std::unique_ptr<Watcher> sse(std::uint16_t port, const std::string& match = "**", pid_t network_of = 0);

  std::map<std::string, Seen> latest() const;
  std::vector<Seen> all() const;                        // in order of arrival
  std::vector<std::string> removed() const;             // paths that were announced as gone
  // Waits until at least `points` are known and each of them has this quality ("good"), or not this one ("!good").
  bool wait_for_all(const std::string& quality, std::size_t points, Clock::duration limit) const;
  // How long after `since` the last of the points that were good turned to something else; nullopt when one still is.
  // What came before `since` counts as before it.
  std::optional<Clock::duration> until_none_good(Clock::time_point since) const;
  std::optional<Clock::duration> until_all_good(Clock::time_point since) const;

 private:
  explicit Watcher(const std::vector<std::string>& command, pid_t network_of = 0);
  void take(Clock::time_point when, const std::string& line);

  mutable std::mutex mutex_;
  std::vector<Seen> seen_;
  std::map<std::string, Seen> latest_;
  std::vector<std::string> removed_;
  std::string event_;
  std::unique_ptr<LineReader> reader_;  // last: its thread ends before the rest goes
};

}  // namespace sallyport::tests
