// The namespace: sources and links write batches into it, sinks and links read from it with cursors.
#include "namespace/namespace.h"

#include <algorithm>

#include "base/settings.h"
#include "namespace/namespace_impl.h"

namespace sallyport {
namespace {

constexpr std::size_t kListChunk = 4096;  // points looked at while holding the lock once
constexpr std::size_t kMaxCells = 0xfffe;
constexpr std::size_t kSmallBatch = 64;
constexpr std::size_t kSumPerCall = 128 * 1024;   // a few milliseconds
constexpr std::size_t kPrefetch = 12;     // slots ahead: about the time one cache miss takes

std::uint64_t cell_key(RouteId route, const ViewMask& views) {
  return (std::hash<ViewMask>()(views) * 0x9E3779B97F4A7C15ull) ^ route;
}

}  // namespace

Namespace::Namespace(Clock& clock, NamespaceLimits limits) : clock_(clock), limits_(limits) { clear(); }
Namespace::~Namespace() = default;

void Namespace::clear() {
  impl_ = std::make_unique<Impl>(limits_);
  impl_->routes.emplace_back();           // route 0 and cell 0 belong to nobody
  impl_->routes[0].provider = UINT32_MAX;
  impl_->cells.push_back({0, {}, 0, 0});
}

// --- Impl ------------------------------------------------------------------------------------------------------------

ViewMask Namespace::Impl::views_of(std::string_view path) const {
  ViewMask mask;
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (views[i].send.matches(path) && views[i].receive.matches(path)) mask.set(i);
  }
  return mask;
}

CellId Namespace::Impl::cell_for(RouteId route, const ViewMask& mask) {
  auto& candidates = cell_index[cell_key(route, mask)];
  for (const CellId id : candidates) {
    if (cells[id].route == route && cells[id].views == mask) return id;
  }
  // 65,536 cells are 4,096 routes with 16 combinations of views each. Beyond that a point is in no view: kept from links
  // that might have seen it, never shown to one that must not.
  if (cells.size() > kMaxCells) return 0;
  const auto id = static_cast<CellId>(cells.size());
  cells.push_back({route, mask, 0, 0});
  candidates.push_back(id);
  return id;
}

void Namespace::Impl::move_to_cell(Slot& slot, CellId cell) {
  if (slot.cell == cell) return;
  const std::uint64_t digest = slot.unsummed ? 0 : digest_of(slot);
  Cell& from = cells[slot.cell];
  Cell& to = cells[cell];
  from.digest -= digest;
  --from.points;
  --routes[from.route].points;
  to.digest += digest;
  ++to.points;
  ++routes[to.route].points;
  slot.reused = slot.reused || from.route != to.route;  // who may not see the new route must be told it is gone
  slot.cell = cell;
}

void Namespace::Impl::keep_edge(PointId id, const Slot& slot) {
  if (slot.revision == 0) return;
  auto& kept = edges[id].kept;
  if (kept.size() + 1 >= slot.burst && !kept.empty()) kept.erase(kept.begin());
  kept.push_back({slot.revision, slot.source_time, slot.status, slot.stale, table.value(slot)});
}

void Namespace::Impl::block(Route& route, RouteId by) {
  if (std::ranges::find(route.blocked_by, by) == route.blocked_by.end()) route.blocked_by.push_back(by);
}

inline void Namespace::Impl::set(PointId id, Slot& slot, Change& change, bool stale) {
  if (slot.burst > 1) [[unlikely]] keep_edge(id, slot);
  if (!slot.unsummed) [[unlikely]] take_from_digest(id, slot);
  table.set_value(slot, std::move(change.value));
  slot.source_time = change.source_time;
  slot.status = change.status;
  slot.stale = stale;
  slot.guarded = false;
  if (verifying.load(std::memory_order_relaxed)) [[unlikely]] slot.verified = routes[cells[slot.cell].route].verified;
  slot.revision = changes.append(id);
}

