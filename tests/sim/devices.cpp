// What is read from devices: the truth, and how it comes into the nodes that read it.
#include <algorithm>

#include "world.h"

namespace sallyport::sim {

bool asks_for_edges(const std::string& path) { return std::hash<std::string>()(path) % 4 == 0; }

void World::define(SimNode& node, SimSource& source, const std::string& path) {
  const Truth& truth = devices_[source.device].points.at(path);
  Meta meta;
  meta.type = Type::float64;
  meta.burst = asks_for_edges(path) ? 3 : 0;
  const Definition d{path, &meta, {kNoPoint, truth.said.back().status, truth.said.back().time, Value::from(truth.value())}, !source.live};
  PointId id = kNoPoint;
  node.ns->define(source.route, std::span(&d, 1), std::span(&id, 1));
  source.ids[path] = id;
}

// As a source does when it connects: everything as it is now, and what is no more goes.
void World::read_all(SimNode& node, SimSource& source) {
  source.late.clear();
  for (const auto& [path, truth] : devices_[source.device].points) {
    if (truth.exists) {
      define(node, source, path);
    } else if (const auto gone = source.ids.find(path); gone != source.ids.end()) {
      node.ns->remove(source.route, std::span(&gone->second, 1));
      source.ids.erase(gone);
    }
  }
}

// The nodes that hear now what the device says.
std::vector<std::pair<SimNode*, SimSource*>> World::listeners_of(std::size_t device) {
  std::vector<std::pair<SimNode*, SimSource*>> all;
  for (const int reader : devices_[device].readers) {
    SimNode& node = node_at(reader);
    for (SimSource& source : node.sources) {
      if (source.device == device && node.alive && !node.frozen && source.live) all.emplace_back(&node, &source);
    }
  }
  return all;
}

void World::say(std::size_t device, std::span<const std::string> paths) {
  const auto listeners = listeners_of(device);
  if (listeners.empty()) return;
  for (const std::string& path : paths) {
    Truth& truth = devices_[device].points.at(path);
    if (!truth.exists) continue;
    const Status status = random_() % 8 == 0 ? 0x80A90000u : random_() % 8 == 0 ? 0x40920000u : status::kGood;
    // Source times of a point grow even when its node's clock steps back: sources do that themselves or not at all.
    truth.said.push_back({status, std::max(listeners[0].first->clock->utc(), truth.said.back().time + 1), now()});
    for (const auto& [node, source] : listeners) source->late.push_back({now() + source->lag, path, truth.said.size() - 1});
  }
  for (const auto& [node, source] : listeners) deliver(*node, *source);
}

void World::deliver(SimNode& node, SimSource& source) {
  if (!source.live || source.late.empty() || source.late.front().due > now()) return;
  std::vector<Change> changes;
  std::size_t done = 0;
  for (; done < source.late.size() && source.late[done].due <= now(); ++done) {
    const SimSource::Late& late = source.late[done];
    const auto id = source.ids.find(late.path);
    const Truth::Said& said = devices_[source.device].points.at(late.path).said[late.number];
    if (id != source.ids.end()) changes.push_back({id->second, said.status, said.time, Value::from(static_cast<double>(late.number))});
  }
  source.late.erase(source.late.begin(), source.late.begin() + static_cast<std::ptrdiff_t>(done));
  node.ns->apply(source.route, changes);
}

void World::change_some(std::size_t device, int count) {
  const auto& points = devices_[device].points;
  std::vector<std::string> paths;
  for (int i = 0; i < count; ++i) paths.push_back(std::next(points.begin(), static_cast<std::ptrdiff_t>(random_() % points.size()))->first);
  say(device, paths);
}

void World::change_one(std::size_t device, const std::string& path, int times) {
  say(device, std::vector<std::string>(static_cast<std::size_t>(times), path));
}

void World::remove_one(std::size_t index) {
  Device& device = devices_[index];
  const auto listeners = listeners_of(index);
  const auto at = std::next(device.points.begin(), static_cast<std::ptrdiff_t>(random_() % device.points.size()));
  if (listeners.empty() || !at->second.exists) return;
  note(device.name + " removes " + at->first);
  at->second.exists = false;
  at->second.gone_at = now();
  for (const auto& [node, source] : listeners) {
    const auto id = source->ids.find(at->first);
    if (id == source->ids.end()) continue;
    node->ns->remove(source->route, std::span(&id->second, 1));
    source->ids.erase(id);
  }
}

void World::add_one(std::size_t index) {
  Device& device = devices_[index];
  const auto listeners = listeners_of(index);
  if (listeners.empty()) return;
  std::string path = device.name + "/new/p" + std::to_string(++made_);
  for (auto& [old, truth] : device.points) {
    if (!truth.exists && random_() % 2 == 0) path = old;  // one comes back
  }
  note(device.name + " adds " + path);
  Truth& truth = device.points[path];
  const UtcNanoseconds last = truth.said.empty() ? 0 : truth.said.back().time;
  truth.said.push_back({status::kGood, std::max(listeners[0].first->clock->utc(), last + 1), now()});
  truth.exists = true;
  device_of_[path] = index;
  for (const auto& [node, source] : listeners) define(*node, *source, path);
}

void World::source_lost(int index) {
  SimNode& node = node_at(index);
  for (SimSource& source : node.sources) {
    if (!source.live) continue;
    source.live = false;
    source.late.clear();
    note(node.name + " loses its source");
    if (node.alive) node.ns->cover(source.route, status::kBadNoCommunication, {node.name, devices_[source.device].name, 1, "source lost"});
  }
}

void World::source_back(int index) {
  SimNode& node = node_at(index);
  for (SimSource& source : node.sources) {
    if (source.live) continue;
    source.live = true;
    note(node.name + " has its source back");
    if (!node.alive) continue;
    read_all(node, source);
    node.ns->set_complete(source.route);
    node.ns->uncover(source.route);
  }
}

}  // namespace sallyport::sim
