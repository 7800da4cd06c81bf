// A link's cursor: like a Subscription, but it hands routes and their overlays as such, definitions once, and changes as
// they stand in the table, straight to an encoder. What a peer may see is a view plus the path vector.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "namespace/namespace.h"
#include "namespace/namespace_impl.h"

namespace sallyport {

// What the peer is told of a route.
struct RouteNews {
  RouteId route;
  const RouteInfo& info;
  const RouteState& state;
  bool renew;      // a new overlay was laid since the last news: whatever looked live is not
  bool withdrawn;  // the peer must forget the route and its points: they now come through the peer itself
};

struct RouteDigest {
  RouteId route;
  std::uint64_t points, digest;
};

// An encoder has, all called with the namespace's lock held, so they must only write to memory:
//   bool full() const;         // no room for definitions and changes
//   void share(bool);          // true: changes leave half of the room to definitions
//   bool routes_full() const;  // no room even for routes, which may overtake
//   void route(const RouteNews&);
//   void define(PointId, const Slot&, std::string_view path, const Meta&, RouteId, bool covered);
//   void remove(PointId);
//   void change(PointId, const Slot&, bool covered);
//   void route_digests(std::span<const RouteDigest>);
//   void bucket_digests(RouteId, std::span<const std::uint64_t>);
//   void repair(PointId, …as define);
//   void repaired(RouteId, const std::vector<bool>& buckets);
class LinkCursor {
 public:
  // `peer`: routes that already came through it are not sent to it. `own_provider`: nor what this link itself brought.
  LinkCursor(Namespace& ns, unsigned view, std::string peer, std::uint32_t own_provider, Waker waker);
  ~LinkCursor();
  LinkCursor(const LinkCursor&) = delete;
  LinkCursor& operator=(const LinkCursor&) = delete;

  // What there is now is what "synchronized" means.
  void mark_start();
  // Only what changes from now on; what there is, is told by walk().
  void start_now();
  // Go on after what the peer holds already.
  void resume(Revision seen, std::uint64_t defined);
  // The peer asks for everything of a route again.
  void refresh(RouteId route);

  // Questions of a peer whose digest differs; answered when it has been told everything.
  void ask_route_digests() { route_digests_wanted_ = true; }
  void ask_bucket_digests(RouteId route) { buckets_wanted_ = route; }
  void repair(RouteId route, std::vector<bool> buckets);

  struct Pulled {
    bool more = false;           // stopped because the encoder was full or enough was looked at
    bool synchronized = false;   // all that had changed by mark_start() has been handed out
    bool complete = false;       // and nothing is missing here that links of this node have yet to bring
    bool caught_up = false;      // the peer, having applied this, holds what this node holds
    bool summed = false;         // and `digest` and `points` say what that is
    bool consistent = false;     // seen and defined tell where to resume
    Revision seen = 0;
    std::uint64_t defined = 0;
    std::uint64_t digest = 0;
    std::uint64_t points = 0;
  };
  // `digest`: sum up, when caught up. That takes a while after many changes, so it is for heartbeats, not for every pull.
  template <typename Encoder>
  Pulled pull(Encoder& encoder, bool digest);

  // Tells everything that the peer may see with ids from `from` on, whether it was told before or not, until the encoder is
  // full or so many places were looked at. Returns the id to go on from, kNoPoint at the end; nothing: routes have changed,
  // so pull first.
  template <typename Encoder>
  std::optional<PointId> walk(Encoder& encoder, PointId from, std::size_t look);

  // Whether a pull would find something. Arms the waker when not.
  bool idle_and_armed();
  // Arms the waker although there is something left to pull, for which there is no room: news of routes need none. False:
  // there are such already.
  bool armed_for_routes();

 private:
  static constexpr std::size_t kLookPerPull = 65536;
  static constexpr std::size_t kFirstSlice = 4096;
  enum class Allowed : std::uint8_t { unknown, yes, no };
  struct Told {                   // what the peer knows of a route
    std::uint64_t version = 0;    // told in full
    std::uint64_t partly = 0;     // told but for that it is complete
    std::uint64_t covers = 0;
    bool known = false, covered = false, complete = false;
    bool withdrawn = false;       // at some time the peer was not allowed it
  };

