#include "link/diode/one_way_receiver.h"

#include <algorithm>

#include "base/log.h"

namespace sallyport::link::diode {
namespace {

constexpr Duration kOffsetWindow = std::chrono::seconds(30);

std::unexpected<Error> malformed(std::string_view what) { return fail(ErrorCode::malformed, std::string(what)); }

}  // namespace

OneWayReceiver::OneWayReceiver(Namespace& ns, Receiver& receiver, OneWayReceiveOptions options, std::unique_ptr<OneWayLaneReceiver> lane, MonotonicTime now)
    : namespace_(ns), receiver_(receiver), options_(std::move(options)), lane_(std::move(lane)), doubt_since_(now), now_(now), last_fresh_(now) {}

Duration OneWayReceiver::timeout() const { return beat_.timeout > Duration(0) ? std::min(options_.timeout, beat_.timeout) : options_.timeout; }

MonotonicTime OneWayReceiver::next_tick() const { return up_ ? last_fresh_ + timeout() : MonotonicTime::max(); }

void OneWayReceiver::tick(MonotonicTime now) {
  now_ = now;
  if (up_ && now - last_fresh_ >= timeout()) go_down("timeout");
  if (!up_ || doubt_) return;
  receiver_.check_takeover();   // the carousel comes by anyway
  receiver_.take_requests();
}

std::uint64_t OneWayReceiver::unknown() const { return unknown_ + (doubt_ ? 0 : receiver_.counters().unknown - unknown_mark_); }

// --- Up, down, in doubt ----------------------------------------------------------------------------------------------------

void OneWayReceiver::go_down(const std::string& why) {
  up_ = false;
  late_data_ = false;
  reason_ = why;
  receiver_.lost(why);
  log::warn("one-way link down", log::field("link", options_.link), log::field("reason", why));
  if (on_state) on_state();
}

void OneWayReceiver::stop(const std::string& why) {
  up_ = false;
  reason_ = why;
  Position position;   // so that it is remembered which definitions are known
  position.defined = definitions_;
  receiver_.on_position(position);
  receiver_.lost(why);
}

void OneWayReceiver::come_up() {
  up_ = true;
  log::info("one-way link up", log::field("link", options_.link));
  if (doubt_ || late_data_) {
    begin_doubt(doubt_ ? doubt_what_ : reason_);
  } else {   // nothing that is told once was missed
    receiver_.begin(life_, {.resumed = true, .view = 0});
    say_synchronized();
  }
  reason_.clear();
  if (on_state) on_state();
}

void OneWayReceiver::begin_doubt(const std::string& what) {
  if (!doubt_) unknown_ += receiver_.counters().unknown - unknown_mark_;
  doubt_ = true;
  doubt_what_ = what;
  doubt_since_ = now_;
  points_.clear();
  routes_.clear();
  fragment_ = 0;
  if (up_) receiver_.doubt(what);
}

void OneWayReceiver::end_doubt_if_told() {
  if (!doubt_ || !up_ || !routes_.whole() || !points_.whole()) return;
  doubt_ = false;
  points_.clear();
  routes_.clear();
  ++counters_.rounds;
  counters_.recovery = now_ - doubt_since_;
  unknown_mark_ = receiver_.counters().unknown;
  say_synchronized();
}

void OneWayReceiver::say_synchronized() {
  Position position;
  position.defined = definitions_;
  position.synchronized = true;
  position.complete = complete_;
  receiver_.on_position(position);
  receiver_.take_requests();
}

// --- Segments --------------------------------------------------------------------------------------------------------------

void OneWayReceiver::received(std::span<const std::byte> segment, MonotonicTime now) {
  now_ = now;
  ++counters_.segments;
  counters_.bytes += segment.size();
  ByteReader in(segment);
  const auto head = decode_head(in);
  auto ok = head ? Result<void>() : std::unexpected(head.error());
  if (head) {
    if (!note_head(*head)) return;
    // We were stopped ourselves, or what comes now waited somewhere.
    const bool fresh = note_age(head->sent_ns, now);
    if (up_ && now - last_fresh_ >= timeout()) go_down("timeout");
    if (!up_ && fresh) come_up();
    late_data_ = late_data_ || (!up_ && head->news);
    ok = frames(in.bytes(in.remaining()), now);
  }
  if (ok) return;
  ++counters_.malformed;
  if (!std::exchange(logged_malformed_, true)) log::error("malformed segment on a one-way link", log::field("link", options_.link), log::field("reason", ok.error().message));
  begin_doubt("malformed segment");
}

// False: it is older than what came before.
bool OneWayReceiver::note_head(const SegmentHead& head) {
  if (head.life != life_) {
    begin_life(head);
  } else {
    const std::uint64_t expected = news_ + (head.news ? 1 : 0);
    if (head.sent_ns < sent_ns_ || head.news_count < expected) return false;
    if (head.news_count > expected) note_loss(head, head.news_count - expected);
  }
  news_ = head.news_count;
  definitions_ = head.definition_count;
  sent_ns_ = head.sent_ns;
  return true;
}

void OneWayReceiver::begin_life(const SegmentHead& head) {
  const bool first = std::exchange(life_, head.life) == 0;
  ++counters_.lives;
  const auto& held = receiver_.held();
  const bool resumed = held.incarnation == head.life && held.defined == head.definition_count - (head.definitions ? 1 : 0);
  receiver_.begin(head.life, {.resumed = resumed, .view = 0});
  receiver_.take_requests();
  if (lane_ && !first) lane_->begin_life();
  complete_ = false;
  least_offset_[0] = least_offset_[1] = INT64_MAX;
  offset_since_ = now_;
  last_fresh_ = now_;
  begin_doubt(first ? "the sender has not told everything yet" : "the sender was restarted");
}

void OneWayReceiver::note_loss(const SegmentHead& head, std::uint64_t missing) {
  counters_.lost_news += missing;
  ++counters_.losses;
  // Ids may mean something else from here on.
  if (head.definition_count != definitions_ + (head.definitions ? 1 : 0)) receiver_.begin(life_, {.resumed = false, .view = 0});
  receiver_.take_requests();
  begin_doubt("datagrams lost");
}

bool OneWayReceiver::note_age(std::uint64_t sent_ns, MonotonicTime now) {
  const std::int64_t offset = now.time_since_epoch().count() - static_cast<std::int64_t>(sent_ns);
  if (now - offset_since_ > kOffsetWindow) {   // clocks drift: old offsets are forgotten
    least_offset_[1] = std::exchange(least_offset_[0], INT64_MAX);
    offset_since_ = now;
  }
  least_offset_[0] = std::min(least_offset_[0], offset);
  const MonotonicTime sent = now - Duration(offset - std::min(least_offset_[0], least_offset_[1]));
  last_fresh_ = std::max(last_fresh_, sent);
  return now - sent < timeout();
}

// --- Frames ----------------------------------------------------------------------------------------------------------------

Result<void> OneWayReceiver::frames(std::span<const std::byte> rest, MonotonicTime now) {
  while (!rest.empty()) {
    const auto next = take_frame(rest);
    if (!next) return std::unexpected(next.error());
    if (auto ok = frame(*next, now); !ok) return ok;
  }
  return {};
}

Result<void> OneWayReceiver::frame(const RawFrame& frame, MonotonicTime now) {
  const auto body = frame.body;
  switch (static_cast<FrameType>(frame.type)) {
    case FrameType::route: {
      const auto route = decode_route(body);
      return route ? receiver_.on_route(*route) : std::unexpected(route.error());
    }
    case FrameType::define: return receiver_.on_define(body, define_as());
    case FrameType::remove: {
      const auto points = decode_remove(body);
      return points ? receiver_.on_remove(*points) : std::unexpected(points.error());
    }
    case FrameType::changes: return receiver_.on_changes(body, !up_);
    case FrameType::stale_changes: return receiver_.on_changes(body, true);
    case FrameType::position: return on_position(body);
    case FrameType::hops: {
      auto hops = decode_hops(body);
      if (!hops) return std::unexpected(hops.error());
      hops_ = *std::move(hops);
      if (on_hops) on_hops();
      return {};
    }
    default: break;
  }
  switch (static_cast<Kind>(frame.type)) {
    case Kind::points: return on_points(body);
    case Kind::routes: return on_routes(body);
    case Kind::fragment: return on_fragment(body, now);
    case Kind::records: return lane_ ? lane_->on_records(body, namespace_.clock().utc()) : Result<void>();
    case Kind::beat: return on_beat(body);
  }
  return malformed("unknown frame type " + std::to_string(frame.type));
}

// What is told again helps only when it is fresh.
Result<void> OneWayReceiver::on_points(std::span<const std::byte> body) {
  if (!up_) return {};
  const auto view = decode_points(body);
  if (!view) return std::unexpected(view.error());
  if (auto ok = receiver_.on_range(view->from, view->to, view->defines, define_as()); !ok) return ok;
  if (doubt_ && routes_.whole()) points_.add(view->from, view->to == kNoPoint ? kNoPoint : view->to - 1);
  end_doubt_if_told();
  return {};
}

Result<void> OneWayReceiver::on_routes(std::span<const std::byte> body) {
  const auto view = decode_routes(body);
  if (!view) return std::unexpected(view.error());
  if (auto ok = receiver_.on_routes(view->from, view->to, view->routes); !ok) return ok;
  if (doubt_ && up_) routes_.add(view->from, view->to);
  end_doubt_if_told();
  return {};
}

Result<void> OneWayReceiver::on_fragment(std::span<const std::byte> body, MonotonicTime now) {
  const auto part = decode_fragment(body);
  if (!part) return std::unexpected(part.error());
  if (part->at == 0) {
    fragment_ = part->number;
    fragment_total_ = part->total;
    fragments_.clear();
  } else if (part->number != fragment_ || part->total != fragment_total_ || part->at != fragments_.size()) {
    fragment_ = 0;   // one of them did not come
    return {};
  }
  fragments_.insert(fragments_.end(), part->bytes.begin(), part->bytes.end());
  if (fragments_.size() < fragment_total_) return {};
  fragment_ = 0;
  const Bytes whole = std::move(fragments_);
  fragments_ = {};
  std::span<const std::byte> rest = whole;
  const auto next = take_frame(rest);
  if (!next) return std::unexpected(next.error());
  if (!rest.empty() || next->type == static_cast<std::uint8_t>(Kind::fragment)) return malformed("fragments that make no frame");
  return frame(*next, now);
}

Result<void> OneWayReceiver::on_beat(std::span<const std::byte> body) {
  const auto beat = decode_beat(body);
  if (!beat) return std::unexpected(beat.error());
  beat_ = *beat;
  const UtcNanoseconds utc = namespace_.clock().utc();
  clock_offset_ = Duration(utc - beat->utc);
  if (lane_) lane_->on_over(beat->records_over, utc);
  return {};
}

Result<void> OneWayReceiver::on_position(std::span<const std::byte> body) {
  const auto position = decode_position(body);
  if (!position) return std::unexpected(position.error());
  complete_ = position->complete;
  if (doubt_ || !up_) return {};
  say_synchronized();
  if (!position->caught_up) return {};
  const auto agrees = receiver_.agrees(*position);
  if (!agrees || std::exchange(mismatch_, !*agrees) || *agrees) return {};
  receiver_.count_digest_mismatch();
  log::warn("mirror differs from its sender; the carousel mends it", log::field("link", options_.link));
  return {};
}

}  // namespace sallyport::link::diode
