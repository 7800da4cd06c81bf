// Runs the nodes, their links and their consumers on the virtual clock.
#include "world.h"

#include <cstdio>

namespace sallyport::sim {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kAll{"**"};
constexpr Duration kDialTimeout = 5s;

std::string seconds(Duration d) {
  char text[32];
  std::snprintf(text, sizeof text, "%9.3f s", std::chrono::duration<double>(d).count());
  return text;
}

}  // namespace

World::World(const Shape& shape, std::uint64_t seed, bool trace) : random_(seed), trace_(trace), began_(clock_.monotonic()) {
  note(shape.name);
  nodes_.resize(static_cast<std::size_t>(shape.nodes));
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].name = "n" + std::to_string(i);
    nodes_[i].clock = std::make_unique<NodeClock>(clock_);
  }
  for (const int origin : shape.origins) {
    SimSource source;
    source.name = "s";
    for (int p = 0; p < shape.points; ++p) {
      const std::string path = nodes_[static_cast<std::size_t>(origin)].name + "/area" + std::to_string(p % 3) + "/p" + std::to_string(p);
      source.points[path] = Truth{{{status::kGood, 1}}, true};
      origin_of_[path] = {origin, 0};
    }
    nodes_[static_cast<std::size_t>(origin)].sources.push_back(std::move(source));
  }
  for (const Shape::Link& l : shape.links) {
    const int cable = static_cast<int>(cables_.size());
    cables_.emplace_back();
    const int a = static_cast<int>(ends_.size());
    SimEnd dialler, listener;
    dialler.node = listener.peer = l.dialler;
    dialler.peer = listener.node = l.listener;
    dialler.other = a + 1;
    listener.other = a;
    dialler.cable = listener.cable = cable;
    dialler.direction = 0;
    listener.direction = 1;
    dialler.dials = true;
    dialler.sends = listener.receives = l.forward;
    dialler.receives = listener.sends = l.backward;
    nodes_[static_cast<std::size_t>(l.dialler)].ends.push_back(a);
    nodes_[static_cast<std::size_t>(l.listener)].ends.push_back(a + 1);
    ends_.push_back(std::move(dialler));
    ends_.push_back(std::move(listener));
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) boot(nodes_[i], static_cast<int>(i));
}

void World::note(const std::string& what) {
  if (trace_) std::printf("%s  %s\n", seconds(now() - began_).c_str(), what.c_str());
}

void World::fail(const std::string& what) {
  if (failure_) return;
  failure_ = "at " + seconds(now() - began_) + ": " + what;
  note("FAILED: " + what);
}

// --- Nodes -------------------------------------------------------------------------------------------------------------

void World::boot(SimNode& node, int index) {
  node.alive = true;
  node.frozen = false;
  node.thawed = now();
  node.incarnation = ++incarnations_;
  node.seen.clear();
  node.ns = std::make_unique<Namespace>(*node.clock, NamespaceLimits{.max_points = 4096, .ring_entries = 32, .max_routes = 512});
  for (SimSource& source : node.sources) {
    source.route = *node.ns->add_route({node.name, source.name, {node.name}}, 0, false);
    source.ids.clear();
    for (auto& [path, truth] : source.points) {
      if (truth.exists) define(node, source, path);
    }
    if (source.live) node.ns->set_complete(source.route);
    else node.ns->cover(source.route, status::kBadNoCommunication, {node.name, source.name, 1, "source lost"});
  }
  for (const int e : node.ends) {
    SimEnd& end = ends_[static_cast<std::size_t>(e)];
    end.receiver = std::make_unique<link::Receiver>(*node.ns, node.name, "to-" + nodes_[static_cast<std::size_t>(end.peer)].name,
                                                    *Patterns::parse(end.receives ? kAll : std::vector<std::string>{}), status::kBadNoCommunication, 4096);
    end.next_dial = now();
    end.failures = 0;
  }
  node.consumer = std::make_unique<Subscription>(*node.ns, SubscriptionOptions{.patterns = *Patterns::parse(kAll)}, [] {});
  static_cast<void>(index);
}

