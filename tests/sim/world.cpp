// Runs the nodes and their links on the virtual clock.
#include "world.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace sallyport::sim {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kAll{"**"};
constexpr Duration kDialTimeout = 5s;
constexpr Duration kLazyTurn = 50ms;
constexpr Duration kRetirement = 2s;    // as in Tunnel

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
    nodes_[i].consumers.resize(random_() % 4 == 0 ? 2 : 1);
  }
  for (const std::vector<int>& readers : shape.devices) {
    Device device{"d" + std::to_string(devices_.size()), readers, {}};
    for (int p = 0; p < shape.points; ++p) {
      const std::string path = device.name + "/area" + std::to_string(p % 3) + "/p" + std::to_string(p);
      device.points[path] = Truth{{{status::kGood, 1, now()}}, true};
      device_of_[path] = devices_.size();
    }
    for (const int reader : readers) {
      SimSource source;
      source.device = devices_.size();
      if (readers.size() > 1) source.lag = 10ms * (random_() % 10);
      node_at(reader).sources.push_back(std::move(source));
    }
    devices_.push_back(std::move(device));
  }
  for (const Shape::Link& l : shape.links) {
    const int a = static_cast<int>(ends_.size());
    SimEnd dialler, listener;
    dialler.node = listener.peer = l.dialler;
    dialler.peer = listener.node = l.listener;
    dialler.other = a + 1;
    listener.other = a;
    dialler.cable = listener.cable = static_cast<int>(cables_.size());
    dialler.direction = 0;
    listener.direction = 1;
    dialler.dials = true;
    dialler.sends = listener.receives = l.forward;
    dialler.receives = listener.sends = l.backward;
    dialler.rank = listener.rank = l.rank;
    dialler.use = listener.use = l.use;
    dialler.enabled = listener.enabled = l.use != Shape::Link::Use::after;
    node_at(l.dialler).ends.push_back(a);
    node_at(l.listener).ends.push_back(a + 1);
    ends_.push_back(std::move(dialler));
    ends_.push_back(std::move(listener));
    cables_.emplace_back();
  }
  for (int i = 0; i < shape.nodes; ++i) boot(i);
}

void World::note(const std::string& what) {
  if (trace_) std::printf("%s  %s\n", seconds(now() - began_).c_str(), what.c_str());
}

void World::fail(std::string_view invariant, const std::string& what) {
  if (failure_) return;
  failure_ = "'" + std::string(invariant) + "' at " + seconds(now() - began_) + ": " + what;
  note("FAILED " + *failure_);
}

bool World::everything_up() const {
  return std::ranges::all_of(nodes_, [](const SimNode& n) { return n.alive && !n.frozen && std::ranges::all_of(n.sources, &SimSource::live); });
}

void World::step(Duration by) {
  clock_.advance(by);
  ++steps_;
  const bool lazy_turn = (now() - began_) % kLazyTurn < by;
  for (SimNode& node : nodes_) {
    if (!node.alive || node.frozen) continue;
    for (SimSource& source : node.sources) deliver(node, source);
    for (const int e : node.ends) run_end(end_at(e));
    for (SimConsumer& consumer : node.consumers) {
      if (!consumer.lazy) consume(node, consumer, 256, 1000);
      else if (lazy_turn) consume(node, consumer, 2, 1);
    }
  }
}

// --- Nodes -------------------------------------------------------------------------------------------------------------

void World::boot(int index) {
  SimNode& node = node_at(index);
  node.alive = true;
  node.frozen = false;
  node.thawed = now();
  node.incarnation = ++incarnations_;
  node.clock->boot(1s * (1 + random_() % 1'000'000), static_cast<int>(random_() % 400) - 200);
  node.ns = std::make_unique<Namespace>(*node.clock, NamespaceLimits{.max_points = 4096, .ring_entries = 32, .max_routes = 512});
  for (SimSource& source : node.sources) {
    const std::string& device = devices_[source.device].name;
    source.route = *node.ns->add_route({node.name, device, {node.name}}, 0, false);
    source.ids.clear();
    source.late.clear();
    read_all(node, source);
    if (source.live) node.ns->set_complete(source.route);
    else node.ns->cover(source.route, status::kBadNoCommunication, {node.name, device, 1, "source lost"});
  }
  for (const int e : node.ends) {
    SimEnd& end = end_at(e);
    if (end.enabled) make_receiver(end);
    end.next_dial = now();
    end.failures = 0;
  }
  for (std::size_t i = 0; i < node.consumers.size(); ++i) {
    node.consumers[i].subscription = std::make_unique<Subscription>(*node.ns, SubscriptionOptions{.patterns = *Patterns::parse(kAll)}, [] {});
    node.consumers[i].lazy = i > 0;
    node.consumers[i].seen.clear();
  }
}

