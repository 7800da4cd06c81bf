// Deterministic simulation of whole networks: random faults from a seed, invariants checked while they happen and after.
//   sallyport_sim --schedules N [--first SEED]    run N schedules, stop at the first failure
//   sallyport_sim --seed SEED --trace             replay one, readable
//   sallyport_sim --seconds S                     run until S seconds of real time are over (0: until told to stop)
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/log.h"
#include "world.h"

namespace sallyport::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kStep = 10ms;
constexpr Duration kTimeout = 3s;
constexpr Duration kSlack = 500ms;      // promise 3
constexpr Duration kConverge = 20s;     // after the last fault: dialling again, a full resend, a digest and a repair

// Watches promise 3. Along each path from an origin to a consumer the broken edge nearest to the consumer counts: the node
// behind it must have noticed within the timeout, and the news must have come on over the edges after it, which work.
class PathWatch {
 public:
  explicit PathWatch(World& world) : world_(world), edges_(world.ends().size()) {
    for (std::size_t origin = 0; origin < world.nodes().size(); ++origin) {
      if (world.nodes()[origin].sources.empty()) continue;
      std::vector<std::size_t> path;
      std::vector<bool> passed(world.nodes().size());
      find_paths(origin, origin, passed, path);
    }
  }

  void check() {
    for (const Cable& cable : world_.cables()) {
      if (cable.bytes_per_second > 0) slow_until_ = world_.now();
    }
    for (std::size_t e = 0; e < edges_.size(); ++e) follow(edges_[e], world_.ends()[e]);
    for (const auto& [pair, paths] : paths_) {
      const SimNode& consumer = world_.nodes()[pair.second];
      if (!works(consumer) || world_.now() - consumer.thawed < 200ms) continue;
      // What is on its way over a slow cable goes on arriving after its sender broke: old news, but news.
      if (world_.now() - slow_until_ < kTimeout + kSlack) continue;
      Duration delays{0};
      for (const Cable& cable : world_.cables()) delays += cable.delay;
      MonotonicTime due{};
      for (const auto& path : paths) due = std::max(due, must_know(path) + delays);
      if (world_.now() > due) check(pair.first, consumer, world_.now() - due);
    }
  }

 private:
  struct Edge {
    bool works = true, cable_works = true;
    MonotonicTime since{};
  };

  static bool works(const SimNode& node) { return node.alive && !node.frozen; }
  // A cable that heals before a node that froze meanwhile still brings what that had sent before: no older news than that.
  void follow(Edge& edge, const SimEnd& end) const {
    const bool cable_works = world_.cables()[static_cast<std::size_t>(end.cable)].works(end.direction);
    const bool works_now = cable_works && works(world_.nodes()[static_cast<std::size_t>(end.node)]);
    if (edge.works != works_now || (cable_works && !edge.cable_works)) edge.since = world_.now();
    edge.works = works_now;
    edge.cable_works = cable_works;
  }

  void find_paths(std::size_t origin, std::size_t at, std::vector<bool>& passed, std::vector<std::size_t>& path) {
    passed[at] = true;
    if (!path.empty()) paths_[{origin, at}].push_back(path);
    for (const int e : world_.nodes()[at].ends) {
      const SimEnd& end = world_.ends()[static_cast<std::size_t>(e)];
      if (!end.sends || passed[static_cast<std::size_t>(end.peer)]) continue;
      path.push_back(static_cast<std::size_t>(e));
      find_paths(origin, static_cast<std::size_t>(end.peer), passed, path);
      path.pop_back();
    }
    passed[at] = false;
  }

  MonotonicTime must_know(const std::vector<std::size_t>& path) const {
    MonotonicTime news{};
    for (std::size_t i = path.size(); i-- > 0;) {
      const Edge& edge = edges_[path[i]];
      if (!edge.works) return std::max(news, edge.since + kTimeout) + kSlack;
      news = std::max(news, edge.since);
    }
    return MonotonicTime::max() - std::chrono::hours(1);
  }