void World::kill(int index) {
  SimNode& node = nodes_[static_cast<std::size_t>(index)];
  if (!node.alive) return;
  note("kill " + node.name);
  node.alive = false;
  node.consumer.reset();
  for (const int e : node.ends) {
    SimEnd& end = ends_[static_cast<std::size_t>(e)];
    if (end.wire) end.wire->close(end.direction, now(), cables_[static_cast<std::size_t>(end.cable)]);
    end.wire.reset();
    end.session.reset();
    end.receiver.reset();
  }
  node.ns.reset();
}

void World::start(int index) {
  SimNode& node = nodes_[static_cast<std::size_t>(index)];
  if (node.alive) return;
  note("start " + node.name);
  boot(node, index);
}

void World::thaw(int index) {
  SimNode& node = nodes_[static_cast<std::size_t>(index)];
  if (!node.frozen) return;
  note("thaw " + node.name);
  node.frozen = false;
  node.thawed = now();
}

void World::reset(int cable) {
  for (SimEnd& end : ends_) {
    if (end.cable == cable && end.session) hang_up(end, "connection reset");
  }
}

void World::step(Duration by) {
  clock_.advance(by);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].alive && !nodes_[i].frozen) run_node(nodes_[i], static_cast<int>(i));
  }
}

void World::run_node(SimNode& node, int) {
  for (const int e : node.ends) run_end(ends_[static_cast<std::size_t>(e)]);
  consume(node);
}

// --- Links -------------------------------------------------------------------------------------------------------------

void World::open(SimEnd& end, std::shared_ptr<Wire> wire) {
  SimNode& node = nodes_[static_cast<std::size_t>(end.node)];
  link::SessionOptions options;
  options.node = node.name;
  options.peer = nodes_[static_cast<std::size_t>(end.peer)].name;
  options.incarnation = node.incarnation;
  if (end.sends) options.send_texts = kAll;
  if (end.receives) options.receive_texts = kAll;
  options.send = *Patterns::parse(options.send_texts);
  end.wire = std::move(wire);
  end.session = std::make_unique<link::Session>(*node.ns, *end.receiver, options, now(), [woken = end.woken] { *woken = true; });
  *end.woken = true;
}

void World::dial(SimEnd& end) {
  const SimNode& peer = nodes_[static_cast<std::size_t>(end.peer)];
  SimEnd& other = ends_[static_cast<std::size_t>(end.other)];
  const Cable& cable = cables_[static_cast<std::size_t>(end.cable)];
  if (!cable.whole() || peer.frozen) {
    end.next_dial = now() + kDialTimeout;     // nothing comes back
  } else if (!peer.alive) {
    const Duration wait = 100ms * (1 << std::min(end.failures++, 6u));
    end.next_dial = now() + std::min<Duration>(wait, 5s) * (50 + static_cast<int>(random_() % 50)) / 100;
  } else {
    end.failures = 0;
    auto wire = std::make_shared<Wire>();
    if (other.session) hang_up(other, "replaced by a newer connection");
    open(end, wire);
    open(other, wire);
  }
}

void World::hang_up(SimEnd& end, const std::string& reason) {
  if (end.session) {
    end.session->lost(reason);
    note(nodes_[static_cast<std::size_t>(end.node)].name + " loses " + nodes_[static_cast<std::size_t>(end.peer)].name + ": " + end.session->reason());
  }
  if (end.wire) end.wire->close(end.direction, now(), cables_[static_cast<std::size_t>(end.cable)]);
  end.session.reset();
  end.wire.reset();
  end.next_dial = now() + 50ms + 1ms * (random_() % 100);
}

void World::run_end(SimEnd& end) {
  if (!end.session) {
    if (end.dials && now() >= end.next_dial) dial(end);
    if (!end.session) return;
  }
  const Cable& cable = cables_[static_cast<std::size_t>(end.cable)];
  const int incoming = 1 - end.direction;
  Bytes bytes;
  bool arrived = false;
  while (end.session->state() != link::Session::State::closed && end.wire->read(incoming, cable, now(), bytes)) {
    arrived = true;
    for (std::size_t at = 0; at < bytes.size() && end.session->state() != link::Session::State::closed;) {
      const auto space = end.session->input_space();
      const std::size_t n = std::min(space.size(), bytes.size() - at);
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), n, space.begin());
      end.session->received(n, now());
      at += n;
    }
  }
  if (end.wire->heard_close(incoming, cable, now()) && end.session->state() != link::Session::State::closed) return hang_up(end, "closed by peer");
  end.session->tick(now());
  const bool due = *end.woken || arrived || end.session->more() || now() >= end.session->next_tick();
  *end.woken = false;
  for (int i = 0; due && i < 64 && end.wire->room(end.direction) > 0; ++i) {
    bytes.clear();
    end.session->fill(bytes, now());
    if (bytes.empty() && !end.session->more()) break;
    if (!bytes.empty()) end.wire->write(end.direction, bytes, cable, now());
  }
  if (end.session->more()) *end.woken = true;
  if (end.wire->queued(end.direction) > Wire::kBuffer + 2 * 65536) fail("more than the kernel's buffer was written");
  if (end.session->state() == link::Session::State::closed) hang_up(end, end.session->reason());
}

