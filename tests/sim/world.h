// A whole network of nodes in one process on a virtual clock: real namespaces, receivers, senders and sessions over
// simulated cables. Faults are methods; Checker says what must hold.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "link/session.h"
#include "wire.h"

namespace sallyport::sim {

using Random = std::mt19937_64;

// A node's own clock: everyone's monotonic time, a UTC that may step.
class NodeClock final : public Clock {
 public:
  explicit NodeClock(const ManualClock& shared) : shared_(shared) {}
  MonotonicTime monotonic() const override { return shared_.monotonic(); }
  UtcNanoseconds utc() const override { return shared_.utc() + step_; }
  void step(std::int64_t nanoseconds) { step_ += nanoseconds; }

 private:
  const ManualClock& shared_;
  std::int64_t step_ = 0;
};

// What the origin says of a point, now and before: the truth that consumers are held against.
struct Truth {
  struct Said {
    Status status;
    UtcNanoseconds time;
  };
  std::vector<Said> said;   // by sequence number, which is the point's value
  bool exists = false;
  double value() const { return static_cast<double>(said.size() - 1); }
};

struct SimSource {
  std::string name;
  bool live = true;
  RouteId route = kNoRoute;
  std::map<std::string, Truth> points;
  std::map<std::string, PointId> ids;
};

struct SimNode;

// One end of a configured link.
struct SimEnd {
  int node = 0, peer = 0, other = 0;      // other: index of the peer's end
  int cable = 0, direction = 0;           // direction in which this end writes
  bool dials = false;
  bool sends = false, receives = false;
  std::unique_ptr<link::Receiver> receiver;
  std::unique_ptr<link::Session> session;
  std::shared_ptr<Wire> wire;
  std::shared_ptr<bool> woken = std::make_shared<bool>(false);
  MonotonicTime next_dial{};
  unsigned failures = 0;
};

// What a consumer at a node has been told last of each point.
struct Seen {
  double value = -1;
  Status status = 0, underlying = 0;
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
  std::unique_ptr<Subscription> consumer;
  std::map<std::string, Seen> seen;
};

struct Shape {
  std::string name;
  int nodes = 0;
  struct Link { int dialler, listener; bool forward, backward; };  // forward: data from dialler to listener
  std::vector<Link> links;
  std::vector<int> origins;
  int points = 12;
};

class World {
 public:
  World(const Shape& shape, std::uint64_t seed, bool trace);

  void step(Duration by);
  MonotonicTime now() const { return clock_.monotonic(); }
  const std::vector<SimNode>& nodes() const { return nodes_; }
  const std::vector<SimEnd>& ends() const { return ends_; }
  std::vector<Cable>& cables() { return cables_; }
  const std::vector<Cable>& cables() const { return cables_; }
  Random& random() { return random_; }
  void note(const std::string& what);
  void fail(const std::string& what);
  const std::optional<std::string>& failure() const { return failure_; }

  // Faults and their ends.
  void kill(int node);
  void start(int node);
  void freeze(int node) { nodes_[static_cast<std::size_t>(node)].frozen = true; }
  void thaw(int node);
  void reset(int cable);
  void step_clock(int node, std::int64_t nanoseconds) { nodes_[static_cast<std::size_t>(node)].clock->step(nanoseconds); }
  void source_lost(int node, std::size_t source);
  void source_back(int node, std::size_t source);
  // Data.
  void change_some(int node, std::size_t source, int count);
  void remove_one(int node, std::size_t source);
  void add_one(int node, std::size_t source);

  bool changes_on = true;

 private:
  void boot(SimNode& node, int index);
  void run_node(SimNode& node, int index);
  void run_end(SimEnd& end);
  void dial(SimEnd& end);
  void open(SimEnd& end, std::shared_ptr<Wire> wire);
  void hang_up(SimEnd& end, const std::string& reason);
  void consume(SimNode& node);
  void check_update(SimNode& node, const std::string& path, const Update& update);
  void define(SimNode& node, SimSource& source, const std::string& path);

  ManualClock clock_;
  Random random_;
  bool trace_;
  MonotonicTime began_;
  std::vector<SimNode> nodes_;
  std::vector<SimEnd> ends_;
  std::vector<Cable> cables_;
  std::map<std::string, std::pair<int, std::size_t>> origin_of_;  // path → node, source
  std::uint64_t incarnations_ = 1;
  int made_ = 0;
  std::optional<std::string> failure_;
};

Shape random_shape(Random& random);

}  // namespace sallyport::sim