  bool idle() const;
  bool route_allowed(const Route& route) const;
  [[gnu::always_inline]] bool allowed(const Slot& slot) {
    if (slot.cell >= allowed_.size()) allowed_.resize(im_.cells.size(), Allowed::unknown);
    Allowed& known = allowed_[slot.cell];
    if (known == Allowed::unknown) [[unlikely]] known = decide(im_.cells[slot.cell]);
    return known == Allowed::yes;
  }
  Allowed decide(const Cell& cell) const;
  bool in_rescan(const Slot& slot, PointId id) const {
    return rescan_active_ && id >= rescan_next_ && rescan_[im_.cells[slot.cell].route];
  }
  template <typename Encoder> void pull_routes(Encoder& encoder);
  template <typename Encoder> void pull_rescan(Encoder& encoder);
  template <typename Encoder> void pull_definitions(Encoder& encoder);
  template <typename Encoder> void pull_changes(Encoder& encoder);
  template <typename Encoder> void tell_definition(Encoder& encoder, PointId id);
  template <typename Encoder> void tell_change(Encoder& encoder, PointId id);
  template <typename Encoder, typename Visit> void tell_edges(Encoder& encoder, PointId id, Visit&& visit_edges);
  template <typename Encoder> void pull_repair(Encoder& encoder);
  template <typename Encoder> void answer_questions(Encoder& encoder);
  void sum(Pulled& pulled);
  bool good_news_is_due(const Route& route) const {
    return !cursor_.changes.active && !cursor_.definitions.active && cursor_.seen >= route.good_revision &&
           cursor_.defined >= route.good_definition;
  }