// --- Consumers ---------------------------------------------------------------------------------------------------------

void World::consume(SimNode& node) {
  Batch batch;
  for (int i = 0; i < 1000; ++i) {
    batch.clear();
    node.consumer->pull(batch, 256);
    for (const Update& update : batch.updates) {
      const std::string path(batch.path(update));
      if (update.kind == UpdateKind::removed) node.seen.erase(path);
      else check_update(node, path, update);
    }
    if (batch.updates.empty() && !batch.more) return;
  }
  fail(node.name + ": a consumer never reaches the end of what there is to read");
}

void World::check_update(SimNode& node, const std::string& path, const Update& update) {
  const auto origin = origin_of_.find(path);
  if (origin == origin_of_.end()) return fail(node.name + " shows a point that nobody has: " + path);
  const Truth& truth = nodes_[static_cast<std::size_t>(origin->second.first)].sources[origin->second.second].points.at(path);
  const double value = update.value.float64();
  const auto number = static_cast<std::size_t>(value);
  if (value < 0 || number >= truth.said.size()) return fail(node.name + " " + path + ": a value that was never said");
  if (update.underlying != truth.said[number].status || update.source_time != truth.said[number].time) {
    return fail(node.name + " " + path + ": value, status and time do not belong together");
  }
  if (quality_of(update.status) < quality_of(truth.said[number].status)) return fail(node.name + " " + path + ": better than the origin says");
  Seen& seen = node.seen[path];
  if (value < seen.value) {
    return fail(node.name + " " + path + ": backwards from " + std::to_string(seen.value) + " to " + std::to_string(value));
  }
  seen = {value, update.status, update.underlying};
}

// --- Sources -----------------------------------------------------------------------------------------------------------

void World::define(SimNode& node, SimSource& source, const std::string& path) {
  const Truth& truth = source.points[path];
  Meta meta;
  meta.type = Type::float64;
  meta.burst = std::hash<std::string>()(path) % 4 == 0 ? 3 : 0;
  const Definition d{path, &meta, {kNoPoint, truth.said.back().status, truth.said.back().time, Value::from(truth.value())}, !source.live};
  PointId id = kNoPoint;
  node.ns->define(source.route, std::span(&d, 1), std::span(&id, 1));
  source.ids[path] = id;
}

void World::change_some(int index, std::size_t which, int count) {
  SimNode& node = nodes_[static_cast<std::size_t>(index)];
  SimSource& source = node.sources[which];
  if (!node.alive || node.frozen || !source.live || source.points.empty()) return;
  std::vector<Change> changes;
  for (int i = 0; i < count; ++i) {
    auto at = std::next(source.points.begin(), static_cast<std::ptrdiff_t>(random_() % source.points.size()));
    Truth& truth = at->second;
    if (!truth.exists) continue;
    const Status status = random_() % 8 == 0 ? 0x80A90000u : random_() % 8 == 0 ? 0x40920000u : status::kGood;
    // Source times of a point grow even when its node's clock steps back: sources do that themselves or not at all.
    const UtcNanoseconds time = std::max(node.clock->utc(), truth.said.back().time + 1);
    truth.said.push_back({status, time});
    changes.push_back({source.ids[at->first], status, time, Value::from(truth.value())});
  }
  node.ns->apply(source.route, changes);
}

void World::remove_one(int index, std::size_t which) {
  SimNode& node = nodes_[static_cast<std::size_t>(index)];
  SimSource& source = node.sources[which];
  if (!node.alive || node.frozen || source.ids.empty()) return;
  const auto at = std::next(source.ids.begin(), static_cast<std::ptrdiff_t>(random_() % source.ids.size()));
  note(node.name + " removes " + at->first);
  source.points[at->first].exists = false;
  node.ns->remove(source.route, std::span(&at->second, 1));
  source.ids.erase(at);
}

