// A whole network of nodes in one process on a virtual clock: real namespaces, receivers, senders and sessions over
// simulated cables. Faults are methods. What must hold at every step is checked here and in consumers.cpp; what must hold
// over time and in the end, in checks.h.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "link/session.h"
#include "shapes.h"
#include "wire.h"

namespace sallyport::sim {

// A node's own clocks: a monotonic one that begins anywhere at boot and runs a little fast or slow, a UTC that may step.
class NodeClock final : public Clock {
 public:
  explicit NodeClock(const ManualClock& shared) : shared_(shared) {}
  MonotonicTime monotonic() const override {
    const Duration since_boot = shared_.monotonic() - booted_;
    return MonotonicTime(began_) + since_boot + Duration(since_boot.count() / 1'000'000 * drift_ppm_);
  }
  UtcNanoseconds utc() const override { return shared_.utc() + step_; }
  void step(std::int64_t nanoseconds) { step_ += nanoseconds; }
  void boot(Duration began, int drift_ppm) {
    booted_ = shared_.monotonic();
    began_ = began;
    drift_ppm_ = drift_ppm;
  }

 private:
  const ManualClock& shared_;
  std::int64_t step_ = 0;
  MonotonicTime booted_{};
  Duration began_{0};
  int drift_ppm_ = 0;
};

// What a device says of a point, now and before: the truth that consumers are held against.
struct Truth {
  struct Said {
    Status status;
    UtcNanoseconds time;
    MonotonicTime at;       // of the world
  };
  std::vector<Said> said;   // by sequence number, which is the point's value
  bool exists = false;
  MonotonicTime gone_at{};  // when not
  double value() const { return static_cast<double>(said.size() - 1); }
};

// A PLC, so to say: read by one node, or by the two of a redundant pair.
struct Device {
  std::string name;
  std::vector<int> readers;
  std::map<std::string, Truth> points;
};

// A node's source: what it reads of a device.
struct SimSource {
  struct Late {
    MonotonicTime due;
    std::string path;
    std::size_t number;
  };
  std::size_t device = 0;
  bool live = true;
  RouteId route = kNoRoute;
  Duration lag{0};                        // behind the other reader
  std::vector<Late> late;
  std::map<std::string, PointId> ids;
};

// One end of a connection, and the session on it.
struct SimConnection {
  std::unique_ptr<link::Session> session;
  std::shared_ptr<Wire> wire;
  std::shared_ptr<bool> woken = std::make_shared<bool>(true);
  bool came_up = false;
};

// One end of a configured link, as Tunnel is.
struct SimEnd {
  int node = 0, peer = 0, other = 0;      // other: index of the peer's end
  int cable = 0, direction = 0;           // direction in which this end writes
  bool dials = false, enabled = true;
  bool sends = false, receives = false;
  std::uint32_t rank = 0;
  Shape::Link::Use use = Shape::Link::Use::always;
  std::unique_ptr<link::Receiver> receiver;
  std::unique_ptr<SimConnection> in_use, candidate;  // the candidate takes over when the peer has answered on it
  std::shared_ptr<Wire> retired;          // of the one before; closed a little later than it was left
  MonotonicTime retired_until{};
  link::Session* session() const { return in_use ? in_use->session.get() : nullptr; }
  struct Incoming {
    MonotonicTime at;
    std::shared_ptr<Wire> wire;
    bool ghost = false;
  };
  MonotonicTime misled{};                 // last time a ghost took over from what was in use
  std::vector<Incoming> incoming;         // connections that the listener has not taken yet, in any order
  MonotonicTime next_dial{};
  unsigned failures = 0;
  std::uint64_t mismatches = 0;           // of digests, so far
  std::size_t widest = 0;                 // flow window that there was since it was last empty
};

// What a consumer has been told of a point. `last`: the newest values, told one by one.
struct Seen {
  double value = -1;
  Status status = 0;
  std::array<double, 3> last{-1, -1, -1};
};

struct SimConsumer {
  std::unique_ptr<Subscription> subscription;
  bool lazy = false;                      // takes little, and seldom
  std::map<std::string, Seen> seen;
};

struct SimNode {
  std::string name;
  std::unique_ptr<NodeClock> clock;
  std::unique_ptr<Namespace> ns;
  std::uint64_t incarnation = 0;
  bool alive = true, frozen = false;
  MonotonicTime thawed{};                 // last time it began or went on
  std::vector<SimSource> sources;
  std::vector<int> ends;
  std::vector<SimConsumer> consumers;     // the first is never lazy
};

bool asks_for_edges(const std::string& path);

class World {
 public:
  World(const Shape& shape, std::uint64_t seed, bool trace);