void Namespace::Impl::take_from_digest(PointId id, Slot& slot) {
  // What is summed stays in the list until all of it is. Before this point is taken out: it would be put back as it was.
  if (unsummed.size() > std::size_t{table.end()} * 2 + 1024) sum();
  cells[slot.cell].digest -= digest_of(slot);
  slot.unsummed = true;
  unsummed.push_back(id);
}

// Small batches mean that there is time, and that few points change twice between two heartbeats. Without this a heartbeat
// finds thousands to sum, and the changes of that moment wait for milliseconds.
void Namespace::Impl::sum_little(std::size_t batch) {
  if (batch <= kSmallBatch && !unsummed.empty()) sum(2 * batch + 8);
}

bool Namespace::Impl::sum(std::size_t max) {
  const std::size_t to = max < unsummed.size() - summed_to ? summed_to + max : unsummed.size();
  for (; summed_to < to; ++summed_to) {
    if (summed_to + kPrefetch < to) __builtin_prefetch(&table[unsummed[summed_to + kPrefetch]], 1);
    Slot& slot = table[unsummed[summed_to]];
    if (!slot.unsummed) continue;
    slot.unsummed = false;
    cells[slot.cell].digest += digest_of(slot);
  }
  if (summed_to < unsummed.size()) return false;
  unsummed.clear();
  summed_to = 0;
  return true;
}

std::uint64_t Namespace::Impl::oldest_definition_read() const {
  std::uint64_t oldest = definitions.head();
  for (const Cursor* cursor : cursors) oldest = std::min(oldest, cursor->defined);
  return oldest;
}

void Namespace::Impl::wake() {
  if (armed.load(std::memory_order_acquire) == 0) return;
  std::vector<std::shared_ptr<WakeSlot>> ready;
  {
    const std::lock_guard lock(mutex);
    for (const auto& slot : waiting) {
      if (slot->armed.exchange(false)) {
        armed.fetch_sub(1);
        ready.push_back(slot);
      }
    }
  }
  for (const auto& slot : ready) {
    const std::lock_guard lock(slot->mutex);
    if (slot->waker) slot->waker();
  }
}

void Namespace::Impl::add_waiting(std::shared_ptr<WakeSlot> slot) {
  const std::lock_guard lock(mutex);
  waiting.push_back(std::move(slot));
}

void Namespace::Impl::remove_waiting(const std::shared_ptr<WakeSlot>& slot) {
  {
    const std::lock_guard lock(mutex);
    std::erase(waiting, slot);
    if (slot->armed.exchange(false)) armed.fetch_sub(1);
  }
  const std::lock_guard lock(slot->mutex);  // a wake-up under way ends first
  slot->waker = nullptr;
}

void Namespace::Impl::fill(PointView& view, PointId id) const {
  const Slot& slot = table[id];
  const Route& route = routes[cells[slot.cell].route];
  view.id = id;
  view.path = std::string(table.path(slot));
  view.meta = table.meta(slot.meta);
  view.route = cells[slot.cell].route;
  view.origin = route.info.origin;
  view.value = table.value(slot);
  view.underlying = slot.status;
  view.covered = covered(slot);
  view.status = shown(slot);
  view.verified = verified(slot);
  if (view.covered) view.cause = route.cause;
  view.source_time = slot.source_time;
  view.revision = slot.revision;
}

// --- Points ----------------------------------------------------------------------------------------------------------

namespace {

struct Definer {
  Namespace::Impl& im;
  RouteId route;
  Namespace::Refused refused;
  std::uint64_t reusable;
  MonotonicTime now;

  PointId refuse(std::string_view path, std::string_view why) {
    if (refused.count++ == 0) refused.first_reason = "'" + std::string(path.substr(0, 200)) + "': " + std::string(why);
    return kNoPoint;
  }

