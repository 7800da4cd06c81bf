// Three nodes with a simulator in the first and foreign consumers behind the last; a fault, and what the last consumer
// knew of it. The simulator rests when told to, so that its values can be compared with what arrived.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "harness.h"
#include "row.h"

namespace sallyport::tests {

struct Times {
  std::string heartbeat, timeout;
  Clock::duration limit;                     // of `timeout`
};
// The default 1 s / 3 s for the page; four times as fast in tests.
Times usual_times();

// A loaded machine that runs other tests beside gets this much more than what is promised.
inline constexpr auto kSlack = seconds(1);

// A table of the simulator. `rest_file`: it rests once that file exists. More lines may follow.
std::string ramp_source(std::size_t points, std::size_t rate, const std::string& rest_file);

// What a point must look like at the end, by path.
struct Truth {
  std::string value, quality, timestamp;
};
std::map<std::string, Truth> truth_of(Node& node);
// Points of `truth` that are missing or different in what a consumer saw last.
std::size_t count_wrong(const std::map<std::string, Truth>& truth, const std::map<std::string, Seen>& latest);

enum class Order { by_time, by_value };     // a ramp starts again with its node; the clock may be stepped: one of both holds
// `example` is told the first two of them.
std::size_t count_backwards(const std::vector<Seen>& all, Order order, std::string* example = nullptr);

// Points that a consumer was told to be good in (from, to).
std::size_t told_good(const std::vector<Seen>& all, Clock::time_point from, Clock::time_point to);

struct Fault {
  std::string name;
  Clock::duration promised{};               // until the last consumer knows
  std::function<void()> hurt, heal;
  Order order = Order::by_time;
};

class Scene : public testing::Test {
 protected:
  // Fills in source, times and consumers; `watched` points.
  void begin(ChainOptions options, std::size_t points = 20, std::size_t rate = 100);
  // The whole life of one fault: asserted, and reported as a row.
  void suffer(const Fault& fault);
  // Lets the source rest; every mirror and the consumer must become equal to it. How many points did not.
  std::size_t rest_and_count_wrong(Clock::duration limit = seconds(15));
  bool digests_become_equal(Clock::duration limit);

  Clock::duration by_timeout() const { return times_.limit + milliseconds(500); }
  static Clock::duration by_reset() { return milliseconds(200); }
  std::size_t late_good();                  // what a consumer who comes now is told to be good

  Times times_ = usual_times();
  TempFolder folder_;
  std::string rest_file_ = folder_.path() + "/rest";
  std::size_t points_ = 0;
  std::unique_ptr<Chain> chain_;
  std::unique_ptr<Watcher> consumer_;
};

}  // namespace sallyport::tests
