// Applies a peer's routes, definitions and changes to the namespace.
#include "link/receiver.h"

#include <algorithm>

#include "base/log.h"
#include "link/change_codec.h"

namespace sallyport::link {
namespace {

constexpr std::size_t kBlock = 512;  // changes: 16 KiB, half of a first-level cache

}  // namespace

Receiver::Receiver(Namespace& ns, std::string node, std::string link, Patterns receive, Status on_loss, std::uint32_t max_points,
                   std::uint32_t rank)
    : namespace_(ns),
      node_(std::move(node)),
      link_(std::move(link)),
      receive_(std::move(receive)),
      on_loss_(on_loss),
      max_points_(max_points),
      rank_(rank),
      provider_(ns.add_provider()),
      ids_(max_points),
      wire_ids_(ns.max_points()) {
  if (!receive_.empty()) namespace_.hold_incomplete();
}

Receiver::~Receiver() {
  for (const RouteId route : local_routes_) namespace_.remove_route(route);
  if (holding_incomplete_ && !receive_.empty()) namespace_.release_incomplete();
}

ReceiverMemory Receiver::memory() const {
  ReceiverMemory memory;
  memory.local_routes = local_routes_;
  if (naming_) return memory;
  memory.held = held_;
  for (const RemoteRoute& route : routes_) memory.routes.push_back({route.local, route.named, route.swept, route.upstream.complete});
  memory.ids.assign(ids_.data(), ids_.data() + ids_end_);
  return memory;
}

void Receiver::recall(ReceiverMemory memory) {
  local_routes_ = namespace_.adopt_routes(memory.local_routes, provider_);
  const auto ours = [this](RouteId route) { return std::ranges::find(local_routes_, route) != local_routes_.end(); };
  const bool whole = local_routes_.size() == memory.local_routes.size() && memory.ids.size() <= max_points_ &&
                     std::ranges::all_of(memory.routes, [&](const auto& route) { return route.local == kNoRoute || ours(route.local); });
  if (!whole) return;   // what is held stays nothing: everything is sent again
  held_ = memory.held;
  for (const auto& known : memory.routes) {
    RemoteRoute& route = routes_.emplace_back();
    route.local = known.local;
    route.named = known.named;
    route.swept = known.swept;
    route.upstream.complete = known.complete;
  }
  for (PointId remote = 0; remote < memory.ids.size(); ++remote) {
    const PointId id = memory.ids[remote];
    if (id != 0 && id <= namespace_.max_points()) map(remote, id - 1);
  }
}

void Receiver::begin(std::uint64_t peer_incarnation, const Begin& begin) {
  up_ = true;
  synchronized_ = false;
  if (begin.resumed) {
    ++counters_.resumes;
  } else {
    ++counters_.full_resends;
    std::fill(ids_.data(), ids_.data() + ids_end_, PointId{0});
    std::fill(wire_ids_.data(), wire_ids_.data() + wire_ids_end_, PointId{0});
    ids_end_ = wire_ids_end_ = 0;
    routes_.clear();
    named_.clear();
    naming_ = true;
    held_ = {};
    refreshes_.clear();
  }
  compare_ = Compare::idle;
  compare_at_ = {};
  compare_backoff_ = kFirstCompare;
  requests_.clear();
  begin_anew_ = false;
  for (const RouteId route : refreshes_) encode_refresh(requests_, route);  // the last session may have ended before its answer
  held_.incarnation = peer_incarnation;
  held_.view = begin.view;
}

void Receiver::lost(const std::string& what) {
  if (!up_ && what == lost_what_) return;
  const bool first = up_ || lost_since_ == 0;
  up_ = false;
  synchronized_ = false;
  lost_what_ = what;
  if (first) lost_since_ = namespace_.clock().utc();
  for (const RouteId route : local_routes_) namespace_.cover(route, on_loss_, local_cause(), first);
}

Cause Receiver::local_cause() const { return {node_, link_, lost_since_, lost_what_}; }

// A route that comes again after a restart of the peer is the same to our consumers: points keep their ids.
RouteId Receiver::local_route_for(const RouteInfo& info) {
  for (const RouteId route : local_routes_) {
    const RouteInfo known = namespace_.route_info(route);
    if (known.origin != info.origin || known.source != info.source) continue;
    if (std::ranges::any_of(routes_, [route](const RemoteRoute& r) { return r.named && r.local == route; })) continue;
    namespace_.set_route_info(route, info);
    return route;
  }
  auto added = namespace_.add_route(info, provider_, false);
  if (!added) {
    if (counters_.routes_refused++ == 0) {  // a peer must not fill the log
      log::error("route refused", log::field("link", link_), log::field("origin", info.origin), log::field("reason", added.error().message));
    }
    return kNoRoute;
  }
  local_routes_.push_back(*added);
  return *added;
}

// Shows what the peer says of the route, once it has told everything about it; until then what lay over it stays.
void Receiver::show_upstream(RemoteRoute& route, bool renew) {
  if (route.local == kNoRoute) return;
  const RouteState shown = namespace_.route_state(route.local);
  const bool settled = synchronized_ && route.upstream.complete;
  if (route.upstream.covered && (synchronized_ || !shown.covered)) {
    namespace_.cover(route.local, route.upstream.overlay, route.upstream.cause, renew);
  } else if (!route.upstream.covered && settled) {
    namespace_.uncover(route.local);
  } else if (shown.covered && renew) {
    namespace_.cover(route.local, shown.overlay, shown.cause, true);
  }
  if (settled) settle(route);
}

// The route is as the peer has it: what its full resend did not name is gone.
void Receiver::settle(RemoteRoute& route) {
  if (naming_ && !route.swept) namespace_.remove_unnamed_in(route.local, std::vector<bool>(Namespace::kBuckets, true), named_);
  route.swept = true;
  namespace_.set_complete(route.local);
}

Result<void> Receiver::on_route(const RouteMessage& message) {
  if (message.route >= routes_.size()) routes_.resize(message.route + std::size_t{1});
  RemoteRoute& route = routes_[message.route];
  if (message.withdrawn) {
    if (route.named && route.local != kNoRoute) {
      std::erase(local_routes_, route.local);
      namespace_.remove_route(route.local);
    }
    route = {};
    return {};
  }
  RouteInfo info = message.info;
  const bool loop = std::ranges::find(info.hops, node_) != info.hops.end();
  info.hops.push_back(node_);
  if (loop || info.hops.size() > kMaxHops) {
    if (!route.named && counters_.routes_refused++ == 0) {
      log::warn("route refused", log::field("link", link_), log::field("origin", info.origin), log::field("source", info.source),
                log::field("reason", loop ? "it came through this node already" : "more than 16 hops"));
    }
    route = {kNoRoute, message.state, true};
    return {};
  }
  if (!route.named || route.local == kNoRoute) {
    route.local = local_route_for(info);
  } else {
    namespace_.set_route_info(route.local, info);
  }
  if (route.local != kNoRoute) namespace_.set_route_rank(route.local, rank_ * 256 + static_cast<std::uint32_t>(info.hops.size()));
  route.named = true;
  route.upstream = message.state;
  show_upstream(route, message.renew);
  return {};
}

Result<void> Receiver::on_define(std::span<const std::byte> body, DefineAs as) {
  if (auto ok = decode_define(body, define_); !ok) return ok;
  // One call into the namespace per run of records of one route.
  for (std::size_t from = 0; from < define_.records.size();) {
    std::size_t to = from;
    const RouteId of = define_.records[from].route;
    RemoteRoute* route = remote(of);
    if (route == nullptr && as.lenient) {
      while (to < define_.records.size() && define_.records[to].route == of) ++to;
      from = to;
      continue;
    }
    if (route == nullptr) return fail(ErrorCode::malformed, "definition of a point whose route was never told");
    definitions_.clear();
    std::vector<PointId> remote_ids;
    for (; to < define_.records.size() && define_.records[to].route == of; ++to) {
      DefineRecord& r = define_.records[to];
      if (r.id >= max_points_) return fail(ErrorCode::limit, "point id " + std::to_string(r.id) + " is beyond [limits] points");
      const std::string_view path = std::string_view(define_.paths).substr(r.path_at, r.path_size);
      if (route->local == kNoRoute || !receive_.matches(path)) {
        ++counters_.refused;
        continue;
      }
      definitions_.push_back({path, &define_.metas[r.meta], {kNoPoint, r.status, r.source_time, std::move(r.value)}, r.covered || as.stale, r.forced, as.renewed});
      remote_ids.push_back(r.id);
    }
    defined_ids_.assign(definitions_.size(), kNoPoint);
    if (!definitions_.empty()) {
      const auto refused = namespace_.define(route->local, definitions_, defined_ids_);
      if (refused.count > 0 && counters_.refused == 0) {
        log::warn("points refused", log::field("link", link_), log::field("count", refused.count), log::field("first", refused.first_reason));
      }
      counters_.refused += refused.count;
    }
    // The peer uses an id for another point now: what it meant goes, unless a later record of this frame names that again.
    std::vector<std::pair<PointId, PointId>> replaced;  // ours, the peer's id
    for (std::size_t i = 0; i < remote_ids.size(); ++i) {
      const PointId known = ids_[remote_ids[i]];
      const PointId now = defined_ids_[i];
      if (known != 0 && known - 1 != now && wire_ids_[known - 1] == remote_ids[i] + 1) replaced.emplace_back(known - 1, remote_ids[i]);
      map(remote_ids[i], now);
      if (now != kNoPoint) name(now, definitions_[i].forced);
    }
    for (const auto& [old, id] : replaced) {
      if (wire_ids_[old] == id + 1) namespace_.remove_from(provider_, std::span(&old, 1));
    }
    counters_.definitions += to - from;
    from = to;
  }
  return {};
}

void Receiver::map(PointId remote, PointId local) {
  ids_[remote] = local == kNoPoint ? 0 : local + 1;
  ids_end_ = std::max(ids_end_, remote + 1);
  if (local == kNoPoint) return;
  const PointId before = std::exchange(wire_ids_[local], remote + 1);
  if (before != 0 && before != remote + 1 && ids_[before - 1] == local + 1) ids_[before - 1] = 0;
  wire_ids_end_ = std::max(wire_ids_end_, local + 1);
}

void Receiver::name(PointId id, bool forced) {
  const auto set = [id](std::vector<bool>& ids) {
    if (id >= ids.size()) ids.resize(std::size_t{id} + id / 2 + 64);
    ids[id] = true;
  };
  if (naming_) set(named_);
  if (!forced) return;
  set(repaired_ids_);
  ++counters_.repaired_points;
}

Result<void> Receiver::on_remove(std::span<const PointId> points) {
  std::vector<PointId> gone;
  for (const PointId id : points) {
    if (id >= ids_end_ || ids_[id] == 0) continue;
    const PointId local = std::exchange(ids_[id], PointId{0}) - 1;
    if (wire_ids_[local] != id + 1) continue;
    wire_ids_[local] = 0;
    gone.push_back(local);
  }
  namespace_.remove_from(provider_, gone);
  return {};
}

Result<void> Receiver::on_changes(std::span<const std::byte> body, bool stale) {
  ChangeDecoder decoder(body);
  changes_.resize(kBlock);
  for (;;) {
    const auto count = decoder.next(changes_);
    if (!count) return std::unexpected(count.error());
    if (*count == 0) return {};
    const auto block = std::span(changes_).first(*count);
    for (Change& change : block) {
      // 0 - 1 is kNoPoint: unknown ids are passed over and counted by the namespace.
      change.point = change.point < ids_end_ ? ids_[change.point] - 1 : kNoPoint;
    }
    counters_.changes += block.size();
    counters_.unknown += namespace_.apply_from(provider_, block, stale);
  }
}

void Receiver::forget_unnamed_routes() {
  naming_ = false;
  named_.clear();
  named_.shrink_to_fit();
  std::erase_if(local_routes_, [this](RouteId route) {
    if (std::ranges::any_of(routes_, [route](const RemoteRoute& r) { return r.named && r.local == route; })) return false;
    namespace_.remove_route(route);
    return true;
  });
}

void Receiver::on_position(const Position& position) {
  held_.seen = position.seen;
  held_.defined = position.defined;
  if (position.synchronized && !synchronized_) {
    synchronized_ = true;
    for (RemoteRoute& route : routes_) {
      if (route.named) show_upstream(route, false);
    }
    lost_since_ = 0;
    lost_what_.clear();
    if (std::exchange(holding_incomplete_, false)) namespace_.release_incomplete();
    check_takeover();
  }
  if (position.complete && synchronized_ && naming_ &&
      std::ranges::all_of(routes_, [](const RemoteRoute& r) { return !r.named || r.local == kNoRoute || r.swept || !r.upstream.complete; })) {
    forget_unnamed_routes();
  }
  if (position.caught_up && synchronized_) compare(position);
}

void Receiver::check_takeover() {
  const std::uint64_t version = namespace_.route_version();
  if (!synchronized_ || version == routes_seen_) return;
  routes_seen_ = version;
  for (const RouteId local : namespace_.worth_defining_again(provider_)) {
    const auto remote = std::ranges::find_if(routes_, [local](const RemoteRoute& r) { return r.named && r.local == local; });
    if (remote == routes_.end()) continue;
    if (!peer_listens_) {
      begin_anew_ = true;
      held_ = {};
      continue;
    }
    const auto id = static_cast<RouteId>(remote - routes_.begin());
    encode_refresh(requests_, id);
    if (std::ranges::find(refreshes_, id) == refreshes_.end()) refreshes_.push_back(id);
  }
}

// --- One way -------------------------------------------------------------------------------------------------------------

void Receiver::doubt(const std::string& what) {
  lost(what);
  up_ = true;   // so that the next loss is one of its own
}

Result<void> Receiver::on_range(PointId from, PointId to, std::span<const std::span<const std::byte>> defines, DefineAs as) {
  std::vector<PointId> told;
  for (const auto body : defines) {
    if (auto ok = on_define(body, as); !ok) return ok;
    for (const DefineRecord& record : define_.records) {
      if (record.id < from || record.id >= to || (!told.empty() && record.id <= told.back())) return fail(ErrorCode::malformed, "a range that names points out of order");
      told.push_back(record.id);
    }
  }
  std::vector<PointId> gone;
  auto next = told.begin();
  for (PointId id = from; id < std::min(to, ids_end_); ++id) {
    next = std::find_if(next, told.end(), [id](PointId named) { return named >= id; });
    if (ids_[id] != 0 && (next == told.end() || *next != id)) gone.push_back(id);
  }
  return gone.empty() ? Result<void>() : on_remove(gone);
}

Result<void> Receiver::on_routes(RouteId from, RouteId to, std::span<const RouteMessage> told) {
  for (std::size_t id = from; id <= to && id < routes_.size(); ++id) {
    if (!routes_[id].named || std::ranges::any_of(told, [id](const RouteMessage& m) { return m.route == id; })) continue;
    RouteMessage gone;
    gone.route = static_cast<RouteId>(id);
    gone.withdrawn = true;
    if (auto ok = on_route(gone); !ok) return ok;
  }
  for (const RouteMessage& message : told) {
    if (message.route < from || message.route > to) return fail(ErrorCode::malformed, "a route that is not in its range");
    if (auto ok = on_route(message); !ok) return ok;
  }
  return {};
}

std::optional<bool> Receiver::agrees(const Position& position) const {
  if (counters_.refused > 0 || counters_.routes_refused > 0) return std::nullopt;
  if (std::ranges::any_of(local_routes_, [this](RouteId route) { return namespace_.is_blocked(route); })) return std::nullopt;
  const auto mine = namespace_.holding(provider_);
  if (!mine) return std::nullopt;
  return mine->digest == position.digest && mine->points == position.points;
}

// --- Digests -------------------------------------------------------------------------------------------------------------

void Receiver::compare(const Position& position) {
  const auto mine = namespace_.holding(provider_);
  if (!mine) return;
  if (mine->digest == position.digest && mine->points == position.points) {
    refreshes_.clear();
    compare_backoff_ = kFirstCompare;   // but not sooner: a peer may lie every other time
    if (compare_ == Compare::asked_routes) compare_ = Compare::idle;
    return;
  }
  if (compare_ != Compare::idle || !peer_listens_) return;  // the answer is on its way, or will never come
  const MonotonicTime now = namespace_.clock().monotonic();
  if (now < compare_at_) return;
  compare_at_ = now + kFirstCompare;
  compare_ = Compare::asked_routes;
  encode_ask_digests(requests_, 0);
}

// A difference that is explained (points another route brings, points refused) is looked at again, but less and less often.
void Receiver::give_up_comparing() {
  compare_ = Compare::idle;
  compare_at_ = namespace_.clock().monotonic() + compare_backoff_;
  compare_backoff_ = std::min(compare_backoff_ * 2, kLastCompare);
}

void Receiver::on_route_digests(std::span<const RouteDigest> digests) {
  if (compare_ != Compare::asked_routes) return;
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    const RemoteRoute& route = routes_[i];
    if (!route.named || route.local == kNoRoute || route.upstream.covered || namespace_.is_blocked(route.local)) continue;
    // What the peer, restarted, has not been told again itself stays here until it has.
    if (!route.upstream.complete || (naming_ && !route.swept)) continue;
    const auto theirs = std::ranges::lower_bound(digests, static_cast<RouteId>(i), {}, &RouteDigest::route);
    const bool told = theirs != digests.end() && theirs->route == i;
    const RouteDigest expected = told ? *theirs : RouteDigest{static_cast<RouteId>(i), 0, 0};
    const Namespace::Holding mine = namespace_.route_holding(route.local);
    if (mine.digest == expected.digest && mine.points == expected.points) continue;
    ++counters_.digest_mismatches;
    const RouteInfo info = namespace_.route_info(route.local);
    log::warn("mirror differs from its peer; repairing", log::field("link", link_), log::field("origin", info.origin), log::field("source", info.source),
              log::field("points_here", static_cast<std::int64_t>(mine.points)), log::field("points_there", static_cast<std::int64_t>(expected.points)));
    encode_ask_digests(requests_, static_cast<RouteId>(i));
    compare_ = Compare::asked_buckets;
    return;  // one route at a time
  }
  give_up_comparing();
}

