// The invariants over time, and once the network rests.
#include "checks.h"

#include <algorithm>
#include <utility>

namespace sallyport::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kCrawl = 1000;  // bytes/s: slower than that, news and old news take longer than the timeout
constexpr Duration kSlowNews = 2500ms;  // a full first window on a cable that is slow, but does not crawl
constexpr Duration kSlowCable = 15s;    // what a cable of 1 kbit/s adds to the age of what is shown: one turn of all points
constexpr std::size_t kOvershoot = 24 * 1024;  // control messages and the last record of a fill may pass the window
constexpr std::size_t kMaxInput = 384 * 1024;

bool works(const SimNode& node) { return node.alive && !node.frozen; }

std::string seconds(Duration d) {
  const std::string text = std::to_string(std::chrono::duration<double>(d).count());
  return text.substr(0, text.find('.') + 4) + " s";
}

}  // namespace

// --- Not good in time, and never too old ---------------------------------------------------------------------------------

PathWatch::PathWatch(World& world) : world_(world), cable_slow_(world.cables().size()) {
  for (std::size_t e = 0; e < world.ends().size(); ++e) edges_.push_back({world.ends()[e].node, static_cast<int>(e), 0});
  for (std::size_t device = 0; device < world.devices().size(); ++device) {
    for (const int reader : world.devices()[device].readers) {
      const auto& sources = world.nodes()[static_cast<std::size_t>(reader)].sources;
      const auto source = std::ranges::find(sources, device, &SimSource::device);
      Path path{edges_.size()};
      edges_.push_back({reader, -1, static_cast<std::size_t>(source - sources.begin())});
      std::vector<bool> passed(world.nodes().size());
      find_paths(device, reader, passed, path);
    }
  }
}

void PathWatch::find_paths(std::size_t device, int at, std::vector<bool>& passed, Path& path) {
  passed[static_cast<std::size_t>(at)] = true;
  paths_[{device, at}].push_back(path);
  longest_ = std::max(longest_, path.size() - 1);
  for (const int e : world_.nodes()[static_cast<std::size_t>(at)].ends) {
    const SimEnd& end = world_.ends()[static_cast<std::size_t>(e)];
    if (!end.sends || passed[static_cast<std::size_t>(end.peer)]) continue;
    path.push_back(static_cast<std::size_t>(e));
    find_paths(device, end.peer, passed, path);
    path.pop_back();
  }
  passed[static_cast<std::size_t>(at)] = false;
}

bool PathWatch::edge_works(const Edge& edge) const {
  const SimNode& from = world_.nodes()[static_cast<std::size_t>(edge.from)];
  if (edge.end < 0) return from.sources[edge.source].live;
  const SimEnd& end = world_.ends()[static_cast<std::size_t>(edge.end)];
  return works(from) && end.enabled && world_.cables()[static_cast<std::size_t>(end.cable)].works(end.direction);
}

void PathWatch::follow(Edge& edge) const {
  const bool works_now = edge_works(edge);
  const bool cable = edge.end < 0 || world_.cables()[static_cast<std::size_t>(world_.ends()[static_cast<std::size_t>(edge.end)].cable)].whole();
  if (edge.works != works_now) {
    const bool gone = edge.end < 0 || !world_.nodes()[static_cast<std::size_t>(edge.from)].alive;
    edge.told = !works_now && gone && cable;
    edge.works = works_now;
    edge.since = world_.now();
  }
  // A cable that is healed delivers what its sender said before that broke, too.
  if (std::exchange(edge.cable_works, cable) != cable && cable) edge.since = world_.now();
  if (!cable && world_.now() - edge.since < kQuick + delays()) edge.told = false;  // the news may have been lost with it
}

Duration PathWatch::delays() const {
  Duration all{0};
  for (const Cable& cable : world_.cables()) all += cable.delay;
  return all;
}

MonotonicTime PathWatch::must_know(const Path& path) const {
  MonotonicTime news{};
  for (std::size_t i = path.size(); i-- > 0;) {
    const Edge& edge = edges_[path[i]];
    if (edge.works) {
      news = std::max(news, edge.since);
      // The connection in use was left for one that was dead already: its other end notices by itself.
      if (edge.end >= 0) news = std::max(news, world_.ends()[static_cast<std::size_t>(edge.end)].misled + kTimeout);
      continue;
    }
    const bool quiet = news + kTimeout + kSlack < edge.since;  // everything after it had long been well
    if (edge.told && quiet) return edge.since + kQuick;
    return std::max(news, edge.since + kTimeout) + kSlack;
  }
  return MonotonicTime::max() - std::chrono::hours(1);
}