  Namespace::Impl& im_;
  unsigned view_;
  std::string peer_;
  std::uint32_t own_provider_;
  std::shared_ptr<WakeSlot> wake_ = std::make_shared<WakeSlot>();
  Cursor cursor_;
  std::vector<Allowed> allowed_;   // by cell
  std::vector<Told> told_;         // by route
  std::uint64_t route_version_ = 0;
  Revision start_seen_ = 0;
  std::uint64_t start_defined_ = 0;
  bool lifts_pending_ = false;
  std::vector<bool> rescan_;       // routes to define again, ids from rescan_next_ on
  bool rescan_active_ = false;
  PointId rescan_next_ = 0;
  bool route_digests_wanted_ = false;
  RouteId buckets_wanted_ = 0;
  struct Repair {
    RouteId route = 0;               // 0: none
    std::vector<bool> buckets;
    PointId next = 0;
  } repair_;
  std::size_t looked_ = 0;
  std::size_t sum_slice_ = kFirstSlice;
};

// --- implementation of the templates ---------------------------------------------------------------------------------

template <typename Encoder>
void LinkCursor::pull_routes(Encoder& encoder) {
  if (route_version_ == im_.route_version && !lifts_pending_) return;
  if (route_version_ != im_.route_version) allowed_.assign(im_.cells.size(), Allowed::unknown);
  told_.resize(im_.routes.size());
  rescan_.resize(im_.routes.size());
  lifts_pending_ = false;
  for (std::size_t i = 1; i < im_.routes.size(); ++i) {
    const Route& route = im_.routes[i];
    Told& told = told_[i];
    if (told.version == route.version) continue;
    if (encoder.routes_full()) return;  // route_version_ stays behind: we come back
    const auto id = static_cast<RouteId>(i);
    RouteState state = im_.state_of(route);
    if (route.provider == 0) {
      told = {.version = route.version, .covers = route.covers};
      continue;
    }
    if (!route_allowed(route)) {
      if (told.known) encoder.route({id, route.info, state, false, true});
      told = {.version = route.version, .covers = route.covers, .withdrawn = true};
      continue;
    }
    // Good news (an overlay lifted, the route complete) waits behind the changes that make it true; bad news does not.
    const bool lifts = told.known && told.covered && !route.covered;
    const bool completes = route.complete && !told.complete;
    const bool wait = (lifts || completes) && !good_news_is_due(route);
    if (wait) {
      lifts_pending_ = true;
      if (lifts || told.partly == route.version) continue;
      state.complete = false;
    }
    if (told.withdrawn) {  // the peer may have it again: define what was passed over in the meantime
      rescan_[i] = true;
      rescan_active_ = true;
      rescan_next_ = 0;
    }
    encoder.route({id, route.info, state, route.covers != told.covers || !told.known, false});
    told = {.version = wait ? 0 : route.version, .partly = route.version, .covers = route.covers, .known = true,
            .covered = route.covered, .complete = state.complete};
  }
  route_version_ = im_.route_version;
}

template <typename Encoder>
void LinkCursor::tell_definition(Encoder& encoder, PointId id) {
  const Slot& slot = im_.table[id];
  if (slot.present && allowed(slot)) {
    cursor_.told_out_of_turn(slot, im_.changes.head());
    encoder.define(id, slot, im_.table.path(slot), *im_.table.meta(slot.meta), im_.cells[slot.cell].route, im_.covered(slot));
  } else if (slot.reused || (!slot.present && im_.cells[slot.cell].views.test(view_))) {  // its route may be gone as well
    encoder.remove(id);
  }
}

template <typename Encoder>
void LinkCursor::pull_rescan(Encoder& encoder) {
  for (; rescan_active_ && rescan_next_ < im_.table.end(); ++looked_) {
    if (encoder.full() || looked_ >= kLookPerPull) return;
    const PointId id = rescan_next_++;
    const Slot& slot = im_.table[id];
    if (slot.present && rescan_[im_.cells[slot.cell].route] && cursor_.knows(slot, id)) tell_definition(encoder, id);
  }
  if (rescan_active_) std::fill(rescan_.begin(), rescan_.end(), false);
  rescan_active_ = false;
}

template <typename Encoder>
void LinkCursor::pull_definitions(Encoder& encoder) {
  Cursor::Scan& scan = cursor_.definitions;
  while (!encoder.full() && looked_ < kLookPerPull) {
    if (scan.active) {
      for (; scan.next < im_.table.end(); ++looked_) {
        if (encoder.full() || looked_ >= kLookPerPull) return;
        const PointId id = scan.next++;
        const Slot& slot = im_.table[id];
        if (slot.defined > cursor_.defined && slot.defined <= scan.target) tell_definition(encoder, id);
      }
      scan.active = false;
      cursor_.defined = scan.target;
    } else if (cursor_.defined == im_.definitions.head()) {
      return;
    } else if (cursor_.defined == 0 || !im_.definitions.reaches(cursor_.defined)) {
      scan = {true, 0, im_.definitions.head()};
    } else {
      const std::uint64_t number = ++cursor_.defined;
      ++looked_;
      const PointId id = im_.definitions.at(number);
      if (im_.table[id].defined == number) tell_definition(encoder, id);
    }
  }
}

template <typename Encoder>
[[gnu::always_inline]] inline void LinkCursor::tell_change(Encoder& encoder, PointId id) {
  const Slot& slot = im_.table[id];
  if (!slot.present || !allowed(slot) || !cursor_.knows(slot, id)) return;
  if (rescan_active_ && in_rescan(slot, id)) return;
  encoder.change(id, slot, im_.covered(slot));
}

template <typename Encoder, typename Visit>
void LinkCursor::tell_edges(Encoder& encoder, PointId id, Visit&& visit_edges) {
  const Slot& slot = im_.table[id];
  if (!slot.present || !allowed(slot) || !cursor_.knows(slot, id) || in_rescan(slot, id)) return;
  visit_edges([&](const Slot& edge) {
    if (edge.revision > cursor_.edges_from) encoder.change(id, edge, im_.covered(edge));
  });
}

template <typename Encoder>
void LinkCursor::pull_changes(Encoder& encoder) {
  constexpr std::uint64_t kAhead = 12;  // slots fetched into the cache ahead of use
  Cursor::Scan& scan = cursor_.changes;
  while (!encoder.full() && looked_ < kLookPerPull) {
    if (scan.active) {
      for (; scan.next < im_.table.end(); ++looked_) {
        if (encoder.full() || looked_ >= kLookPerPull) return;
        const PointId id = scan.next++;
        const Slot& slot = im_.table[id];
        if (slot.revision <= cursor_.seen) continue;
        if (slot.burst > 1) tell_edges(encoder, id, [&](auto&& tell) { im_.edges_after(id, cursor_.seen, tell); });
        if (slot.revision > scan.target) cursor_.told_out_of_turn(slot, im_.changes.head());
        tell_change(encoder, id);
      }
      scan.active = false;
      cursor_.seen = scan.target;
    } else if (cursor_.seen == im_.changes.head()) {
      return;
    } else if (!im_.changes.reaches(cursor_.seen) || im_.changes.head() - cursor_.seen > im_.table.end()) {
      // Off the ring, or so far behind that the table is shorter than the way: one pass tells each point once, oldest news
      // and newest alike, where the ring would tell the busiest again and again.
      scan = {true, 0, im_.changes.head()};
    } else {
      const std::uint64_t head = im_.changes.head();
      for (; cursor_.seen < head; ++looked_) {
        if (encoder.full() || looked_ >= kLookPerPull) return;
        const std::uint64_t number = ++cursor_.seen;
        if (number + kAhead <= head) __builtin_prefetch(&im_.table[im_.changes.at(number + kAhead)]);
        const PointId id = im_.changes.at(number);
        const Slot& slot = im_.table[id];
        if (slot.revision == number) [[likely]] tell_change(encoder, id);
        else if (slot.burst > 1) tell_edges(encoder, id, [&](auto&& tell) { im_.edge_at(id, number, tell); });
      }
    }
  }
}

template <typename Encoder>
void LinkCursor::pull_repair(Encoder& encoder) {
  for (; repair_.next < im_.table.end(); ++looked_) {
    if (encoder.full() || looked_ >= kLookPerPull) return;
    const PointId id = repair_.next++;
    const Slot& slot = im_.table[id];
    if (!slot.present || im_.cells[slot.cell].route != repair_.route || !repair_.buckets[bucket_of(slot.path_hash)]) continue;
    if (!allowed(slot) || !cursor_.knows(slot, id)) continue;
    cursor_.told_out_of_turn(slot, im_.changes.head());
    encoder.repair(id, slot, im_.table.path(slot), *im_.table.meta(slot.meta), repair_.route, im_.covered(slot));
  }
  if (encoder.full()) return;
  encoder.repaired(repair_.route, repair_.buckets);
  repair_ = {};
}

// Only when the peer has been told everything: then its digests should be ours.
template <typename Encoder>
void LinkCursor::answer_questions(Encoder& encoder) {
  if (route_digests_wanted_) {
    im_.sum();
    std::vector<RouteDigest> digests(im_.routes.size());
    for (const Cell& cell : im_.cells) {
      if (cell.points == 0 || !cell.views.test(view_) || !route_allowed(im_.routes[cell.route])) continue;
      digests[cell.route].route = cell.route;
      digests[cell.route].points += cell.points;
      digests[cell.route].digest += cell.digest;
    }
    std::erase_if(digests, [](const RouteDigest& d) { return d.points == 0; });
    encoder.route_digests(digests);
    route_digests_wanted_ = false;
  }
  if (buckets_wanted_ != 0) {
    std::vector<std::uint64_t> buckets(Namespace::kBuckets);
    for (PointId id = 0; id < im_.table.end(); ++id) {
      const Slot& slot = im_.table[id];
      if (slot.present && im_.cells[slot.cell].route == buckets_wanted_ && allowed(slot)) buckets[bucket_of(slot.path_hash)] += digest_of(slot);
    }
    encoder.bucket_digests(buckets_wanted_, buckets);
    buckets_wanted_ = 0;
  }
}

// In slices between which others get the lock and the link sends what has changed since; each twice as long, so that it
// ends however fast changes come.
inline void LinkCursor::sum(Pulled& pulled) {
  pulled.summed = im_.sum(sum_slice_);
  sum_slice_ = pulled.summed ? kFirstSlice : 2 * sum_slice_;
  pulled.more = pulled.more || !pulled.summed;
  if (!pulled.summed) return;
  for (const Cell& cell : im_.cells) {
    if (cell.points == 0 || !cell.views.test(view_) || !route_allowed(im_.routes[cell.route])) continue;
    pulled.digest += cell.digest;
    pulled.points += cell.points;
  }
}

template <typename Encoder>
std::optional<PointId> LinkCursor::walk(Encoder& encoder, PointId from, std::size_t look) {
  const std::lock_guard lock(im_.mutex);
  if (route_version_ != im_.route_version) return std::nullopt;
  PointId id = from;
  for (; id < im_.table.end() && look > 0 && !encoder.full(); ++id, --look) {
    const Slot& slot = im_.table[id];
    if (!slot.present || !allowed(slot)) continue;
    cursor_.told_out_of_turn(slot, im_.changes.head());
    encoder.define(id, slot, im_.table.path(slot), *im_.table.meta(slot.meta), im_.cells[slot.cell].route, im_.covered(slot));
  }
  return id < im_.table.end() ? id : kNoPoint;
}

template <typename Encoder>
LinkCursor::Pulled LinkCursor::pull(Encoder& encoder, bool digest) {
  const std::lock_guard lock(im_.mutex);
  looked_ = 0;
  pull_routes(encoder);
  Pulled pulled;
  pulled.more = true;
  if (route_version_ != im_.route_version) return pulled;  // no point before its route
  // Live first: what changes goes before what is only now being told, but a stream of changes must not starve a snapshot.
  encoder.share(rescan_active_ || cursor_.definitions.active || cursor_.defined != im_.definitions.head());
  pull_changes(encoder);
  encoder.share(false);
  if (looked_ >= kLookPerPull / 2) looked_ = kLookPerPull / 2;
  pull_rescan(encoder);
  pull_definitions(encoder);
  if (repair_.route != 0) pull_repair(encoder);
  if (lifts_pending_) pull_routes(encoder);
  pulled.caught_up = idle();
  if (pulled.caught_up && !encoder.full()) answer_questions(encoder);
  pulled.more = !pulled.caught_up || route_digests_wanted_ || buckets_wanted_ != 0;
  pulled.consistent = !rescan_active_;
  pulled.synchronized = !rescan_active_ && !cursor_.changes.active && !cursor_.definitions.active &&
                        cursor_.seen >= start_seen_ && cursor_.defined >= start_defined_;
  pulled.complete = pulled.caught_up && im_.incomplete == 0;
  pulled.seen = cursor_.seen;
  pulled.defined = cursor_.defined;
  if (digest && pulled.caught_up) sum(pulled);
  return pulled;
}

}  // namespace sallyport
