// The namespace: all points of a node and their last change. The one place where sources and sinks meet.
//
// A dense table of points. Each change gets the next revision; a ring remembers which point each recent revision touched.
// Writers hand in batches. Readers hold a cursor (a revision) and pull what changed since: what they miss is conflated, so
// a slow reader costs nothing and memory stays flat. A cursor that fell off the ring scans revisions instead.
// Definitions (path, metadata, removal) are numbered and logged the same way, apart from values.
//
// Any thread. One lock, held per batch; never held while calling out.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "namespace/change.h"
#include "namespace/path.h"
#include "namespace/pattern.h"
#include "namespace/point.h"

namespace sallyport {

struct NamespaceLimits {
  std::uint32_t max_points = 10'000'000;
  std::uint32_t ring_entries = 1u << 20;  // power of two
  std::uint16_t max_routes = 4096;
};

struct Definition {
  std::string_view path;
  const Meta* meta = nullptr;
  Change first;        // value, status, source time at definition; `point` is ignored
  bool covered = false;  // the first value is itself stale (see Namespace::apply)
  bool forced = false;   // part of a repair: holds even against a newer source time
  bool renewed = false;  // told again by one who knows it to be so now: an overlay laid here no longer lies over it
};

struct NamespaceCounts {
  std::uint32_t points = 0;
  std::uint32_t good = 0, uncertain = 0, bad = 0;  // as consumers see them
};

// A copy of everything about one point.
struct PointView {
  PointId id = kNoPoint;
  std::string path;
  std::shared_ptr<const Meta> meta;
  RouteId route = kNoRoute;
  std::string origin;
  Value value;
  Status status = status::kGood;      // overlays included
  Status underlying = status::kGood;
  bool covered = false;
  Verified verified = Verified::unknown;
  std::optional<Cause> cause;         // when covered
  UtcNanoseconds source_time = 0;
  Revision revision = 0;
};

struct BrowseEntry {
  std::string name;      // one level
  bool is_point = false;
  std::uint32_t points_below = 0;
};

using BrowseEntries = std::map<std::string, BrowseEntry, std::less<>>;
inline constexpr std::size_t kLookAtAll = SIZE_MAX;

class Namespace;

// Called (at most once between two pulls) when a subscription has something new. Must return at once: post to your loop or
// signal your thread. Any thread, no lock held.
using Waker = std::function<void()>;

struct SubscriptionOptions {
  Patterns patterns;
  bool paths = true;         // fill Batch::text
  bool definitions = true;   // deliver UpdateKind::defined for metadata changes, and removals
  bool snapshot = true;      // begin with every matching point (as UpdateKind::defined); else only what changes from now
};

// A consumer's view: current state first, then what changes, with overlays expanded to one update per point. One thread at
// a time; outlived by the Namespace.
class Subscription {
 public:
  Subscription(Namespace& ns, SubscriptionOptions options, Waker waker);
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  // Appends at most `max` updates to a cleared batch. An empty batch without `more` means: wait for the waker.
  void pull(Batch& batch, std::size_t max);

 private:
  friend class Namespace;
  struct State;
  std::unique_ptr<State> state_;
};

class Namespace {
 public:
  explicit Namespace(Clock& clock, NamespaceLimits limits = {});
  ~Namespace();
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;

