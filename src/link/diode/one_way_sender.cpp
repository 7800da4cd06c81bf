#include "link/diode/one_way_sender.h"

#include <algorithm>

#include "link/change_codec.h"
#include "namespace/table.h"

namespace sallyport::link::diode {
namespace {

constexpr std::size_t kLook = 16'384;                 // places of the table in one go, under its lock
constexpr std::size_t kFewRoutes = 8 * 1024;          // bytes: so much is told with each heartbeat
constexpr std::size_t kOwn = 4 * 1024;                // alone in its frame: a value above this
constexpr std::size_t kOwed = 4 * 1024;
constexpr std::size_t kFragmentHead = kFrameHeader + 15;
constexpr Duration kSlack = std::chrono::milliseconds(10);
constexpr Duration kLongestPause = std::chrono::seconds(10);
constexpr Status kTooLarge = 0x80080000;            // BadEncodingLimitsExceeded
constexpr double kMargin = 0.8;                       // of half of max_staleness

}  // namespace

// Turns what the cursor finds into frames. Called with the namespace's lock held: memory only.
struct OneWaySender::Encoder {
  Encoder(OneWaySender& s, std::size_t budget)
      : sender(s), out(s.queue_), start(out.size()), end(start + budget), defines(out), changes(out) {}

  bool full() const { return (changing ? changes.end() : out.size()) >= (sharing ? start + (end - start) / 2 : end); }
  void share(bool on) { sharing = on; }
  bool routes_full() const { return full(); }
  void route(const RouteNews& news) {
    close();
    const std::size_t before = out.size();
    encode(out, RouteMessage{news.route, news.info, news.state, news.renew, news.withdrawn});
    const std::size_t size = out.size() - before;
    Bytes& known = sender.routes_[news.route];
    sender.routes_bytes_ -= known.size();
    known.clear();
    if (news.withdrawn) {
      sender.routes_.erase(news.route);
    } else if (news.renew) {   // told again, it must not count as laid anew
      encode(known, RouteMessage{news.route, news.info, news.state, false, false});
      sender.routes_bytes_ += known.size();
    } else {
      known.assign(out.end() - static_cast<std::ptrdiff_t>(size), out.end());
      sender.routes_bytes_ += size;
    }
  }
  void define(PointId id, const Slot& slot, std::string_view path, const Meta& meta, RouteId of, bool covered) {
    if (defines.empty()) close();
    Value value = Value::share_raw({slot.bits, slot.type, slot.array, slot.blob});
    Status status = slot.status;
    const std::size_t size = slot.blob ? value.contents().size() : 0;
    if (size > kLargestValue) {
      value = Value();
      status = kTooLarge;
      ++too_large;
    }
    defines.add(id, of, path, meta, slot.meta, covered, status, slot.source_time, value);
    ++sender.counters_.definitions;
    if (size > kOwn) close();
  }
  void remove(PointId id) {
    if (removed.empty()) close();
    removed.push_back(id);
  }
  void change(PointId id, const Slot& slot, bool covered) {
    const std::size_t size = slot.blob ? Value::share_raw({slot.bits, slot.type, slot.array, true}).contents().size() : 0;
    if (!changing || size > kOwn) {
      close();
      changing = true;
    }
    if (size > kLargestValue) {
      Slot empty = slot;
      empty.bits = 0;
      empty.type = Type::null;
      empty.array = empty.blob = false;
      empty.status = kTooLarge;
      ++too_large;
      changes.add(id, empty, covered);
    } else {
      changes.add(id, slot, covered);
    }
    ++sender.counters_.changes;
    if (size > kOwn) close();
  }
  void close() {
    defines.finish();
    if (changing) changes.finish();
    changing = false;
    if (!removed.empty()) encode_remove(out, removed);
    removed.clear();
  }
  // Nobody can ask on a one-way link.
  void route_digests(std::span<const RouteDigest>) {}
  void bucket_digests(RouteId, std::span<const std::uint64_t>) {}
  void repair(PointId, const Slot&, std::string_view, const Meta&, RouteId, bool) {}
  void repaired(RouteId, const std::vector<bool>&) {}

