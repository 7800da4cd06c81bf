// What happens to a network in one schedule, and when.
#include "schedule.h"

#include <algorithm>

#include "checks.h"

namespace sallyport::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kStep = 10ms;
constexpr Duration kStays = 5s;         // what has converged stays so

class Schedule {
 public:
  Schedule(std::uint64_t seed, bool trace, Figures& figures)
      : random_(seed * 0x9E3779B97F4A7C15ull + 1), shape_(random_shape(random_)), world_(shape_, seed, trace), watch_(world_), seed_(seed), figures_(figures) {
    // A route that gave points to a better one cannot be compared as a whole, so it is not repaired: single routes only.
    tampering_ = random_() % 4 == 0 && shape_.spare.empty();
    for (const Shape::Link& l : shape_.links) insertion_due_ = insertion_due_ || l.use == Shape::Link::Use::after;
  }

  std::optional<std::string> run() {
    const MonotonicTime began = world_.now();
    for (int phase = 0; phase < 2 && !world_.failure(); ++phase) {
      pass(2s, Changes::some, false);
      pass(1s * (5 + random_() % 20), random_() % 10 == 0 ? Changes::many : Changes::some, true);
      heal();
      pass(1s, Changes::some, false);
      converge();
      burst();
      if (one_in(2)) renew_in_peace();
      if (!shape_.spare.empty() && random_() % 2 == 0) lose_and_regain(shape_.spare[random_() % shape_.spare.size()]);
    }
    if (shape_.spare.empty()) check_nothing_repaired(world_);
    figures_.virtual_time += world_.now() - began;
    return world_.failure();
  }

 private:
  enum class Changes : std::uint8_t { none, some, many };

  bool one_in(unsigned n) { return random_() % n == 0; }

  void pass(Duration time, Changes changes, bool faults) {
    world_.ghosts = faults;
    MonotonicTime next_fault = world_.now() + 1ms * (random_() % 2000);
    for (const MonotonicTime end = world_.now() + time; world_.now() < end && !world_.failure();) {
      for (std::size_t device = 0; device < world_.devices().size(); ++device) {
        if (changes == Changes::many) world_.change_some(device, 30);
        else if (changes == Changes::some && one_in(10)) world_.change_some(device, one_in(20) ? 60 : 2);
        if (faults && one_in(1500)) world_.remove_one(device);
        if (faults && one_in(1500)) world_.add_one(device);
      }
      if (faults && world_.now() >= next_fault) {
        fault();
        ++figures_.faults;
        next_fault = world_.now() + 1ms * (random_() % 3000);
      }
      world_.step(kStep);
      watch_.check();
      check_bounds(world_);
    }
  }

  void fault() {
    const auto node = static_cast<int>(random_() % world_.nodes().size());
    const auto cable = static_cast<std::size_t>(random_() % world_.cables().size());
    Cable& c = world_.cables()[cable];
    const std::string name = "cable " + std::to_string(cable);
    switch (random_() % 20) {
      case 0: case 1: c.dead[0] = c.dead[1] = true; world_.note(name + " pulled"); break;
      case 2: c.dead[random_() % 2] = true; world_.note(name + " half open"); break;
      case 3: case 4: case 5: c = Cable{}; world_.note(name + " healed"); break;
      case 6: world_.reset(static_cast<int>(cable)); break;
      case 7: c.delay = 1ms * (1 + random_() % 200); world_.note(name + " delayed"); break;
      case 8: c.bytes_per_second = one_in(2) ? 125 : 20'000; world_.note(name + " slow"); break;
      case 9: world_.kill(node); break;
      case 10: case 11: world_.start(node); break;
      case 12: world_.freeze(node); break;
      case 13: world_.thaw(node); break;
      case 14: world_.step_clock(node, (static_cast<std::int64_t>(random_() % 7'200) - 3'600) * 1'000'000'000); break;
      case 15:
        if (one_in(2)) world_.source_lost(node);
        else world_.source_back(node);
        break;
      case 16:
        if (tampering_) world_.tamper(node);
        break;
      case 18: case 19: world_.renew(static_cast<int>(cable)); break;
      case 17:
        if (std::exchange(insertion_due_, false)) world_.insert_node(one_in(2));
        break;
    }
  }

  void heal() {
    for (Cable& cable : world_.cables()) cable = Cable{};
    for (std::size_t i = 0; i < world_.nodes().size(); ++i) {
      const auto node = static_cast<int>(i);
      world_.thaw(node);
      world_.start(node);
      world_.source_back(node);
    }
    world_.note("everything healed");
  }

  // The devices rest: within the stated time all mirrors are right, and stay so.
  void converge() {
    const MonotonicTime began = world_.now();
    while (!world_.failure() && find_difference(world_)) {
      if (world_.now() - began > kConverge) {
        const auto difference = find_difference(world_);
        return world_.fail(difference->invariant, difference->what);
      }
      pass(200ms, Changes::none, false);
    }
    if (const Duration took = world_.now() - began; took > figures_.slowest) {
      figures_.slowest = took;
      figures_.slowest_seed = seed_;
    }
    pass(kStays, Changes::none, false);
    if (const auto difference = find_difference(world_); difference && !world_.failure()) world_.fail(difference->invariant, difference->what);
  }

  // A point that asks for its edges changes several times at once.
  void burst() {
    if (world_.failure()) return;
    const std::size_t device = random_() % world_.devices().size();
    for (const auto& [path, truth] : world_.devices()[device].points) {
      if (!truth.exists || !asks_for_edges(path) || world_.tampered(path)) continue;
      const auto edges = static_cast<int>(1 + random_() % 5);
      world_.change_one(device, path, edges);
      pass(1500ms, Changes::none, false);
      if (!world_.failure()) check_edges(world_, device, path, static_cast<std::size_t>(edges));
      return;
    }
  }

  // All is well, and connections are made anew for fresh keys: no consumer may notice.
  void renew_in_peace() {
    if (world_.failure()) return;
    world_.calm = true;
    for (int i = 0; i < 3; ++i) {
      world_.renew(static_cast<int>(random_() % world_.cables().size()));
      pass(1ms * (random_() % 3000), Changes::some, false);
    }
    converge();
    world_.calm = false;
  }

  // Redundancy: without this node the rest goes on; when it is back, nobody is disturbed and the better route is used.
  void lose_and_regain(int node) {
    if (world_.failure()) return;
    world_.kill(node);
    pass(1s, Changes::some, false);
    pass(kTimeout, Changes::none, false);
    converge();
    world_.calm = true;
    world_.start(node);
    pass(8s, Changes::some, false);
    converge();
    world_.calm = false;
  }

  Random random_;
  Shape shape_;
  World world_;
  PathWatch watch_;
  std::uint64_t seed_;
  Figures& figures_;
  bool tampering_ = false;
  bool insertion_due_ = false;
};

}  // namespace

std::optional<std::string> run_schedule(std::uint64_t seed, bool trace, Figures& figures) { return Schedule(seed, trace, figures).run(); }

}  // namespace sallyport::sim