  void set_value(PointId id, const Definition& d) {
    Change change = d.first;
    im.set(id, im.table[id], change, d.covered);
  }

  PointId insert(const Definition& d, std::uint64_t hash) {
    const PointId id = im.table.insert(d.path, hash, reusable);
    if (id == kNoPoint) return refuse(d.path, "the table is full; raise [limits] points");
    Slot& slot = im.table[id];
    slot.cell = im.cell_for(route, im.views_of(d.path));
    slot.meta = d.meta ? im.table.intern_meta(*d.meta) : 0;
    slot.burst = d.meta ? d.meta->burst : 0;
    slot.status = 0;
    slot.source_time = 0;
    slot.revision = 0;
    slot.verified = Verified::unverified;
    Cell& cell = im.cells[slot.cell];
    cell.digest += digest_of(slot);
    ++cell.points;
    ++im.routes[route].points;
    im.touch_definition(id);
    set_value(id, d);
    return id;
  }

  PointId renew(PointId id, const Definition& d) {
    Slot& slot = im.table[id];
    const RouteId owner = im.cells[slot.cell].route;
    // What is stale where it comes from never replaces something newer.
    bool older = !d.forced && (im.too_old(slot, d.first.source_time) || (d.covered && d.first.source_time < slot.source_time));
    const bool stale_and_older = older && d.covered;
    if (owner != route) {
      Route& other = im.routes[owner];
      Route& mine = im.routes[route];
      if (!im.gives_way(other, mine)) {
        Namespace::Impl::block(mine, owner);
        return refuse(d.path, "already provided by source '" + other.info.source + "' of node '" + other.info.origin + "'");
      }
      if (other.provider != mine.provider) Namespace::Impl::block(other, route);
      if (!d.forced && d.first.source_time < slot.source_time) {
        older = slot.guarded = true;  // the new route is behind what is here and will catch up
        mine.guarded_until = now + kGuard;
      }
      im.move_to_cell(slot, im.cell_for(route, im.cells[slot.cell].views));
      slot.verified = Verified::unverified;
      im.touch_definition(id);
    }
    if (d.meta && *im.table.meta(slot.meta) != *d.meta) {
      im.table.release_meta(std::exchange(slot.meta, im.table.intern_meta(*d.meta)));
      slot.burst = d.meta->burst;
      if (slot.burst < 2) im.edges.erase(id);
      im.touch_definition(id);
    }
    if (older) {
      if (owner == route && stale_and_older) return id;  // covered as it is
      slot.stale = d.covered;
      slot.revision = im.changes.append(id);
      return id;
    }
    slot.verified = im.routes[route].verified;
    const bool same = slot.status == d.first.status && slot.source_time == d.first.source_time && im.table.value(slot) == d.first.value;
    if (same && d.covered && im.covered(slot)) return id;  // covered as it is
    if (!same || slot.stale != d.covered || (d.renewed && !d.covered && im.covered(slot))) set_value(id, d);
    return id;
  }
};

}  // namespace

Namespace::Refused Namespace::define(RouteId route, std::span<const Definition> definitions, std::span<PointId> ids) {
  Refused refused;
  for (std::size_t done = 0; done < definitions.size();) {  // the lock is let go now and then: others are waiting
    const std::size_t chunk = std::min(definitions.size() - done, kListChunk);
    const std::lock_guard lock(impl_->mutex);
    Definer definer{*impl_, route, {}, impl_->oldest_definition_read(), clock_.monotonic()};
    for (std::size_t i = done; i < done + chunk; ++i) {
      const Definition& d = definitions[i];
      if (auto ok = check_path(d.path); !ok) {
        ids[i] = definer.refuse(d.path, ok.error().message);
        continue;
      }
      const std::uint64_t hash = hash_path(d.path);
      const PointId known = impl_->table.find(d.path, hash);
      ids[i] = known == kNoPoint ? definer.insert(d, hash) : definer.renew(known, d);
    }
    if (refused.count == 0) refused.first_reason = std::move(definer.refused.first_reason);
    refused.count += definer.refused.count;
    done += chunk;
  }
  impl_->wake();
  return refused;
}