  OneWaySender& sender;
  Bytes& out;
  std::size_t start, end;
  DefineEncoder defines;
  ChangeEncoder changes;
  bool changing = false, sharing = false;
  std::vector<PointId> removed;
  std::uint64_t too_large = 0;
};

OneWaySender::OneWaySender(Namespace& ns, unsigned view, OneWaySendOptions options, MonotonicTime now, Waker waker)
    : namespace_(ns),
      view_(view),
      options_(std::move(options)),
      cursor_(ns, view, options_.peer, 0, std::move(waker)),
      next_beat_(now),
      carousel_at_(now),
      round_began_(now) {
  cursor_.start_now();
}

OneWaySender::~OneWaySender() { namespace_.remove_view(view_); }

Result<std::unique_ptr<OneWaySender>> OneWaySender::make(Namespace& ns, OneWaySendOptions options, MonotonicTime now, Waker waker) {
  const auto view = ns.add_view(options.send, options.send);
  if (!view) return std::unexpected(view.error());
  return std::unique_ptr<OneWaySender>(new OneWaySender(ns, *view, std::move(options), now, std::move(waker)));
}

// A delay that moved is told with the next round; what is up and down, and why, at once.
void OneWaySender::set_hops(const std::vector<HopStatus>& hops) {
  auto states = hops;
  for (HopStatus& hop : states) hop.delay = Duration(0);
  Bytes encoded;
  encode_hops(encoded, states);
  hops_news_ = hops_news_ || encoded != hop_states_;
  hop_states_ = std::move(encoded);
  hops_.clear();
  encode_hops(hops_, hops);
}

bool OneWaySender::idle_and_armed() { return packed_ == queue_.size() && position_.empty() && cursor_.idle_and_armed(); }

MonotonicTime OneWaySender::next_tick() const {
  MonotonicTime next = std::min(next_beat_, carousel_at_);
  if (lane_) next = std::min(next, lane_->next_tick());
  return next;
}

double OneWaySender::shortage() const {
  return counters_.rounds == 0 ? 0 : std::chrono::duration<double>(counters_.round) / std::chrono::duration<double>(options_.max_staleness / 2);
}

// --- What to say next ------------------------------------------------------------------------------------------------------

bool OneWaySender::next(Bytes& segment, std::size_t room, MonotonicTime now) {
  segment.clear();
  if (room < kLeastRoom) return false;
  if (packed_ == queue_.size()) {
    queue_.clear();
    packed_ = 0;
    if (!produce(room - kMaxHead, now)) return false;
  }
  pack(segment, room, now);
  return !segment.empty();
}

bool OneWaySender::produce(std::size_t budget, MonotonicTime now) {
  queue_is_news_ = false;
  if (now >= next_beat_) {
    put_beat(now);
    return true;
  }
  if (!position_.empty()) {
    std::swap(queue_, position_);
    position_.clear();
    return true;
  }
  const bool carousel = now >= carousel_at_;
  const bool lane = lane_ && lane_->has(now);
  const std::size_t owed = std::min(kOwed, budget);
  if (carousel && carousel_credit_ >= owed && put_carousel(std::min(carousel_credit_, budget), now)) {
    carousel_credit_ -= std::min(carousel_credit_, queue_.size());
    return true;
  }
  if (lane && lane_credit_ >= owed && lane_->fill(queue_, std::min(lane_credit_, budget), now)) {
    lane_credit_ -= std::min(lane_credit_, queue_.size());
    return true;
  }
  if (put_news(budget)) {
    if (carousel) carousel_credit_ = std::min(carousel_credit_ + queue_.size() / 3, 4 * budget);
    if (lane) lane_credit_ = std::min(lane_credit_ + queue_.size() / 6, 4 * budget);
    return true;
  }
  if (!position_.empty()) return produce(budget, now);
  // Of what news leave, the lane takes as much as the carousel.
  if (lane && (!carousel || lane_credit_ > carousel_credit_) && lane_->fill(queue_, budget, now)) {
    if (carousel) carousel_credit_ = std::min(carousel_credit_ + queue_.size(), 4 * budget);
    return true;
  }
  if (carousel && put_carousel(budget, now)) {
    if (lane) lane_credit_ = std::min(lane_credit_ + queue_.size(), 4 * budget);
    return true;
  }
  return false;
}

void OneWaySender::put_beat(MonotonicTime now) {
  next_beat_ = now + std::min(options_.heartbeat, options_.timeout / 4);
  encode(queue_, Beat{namespace_.clock().utc(), options_.heartbeat, options_.timeout, options_.max_staleness, counters_.round, lane_ ? lane_->over() : 1});
  if (routes_bytes_ <= kFewRoutes) {
    next_route_ = 0;
    put_routes(2 * kFewRoutes);
  }
  if (std::exchange(hops_news_, false)) queue_.insert(queue_.end(), hops_.begin(), hops_.end());
  position_due_ = true;
}

bool OneWaySender::put_news(std::size_t budget) {
  LinkCursor::Pulled pulled;
  Encoder encoder(*this, budget);
  for (int i = 0; i < 8; ++i) {
    pulled = cursor_.pull(encoder, position_due_);
    encoder.close();
    if (!queue_.empty() || !pulled.more) break;
  }
  if (encoder.too_large > 0) any_too_large_ = true;
  if (position_due_ && (pulled.summed || !pulled.caught_up)) {
    position_due_ = false;
    const bool whole = pulled.summed && !any_too_large_;   // else the digest is of what the receiver cannot have
    encode(position_, Position{pulled.seen, pulled.defined, true, pulled.complete, whole, pulled.digest, pulled.points});
  }
  queue_is_news_ = !queue_.empty();
  return queue_is_news_;
}

// --- The carousel ----------------------------------------------------------------------------------------------------------

// At first as fast as it goes: nobody may know anything yet.
double OneWaySender::carousel_rate() const {
  const auto all = static_cast<double>(options_.bytes_per_second);
  if (counters_.rounds < 2) return all;
  const double needed = static_cast<double>(counters_.round_bytes) / (kMargin * std::chrono::duration<double>(options_.max_staleness / 2).count());
  return std::max(all / 4, needed);
}

bool OneWaySender::put_carousel(std::size_t budget, MonotonicTime now) {
  if (in_routes_) {
    if (next_route_ == 0) {
      queue_.insert(queue_.end(), hops_.begin(), hops_.end());
      hops_news_ = false;
    }
    put_routes(budget);
    in_routes_ = next_route_ != 0;
  } else if (!put_points(budget)) {
    return put_news(budget);   // routes have changed, and go first
  }
  round_bytes_ += queue_.size();
  const auto takes = std::chrono::duration<double>(static_cast<double>(queue_.size()) / carousel_rate());
  carousel_at_ = std::max(carousel_at_, now - kSlack) + std::chrono::duration_cast<Duration>(takes);
  if (!in_routes_ && next_point_ == kNoPoint) end_round(now);
  return true;
}

// One frame of routes from next_route_ on, which becomes 0 when that was the last.
void OneWaySender::put_routes(std::size_t budget) {
  FrameWriter frame(queue_, frame_type(Kind::routes));
  const std::size_t end = queue_.size() + budget;
  frame.number<std::uint16_t>(static_cast<std::uint16_t>(next_route_));
  const std::size_t to_at = queue_.size();
  frame.number<std::uint16_t>(0);
  auto at = routes_.lower_bound(static_cast<RouteId>(next_route_));
  const std::size_t first = queue_.size();
  for (; at != routes_.end() && (queue_.size() == first || queue_.size() + at->second.size() <= end); ++at) frame.bytes(at->second);
  const auto to = static_cast<std::uint16_t>(at == routes_.end() ? UINT16_MAX : at->first - 1);
  std::memcpy(queue_.data() + to_at, &to, 2);
  next_route_ = at == routes_.end() ? 0 : at->first;
}

bool OneWaySender::put_points(std::size_t budget) {
  const std::size_t before = queue_.size();
  std::optional<PointId> next;
  {
    FrameWriter frame(queue_, frame_type(Kind::points));
    frame.number<std::uint32_t>(next_point_);
    const std::size_t to_at = queue_.size();
    frame.number<std::uint32_t>(0);
    Encoder encoder(*this, budget > 64 ? budget - 64 : budget);
    next = cursor_.walk(encoder, next_point_, kLook);
    encoder.close();
    const PointId to = next.value_or(kNoPoint);
    std::memcpy(queue_.data() + to_at, &to, 4);
    round_too_large_ += encoder.too_large;
  }
  if (!next) {
    queue_.resize(before);
    return false;
  }
  next_point_ = *next;
  return true;
}

void OneWaySender::end_round(MonotonicTime now) {
  ++counters_.rounds;
  counters_.round = now - round_began_;
  counters_.round_bytes = std::exchange(round_bytes_, 0);
  counters_.too_large = std::exchange(round_too_large_, 0);
  any_too_large_ = counters_.too_large > 0;
  carousel_at_ = std::max(carousel_at_, round_began_ + std::min(options_.max_staleness / 10, kLongestPause));
  round_began_ = std::max(now, carousel_at_);
  next_point_ = 0;
  next_route_ = 0;
  in_routes_ = true;
}

// --- Segments --------------------------------------------------------------------------------------------------------------

void OneWaySender::put_fragment(Bytes& body, std::size_t size, std::size_t room) {
  if (cut_at_ == 0) ++fragmented_;
  const std::size_t part = std::min(size - cut_at_, room - kFragmentHead);
  encode_fragment(body, fragmented_, size, cut_at_, std::span(queue_).subspan(packed_ + cut_at_, part));
  cut_at_ += part;
  if (cut_at_ < size) return;
  packed_ += size;
  cut_at_ = 0;
}

void OneWaySender::pack(Bytes& segment, std::size_t room, MonotonicTime now) {
  const std::size_t left = room - kMaxHead;
  SegmentHead head;
  head.news = queue_is_news_;
  body_.clear();
  while (packed_ < queue_.size()) {
    const auto rest = std::span<const std::byte>(queue_).subspan(packed_);
    const std::size_t size = frame_size(rest);
    const auto type = static_cast<FrameType>(rest[4]);
    const bool fits = cut_at_ == 0 && body_.size() + size <= left;
    if (!fits && !body_.empty()) break;
    if (size > kLargestFrame) {   // metadata beyond all measure
      packed_ += size;
      ++counters_.too_large;
      continue;
    }
    head.definitions = head.definitions || (head.news && (type == FrameType::route || type == FrameType::define || type == FrameType::remove));
    if (!fits) {
      put_fragment(body_, size, left);
      break;
    }
    body_.insert(body_.end(), rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(size));
    packed_ += size;
  }
  if (body_.empty()) return;
  head.life = options_.life;
  head.sent_ns = static_cast<std::uint64_t>(now.time_since_epoch().count());
  head.news_count = news_count_ += head.news ? 1 : 0;
  head.definition_count = definition_count_ += head.definitions ? 1 : 0;
  encode(segment, head);
  segment.insert(segment.end(), body_.begin(), body_.end());
  ++counters_.segments;
  counters_.bytes += segment.size();
}

}  // namespace sallyport::link::diode
