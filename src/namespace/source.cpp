#include "namespace/source.h"

#include <algorithm>
#include <utility>

namespace sallyport {
namespace {

constexpr std::int64_t kShortAbsence = 1'000'000'000;  // a start that takes longer than this is a gap

}  // namespace

Publisher::Publisher(Namespace& ns, std::string node, std::string source_name, std::string into, Status on_loss,
                     std::uint32_t provider, std::shared_ptr<const DeliveryRules> delivery, EveryLog* every)
    : namespace_(ns), delivery_(std::move(delivery)), node_(std::move(node)), name_(std::move(source_name)), into_(std::move(into)), on_loss_(on_loss),
      every_(every), away_since_(ns.clock().utc()) {
  // With no route left (thousands of sources) every definition is refused with that reason; see define().
  const auto route = namespace_.add_route({.origin = node_, .source = name_, .hops = {node_}}, provider, false);
  if (!route) return;
  route_ = *route;
  sweep_ = namespace_.route_holding(route_).points > 0;
  namespace_.cover(route_, status::kBadWaitingForInitialData,
                   {.node = node_, .link = name_, .since = clock().utc(), .what = "waiting for the first connection"});
}

Namespace::Refused Publisher::define(std::span<const Definition> definitions, std::span<PointId> ids) {
  if (route_ == kNoRoute) {
    std::fill(ids.begin(), ids.end(), kNoPoint);
    return {static_cast<std::uint32_t>(definitions.size()), "this node has too many routes"};
  }
  std::string text;  // all paths, one after the other
  std::size_t size = 0;
  for (const Definition& definition : definitions) size += into_.size() + 1 + definition.path.size();
  text.reserve(size);  // views into it must stay
  std::vector<Definition> prefixed(definitions.begin(), definitions.end());
  for (Definition& definition : prefixed) {
    const std::size_t at = text.size();
    if (!into_.empty()) (text += into_) += '/';
    text += definition.path;
    definition.path = std::string_view(text).substr(at);
    definition.covered |= !live_;
  }
  std::map<std::pair<const Meta*, const DeliveryRule*>, Meta> metas;
  if (delivery_ && !delivery_->empty()) apply_rules(prefixed, metas);
  auto refused = namespace_.define(route_, prefixed, ids);
  if (every_ != nullptr) record_definitions(prefixed, ids);
  for (const PointId id : sweep_ ? ids : std::span<PointId>()) {
    if (id == kNoPoint) continue;
    if (id >= named_.size()) named_.resize(std::size_t{id} + id / 2 + 64);
    named_[id] = true;
  }
  return refused;
}

// Points that share metadata still do afterwards.
void Publisher::apply_rules(std::vector<Definition>& definitions,
                            std::map<std::pair<const Meta*, const DeliveryRule*>, Meta>& metas) const {
  for (Definition& definition : definitions) {
    const DeliveryRule* rule = delivery_->find(definition.path);
    if (!rule) continue;
    const auto [at, fresh] = metas.try_emplace({definition.meta, rule});
    if (fresh) {
      if (definition.meta) at->second = *definition.meta;
      at->second.burst = rule->burst;
      at->second.every = rule->every;
    }
    definition.meta = &at->second;
  }
}

void Publisher::remove(std::span<const PointId> points) {
  if (route_ != kNoRoute) namespace_.remove(route_, points);
}

void Publisher::publish(std::span<Change> changes) {
  if (route_ == kNoRoute) return;
  published_ |= !live_;
  if (records_) record(changes);   // first: the namespace takes the values away
  namespace_.apply(route_, changes, !live_);
}

void Publisher::lost(std::string what) {
  const bool was_live = std::exchange(live_, false);
  const bool published = std::exchange(published_, false);
  if (route_ == kNoRoute) return;
  const RouteState before = namespace_.route_state(route_);
  const bool same = before.covered && before.overlay == on_loss_ && before.cause.what == what;
  if (same && !was_live && !published) return;
  const bool still = before.covered && !was_live;
  if (was_live) away_since_ = clock().utc();
  if (records_ && !std::exchange(away_told_, true)) record_gap(0, what);
  namespace_.cover(
      route_, on_loss_,
      {.node = node_, .link = name_, .since = still ? before.cause.since : clock().utc(), .what = std::move(what)});
}

void Publisher::live() {
  live_ = true;
  published_ = false;
  const UtcNanoseconds now = clock().utc();
  if (records_ && away_since_ != 0 && (away_told_ || now - away_since_ > kShortAbsence)) record_gap(now, "here again");
  away_since_ = 0;
  away_told_ = false;
  if (route_ == kNoRoute) return;
  if (std::exchange(sweep_, false)) {
    namespace_.remove_unnamed_in(route_, std::vector<bool>(Namespace::kBuckets, true), named_);
    named_ = {};
  }
  namespace_.set_complete(route_);
  namespace_.uncover(route_);
}

// --- Points of which each change is kept -----------------------------------------------------------------------------

void Publisher::record_definitions(std::span<const Definition> definitions, std::span<const PointId> ids) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const Definition& definition = definitions[i];
    if (ids[i] == kNoPoint || definition.meta == nullptr) continue;
    if (!definition.meta->every) {
      if (ids[i] < recorded_.size()) recorded_[ids[i]] = {};
      continue;
    }
    records_ = true;
    if (ids[i] >= recorded_.size()) recorded_.resize(std::size_t{ids[i]} + ids[i] / 2 + 64);
    recorded_[ids[i]].point = every_->point(std::string(definition.path), *definition.meta);
    if (!definition.first.value.is_null()) record_one(ids[i], definition.first);
  }
  every_->append(to_record_);
  to_record_.clear();
}

void Publisher::record_one(PointId id, const Change& change) {
  Recorded& known = recorded_[id];
  // A source that cannot tell one change from another by its time and quality must not lose one: while it is live, all count.
  if (!live_ && known.status == change.status && known.source_time == change.source_time) return;
  known.status = change.status;
  known.source_time = change.source_time;
  to_record_.push_back({known.point, change.status, change.source_time, change.value});
}

void Publisher::record(std::span<const Change> changes) {
  for (const Change& change : changes) {
    if (change.point < recorded_.size() && recorded_[change.point].point != UINT32_MAX) record_one(change.point, change);
  }
  if (to_record_.empty()) return;
  every_->append(to_record_);
  to_record_.clear();
}

void Publisher::record_gap(UtcNanoseconds end, std::string_view what) {
  every_->gap({.node = node_, .where = name_, .cause = GapCause::source_down, .start = away_since_, .end = end,
               .match = {into_.empty() ? "**" : into_ + "/**"}, .detail = std::string(what)});
}

void Publisher::missed(GapCause cause, std::string_view path, UtcNanoseconds start, UtcNanoseconds end, std::uint64_t lost, std::string detail) {
  if (!records_) return;
  const std::string prefix = into_.empty() ? "" : into_ + "/";
  every_->gap({.node = node_, .where = name_, .cause = cause, .start = start, .end = end, .lost = lost,
               .match = {prefix + (path.empty() ? "**" : std::string(path))}, .detail = std::move(detail)});
}

std::string_view to_string(ConnectorState state) {
  switch (state) {
    case ConnectorState::starting:
      return "starting";
    case ConnectorState::up:
      return "up";
    case ConnectorState::connecting:
      return "connecting";
    case ConnectorState::down:
      return "down";
    case ConnectorState::stopped:
      return "stopped";
  }
  return "stopped";
}

}  // namespace sallyport