void Namespace::Impl::erase(PointId id, Slot& slot) {
  Cell& cell = cells[slot.cell];
  if (!slot.unsummed) cell.digest -= digest_of(slot);
  slot.unsummed = false;
  --cell.points;
  --routes[cell.route].points;
  if (slot.burst > 1) edges.erase(id);
  table.erase(id);
  touch_definition(id);
}

template <typename Mine>
void Namespace::Impl::erase_if(std::span<const PointId> points, Mine&& mine) {
  for (std::size_t done = 0; done < points.size();) {
    const std::size_t chunk = std::min(points.size() - done, kListChunk);
    const std::lock_guard lock(mutex);
    for (const PointId id : points.subspan(done, chunk)) {
      if (id < table.end() && table[id].present && mine(cells[table[id].cell].route)) erase(id, table[id]);
    }
    done += chunk;
  }
  wake();
}

void Namespace::remove(RouteId route, std::span<const PointId> points) {
  impl_->erase_if(points, [route](RouteId of) { return of == route; });
}

void Namespace::remove_from(std::uint32_t provider, std::span<const PointId> points) {
  impl_->erase_if(points, [this, provider](RouteId of) { return impl_->routes[of].provider == provider; });
}

void Namespace::remove_unnamed(std::uint32_t provider, const std::vector<bool>& keep) {
  std::vector<PointId> gone;
  for (PointId id = 0;;) {
    const std::lock_guard lock(impl_->mutex);
    const auto end = static_cast<PointId>(std::min<std::uint64_t>(impl_->table.end(), id + kListChunk));
    for (; id < end; ++id) {
      const Slot& slot = impl_->table[id];
      if (slot.present && (id >= keep.size() || !keep[id]) && impl_->routes[impl_->cells[slot.cell].route].provider == provider) {
        gone.push_back(id);
      }
    }
    if (id >= impl_->table.end()) break;
  }
  remove_from(provider, gone);
}

std::optional<Namespace::Holding> Namespace::holding(std::uint32_t provider) const {
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->sum(kSumPerCall)) return std::nullopt;
  Holding holding;
  for (const Cell& cell : impl_->cells) {
    if (cell.points == 0 || impl_->routes[cell.route].provider != provider) continue;
    holding.points += cell.points;
    holding.digest += cell.digest;
  }
  return holding;
}

void Namespace::apply(RouteId route, std::span<Change> changes, bool only_new) {
  {
    const std::lock_guard lock(impl_->mutex);
    Impl& im = *impl_;
    for (Change& change : changes) {
      if (change.point >= im.table.end()) continue;
      Slot& slot = im.table[change.point];
      if (!slot.present || im.cells[slot.cell].route != route || im.too_old(slot, change.source_time)) continue;
      if (only_new && im.says(slot, change)) continue;
      im.set(change.point, slot, change, false);
    }
    im.sum_little(changes.size());
  }
  impl_->wake();
}

std::uint64_t Namespace::apply_from(std::uint32_t provider, std::span<Change> changes, bool covered) {
  std::uint64_t passed_over = 0;
  {
    const std::lock_guard lock(impl_->mutex);
    Impl& im = *impl_;
    const std::uint32_t end = im.table.end();
    for (std::size_t i = 0; i < std::min(changes.size(), kPrefetch); ++i) {
      if (changes[i].point < end) __builtin_prefetch(&im.table[changes[i].point], 1);
    }
    for (std::size_t i = 0; i < changes.size(); ++i) {
      if (i + kPrefetch < changes.size() && changes[i + kPrefetch].point < end) __builtin_prefetch(&im.table[changes[i + kPrefetch].point], 1);
      Change& change = changes[i];
      if (change.point < end) [[likely]] {
        Slot& slot = im.table[change.point];
        if (slot.present && im.routes[im.cells[slot.cell].route].provider == provider) [[likely]] {
          if (covered && change.source_time < slot.source_time) [[unlikely]] continue;
          if (!im.too_old(slot, change.source_time)) [[likely]] im.set(change.point, slot, change, covered);
          continue;
        }
      }
      ++passed_over;
    }
    im.sum_little(changes.size());
  }
  impl_->wake();
  return passed_over;
}

