// Inside of class Namespace: the lock, the table, the two logs, the routes and those who wait. For namespace.cpp,
// subscription.cpp and link_cursor.* only.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "namespace/namespace.h"
#include "namespace/table.h"

namespace sallyport {

// Sequence numbers in a ring: which point did number n touch? Only the newest `size` are known.
class Log {
 public:
  explicit Log(std::uint32_t size) : ids_(size), mask_(size - 1) {}
  std::uint64_t head() const { return head_; }  // number of the newest entry; 0: none
  std::uint64_t append(PointId id) {
    ids_[++head_ & mask_] = id;
    return head_;
  }
  PointId at(std::uint64_t number) const { return ids_[number & mask_]; }
  const PointId* slot(std::uint64_t number) const { return &ids_[number & mask_]; }
  // Whether everything after `position` is still in the ring.
  bool reaches(std::uint64_t position) const { return head_ - position <= mask_ && position >= base_; }
  // Goes on after `head`; what came before is not known.
  void restore(std::uint64_t head) { head_ = base_ = head; }

 private:
  std::vector<PointId> ids_;
  std::uint64_t mask_;
  std::uint64_t head_ = 0, base_ = 0;
};

// How long a route that took over may be behind what is here before it is believed all the same (a source's clock was set
// back). Longer than any link's timeout: a route that is dying is covered by then.
inline constexpr Duration kGuard = std::chrono::seconds(10);

// Of routes that were there before a restart, until what brings them is back.
inline constexpr std::uint32_t kRestoredProvider = UINT32_MAX - 1;

struct Route {
  RouteInfo info;
  std::uint32_t provider = 0;
  std::uint64_t version = 0;           // of Impl::route_version when anything here last changed
  std::uint64_t covers = 0;            // counts overlays laid
  bool covered = false;
  Status overlay = status::kGood;
  Cause cause;
  Revision cover_revision = 0;         // points not changed since are covered
  bool complete = true;
  Revision good_revision = 0;          // heads when the overlay was lifted or the route became complete: peers hear of it
  std::uint64_t good_definition = 0;   // after what makes it true
  std::uint64_t points = 0;
  std::uint32_t rank = 0;
  Verified verified = Verified::unverified;   // what its points are when they change
  MonotonicTime guarded_until{};       // it took over points of which it has, for now, older values than are here
  std::vector<RouteId> blocked_by;     // routes that kept points from this one
};

// Changes of a point that asks for its edges: those before the last one.
struct Edges {
  struct Edge {
    Revision revision;
    UtcNanoseconds source_time;
    Status status;
    bool stale;
    Value value;
  };
  std::vector<Edge> kept;  // oldest first, at most Meta::burst - 1
};

// Someone to be woken. Shared, so that waking needs no lock of the namespace.
struct WakeSlot {
  std::atomic<bool> armed{false};
  std::mutex mutex;  // held while calling, so that whoever unsubscribes can be sure
  Waker waker;
};

// Where a reader stands. `defined` and `seen` are what it has read of the definition log and the change log; the scans
// stand in for the logs when it fell behind.
struct Cursor {
  struct Scan {
    bool active = false;
    PointId next = 0;
    std::uint64_t target = 0;  // log head when the scan began
  };
  std::uint64_t defined = 0;
  Revision seen = 0;
  Scan definitions, changes;
  Revision edges_from = 0;     // edges up to here are not told: something newer of their points may have been already

  // A point is told as it is now, out of turn.
  void told_out_of_turn(const Slot& slot, Revision head) {
    if (slot.burst > 1 && seen < head) edges_from = head;
  }

  // Whether the reader has been told of the definition this slot has now.
  bool knows(const Slot& slot, PointId id) const {
    return slot.defined <= defined || (definitions.active && id < definitions.next && slot.defined <= definitions.target);
  }
};

struct Namespace::Impl {
  Impl(NamespaceLimits l) : limits(l), table(l.max_points), changes(l.ring_entries), definitions(1u << 16) {}

  const NamespaceLimits limits;
  mutable std::mutex mutex;
  Table table;
  Log changes;
  Log definitions;
  std::vector<Route> routes;
  std::atomic<std::uint64_t> route_version = 0;   // written under the lock
  std::atomic<bool> verifying = false;            // points say whether they are verified
  std::unordered_map<PointId, Edges> edges;
  // A point that changes a thousand times between two heartbeats is taken out of its cell's digest once, and put back once.
  std::vector<PointId> unsummed;       // each may stand here more than once
  std::size_t summed_to = 0;
  std::vector<Cell> cells;
  std::unordered_map<std::uint64_t, std::vector<CellId>> cell_index;  // by hash of (route, views)
  std::uint32_t next_provider = 1;
  unsigned incomplete = 0;             // see hold_incomplete()

