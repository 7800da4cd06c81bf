// The networks that are simulated: nodes, links, and who reads which device.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace sallyport::sim {

using Random = std::mt19937_64;

struct Shape {
  struct Link {
    int dialler, listener;
    bool forward, backward;                        // forward: data from dialler to listener
    std::uint32_t rank = 0;                        // of what comes by it, at who receives; lower is better
    enum class Use : std::uint8_t { always, before, after } use = Use::always;  // before or after a node was inserted
  };
  std::string name;
  int nodes = 0;
  std::vector<Link> links;
  std::vector<std::vector<int>> devices;           // who reads each; several: the first one's route is preferred
  std::vector<int> spare;                          // nodes without which everything reaches everyone that is left
  int points = 12;
};

Shape random_shape(Random& random);

}  // namespace sallyport::sim
