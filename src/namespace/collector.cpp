#include "namespace/collector.h"

#include <algorithm>
#include <utility>

namespace sallyport {

std::string_view to_string(GapCause cause) {
  switch (cause) {
    case GapCause::source_down: return "source_down";
    case GapCause::overflow: return "overflow";
    case GapCause::sequence: return "sequence";
    case GapCause::limit: return "limit";
    case GapCause::damaged: return "damaged";
    case GapCause::restart: return "restart";
    case GapCause::too_slow: return "too_slow";
  }
  return "unknown";
}

Result<GapCause> parse_gap_cause(std::string_view text) {
  for (const GapCause cause : {GapCause::source_down, GapCause::overflow, GapCause::sequence, GapCause::limit, GapCause::damaged, GapCause::restart, GapCause::too_slow}) {
    if (to_string(cause) == text) return cause;
  }
  return fail(ErrorCode::invalid, "no cause of a gap is called '" + std::string(text) + "'");
}

namespace {
constexpr std::uint32_t kUnknown = UINT32_MAX;
}

Collector::Collector(Namespace& ns, Patterns match, Waker waker)
    : namespace_(ns), live_(std::make_unique<Subscription>(ns, SubscriptionOptions{.patterns = std::move(match)}, std::move(waker))) {}

Collector::~Collector() = default;

Result<std::unique_ptr<Collector>> Collector::make(Namespace& ns, Feeds* feeds, const std::string& reader, Patterns match, Waker waker) {
  std::unique_ptr<Collector> collector(new Collector(ns, match, waker));
  if (feeds == nullptr) return collector;
  auto feed = feeds->open(reader, std::move(match), std::move(waker));
  if (!feed) return std::unexpected(feed.error());
  collector->feed_ = std::move(*feed);
  return collector;
}

const std::string& Collector::journal() const {
  static const std::string kNone;
  return feed_ ? feed_->journal() : kNone;
}

void Collector::resume(Position position) {
  if (feed_) feed_->resume(position);
}

void Collector::acknowledge(Position position) {
  if (feed_) feed_->acknowledge(position);
}

FeedStatus Collector::status() const { return feed_ ? feed_->status() : FeedStatus{}; }

std::uint32_t Collector::intern(FeedPoint point) {
  const auto [at, fresh] = by_path_.try_emplace(point.path, static_cast<std::uint32_t>(points_.size()));
  if (fresh) points_.push_back(std::make_unique<FeedPoint>(std::move(point)));
  else if (points_[at->second]->meta != point.meta || points_[at->second]->origin != point.origin) *points_[at->second] = std::move(point);
  return at->second;
}

Result<void> Collector::pull(Rows& rows, std::size_t max) {
  rows.clear();
  take_live(rows, max);
  if (!feed_) return {};
  if (auto ok = feed_->read(feed_batch_, max); !ok) return ok;
  take_feed(rows);
  return {};
}

void Collector::take_live(Rows& rows, std::size_t max) {
  batch_.clear();
  live_->pull(batch_, max);
  rows.more = batch_.more || !batch_.updates.empty();
  for (Update& update : batch_.updates) {
    if (update.point >= of_live_.size()) {
      of_live_.resize(update.point + std::size_t{1}, kUnknown);
      skipped_.resize(update.point + std::size_t{1});
    }
    if (update.kind == UpdateKind::removed) {
      of_live_[update.point] = kUnknown;
      continue;
    }
    if (update.kind == UpdateKind::defined || of_live_[update.point] == kUnknown) {
      const auto meta = namespace_.meta(update.point);
      if (!meta) continue;  // gone in the meantime; its removal follows
      skipped_[update.point] = feed_ != nullptr && meta->every;
      of_live_[update.point] = intern({std::string(batch_.path(update)), *meta, namespace_.route_info(update.route).origin});
    }
    if (skipped_[update.point]) continue;
    const std::uint32_t id = of_live_[update.point];
    rows.rows.push_back({.point = id, .status = update.status, .source_time = update.source_time,
                         .time = time_of(id, update.status, update.source_time), .verified = update.verified, .value = std::move(update.value)});
  }
}

UtcNanoseconds Collector::time_of(std::uint32_t point, Status status, UtcNanoseconds source_time) {
  if (point >= seen_.size()) seen_.resize(point + std::size_t{1});
  const Seen before = std::exchange(seen_[point], {source_time, status});
  return before.source_time == source_time && before.status != status ? std::max(source_time, namespace_.clock().utc()) : source_time;
}

void Collector::take_feed(Rows& rows) {
  for (FeedEntry& entry : feed_batch_.entries) {
    if (entry.point >= of_feed_.size()) of_feed_.resize(entry.point + std::size_t{1}, kUnknown);
    std::uint32_t& id = of_feed_[entry.point];
    if (id == kUnknown) id = intern(feed_->point(entry.point));
    rows.rows.push_back({.point = id, .status = entry.status, .source_time = entry.source_time, .time = entry.source_time,
                         .verified = namespace_.is_verifying() ? Verified::unverified : Verified::unknown, .every = true, .backfill = entry.backfill,
                         .sequence = entry.sequence, .stream = entry.stream, .value = std::move(entry.value), .position = entry.position});
  }
  std::ranges::move(feed_batch_.gaps, std::back_inserter(rows.gaps));
  rows.position = feed_batch_.position;
  rows.more = rows.more || feed_batch_.more;
}

}  // namespace sallyport