  void step(Duration by);
  MonotonicTime now() const { return clock_.monotonic(); }
  const std::vector<SimNode>& nodes() const { return nodes_; }
  const std::vector<SimEnd>& ends() const { return ends_; }
  const std::vector<Device>& devices() const { return devices_; }
  std::vector<Cable>& cables() { return cables_; }
  const std::vector<Cable>& cables() const { return cables_; }
  void note(const std::string& what);
  void fail(std::string_view invariant, const std::string& what);
  const std::optional<std::string>& failure() const { return failure_; }
  bool tampered() const { return !tampered_.empty(); }
  bool tampered(const std::string& path) const { return tampered_.contains(path); }
  bool everything_up() const;

  // Faults and their ends.
  void kill(int node);
  void start(int node);
  void freeze(int node);
  void thaw(int node);
  void reset(int cable);
  void renew(int cable);                  // the dialler makes a new connection before it leaves the old one
  void step_clock(int node, std::int64_t nanoseconds);
  void source_lost(int node);
  void source_back(int node);
  void insert_node(bool new_links_first);
  void tamper(int node);                  // what a mirror holds is changed behind the back of the links
  // Data.
  void change_some(std::size_t device, int count);
  void change_one(std::size_t device, const std::string& path, int times);
  void remove_one(std::size_t device);
  void add_one(std::size_t device);
  void drain();                           // lazy consumers take all there is

  bool calm = false;                      // nothing is broken: no consumer may see an overlay
  bool ghosts = false;                    // connections given up may arrive late

 private:
  // world.cpp
  void boot(int node);
  void run_end(SimEnd& end);
  bool run(SimEnd& end, SimConnection& connection);
  void read(SimEnd& end, SimConnection& connection);
  void write(SimEnd& end, SimConnection& connection);
  void take_over(SimEnd& end);
  void check_end(SimEnd& end);
  void dial(SimEnd& end);
  void accept(SimEnd& end);
  void send_ghost(SimEnd& end);
  void open(SimEnd& end, std::shared_ptr<Wire> wire);
  void hang_up(SimEnd& end, std::unique_ptr<SimConnection> connection, const std::string& reason);
  void lose(SimEnd& end, std::string reason);
  void make_receiver(SimEnd& end);
  void set_enabled(SimEnd& end, bool enabled);
  // consumers.cpp
  void consume(SimNode& node, SimConsumer& consumer, std::size_t max, int pulls);
  void check_update(SimNode& node, SimConsumer& consumer, const std::string& path, const Update& update);
  // devices.cpp
  void define(SimNode& node, SimSource& source, const std::string& path);
  void read_all(SimNode& node, SimSource& source);
  void deliver(SimNode& node, SimSource& source);
  std::vector<std::pair<SimNode*, SimSource*>> listeners_of(std::size_t device);
  void say(std::size_t device, std::span<const std::string> paths);

  SimNode& node_at(int index) { return nodes_[static_cast<std::size_t>(index)]; }
  SimEnd& end_at(int index) { return ends_[static_cast<std::size_t>(index)]; }
  const Cable& cable_of(const SimEnd& end) const { return cables_[static_cast<std::size_t>(end.cable)]; }

  ManualClock clock_;
  Random random_;
  bool trace_;
  MonotonicTime began_;
  std::uint64_t steps_ = 0;
  std::vector<SimNode> nodes_;
  std::vector<SimEnd> ends_;
  std::vector<Cable> cables_;
  std::vector<Device> devices_;
  std::map<std::string, std::size_t> device_of_;  // by path
  std::set<std::string> tampered_;                // paths
  std::uint64_t incarnations_ = 1;
  int made_ = 0;
  std::optional<std::string> failure_;
};

}  // namespace sallyport::sim