void PathWatch::check() {
  for (std::size_t c = 0; c < cable_slow_.size(); ++c) {
    const std::uint64_t speed = world_.cables()[c].bytes_per_second;
    if (speed > 0) cable_slow_[c] = world_.now();
    if (speed > 0 && speed < kCrawl) slow_until_ = world_.now();
  }
  for (Edge& edge : edges_) follow(edge);
  const bool slow = world_.now() - slow_until_ < kTimeout + kSlack;
  for (const auto& [pair, paths] : paths_) {
    const SimNode& consumer = world_.nodes()[static_cast<std::size_t>(pair.second)];
    if (!works(consumer) || world_.now() - consumer.thawed < 200ms) continue;
    // What is on its way over a slow cable goes on arriving after its sender broke: old news, but news.
    if (slow) continue;
    MonotonicTime due{};
    for (const auto& path : paths) due = std::max(due, must_know(path));
    due += delays();
    for (const MonotonicTime last : cable_slow_) {
      if (world_.now() - last < kTimeout + kSlack) due += kSlowNews;
    }
    if (world_.now() > due) check_not_good(pair.first, consumer, world_.now() - due);
  }
  if (++checks_ % 16 != 0) return;
  for (const SimNode& node : world_.nodes()) {
    if (works(node) && world_.now() - node.thawed > 500ms) check_fresh(node);
  }
}

void PathWatch::check_not_good(std::size_t device, const SimNode& node, Duration late) {
  for (const auto& [path, truth] : world_.devices()[device].points) {
    const auto seen = node.consumers[0].seen.find(path);
    if (seen != node.consumers[0].seen.end() && quality_of(seen->second.status) == Quality::good) {
      return world_.fail("not-good-in-time", node.name + " still shows " + path + " as good, " + seconds(late) + " after it had to know that the path broke");
    }
  }
}

// Each hop may show as good what it had before it noticed that the one behind it broke; nothing may be older than that.
void PathWatch::check_fresh(const SimNode& node) {
  Duration bound = (kTimeout + kSlack) * static_cast<int>(longest_) + delays() + kSlack;
  for (const MonotonicTime slow : cable_slow_) {
    if (world_.now() - slow < bound + kSlowCable) bound += kSlowCable;
  }
  for (const Device& device : world_.devices()) {
    for (const auto& [path, truth] : device.points) {
      const auto seen = node.consumers[0].seen.find(path);
      if (seen == node.consumers[0].seen.end() || quality_of(seen->second.status) != Quality::good || seen->second.value < 0) continue;
      const std::size_t next = static_cast<std::size_t>(seen->second.value) + 1;
      const bool newer = next < truth.said.size();
      if (!newer && truth.exists) continue;
      const MonotonicTime over = newer ? truth.said[next].at : truth.gone_at;
      if (world_.now() - over > bound) {
        return world_.fail("fresh", node.name + " shows " + path + " as good, " + seconds(world_.now() - over) + " after it became something else; at most " +
                                        seconds(bound) + " are allowed");
      }
    }
  }
}

// --- Bounds --------------------------------------------------------------------------------------------------------------

void check_bounds(World& world) {
  for (const SimEnd& end : world.ends()) {
    const link::Session* session = end.session();
    if (session == nullptr) continue;
    const std::string& name = world.nodes()[static_cast<std::size_t>(end.node)].name;
    if (const link::Sender* sender = session->sender()) {
      const link::FlowWindow& window = sender->window();
      if (window.in_flight() > std::max(window.window(), end.widest) + kOvershoot) {
        return world.fail("bounded", name + " has " + std::to_string(window.in_flight()) + " bytes on the way, its window is " + std::to_string(window.window()));
      }
    }
    if (session->buffered() > kMaxInput) {
      return world.fail("bounded", name + ": a session holds " + std::to_string(session->buffered()) + " bytes");
    }
  }
}

// --- At rest -------------------------------------------------------------------------------------------------------------