void World::make_receiver(SimEnd& end) {
  SimNode& node = node_at(end.node);
  end.receiver = std::make_unique<link::Receiver>(*node.ns, node.name, "to-" + node_at(end.peer).name,
                                                  *Patterns::parse(end.receives ? kAll : std::vector<std::string>{}), status::kBadNoCommunication, 4096,
                                                  end.rank);
}

void World::kill(int index) {
  SimNode& node = node_at(index);
  if (!node.alive) return;
  note("kill " + node.name);
  node.alive = false;
  for (SimConsumer& consumer : node.consumers) consumer.subscription.reset();
  for (const int e : node.ends) {
    SimEnd& end = end_at(e);
    for (auto* connection : {&end.in_use, &end.candidate}) {
      if (*connection) (*connection)->wire->close(end.direction, now(), cable_of(end));
      connection->reset();
    }
    for (const SimEnd::Incoming& incoming : end.incoming) incoming.wire->close(end.direction, now(), cable_of(end));
    end.incoming.clear();
    if (end.retired) end.retired->close(end.direction, now(), cable_of(end));
    end.retired.reset();
    end.receiver.reset();
  }
  node.ns.reset();
}

void World::start(int index) {
  if (node_at(index).alive) return;
  note("start " + node_at(index).name);
  boot(index);
}

void World::freeze(int index) {
  SimNode& node = node_at(index);
  if (!node.alive || node.frozen) return;
  note("freeze " + node.name);
  node.frozen = true;
}

void World::thaw(int index) {
  SimNode& node = node_at(index);
  if (!node.frozen) return;
  note("thaw " + node.name);
  node.frozen = false;
  node.thawed = now();
  if (!node.alive) return;
  for (SimSource& source : node.sources) {
    if (source.live) read_all(node, source);
  }
}

void World::reset(int cable) {
  note("cable " + std::to_string(cable) + " reset");
  for (SimEnd& end : ends_) {
    if (end.cable == cable) lose(end, "connection reset");
  }
}

