// Chains, fans, diamonds, rings, redundant pairs.
#include "shapes.h"

namespace sallyport::sim {
namespace {

using Use = Shape::Link::Use;

// Every second node listens, as a DMZ does.
void add_hop(Shape& s, int from, int to, Use use = Use::always) {
  if (from % 2 == 0) s.links.push_back({from, to, true, false, 0, use});
  else s.links.push_back({to, from, false, true, 0, use});
}

// plant → … → consumer
Shape chain(int nodes) {
  Shape s;
  s.nodes = nodes;
  s.name = "chain of " + std::to_string(nodes);
  for (int i = 0; i + 1 < nodes; ++i) add_hop(s, i, i + 1);
  return s;
}

// One day a node is put between two of the chain: one neighbour dials another address, and nothing else changes.
Shape growing_chain(int nodes, int at) {
  Shape s = chain(nodes);
  s.name += ", one inserted behind n" + std::to_string(at);
  const int added = s.nodes++;
  s.links[static_cast<std::size_t>(at)].use = Use::before;
  s.links.push_back({at, added, true, false, 0, Use::after});
  s.links.push_back({added, at + 1, true, false, 0, Use::after});
  return s;
}

Shape fan_in(int plants) {
  Shape s;
  s.nodes = plants + 2;
  s.name = "fan-in of " + std::to_string(plants);
  for (int i = 0; i < plants; ++i) {
    s.links.push_back({i + 2, 0, true, false});
    s.devices.push_back({i + 2});
  }
  s.links.push_back({1, 0, false, true});
  s.points = 4;
  return s;
}

Shape fan_out(int consumers) {
  Shape s;
  s.nodes = consumers + 2;
  s.name = "fan-out to " + std::to_string(consumers);
  s.links.push_back({0, 1, true, false});
  for (int i = 0; i < consumers; ++i) s.links.push_back({i + 2, 1, false, true});
  s.devices = {{0}};
  return s;
}

Shape diamond(bool uneven) {
  Shape s;
  s.devices = {{0}};
  if (uneven) {  // 0 → 1 → 4 and 0 → 2 → 3 → 4, then 5
    s.name = "uneven diamond";
    s.nodes = 6;
    s.links = {{0, 1, true, false}, {0, 2, true, false}, {2, 3, true, false}, {4, 1, false, true}, {4, 3, false, true}, {4, 5, true, false}};
    s.spare = {1, 2, 3};
  } else {       // 0 → {1, 2} → 3 → 4
    s.name = "diamond";
    s.nodes = 5;
    s.links = {{0, 1, true, false}, {0, 2, true, false}, {3, 1, false, true}, {3, 2, false, true}, {3, 4, true, false}};
    s.spare = {1, 2};
  }
  return s;
}

// Two plant nodes read the same device; the DMZ prefers the first.
Shape redundant_pair(int behind) {
  Shape s;
  s.name = "redundant pair, " + std::to_string(behind) + " behind the DMZ";
  s.nodes = 3 + behind;
  s.links = {{0, 2, true, false, 0}, {1, 2, true, false, 1}};
  for (int i = 0; i < behind; ++i) s.links.push_back({3 + i, i == 0 ? 2 : 2 + i, false, true});
  s.devices = {{0, 1}};
  s.spare = {0, 1};
  return s;
}

}  // namespace

Shape random_shape(Random& random) {
  const auto pick = [&random](int low, int high) { return low + static_cast<int>(random() % static_cast<std::uint64_t>(high - low + 1)); };
  Shape s;
  const int kind = pick(0, 99);
  if (kind < 32) {
    s = chain(pick(2, 6));
    if (pick(0, 5) == 0) s.points = 250;  // takes a while over a slow cable
    s.devices = {{0}};
    if (pick(0, 1) == 1 && s.nodes > 2) s.devices.push_back({1});
  } else if (kind < 40) {
    const int nodes = pick(2, 4);
    s = growing_chain(nodes, pick(0, nodes - 2));
    s.devices = {{0}};
  } else if (kind < 48) {
    s = fan_in(pick(0, 19) == 0 ? 50 : pick(3, 8));
  } else if (kind < 56) {
    s = fan_out(pick(0, 19) == 0 ? 50 : pick(3, 8));
  } else if (kind < 68) {
    s = diamond(pick(0, 2) == 0);
  } else if (kind < 80) {
    s = redundant_pair(pick(0, 2));
  } else if (kind < 90) {
    s.nodes = pick(3, 5);
    s.name = "two-way ring of " + std::to_string(s.nodes);
    for (int i = 0; i < s.nodes; ++i) s.links.push_back({i, (i + 1) % s.nodes, true, true});
    s.devices = {{0}, {1}};
    for (int i = 2; i < s.nodes; ++i) s.spare.push_back(i);
  } else {
    s.nodes = pick(2, 4);
    s.name = "two-way chain of " + std::to_string(s.nodes);
    for (int i = 0; i + 1 < s.nodes; ++i) s.links.push_back({i, i + 1, true, true});
    for (int i = 0; i < s.nodes; ++i) s.devices.push_back({i});
  }
  return s;
}

}  // namespace sallyport::sim