  void check(std::size_t origin, const SimNode& node, Duration late) {
    for (const auto& [path, truth] : world_.nodes()[origin].sources[0].points) {
      const auto seen = node.seen.find(path);
      if (seen != node.seen.end() && quality_of(seen->second.status) == Quality::good) {
        return world_.fail(node.name + " still shows " + path + " as good, " + std::to_string(std::chrono::duration<double>(late).count()) +
                           " s after it had to know that the path broke");
      }
    }
  }

  World& world_;
  MonotonicTime slow_until_{};
  std::vector<Edge> edges_;   // by sending end
  std::map<std::pair<std::size_t, std::size_t>, std::vector<std::vector<std::size_t>>> paths_;  // (origin, consumer) → sending ends
};

void random_fault(World& world, Random& random) {
  const auto node = static_cast<int>(random() % world.nodes().size());
  const auto cable = static_cast<std::size_t>(random() % world.cables().size());
  Cable& c = world.cables()[cable];
  const std::string name = "cable " + std::to_string(cable);
  const SimNode& n = world.nodes()[static_cast<std::size_t>(node)];
  switch (random() % 16) {
    case 0: case 1: c.dead[0] = c.dead[1] = true; world.note(name + " pulled"); break;
    case 2: c.dead[random() % 2] = true; world.note(name + " half open"); break;
    case 3: case 4: case 5: c = Cable{}; world.note(name + " healed"); break;
    case 6: world.note(name + " reset"); world.reset(static_cast<int>(cable)); break;
    case 7: c.delay = 1ms * (1 + random() % 200); world.note(name + " delayed"); break;
    case 8: c.bytes_per_second = random() % 2 == 0 ? 125 : 20'000; world.note(name + " slow"); break;
    case 9: world.kill(node); break;
    case 10: case 11: world.start(node); break;
    case 12: if (n.alive && !n.frozen) { world.freeze(node); world.note("freeze " + n.name); } break;
    case 13: world.thaw(node); break;
    case 14: {
      const auto step = (static_cast<std::int64_t>(random() % 7'200) - 3'600) * 1'000'000'000;
      world.step_clock(node, step);
      world.note("clock of " + n.name + " steps");
      break;
    }
    case 15:
      if (!n.sources.empty()) {
        if (n.sources[0].live) world.source_lost(node, 0);
        else world.source_back(node, 0);
      }
      break;
  }
}

void heal(World& world) {
  for (Cable& cable : world.cables()) cable = Cable{};
  for (std::size_t i = 0; i < world.nodes().size(); ++i) {
    const auto node = static_cast<int>(i);
    world.thaw(node);
    world.start(node);
    for (std::size_t s = 0; s < world.nodes()[i].sources.size(); ++s) world.source_back(node, s);
  }
  world.note("everything healed");
}

// Once the sources rest, every node that data can reach holds exactly what the origins hold, and so do its consumers.
void check_mirrors(World& world) {
  const auto& nodes = world.nodes();
  for (std::size_t origin = 0; origin < nodes.size(); ++origin) {
    for (const SimSource& source : nodes[origin].sources) {
      std::set<int> reached{static_cast<int>(origin)};
      for (bool grown = true; grown;) {
        grown = false;
        for (const SimEnd& end : world.ends()) {
          if (end.sends && reached.contains(end.node)) grown |= reached.insert(end.peer).second;
        }
      }
      for (const int at : reached) {
        const SimNode& node = nodes[static_cast<std::size_t>(at)];
        for (const auto& [path, truth] : source.points) {
          const auto point = node.ns->read(path);
          const auto seen = node.seen.find(path);
          if (point.has_value() != truth.exists) {
            return world.fail(node.name + " " + path + (truth.exists ? " is missing" : " should be gone"));
          }
          if (!point) {
            if (seen != node.seen.end()) return world.fail(node.name + ": a consumer still has " + path);
            continue;
          }
          if (point->value.float64() != truth.value() || point->status != truth.said.back().status || point->source_time != truth.said.back().time) {
            return world.fail(node.name + " " + path + " has value " + std::to_string(point->value.float64()) + " and status " +
                              std::string(status_name(point->status)) + ", the origin " + std::to_string(truth.value()) + " and " +
                              std::string(status_name(truth.said.back().status)));
          }
          if (seen == node.seen.end() || seen->second.value != truth.value() || seen->second.status != point->status) {
            return world.fail(node.name + ": the consumer was not told the last of " + path);
          }
        }
      }
    }
  }
}

std::optional<std::string> run_schedule(std::uint64_t seed, bool trace) {
  Random random(seed * 0x9E3779B97F4A7C15ull + 1);
  const Shape shape = random_shape(random);
  World world(shape, seed, trace);
  PathWatch watch(world);
  const auto run = [&](Duration time, bool faults) {
    MonotonicTime next_fault = world.now() + 1ms * (random() % 2000);
    for (const MonotonicTime end = world.now() + time; world.now() < end && !world.failure();) {
      for (const int origin : shape.origins) {
        if (world.changes_on && random() % 10 == 0) world.change_some(origin, 0, random() % 20 == 0 ? 60 : 2);
        if (faults && random() % 1500 == 0) world.remove_one(origin, 0);
        if (faults && random() % 1500 == 0) world.add_one(origin, 0);
      }
      if (faults && world.now() >= next_fault) {
        random_fault(world, random);
        next_fault = world.now() + 1ms * (random() % 3000);
      }
      world.step(kStep);
      watch.check();
    }
  };
  for (int phase = 0; phase < 2 && !world.failure(); ++phase) {
    world.changes_on = true;
    run(2s, false);
    run(1s * (5 + random() % 20), true);
    heal(world);
    run(1s, false);
    world.changes_on = false;
    run(kConverge, false);
    if (!world.failure()) check_mirrors(world);
  }
  return world.failure();
}

struct Options {
  std::uint64_t schedules = 1000, first = 1;
  std::int64_t seconds = -1;
  bool trace = false;
};

int run_all(const Options& options) {
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t done = 0;
  for (std::uint64_t seed = options.first; options.seconds >= 0 || done < options.schedules; ++seed, ++done) {
    if (options.seconds > 0 && std::chrono::steady_clock::now() - began > std::chrono::seconds(options.seconds)) break;
    if (const auto failure = run_schedule(seed, options.trace)) {
      std::printf("seed %llu FAILED %s\nreplay: sallyport_sim --seed %llu --trace\n", static_cast<unsigned long long>(seed), failure->c_str(),
                  static_cast<unsigned long long>(seed));
      return 1;
    }
  }
  std::printf("%llu schedules, all invariants held, %.1f s\n", static_cast<unsigned long long>(done),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  return 0;
}

}  // namespace
}  // namespace sallyport::sim

int main(int argc, char** argv) {
  sallyport::log::set_level(sallyport::log::Level::error);
  sallyport::sim::Options options;
  for (int i = 1; i < argc; ++i) {
    const auto number = [&](auto& into) {
      if (i + 1 >= argc) return;
      ++i;
      std::from_chars(argv[i], argv[i] + std::strlen(argv[i]), into);
    };
    if (std::strcmp(argv[i], "--schedules") == 0) number(options.schedules);
    else if (std::strcmp(argv[i], "--first") == 0) number(options.first);
    else if (std::strcmp(argv[i], "--seconds") == 0) number(options.seconds);
    else if (std::strcmp(argv[i], "--trace") == 0) options.trace = true;
    else if (std::strcmp(argv[i], "--seed") == 0) {
      number(options.first);
      options.schedules = 1;
    } else {
      std::fprintf(stderr, "usage: sallyport_sim [--schedules N] [--first SEED] [--seed SEED] [--seconds S] [--trace]\n");
      return 2;
    }
  }
  return sallyport::sim::run_all(options);
}