void World::step_clock(int index, std::int64_t nanoseconds) {
  note("UTC of " + node_at(index).name + " steps by " + std::to_string(nanoseconds / 1'000'000'000) + " s");
  node_at(index).clock->step(nanoseconds);
}

void World::set_enabled(SimEnd& end, bool enabled) {
  if (end.enabled == enabled) return;
  end.enabled = enabled;
  if (!node_at(end.node).alive) return;
  if (enabled) {
    make_receiver(end);
    end.next_dial = now();
    return;
  }
  hang_up(end, std::move(end.candidate), "removed");
  lose(end, "removed");
  end.incoming.clear();
  end.receiver.reset();
}

void World::insert_node(bool new_links_first) {
  note(std::string("a node is inserted, its links ") + (new_links_first ? "first" : "last"));
  for (const bool adding : {new_links_first, !new_links_first}) {
    for (SimEnd& end : ends_) {
      if (end.use == (adding ? Shape::Link::Use::after : Shape::Link::Use::before)) set_enabled(end, adding);
    }
  }
}

// --- Links -------------------------------------------------------------------------------------------------------------

void World::open(SimEnd& end, std::shared_ptr<Wire> wire) {
  SimNode& node = node_at(end.node);
  link::SessionOptions options;
  options.node = node.name;
  options.peer = node_at(end.peer).name;
  options.incarnation = node.incarnation;
  if (end.sends) options.send_texts = kAll;
  if (end.receives) options.receive_texts = kAll;
  else options.one_way = link::OneWay::acks;   // as the settings have it unless told otherwise
  options.send = *Patterns::parse(options.send_texts);
  if (end.session() != nullptr && end.session()->sender() != nullptr) options.first_window = end.session()->sender()->window().window();
  options.candidate = end.in_use != nullptr;
  auto connection = std::make_unique<SimConnection>();
  connection->wire = std::move(wire);
  connection->session = std::make_unique<link::Session>(*node.ns, *end.receiver, options, node.clock->monotonic(),
                                                        [woken = connection->woken] { *woken = true; });
  hang_up(end, std::move(end.candidate), "another candidate");
  (end.in_use ? end.candidate : end.in_use) = std::move(connection);
}

void World::dial(SimEnd& end) {
  const SimNode& peer = node_at(end.peer);
  SimEnd& other = end_at(end.other);
  const Cable& cable = cable_of(end);
  if (!cable.whole() || peer.frozen) {
    end.next_dial = now() + kDialTimeout;     // nothing comes back
  } else if (!peer.alive || !other.enabled) {
    const Duration wait = 100ms * (1 << std::min(end.failures++, 6u));
    end.next_dial = now() + std::min<Duration>(wait, 5s) * (50 + static_cast<int>(random_() % 50)) / 100;
  } else {
    end.failures = 0;
    auto wire = std::make_shared<Wire>();
    const Duration late = random_() % 4 == 0 ? Duration(1ms * (random_() % 500)) : Duration(0);  // the listener is busy
    other.incoming.push_back({now() + cable.delay + late, wire});
    if (ghosts && random_() % 8 == 0) send_ghost(end);
    open(end, wire);
  }
}

// A connection that the dialler has given up already reaches the listener later, perhaps after the one it dialled next.
void World::send_ghost(SimEnd& end) {
  SimNode& node = node_at(end.node);
  auto wire = std::make_shared<Wire>();
  link::Hello hello;
  hello.node = node.name;
  hello.incarnation = node.incarnation;
  hello.heartbeat = 1s;
  hello.timeout = 3s;
  if (end.sends) hello.send = kAll;
  if (end.receives) hello.receive = kAll;
  hello.held = end.receiver->held();
  Bytes bytes;
  link::encode(bytes, hello);
  wire->write(end.direction, bytes, cable_of(end), now());
  wire->close(end.direction, now(), cable_of(end));
  end_at(end.other).incoming.push_back({now() + cable_of(end).delay + 1ms * (random_() % 2000), wire, true});
}

void World::renew(int cable) {
  for (SimEnd& end : ends_) {
    const SimNode& node = node_at(end.node);
    if (end.cable == cable && end.dials && end.enabled && node.alive && !node.frozen && end.session() != nullptr && end.session()->up() && !end.candidate) {
      note(node.name + " dials " + node_at(end.peer).name + " anew");
      dial(end);
    }
  }
}

void World::accept(SimEnd& end) {
  if (!cable_of(end).whole()) return;
  for (std::size_t i = 0; i < end.incoming.size();) {
    if (end.incoming[i].at > now()) {
      ++i;
      continue;
    }
    const auto wire = end.incoming[i].wire;
    if (end.incoming[i].ghost) end.misled = end_at(end.other).misled = now();
    end.incoming.erase(end.incoming.begin() + static_cast<std::ptrdiff_t>(i));
    open(end, wire);
  }
}

void World::hang_up(SimEnd& end, std::unique_ptr<SimConnection> connection, const std::string& reason) {
  if (!connection) return;
  connection->session->lost(reason);
  connection->wire->close(end.direction, now(), cable_of(end));
}

// The connection in use is gone. A candidate simply begins, as if it were the first.
void World::lose(SimEnd& end, std::string reason) {
  if (!end.in_use) return;
  end.in_use->session->lost(reason);
  note(node_at(end.node).name + " loses " + node_at(end.peer).name + ": " + end.in_use->session->reason());
  hang_up(end, std::move(end.in_use), reason);
  end.receiver->lost(reason);
  if (end.retired) std::exchange(end.retired, nullptr)->close(end.direction, now(), cable_of(end));
  end.in_use = std::move(end.candidate);
  if (end.in_use) end.in_use->session->take_receiver();
  end.next_dial = now() + 50ms + 1ms * (random_() % 100);
}

// Only now is the old connection left: nothing is lost when the peer's table is the same.
void World::take_over(SimEnd& end) {
  const std::unique_ptr<SimConnection> old = std::exchange(end.in_use, std::move(end.candidate));
  const std::string who = node_at(end.node).name;
  if (end.in_use->session->succeed(*old->session)) {
    note(who + " goes on with " + node_at(end.peer).name + " over a new connection");
    if (end.retired) end.retired->close(end.direction, now(), cable_of(end));
    end.retired = old->wire;
    end.retired_until = now() + kRetirement;
  } else {
    note(who + " sees that " + node_at(end.peer).name + " is another one");
    old->session->lost("replaced");
    old->wire->close(end.direction, now(), cable_of(end));
  }
}

void World::read(SimEnd& end, SimConnection& connection) {
  const MonotonicTime node_now = node_at(end.node).clock->monotonic();
  link::Session& session = *connection.session;
  Bytes bytes;
  while (session.state() != link::Session::State::closed && connection.wire->read(1 - end.direction, cable_of(end), now(), bytes)) {
    *connection.woken = true;
    for (std::size_t at = 0; at < bytes.size() && session.state() != link::Session::State::closed;) {
      const auto space = session.input_space();
      const std::size_t n = std::min(space.size(), bytes.size() - at);
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), n, space.begin());
      session.received(n, node_now);
      at += n;
    }
  }
}

