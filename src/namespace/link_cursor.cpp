// A link's cursor: what a peer may see, and where the peer stands.
#include "namespace/link_cursor.h"

#include <algorithm>

namespace sallyport {

LinkCursor::LinkCursor(Namespace& ns, unsigned view, std::string peer, std::uint32_t own_provider, Waker waker)
    : im_(ns.impl()), view_(view), peer_(std::move(peer)), own_provider_(own_provider) {
  wake_->waker = std::move(waker);
  im_.add_waiting(wake_);
  const std::lock_guard lock(im_.mutex);
  im_.cursors.push_back(&cursor_);
  cursor_.seen = im_.changes.head();  // definitions carry the values up to here
}

LinkCursor::~LinkCursor() {
  {
    const std::lock_guard lock(im_.mutex);
    std::erase(im_.cursors, &cursor_);
  }
  im_.remove_waiting(wake_);
}

void LinkCursor::resume(Revision seen, std::uint64_t defined) {
  const std::lock_guard lock(im_.mutex);
  cursor_.seen = std::min(seen, im_.changes.head());
  cursor_.defined = std::min(defined, im_.definitions.head());
  cursor_.edges_from = im_.changes.head();  // the peer may hold something newer than `seen` of points told out of turn
  // Routes are told again in full, but their points are not defined again: the peer has kept them.
}

void LinkCursor::start_now() {
  const std::lock_guard lock(im_.mutex);
  cursor_.seen = im_.changes.head();
  cursor_.defined = im_.definitions.head();
  cursor_.edges_from = im_.changes.head();
}

void LinkCursor::mark_start() {
  const std::lock_guard lock(im_.mutex);
  start_seen_ = im_.changes.head();
  start_defined_ = im_.definitions.head();
}

void LinkCursor::refresh(RouteId route) {
  const std::lock_guard lock(im_.mutex);
  if (route == 0 || route >= im_.routes.size()) return;
  rescan_.resize(im_.routes.size());
  rescan_[route] = true;
  rescan_active_ = true;
  rescan_next_ = 0;
}

void LinkCursor::repair(RouteId route, std::vector<bool> buckets) {
  const std::lock_guard lock(im_.mutex);
  buckets.resize(Namespace::kBuckets);
  if (route != 0 && route < im_.routes.size() && repair_.route == 0) repair_ = {route, std::move(buckets), 0};
}

bool LinkCursor::route_allowed(const Route& route) const {
  if (route.provider == 0 || route.provider == own_provider_) return false;
  return std::find(route.info.hops.begin(), route.info.hops.end(), peer_) == route.info.hops.end();
}

LinkCursor::Allowed LinkCursor::decide(const Cell& cell) const {
  return cell.views.test(view_) && route_allowed(im_.routes[cell.route]) ? Allowed::yes : Allowed::no;
}

bool LinkCursor::idle() const {
  return route_version_ == im_.route_version && !lifts_pending_ && !rescan_active_ && repair_.route == 0 && !cursor_.definitions.active &&
         !cursor_.changes.active && cursor_.defined == im_.definitions.head() && cursor_.seen == im_.changes.head();
}

bool LinkCursor::idle_and_armed() {
  const std::lock_guard lock(im_.mutex);
  if (!idle() || route_digests_wanted_ || buckets_wanted_ != 0) return false;
  if (!wake_->armed.exchange(true)) im_.armed.fetch_add(1);
  return true;
}

bool LinkCursor::armed_for_routes() {
  const std::lock_guard lock(im_.mutex);
  if (route_version_ != im_.route_version) return false;
  if (!wake_->armed.exchange(true)) im_.armed.fetch_add(1);
  return true;
}

}  // namespace sallyport
