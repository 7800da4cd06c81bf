// What consumers are told, and what must hold of every single update.
#include "world.h"

namespace sallyport::sim {

void World::consume(SimNode& node, SimConsumer& consumer, std::size_t max, int pulls) {
  Batch batch;
  for (int i = 0; i < pulls; ++i) {
    batch.clear();
    consumer.subscription->pull(batch, max);
    for (const Update& update : batch.updates) {
      const std::string path(batch.path(update));
      if (update.kind == UpdateKind::removed) consumer.seen.erase(path);
      else check_update(node, consumer, path, update);
    }
    if (batch.updates.empty() && !batch.more) return;
  }
  if (!consumer.lazy) fail("bounded", node.name + ": a consumer never reaches the end of what there is to read");
}

void World::drain() {
  for (SimNode& node : nodes_) {
    if (!node.alive || node.frozen) continue;
    for (SimConsumer& consumer : node.consumers) {
      if (consumer.lazy) consume(node, consumer, 256, 1000);
    }
  }
}

void World::check_update(SimNode& node, SimConsumer& consumer, const std::string& path, const Update& update) {
  const double value = update.value.float64();
  Seen& seen = consumer.seen[path];
  if (calm && update.covered && now() - node.thawed > std::chrono::seconds(30)) return fail("no-gap", node.name + " " + path + ": an overlay although nothing is broken");
  if (tampered_.contains(path)) {
    seen = {value, update.status, {}};
    return;
  }
  const auto device = device_of_.find(path);
  if (device == device_of_.end()) return fail("mirror", node.name + " shows a point that nobody has: " + path);
  const Truth& truth = devices_[device->second].points.at(path);
  const auto number = static_cast<std::size_t>(value);
  if (value < 0 || number >= truth.said.size()) return fail("whole", node.name + " " + path + ": a value that was never said");
  const Truth::Said& said = truth.said[number];
  if (update.underlying != said.status || update.source_time != said.time) {
    return fail("whole", node.name + " " + path + ": value, status and time do not belong together");
  }
  if (quality_of(update.status) < quality_of(said.status)) return fail("never-better", node.name + " " + path + ": better than the origin says");
  if (value < seen.value) {
    return fail("never-backwards", node.name + " " + path + ": from " + std::to_string(seen.value) + " to " + std::to_string(value));
  }
  if (value > seen.value) seen.last = {seen.last[1], seen.last[2], value};
  seen.value = value;
  seen.status = update.status;
}

// Somebody's bug, or bad memory: the table of a mirror is no longer what the link put there. The digests must show it.
void World::tamper(int index) {
  SimNode& node = node_at(index);
  if (!node.alive || node.frozen) return;
  std::vector<PointView> points;
  node.ns->list(Patterns::everything(), 0, 4096, points);
  std::erase_if(points, [&](const PointView& p) { return p.origin == node.name; });
  if (points.empty()) return;
  PointView& point = points[random_() % points.size()];
  if (random_() % 2 == 0) {
    note(node.name + " drops " + point.path + " behind the back of its link");
    tampered_.insert(point.path);
    node.ns->remove(point.route, std::span(&point.id, 1));
  } else {
    const std::string path = "ghost/p" + std::to_string(++made_);
    note(node.name + " invents " + path);
    tampered_.insert(path);
    const Definition d{path, nullptr, {kNoPoint, status::kGood, 1, Value::from(0.0)}};
    PointId id = kNoPoint;
    node.ns->define(point.route, std::span(&d, 1), std::span(&id, 1));
  }
}

}  // namespace sallyport::sim
