#include "namespace/source.h"

#include <algorithm>
#include <utility>

namespace sallyport {

Publisher::Publisher(Namespace& ns, std::string node, std::string source_name, std::string into, Status on_loss,
                     std::uint32_t provider, std::shared_ptr<const DeliveryRules> delivery)
    : namespace_(ns), delivery_(std::move(delivery)), node_(std::move(node)), name_(std::move(source_name)), into_(std::move(into)), on_loss_(on_loss) {
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
  namespace_.cover(
      route_, on_loss_,
      {.node = node_, .link = name_, .since = still ? before.cause.since : clock().utc(), .what = std::move(what)});
}

void Publisher::live() {
  live_ = true;
  published_ = false;
  if (route_ == kNoRoute) return;
  if (std::exchange(sweep_, false)) {
    namespace_.remove_unnamed_in(route_, std::vector<bool>(Namespace::kBuckets, true), named_);
    named_ = {};
  }
  namespace_.set_complete(route_);
  namespace_.uncover(route_);
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