void World::add_one(int index, std::size_t which) {
  SimNode& node = nodes_[static_cast<std::size_t>(index)];
  SimSource& source = node.sources[which];
  if (!node.alive || node.frozen || !source.live) return;
  std::string path = node.name + "/new/p" + std::to_string(++made_);
  for (auto& [old, truth] : source.points) {
    if (!truth.exists && random_() % 2 == 0) path = old;  // one comes back
  }
  note(node.name + " adds " + path);
  Truth& truth = source.points[path];
  const UtcNanoseconds last = truth.said.empty() ? 0 : truth.said.back().time;
  truth.said.push_back({status::kGood, std::max(node.clock->utc(), last + 1)});
  truth.exists = true;
  origin_of_[path] = {index, which};
  define(node, source, path);
}

void World::source_lost(int index, std::size_t which) {
  SimNode& node = nodes_[static_cast<std::size_t>(index)];
  SimSource& source = node.sources[which];
  if (!source.live) return;
  source.live = false;
  note(node.name + " loses its source");
  if (node.alive) node.ns->cover(source.route, status::kBadNoCommunication, {node.name, source.name, 1, "source lost"});
}

void World::source_back(int index, std::size_t which) {
  SimNode& node = nodes_[static_cast<std::size_t>(index)];
  SimSource& source = node.sources[which];
  if (source.live) return;
  source.live = true;
  note(node.name + " has its source back");
  if (!node.alive) return;
  node.ns->set_complete(source.route);
  node.ns->uncover(source.route);
}

// --- Shapes ------------------------------------------------------------------------------------------------------------

Shape random_shape(Random& random) {
  const auto pick = [&random](int low, int high) { return low + static_cast<int>(random() % static_cast<std::uint64_t>(high - low + 1)); };
  Shape s;
  const int kind = pick(0, 99);
  if (kind < 40) {  // plant → … → consumer; every second node listens, as a DMZ does
    s.nodes = pick(2, 6);
    s.name = "chain of " + std::to_string(s.nodes);
    for (int i = 0; i + 1 < s.nodes; ++i) {
      if (i % 2 == 0) s.links.push_back({i, i + 1, true, false});
      else s.links.push_back({i + 1, i, false, true});
    }
    s.origins = {0};
    if (pick(0, 1) == 1 && s.nodes > 2) s.origins.push_back(1);
  } else if (kind < 50) {
    const int plants = pick(0, 19) == 0 ? 50 : pick(3, 8);
    s.nodes = plants + 2;
    s.name = "fan-in of " + std::to_string(plants);
    for (int i = 0; i < plants; ++i) {
      s.links.push_back({i + 2, 0, true, false});
      s.origins.push_back(i + 2);
    }
    s.links.push_back({1, 0, false, true});
    s.points = 4;
  } else if (kind < 60) {
    const int consumers = pick(0, 19) == 0 ? 50 : pick(3, 8);
    s.nodes = consumers + 2;
    s.name = "fan-out to " + std::to_string(consumers);
    s.links.push_back({0, 1, true, false});
    for (int i = 0; i < consumers; ++i) s.links.push_back({i + 2, 1, false, true});
    s.origins = {0};
  } else if (kind < 75) {  // 0 → {1, 2} → 3 → 4
    s.name = "diamond";
    s.nodes = 5;
    s.links = {{0, 1, true, false}, {0, 2, true, false}, {3, 1, false, true}, {3, 2, false, true}, {3, 4, true, false}};
    s.origins = {0};
  } else if (kind < 88) {
    s.nodes = pick(3, 5);
    s.name = "two-way ring of " + std::to_string(s.nodes);
    for (int i = 0; i < s.nodes; ++i) s.links.push_back({i, (i + 1) % s.nodes, true, true});
    s.origins = {0, 1};
  } else {
    s.nodes = pick(2, 4);
    s.name = "two-way chain of " + std::to_string(s.nodes);
    for (int i = 0; i + 1 < s.nodes; ++i) s.links.push_back({i, i + 1, true, true});
    for (int i = 0; i < s.nodes; ++i) s.origins.push_back(i);
  }
  return s;
}

}  // namespace sallyport::sim