void World::write(SimEnd& end, SimConnection& connection) {
  const MonotonicTime node_now = node_at(end.node).clock->monotonic();
  Bytes bytes;
  for (int i = 0; i < 64 && connection.wire->room(end.direction) > 0; ++i) {
    bytes.clear();
    connection.session->fill(bytes, node_now);
    if (bytes.empty() && !connection.session->more()) break;
    if (!bytes.empty()) connection.wire->write(end.direction, bytes, cable_of(end), now());
  }
  if (connection.wire->queued(end.direction) > Wire::kBuffer + 2 * 65536) fail("bounded", "more than the kernel's buffer was written");
}

// false: it has ended.
bool World::run(SimEnd& end, SimConnection& connection) {
  link::Session& session = *connection.session;
  session.on_running = [this, &end, &connection] {
    connection.came_up = true;
    if (&connection == end.candidate.get()) take_over(end);
    else note(node_at(end.node).name + " is connected to " + node_at(end.peer).name);
  };
  read(end, connection);
  if (connection.wire->heard_close(1 - end.direction, cable_of(end), now())) session.lost("closed by peer");
  const MonotonicTime node_now = node_at(end.node).clock->monotonic();
  session.tick(node_now);
  const bool due = *connection.woken || session.more() || node_now >= session.next_tick();
  *connection.woken = false;
  if (due) write(end, connection);
  if (session.more()) *connection.woken = true;
  return session.state() != link::Session::State::closed;
}

void World::run_end(SimEnd& end) {
  if (!end.enabled) return;
  if (end.retired && now() >= end.retired_until) std::exchange(end.retired, nullptr)->close(end.direction, now(), cable_of(end));
  accept(end);
  if (!end.in_use && end.dials && now() >= end.next_dial) dial(end);
  if (end.in_use && !run(end, *end.in_use)) lose(end, end.in_use->session->reason());
  if (SimConnection* candidate = end.candidate.get(); candidate != nullptr && !run(end, *candidate)) {
    if (candidate == end.in_use.get()) lose(end, end.in_use->session->reason());
    else hang_up(end, std::move(end.candidate), "");
  }
  if (end.in_use) check_end(end);
}

void World::check_end(SimEnd& end) {
  if (const std::uint64_t mismatches = end.receiver->counters().digest_mismatches; mismatches != std::exchange(end.mismatches, mismatches) && mismatches > 0) {
    note(node_at(end.node).name + " repairs what came from " + node_at(end.peer).name);
  }
  if (const link::Sender* sender = end.session()->sender()) {
    end.widest = sender->window().in_flight() == 0 ? 0 : std::max(end.widest, sender->window().window());
  }
}

}  // namespace sallyport::sim
