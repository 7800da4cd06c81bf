// Views of links, and the routes by which points come: overlays, completeness, which of several routes wins.
#include <algorithm>

#include "namespace/namespace_impl.h"

namespace sallyport {

// --- Views -----------------------------------------------------------------------------------------------------------

Result<unsigned> Namespace::add_view(const Patterns& send, const Patterns& receive) {
  const std::lock_guard lock(impl_->mutex);
  Impl& im = *impl_;
  const std::string text = send.text() + "\n&\n" + receive.text();
  std::optional<unsigned> free;
  for (unsigned i = 0; i < im.views.size(); ++i) {
    if (im.views[i].text == text) {  // also one nobody uses now: its marks are still right
      ++im.views[i].users;
      return i;
    }
    if (im.views[i].users == 0 && !free) free = i;
  }
  if (im.views.size() < kMaxViews) {
    free = static_cast<unsigned>(im.views.size());
    im.views.emplace_back();
  }
  if (!free) {
    return fail(ErrorCode::limit, "more than " + std::to_string(kMaxViews) + " different views; let links share `send` and `receive` lists");
  }
  im.views[*free] = {send, receive, text, 1};
  im.assign_views();
  return *free;
}

void Namespace::remove_view(unsigned view) {
  const std::lock_guard lock(impl_->mutex);
  --impl_->views[view].users;
}

// Rare (start, reload), and the only time the whole table is gone through under the lock.
void Namespace::Impl::assign_views() {
  for (PointId id = 0; id < table.end(); ++id) {
    Slot& slot = table[id];
    if (slot.present) move_to_cell(slot, cell_for(cells[slot.cell].route, views_of(table.path(slot))));
  }
}

// --- Routes ----------------------------------------------------------------------------------------------------------

std::uint32_t Namespace::add_provider() {
  const std::lock_guard lock(impl_->mutex);
  return impl_->next_provider++;
}

Result<RouteId> Namespace::add_route(RouteInfo info, std::uint32_t provider, bool complete) {
  const std::lock_guard lock(impl_->mutex);
  Impl& im = *impl_;
  for (std::size_t i = 1; i < im.routes.size(); ++i) {
    Route& restored = im.routes[i];
    if (restored.provider != kRestoredProvider || restored.info != info) continue;
    restored.provider = provider == 0 ? im.next_provider++ : provider;
    restored.complete = complete;
    restored.version = ++im.route_version;
    return static_cast<RouteId>(i);
  }
  std::size_t index = 0;
  while (index < im.routes.size() && im.routes[index].provider != 0) ++index;
  if (index == im.limits.max_routes) return fail(ErrorCode::limit, "more than " + std::to_string(im.limits.max_routes) + " routes");
  if (index == im.routes.size()) im.routes.emplace_back();
  Route& route = im.routes[index];
  const std::uint64_t covers = route.covers;
  route = Route{};
  route.covers = covers + 1;
  route.info = std::move(info);
  route.provider = provider == 0 ? im.next_provider++ : provider;
  route.complete = complete;
  route.version = ++im.route_version;
  return static_cast<RouteId>(index);
}

std::vector<RouteId> Namespace::adopt_routes(std::span<const RouteId> routes, std::uint32_t provider) {
  const std::lock_guard lock(impl_->mutex);
  std::vector<RouteId> adopted;
  for (const RouteId id : routes) {
    if (id >= impl_->routes.size() || impl_->routes[id].provider != kRestoredProvider) continue;
    impl_->routes[id].provider = provider;
    impl_->routes[id].version = ++impl_->route_version;
    adopted.push_back(id);
  }
  return adopted;
}

void Namespace::drop_restored() {
  std::vector<RouteId> left;
  {
    const std::lock_guard lock(impl_->mutex);
    for (std::size_t i = 1; i < impl_->routes.size(); ++i) {
      if (impl_->routes[i].provider == kRestoredProvider) left.push_back(static_cast<RouteId>(i));
    }
  }
  for (const RouteId route : left) remove_route(route);
}

void Namespace::set_route_info(RouteId id, RouteInfo info) {
  {
    const std::lock_guard lock(impl_->mutex);
    Route& route = impl_->routes[id];
    if (route.info == info) return;
    route.info = std::move(info);
    route.version = ++impl_->route_version;
  }
  impl_->wake();
}

void Namespace::set_verifying(bool on) { impl_->verifying.store(on, std::memory_order_relaxed); }
bool Namespace::is_verifying() const { return impl_->verifying.load(std::memory_order_relaxed); }

void Namespace::set_route_verified(RouteId id, Verified verified) {
  const std::lock_guard lock(impl_->mutex);
  if (id < impl_->routes.size()) impl_->routes[id].verified = verified;
}

void Namespace::set_verified(RouteId route, std::span<const PointId> points, Verified verified) {
  const std::lock_guard lock(impl_->mutex);
  for (const PointId id : points) {
    if (id >= impl_->table.end()) continue;
    Slot& slot = impl_->table[id];
    if (slot.present && impl_->cells[slot.cell].route == route) slot.verified = verified;
  }
}

void Namespace::set_route_rank(RouteId id, std::uint32_t rank) {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->routes[id].rank == rank) return;
  impl_->routes[id].rank = rank;
  ++impl_->route_version;  // the route's own version stays: peers need not be told
}