  // --- Writing -------------------------------------------------------------------------------------------------------
  // Who writes: a source or a link. Routes of one provider may share one apply_from().
  std::uint32_t add_provider();
  // A route begins uncovered. Routes are few. provider 0: a provider of its own. limit: too many routes.
  // `complete` false: its points are still being defined; readers keep what they know of them until set_complete().
  Result<RouteId> add_route(RouteInfo info, std::uint32_t provider = 0, bool complete = true);
  void set_complete(RouteId route);
  // After a restart with what was kept (image.h): a route that add_route() is asked for again is the one that was, points and
  // cover included; adopt_routes() claims others, and returns those that were there to be claimed; the rest is dropped once
  // everything has started. clear(): before anyone uses it.
  std::vector<RouteId> adopt_routes(std::span<const RouteId> routes, std::uint32_t provider);
  void drop_restored();
  void clear();
  // While held (a link has not been told everything since this node started), routes may be missing here: peers must not
  // take what is not told for gone.
  void hold_incomplete();
  void release_incomplete();
  void set_route_info(RouteId route, RouteInfo info);
  // Of several routes that bring the same point the one of the lowest rank wins, among those not covered. Default 0.
  void set_route_rank(RouteId route, std::uint32_t rank);
  // Routes of this provider that were refused points, or had them taken over, by a route that would now give way: define
  // their points again. Each is named once per such event.
  std::vector<RouteId> worth_defining_again(std::uint32_t provider);
  // Some of its points are brought by another route, or it is catching up with one it took over from: digests may differ.
  bool is_blocked(RouteId route) const;
  // Grows with every change to a route. Any thread, without the lock.
  std::uint64_t route_version() const;
  // Removes its points, then the route; the id may be used again.
  void remove_route(RouteId route);
  // Defines points of a route, or renews metadata and value of those already there. ids[i] is kNoPoint where point i was
  // refused: its path is bad, the table is full, or a live route of no higher rank provides it already. Returns how
  // many were refused, by the first reason met.
  struct Refused { std::uint32_t count = 0; std::string first_reason; };
  Refused define(RouteId route, std::span<const Definition> definitions, std::span<PointId> ids);
  // Points that are not (or no longer) of this route are passed over.
  void remove(RouteId route, std::span<const PointId> points);
  // The Values are moved from. Points not (or no longer) of this route are passed over. `only_new`: also those that say
  // what is known already, so that reading everything again costs the readers nothing.
  void apply(RouteId route, std::span<Change> changes, bool only_new = false);
  // The same for changes of several routes of one provider. `covered`: these were already stale where they come from, so
  // they do not count as live while their route is covered. Returns how many were passed over as not the provider's.
  std::uint64_t apply_from(std::uint32_t provider, std::span<Change> changes, bool covered);
  void remove_from(std::uint32_t provider, std::span<const PointId> points);
  // Removes the provider's points whose id is not set in `keep`: what a full resend did not name is gone.
  void remove_unnamed(std::uint32_t provider, const std::vector<bool>& keep);
  // Points and digest of what a provider brought: compared with what the peer says it sent.
  struct Holding { std::uint64_t points = 0, digest = 0; };
  std::optional<Holding> holding(std::uint32_t provider) const;  // nothing: there is more to sum up; ask again later
  Holding route_holding(RouteId route) const;
  // Digests of a route's points in kBuckets parts by path: narrows a difference down. Goes through the whole table.
  static constexpr std::size_t kBuckets = 1024;
  std::vector<std::uint64_t> bucket_digests(RouteId route) const;
  // Removes the route's points that lie in one of these buckets and are not set in `keep`; returns how many.
  std::size_t remove_unnamed_in(RouteId route, const std::vector<bool>& buckets, const std::vector<bool>& keep);
  // Lays an overlay over every point of the route, or lifts it. While it lies, points that change are no longer covered:
  // they are live. `renew` false only changes what an overlay that lies there says; points that are live stay so.
  void cover(RouteId route, Status overlay, const Cause& cause, bool renew = true);
  void uncover(RouteId route);

  // Whether points say that they are verified; those of routes that are not told otherwise are not. Any thread.
  void set_verifying(bool on);
  bool is_verifying() const;
  // What points of this route are with each definition and change from now on.
  void set_route_verified(RouteId route, Verified verified);
  // Until they change again. Nobody is told: readers see it with the next change, or when they read.
  void set_verified(RouteId route, std::span<const PointId> points, Verified verified);

  // What a link may see: points that match both (what we send, what the peer receives). Equal views share one; points know
  // which views they are in. limit: too many different views.
  Result<unsigned> add_view(const Patterns& send, const Patterns& receive);
  void remove_view(unsigned view);

  // --- Reading -------------------------------------------------------------------------------------------------------
  std::optional<PointView> read(std::string_view path) const;
  std::optional<PointId> find(std::string_view path) const;
  std::string path(PointId point) const;
  // Points in order of id from `from` on that match; at most `max`; returns the id to continue from, or nullopt at the end.
  // Holds the lock for a bounded number of points at a time.
  // `look`: visit at most about so many places of the table in this call, for callers that may not stay away for long; the
  // id returned may then come with fewer than `max`, even none.
  std::optional<PointId> list(const Patterns& patterns, PointId from, std::size_t max, std::vector<PointView>& out,
                              std::size_t look = kLookAtAll) const;
  std::vector<BrowseEntry> browse(std::string_view path, std::size_t max) const;
  // The same in steps: adds to `found`, at most `max` names; returns the id to continue from.
  std::optional<PointId> browse(std::string_view path, PointId from, std::size_t max, std::size_t look,
                                BrowseEntries& found) const;
  // Metadata of a point, for sinks that write it at definition. Null when the point is gone.
  std::shared_ptr<const Meta> meta(PointId point) const;
  RouteInfo route_info(RouteId route) const;
  RouteState route_state(RouteId route) const;
  NamespaceCounts counts(const Patterns& patterns) const;
  std::optional<PointId> count(const Patterns& patterns, PointId from, std::size_t look, NamespaceCounts& counts) const;
  // Paths near this one, for "did you mean"; a bounded look.
  std::vector<std::string> similar(std::string_view path, std::size_t max) const;
  Revision revision() const;
  // How many changes the slowest reader of this node has yet to read; 0 without readers.
  std::uint64_t lag() const;
  std::uint32_t max_points() const;
  Clock& clock() const { return clock_; }

  struct Impl;
  Impl& impl() const { return *impl_; }  // for Subscription and LinkCursor only

 private:
  Clock& clock_;
  NamespaceLimits limits_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport
