// What must hold of a network over time, and once it rests.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "world.h"

namespace sallyport::sim {

inline constexpr Duration kTimeout = std::chrono::seconds(3);
inline constexpr Duration kSlack = std::chrono::milliseconds(500);     // promise 3
inline constexpr Duration kQuick = std::chrono::milliseconds(200);     // the same, when the break is told
inline constexpr Duration kConverge = std::chrono::seconds(20);        // after the last fault: dialling again, a full
                                                                       // resend, a digest and a repair

// Watches promise 3. Along each path from a device to a consumer the broken edge nearest to the consumer counts: the node
// behind it must have noticed in time, and the news must have come on over the edges after it, which work.
class PathWatch {
 public:
  explicit PathWatch(World& world);
  void check();

 private:
  // A link's sending end, or a source.
  struct Edge {
    int from = 0;               // node
    int end = -1;               // -1: a source
    std::size_t source = 0;
    bool works = true, cable_works = true;
    bool told = false;          // that it broke: its node is gone, and the cable said so; or the source said so
    MonotonicTime since{};
  };
  using Path = std::vector<std::size_t>;  // edges

  bool edge_works(const Edge& edge) const;
  void follow(Edge& edge) const;
  void find_paths(std::size_t device, int at, std::vector<bool>& passed, Path& path);
  MonotonicTime must_know(const Path& path) const;
  void check_not_good(std::size_t device, const SimNode& node, Duration late);
  void check_fresh(const SimNode& node);
  Duration delays() const;

  World& world_;
  std::size_t longest_ = 0;     // links on a path
  unsigned checks_ = 0;
  MonotonicTime slow_until_{};  // a cable was slow until then
  std::vector<MonotonicTime> cable_slow_;
  std::vector<Edge> edges_;     // by sending end, then sources
  std::map<std::pair<std::size_t, int>, std::vector<Path>> paths_;  // (device, consumer)
};

// Every queue is inside its limit.
void check_bounds(World& world);

// Once the devices rest, every node that is reached holds exactly what they say, by the best route there is, and so do its
// consumers. Says what differs, or nothing.
struct Difference {
  std::string_view invariant;
  std::string what;
};
std::optional<Difference> find_difference(World& world);
// No digest ever differed, where there is one route only.
void check_nothing_repaired(World& world);
// Consumers were told the last three edges of a point that asks for so many, the newest last.
void check_edges(World& world, std::size_t device, const std::string& path, std::size_t edges);

}  // namespace sallyport::sim