  struct View {
    Patterns send, receive;
    std::string text;
    unsigned users = 0;
  };
  std::vector<View> views;  // index = bit

  std::vector<std::shared_ptr<WakeSlot>> waiting;
  std::vector<Cursor*> cursors;        // alive, for when removed ids may be used again
  std::atomic<unsigned> armed{0};

  // --- all below: lock held ---
  ViewMask views_of(std::string_view path) const;
  CellId cell_for(RouteId route, const ViewMask& views);
  void assign_views();
  void erase(PointId id, Slot& slot);
  bool covered(const Slot& slot) const {
    const Route& route = routes[cells[slot.cell].route];
    return route.covered && (slot.revision <= route.cover_revision || slot.stale);
  }
  Status shown(const Slot& slot) const {
    return covered(slot) ? overlaid(slot.status, routes[cells[slot.cell].route].overlay) : slot.status;
  }
  void set(PointId id, Slot& slot, Change& change, bool stale);
  Verified verified(const Slot& slot) const {
    if (!verifying.load(std::memory_order_relaxed)) return Verified::unknown;
    return slot.verified == Verified::unknown ? Verified::unverified : slot.verified;
  }
  bool says(const Slot& slot, const Change& change) const {
    return slot.status == change.status && slot.source_time == change.source_time && !slot.stale && table.value(slot) == change.value;
  }
  void keep_edge(PointId id, const Slot& slot);
  void take_from_digest(PointId id, Slot& slot);
  // Makes the digests of cells right, at most `max` points at a time; true once they are.
  bool sum(std::size_t max = SIZE_MAX);
  void sum_little(std::size_t batch);  // after a batch of so many changes
  // Calls visit(edge slot) for the kept edge of this revision, or for all after `seen`, oldest first. The slot is a copy
  // that borrows its value.
  template <typename Visit> void edge_at(PointId id, Revision revision, Visit&& visit) const;
  template <typename Visit> void edges_after(PointId id, Revision seen, Visit&& visit) const;
  bool gives_way(const Route& owner, const Route& challenger) const {
    return owner.provider == challenger.provider || (!challenger.covered && (owner.covered || challenger.rank < owner.rank));
  }
  static bool too_old(const Slot& slot, UtcNanoseconds time) { return slot.guarded && time < slot.source_time; }
  static void block(Route& route, RouteId by);
  void touch_definition(PointId id) { table[id].defined = definitions.append(id); }
  void move_to_cell(Slot& slot, CellId cell);
  std::uint64_t oldest_definition_read() const;
  RouteState state_of(const Route& route) const { return {route.covered, route.overlay, route.cause, route.complete}; }
  void good_news(Route& route) {
    route.good_revision = changes.head();
    route.good_definition = definitions.head();
    route.version = ++route_version;
  }
  void fill(PointView& view, PointId id) const;

  // --- lock not held ---
  template <typename Mine>
  void erase_if(std::span<const PointId> points, Mine&& mine);
  void wake();
  void add_waiting(std::shared_ptr<WakeSlot> slot);
  void remove_waiting(const std::shared_ptr<WakeSlot>& slot);
};

inline Slot edge_slot(const Slot& slot, const Edges::Edge& edge) {
  Slot copy = slot;
  copy.revision = edge.revision;
  copy.source_time = edge.source_time;
  copy.status = edge.status;
  copy.stale = edge.stale;
  Value value = edge.value;
  const Value::Raw raw = std::move(value).release_raw();
  copy.bits = raw.bits;
  copy.type = raw.type;
  copy.array = raw.array;
  copy.blob = raw.blob;
  return copy;
}
inline void release_edge_slot(const Slot& copy) { static_cast<void>(Value::adopt_raw({copy.bits, copy.type, copy.array, copy.blob})); }

template <typename Visit>
void Namespace::Impl::edge_at(PointId id, Revision revision, Visit&& visit) const {
  const auto found = edges.find(id);
  if (found == edges.end()) return;
  for (const Edges::Edge& edge : found->second.kept) {
    if (edge.revision != revision) continue;
    const Slot copy = edge_slot(table[id], edge);
    visit(copy);
    release_edge_slot(copy);
  }
}

template <typename Visit>
void Namespace::Impl::edges_after(PointId id, Revision seen, Visit&& visit) const {
  const auto found = edges.find(id);
  if (found == edges.end()) return;
  for (const Edges::Edge& edge : found->second.kept) {
    if (edge.revision <= seen) continue;
    const Slot copy = edge_slot(table[id], edge);
    visit(copy);
    release_edge_slot(copy);
  }
}

}  // namespace sallyport