namespace {

// Nodes that the device's data reach, and by which reader they should come.
std::map<int, int> reached_from(const World& world, const Device& device) {
  std::map<int, int> reached;
  for (const int reader : device.readers) {
    const SimNode& node = world.nodes()[static_cast<std::size_t>(reader)];
    const bool reads = works(node) && std::ranges::all_of(node.sources, &SimSource::live);
    if (!reads) continue;
    std::set<int> from_here{reader};
    for (bool grown = true; grown;) {
      grown = false;
      for (const SimEnd& end : world.ends()) {
        if (end.sends && end.enabled && works(world.nodes()[static_cast<std::size_t>(end.peer)]) && from_here.contains(end.node)) {
          grown |= from_here.insert(end.peer).second;
        }
      }
    }
    for (const int node_index : from_here) reached.emplace(node_index, reader);
    reached[reader] = reader;
  }
  return reached;
}

std::string say(const Truth& truth) { return std::to_string(truth.value()) + " and " + std::string(status_name(truth.said.back().status)); }

std::optional<Difference> compare(const SimNode& node, const std::string& path, const Truth& truth, const std::string& origin) {
  const auto point = node.ns->read(path);
  if (point.has_value() != truth.exists) return Difference{"mirror", node.name + " " + path + (truth.exists ? " is missing" : " should be gone")};
  for (const SimConsumer& consumer : node.consumers) {
    const auto seen = consumer.seen.find(path);
    const char* who = consumer.lazy ? ": the lazy consumer" : ": the consumer";
    if (!point && seen != consumer.seen.end()) return Difference{"mirror", node.name + who + " still has " + path};
    if (point && (seen == consumer.seen.end() || seen->second.value != truth.value() || seen->second.status != truth.said.back().status)) {
      return Difference{"mirror", node.name + who + " was not told the last of " + path};
    }
  }
  if (!point) return std::nullopt;
  if (point->value.float64() != truth.value() || point->status != truth.said.back().status || point->source_time != truth.said.back().time) {
    return Difference{"mirror", node.name + " " + path + " has value " + std::to_string(point->value.float64()) + " and status " +
                                    std::string(status_name(point->status)) + ", the origin " + say(truth)};
  }
  if (point->origin != origin) return Difference{"preferred", node.name + " " + path + " comes from " + point->origin + ", not from " + origin};
  const auto hops = node.ns->route_info(point->route).hops;
  if (std::set(hops.begin(), hops.end()).size() != hops.size()) return Difference{"loop-free", node.name + " " + path + " came through a node twice"};
  return std::nullopt;
}

}  // namespace

std::optional<Difference> find_difference(World& world) {
  world.drain();
  std::map<int, std::uint32_t> expected;
  for (const Device& device : world.devices()) {
    for (const auto& [at, reader] : reached_from(world, device)) {
      const SimNode& node = world.nodes()[static_cast<std::size_t>(at)];
      for (const auto& [path, truth] : device.points) {
        expected[at] += truth.exists ? 1u : 0u;
        if (auto difference = compare(node, path, truth, world.nodes()[static_cast<std::size_t>(reader)].name)) return difference;
      }
    }
  }
  for (const auto& [at, points] : expected) {
    const SimNode& node = world.nodes()[static_cast<std::size_t>(at)];
    if (world.everything_up() && node.ns->counts(Patterns::everything()).points != points) {
      return Difference{"mirror", node.name + " has points that nobody has"};
    }
  }
  return std::nullopt;
}

void check_nothing_repaired(World& world) {
  if (world.tampered()) return;
  for (const SimEnd& end : world.ends()) {
    if (end.receiver && end.receiver->counters().digest_mismatches > 0) {
      return world.fail("nothing-to-repair", world.nodes()[static_cast<std::size_t>(end.node)].name + " had to repair what came from " +
                                                 world.nodes()[static_cast<std::size_t>(end.peer)].name);
    }
  }
}

void check_edges(World& world, std::size_t index, const std::string& path, std::size_t edges) {
  const Device& device = world.devices()[index];
  const Truth& truth = device.points.at(path);
  for (const auto& [at, reader] : reached_from(world, device)) {
    const SimNode& node = world.nodes()[static_cast<std::size_t>(at)];
    const auto seen = node.consumers[0].seen.find(path);
    if (seen == node.consumers[0].seen.end()) return world.fail("mirror", node.name + " has no " + path);
    for (std::size_t i = 0; i < std::min<std::size_t>(edges, 3); ++i) {
      if (seen->second.last[2 - i] == truth.value() - static_cast<double>(i)) continue;
      return world.fail("edges", node.name + " " + path + ": of a burst of " + std::to_string(edges) + " the edge " + std::to_string(i) +
                                     " before the last was not told");
    }
  }
}

}  // namespace sallyport::sim