Namespace::Holding Namespace::route_holding(RouteId route) const {
  const std::lock_guard lock(impl_->mutex);
  impl_->sum();
  Holding holding;
  for (const Cell& cell : impl_->cells) {
    if (cell.route != route) continue;
    holding.points += cell.points;
    holding.digest += cell.digest;
  }
  return holding;
}

std::vector<std::uint64_t> Namespace::bucket_digests(RouteId route) const {
  std::vector<std::uint64_t> digests(kBuckets);
  const std::lock_guard lock(impl_->mutex);
  for (PointId id = 0; id < impl_->table.end(); ++id) {
    const Slot& slot = impl_->table[id];
    if (slot.present && impl_->cells[slot.cell].route == route) digests[bucket_of(slot.path_hash)] += digest_of(slot);
  }
  return digests;
}

std::size_t Namespace::remove_unnamed_in(RouteId route, const std::vector<bool>& buckets, const std::vector<bool>& keep) {
  std::vector<PointId> gone;
  {
    const std::lock_guard lock(impl_->mutex);
    for (PointId id = 0; id < impl_->table.end(); ++id) {
      const Slot& slot = impl_->table[id];
      if (slot.present && impl_->cells[slot.cell].route == route && buckets[bucket_of(slot.path_hash)] && (id >= keep.size() || !keep[id])) {
        gone.push_back(id);
      }
    }
  }
  remove(route, gone);
  return gone.size();
}

// --- Reading ---------------------------------------------------------------------------------------------------------

std::optional<PointId> Namespace::find(std::string_view path) const {
  const std::lock_guard lock(impl_->mutex);
  const PointId id = impl_->table.find(path, hash_path(path));
  return id == kNoPoint ? std::nullopt : std::optional(id);
}

std::optional<PointView> Namespace::read(std::string_view path) const {
  const std::lock_guard lock(impl_->mutex);
  const PointId id = impl_->table.find(path, hash_path(path));
  if (id == kNoPoint) return std::nullopt;
  PointView view;
  impl_->fill(view, id);
  return view;
}

std::string Namespace::path(PointId point) const {
  const std::lock_guard lock(impl_->mutex);
  return point < impl_->table.end() ? std::string(impl_->table.path(impl_->table[point])) : std::string();
}

std::shared_ptr<const Meta> Namespace::meta(PointId point) const {
  const std::lock_guard lock(impl_->mutex);
  if (point >= impl_->table.end() || !impl_->table[point].present) return nullptr;
  return impl_->table.meta(impl_->table[point].meta);
}

RouteInfo Namespace::route_info(RouteId route) const {
  const std::lock_guard lock(impl_->mutex);
  return route < impl_->routes.size() ? impl_->routes[route].info : RouteInfo{};
}

RouteState Namespace::route_state(RouteId route) const {
  const std::lock_guard lock(impl_->mutex);
  return route < impl_->routes.size() ? impl_->state_of(impl_->routes[route]) : RouteState{};
}

std::uint32_t Namespace::max_points() const { return impl_->limits.max_points; }

std::uint64_t Namespace::lag() const {
  const std::lock_guard lock(impl_->mutex);
  Revision slowest = impl_->changes.head();
  for (const Cursor* cursor : impl_->cursors) slowest = std::min(slowest, cursor->seen);
  return impl_->changes.head() - slowest;
}

Revision Namespace::revision() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->changes.head();
}