std::vector<RouteId> Namespace::worth_defining_again(std::uint32_t provider) {
  const std::lock_guard lock(impl_->mutex);
  std::vector<RouteId> worth;
  for (std::size_t i = 1; i < impl_->routes.size(); ++i) {
    Route& route = impl_->routes[i];
    if (route.provider != provider || route.covered) continue;
    const auto yields = [&](RouteId by) { return impl_->routes[by].points == 0 || impl_->gives_way(impl_->routes[by], route); };
    if (std::erase_if(route.blocked_by, yields) == 0) continue;
    route.guarded_until = clock_.monotonic() + kGuard;  // it is about to be told all of them
    worth.push_back(static_cast<RouteId>(i));
  }
  return worth;
}

bool Namespace::is_blocked(RouteId route) const {
  const std::lock_guard lock(impl_->mutex);
  const Route& r = impl_->routes[route];
  return !r.blocked_by.empty() || r.guarded_until > clock_.monotonic();
}

std::uint64_t Namespace::route_version() const { return impl_->route_version.load(std::memory_order_relaxed); }

void Namespace::remove_route(RouteId id) {
  std::vector<PointId> points;
  {
    const std::lock_guard lock(impl_->mutex);
    for (PointId p = 0; p < impl_->table.end(); ++p) {
      const Slot& slot = impl_->table[p];
      if (slot.present && impl_->cells[slot.cell].route == id) points.push_back(p);
    }
  }
  remove(id, points);
  const std::lock_guard lock(impl_->mutex);
  impl_->routes[id].covered = false;
  impl_->routes[id].provider = 0;  // free for another
  impl_->routes[id].version = ++impl_->route_version;
}

void Namespace::cover(RouteId id, Status overlay, const Cause& cause, bool renew) {
  {
    const std::lock_guard lock(impl_->mutex);
    Route& route = impl_->routes[id];
    if (route.covered && !renew && route.overlay == overlay && route.cause == cause) return;
    if (renew || !route.covered) {
      route.cover_revision = impl_->changes.head();
      ++route.covers;
    }
    route.covered = true;
    route.overlay = overlay;
    route.cause = cause;
    route.version = ++impl_->route_version;
  }
  impl_->wake();
}

void Namespace::uncover(RouteId id) {
  {
    const std::lock_guard lock(impl_->mutex);
    Route& route = impl_->routes[id];
    if (!route.covered) return;
    route.covered = false;
    route.overlay = status::kGood;
    route.cause = {};
    impl_->good_news(route);
  }
  impl_->wake();
}

void Namespace::set_complete(RouteId id) {
  {
    const std::lock_guard lock(impl_->mutex);
    Route& route = impl_->routes[id];
    if (route.complete) return;
    route.complete = true;
    impl_->good_news(route);
  }
  impl_->wake();
}

void Namespace::hold_incomplete() {
  const std::lock_guard lock(impl_->mutex);
  ++impl_->incomplete;
}

void Namespace::release_incomplete() {
  const std::lock_guard lock(impl_->mutex);
  --impl_->incomplete;
}

}  // namespace sallyport