void Receiver::on_bucket_digests(const BucketDigests& theirs) {
  RemoteRoute* route = remote(theirs.route);
  if (compare_ != Compare::asked_buckets || route == nullptr || route->local == kNoRoute) return;
  const auto mine = namespace_.bucket_digests(route->local);
  RouteBuckets wanted{theirs.route, std::vector<bool>(Namespace::kBuckets)};
  bool any = false;
  for (std::size_t i = 0; i < Namespace::kBuckets; ++i) {
    wanted.buckets[i] = mine[i] != theirs.digests[i];
    any = any || wanted.buckets[i];
  }
  if (!any) return give_up_comparing();
  repaired_ids_.clear();
  compare_ = Compare::repairing;
  encode(requests_, FrameType::ask_repair, wanted);
}

void Receiver::on_repaired(const RouteBuckets& done) {
  RemoteRoute* route = remote(done.route);
  if (compare_ != Compare::repairing || route == nullptr || route->local == kNoRoute) return;
  counters_.repaired_points += namespace_.remove_unnamed_in(route->local, done.buckets, repaired_ids_);
  repaired_ids_.clear();
  // Another route may need it too; but a repair that does not help must not go on for ever.
  if (std::exchange(last_repaired_, done.route) != done.route) compare_backoff_ = kFirstCompare;
  give_up_comparing();
}

}  // namespace sallyport::link