namespace {

// Visits present points from `from` on, letting go of the lock after every chunk. The visitor returns false to stop; so
// does the walk after `look` places.
template <typename Visit>
std::optional<PointId> walk(const Namespace::Impl& im, PointId from, std::size_t look, Visit&& visit) {
  for (PointId id = from;;) {
    if (look == 0) return id;
    const std::size_t chunk = std::min(look, kListChunk);
    look -= chunk;
    const std::lock_guard lock(im.mutex);
    const auto end = static_cast<PointId>(std::min<std::uint64_t>(im.table.end(), std::uint64_t{id} + chunk));
    for (; id < end; ++id) {
      if (im.table[id].present && !visit(id, im.table[id])) return id;
    }
    if (id >= im.table.end()) return std::nullopt;
  }
}

}  // namespace

std::optional<PointId> Namespace::list(const Patterns& patterns, PointId from, std::size_t max, std::vector<PointView>& out,
                                       std::size_t look) const {
  const Impl& im = *impl_;
  std::size_t added = 0;
  return walk(im, from, look, [&](PointId id, const Slot& slot) {
    if (!patterns.matches(im.table.path(slot))) return true;
    if (added == max) return false;
    im.fill(out.emplace_back(), id);
    ++added;
    return true;
  });
}

std::vector<BrowseEntry> Namespace::browse(std::string_view path, std::size_t max) const {
  BrowseEntries found;
  browse(path, 0, max, kLookAtAll, found);
  std::vector<BrowseEntry> out;
  for (auto& [name, entry] : found) out.push_back(std::move(entry));
  return out;
}

std::optional<PointId> Namespace::browse(std::string_view path, PointId from, std::size_t max, std::size_t look,
                                         BrowseEntries& found) const {
  const Impl& im = *impl_;
  const std::string prefix = path.empty() ? std::string() : std::string(path) + "/";
  return walk(im, from, look, [&](PointId, const Slot& slot) {
    std::string_view rest = im.table.path(slot);
    if (!rest.starts_with(prefix)) return true;
    rest.remove_prefix(prefix.size());
    const std::size_t slash = rest.find('/');
    const std::string_view name = rest.substr(0, slash);
    auto at = found.find(name);
    if (at == found.end()) {
      if (found.size() == max) return true;
      at = found.emplace(std::string(name), BrowseEntry{std::string(name), false, 0}).first;
    }
    if (slash == std::string_view::npos) at->second.is_point = true;
    else ++at->second.points_below;
    return true;
  });
}

NamespaceCounts Namespace::counts(const Patterns& patterns) const {
  NamespaceCounts counts;
  count(patterns, 0, kLookAtAll, counts);
  return counts;
}

std::optional<PointId> Namespace::count(const Patterns& patterns, PointId from, std::size_t look, NamespaceCounts& counts) const {
  const Impl& im = *impl_;
  return walk(im, from, look, [&](PointId, const Slot& slot) {
    if (!patterns.matches(im.table.path(slot))) return true;
    ++counts.points;
    switch (quality_of(im.shown(slot))) {
      case Quality::good: ++counts.good; break;
      case Quality::uncertain: ++counts.uncertain; break;
      case Quality::bad: ++counts.bad; break;
    }
    return true;
  });
}

std::vector<std::string> Namespace::similar(std::string_view path, std::size_t max) const {
  constexpr std::size_t kLook = 5000;
  std::vector<std::string> candidates;
  walk(*impl_, 0, kLookAtAll, [&](PointId, const Slot& slot) {
    candidates.emplace_back(impl_->table.path(slot));
    return candidates.size() < kLook;
  });
  std::vector<std::string> out;
  while (out.size() < max) {
    const auto best = nearest(path, candidates);
    if (!best) break;
    std::erase(candidates, *best);
    out.push_back(*best);
  }
  return out;
}

}  // namespace sallyport
