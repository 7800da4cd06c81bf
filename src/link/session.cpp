// The link session: hello, data both ways, heartbeats, acknowledgements, timeouts.
#include "link/session.h"

#include <algorithm>

#include "base/log.h"

namespace sallyport::link {
namespace {

constexpr std::size_t kLaneBytes = 16 * 1024;      // of back-fill at once
constexpr std::size_t kLeastLaneBytes = 512;
constexpr std::size_t kLeastReadSpace = 4 * 1024, kReadSpace = 64 * 1024;
constexpr unsigned kSmallReads = 256;               // in a row, then the buffer shrinks
constexpr std::size_t kFillBytes = 64 * 1024;       // four full TLS records
constexpr std::size_t kAckBytes = 32 * 1024;
constexpr Duration kAckDelay = std::chrono::milliseconds(20);
constexpr Duration kHelloTimeout = std::chrono::seconds(5);
constexpr Duration kOffsetWindow = std::chrono::seconds(30);
constexpr Duration kPaceStep = std::chrono::milliseconds(5);
constexpr std::size_t kProgressBytes = 512;         // a partial frame that grows by this much counts as life

}  // namespace

Session::Session(Namespace& ns, Receiver& receiver, SessionOptions options, MonotonicTime now, Waker waker)
    : namespace_(ns),
      receiver_(receiver),
      options_(std::move(options)),
      waker_(std::move(waker)),
      heartbeat_(options_.heartbeat),
      timeout_(options_.timeout),
      has_receiver_(!options_.candidate),
      read_space_(kLeastReadSpace),
      started_(now),
      last_heard_(now),
      last_fresh_(now),
      next_heartbeat_(now),
      ack_due_(now) {
  Hello hello;
  hello.node = options_.node;
  hello.incarnation = options_.incarnation;
  hello.heartbeat = options_.heartbeat;
  hello.timeout = options_.timeout;
  hello.send = options_.send_texts;
  hello.receive = options_.receive_texts;
  hello.held = receiver_.held();
  hello.takes_journal = takes_journal();
  hello.reads_little = options_.one_way == OneWay::acks;
  hello.reads_nothing = options_.one_way == OneWay::strict;
  encode(control_, hello);
}

Session::~Session() {
  if (state_ != State::closed) end("closed");
}

void Session::end(const std::string& reason) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  reason_ = reason;
  more_ = false;
  drop_sender();
  if (has_receiver_) receiver_.lost(reason);
}

void Session::lost(const std::string& what) { end(what); }

void Session::close(CloseCode code, const std::string& text) {
  if (state_ == State::closed) return;
  hops_.clear();
  encode_close(control_, code, text);
  closed_with_ = code;
  end(text);
  more_ = true;
}

bool Session::succeed(Session& old) {
  has_receiver_ = true;
  if (old.state_ != State::running || old.peer_hello_.incarnation != peer_hello_.incarnation) return false;
  // The peer was alive when this connection was made; whatever it says now may have waited since.
  last_fresh_ = std::max(old.last_fresh_, started_);
  std::copy(std::begin(old.least_offset_), std::end(old.least_offset_), std::begin(least_offset_));
  offset_since_ = old.offset_since_;
  delay_ = old.delay_;
  peer_hops_ = old.peer_hops_;
  old.state_ = State::closed;
  old.reason_ = "succeeded";
  old.more_ = false;
  old.has_receiver_ = false;
  old.drop_sender();
  return true;
}

void Session::drop_sender() {
  if (sender_) sent_ = sender_->counters();
  sender_.reset();
  lane_out_.reset();
  lane_in_.reset();
}

SenderCounters Session::sent() const { return sender_ ? sender_->counters() : sent_; }

void Session::ask_renewal() {
  if (state_ != State::running || peer_hello_.reads_little || peer_hello_.reads_nothing) return;
  encode_renew(control_);
  more_ = true;
}

// --- Input -------------------------------------------------------------------------------------------------------------

std::span<std::byte> Session::input_space() {
  if (parsed_ > 0) {
    std::copy(input_.begin() + static_cast<std::ptrdiff_t>(parsed_), input_.begin() + static_cast<std::ptrdiff_t>(filled_), input_.begin());
    filled_ -= parsed_;
    parsed_ = 0;
  }
  if (input_.size() < filled_ + read_space_) input_.resize(filled_ + read_space_);
  // A frame of megabytes, or a busy hour, must not leave its buffer behind for ever: thousands of links are mostly idle.
  if (filled_ == 0 && input_.size() > 4 * read_space_) {
    input_.resize(read_space_);
    input_.shrink_to_fit();
  }
  return std::span(input_).subspan(filled_);
}

void Session::received(std::size_t bytes, MonotonicTime now) {
  if (state_ == State::closed) return;
  // We were stopped ourselves, or the peer was: what now comes out of the kernel's buffer is old.
  if (silent(now)) return close(CloseCode::timeout, "timeout");
  if (bytes == input_.size() - filled_) {
    read_space_ = std::min(kReadSpace, 4 * read_space_);
  } else if (bytes * 8 > read_space_) {
    small_reads_ = 0;
  } else if (++small_reads_ >= kSmallReads) {
    small_reads_ = 0;
    read_space_ = std::max(kLeastReadSpace, read_space_ / 4);
  }
  filled_ += bytes;
  received_bytes_ += bytes;
  parse(now);
  if (state_ == State::closed) return;
  if (filled_ - parsed_ >= progress_mark_ + kProgressBytes) {
    progress_mark_ = filled_ - parsed_;
    last_heard_ = now;
  }
}

// Only data ask for an acknowledgement: acknowledging acknowledgements would never end.
void Session::note_data(MonotonicTime now) {
  if (!ack_wanted_) {
    ack_wanted_ = true;
    ack_due_ = now + kAckDelay;
  }
  if (received_bytes_ - acknowledged_bytes_ >= kAckBytes) {
    ack_due_ = now;
    more_ = true;
  }
}

// Nothing of what is passed over is a sign of life, nor worth more work than passing it over.
void Session::parse_uplink(MonotonicTime now) {
  while (state_ == State::running) {
    const std::uint64_t discarded = uplink_->discarded_bytes();
    std::size_t taken = 0;
    const auto frame = uplink_->next(std::span(input_).subspan(parsed_, filled_ - parsed_), taken);
    parsed_ += taken;
    if (!discarding_.take(static_cast<double>(uplink_->discarded_bytes() - discarded), now))
      return close(CloseCode::limit, "the peer keeps sending, and this side only reads acknowledgements");
    if (!frame) return;
    last_heard_ = now;
    if (auto ok = handle(*frame, now); !ok) {
      return close(ok.error().code == ErrorCode::limit ? CloseCode::limit : CloseCode::malformed, ok.error().message);
    }
  }
}

void Session::parse(MonotonicTime now) {
  while (state_ != State::closed) {
    if (uplink_) return parse_uplink(now);
    const std::size_t max = state_ == State::greeting ? kMaxHello : kMaxFrame;
    auto frame = next_frame(std::span(input_).subspan(parsed_, filled_ - parsed_), max);
    if (!frame) return close(CloseCode::malformed, frame.error().message);
    if (!*frame) return;
    parsed_ += (*frame)->size;
    progress_mark_ = 0;
    last_heard_ = now;
    if (auto ok = handle(**frame, now); !ok) {
      const auto code = ok.error().code == ErrorCode::limit ? CloseCode::limit : ok.error().code == ErrorCode::refused ? CloseCode::not_allowed : CloseCode::malformed;
      return close(code, ok.error().message);
    }
  }
}

Result<void> Session::handle(const Frame& frame, MonotonicTime now) {
  if (frame.type == FrameType::close) return handle_close(frame);
  if (state_ == State::greeting) {
    if (frame.type != FrameType::hello) return fail(ErrorCode::malformed, "the first frame is no hello");
    return handle_hello(frame, now);
  }
  if (auto ok = budget_.admit(frame, sent_bytes_, now); !ok) return ok;
  switch (frame.type) {
    case FrameType::hello: return fail(ErrorCode::malformed, "a second hello");
    case FrameType::close: return handle_close(frame);
    case FrameType::heartbeat: return handle_heartbeat(frame, now);
    case FrameType::ack: {
      const auto bytes = decode_ack(frame.body);
      if (!bytes) return std::unexpected(bytes.error());
      if (sender_ && !sender_->on_ack(*bytes, now)) return fail(ErrorCode::malformed, "acknowledges what was never sent");
      more_ = true;
      return {};
    }
    case FrameType::refresh: {
      const auto route = decode_refresh(frame.body);
      if (!route) return std::unexpected(route.error());
      if (sender_) sender_->refresh(*route);
      more_ = true;
      return {};
    }
    case FrameType::ask_digests: {
      const auto route = decode_ask_digests(frame.body);
      if (!route) return std::unexpected(route.error());
      if (sender_) sender_->ask_digests(*route);
      more_ = true;
      return {};
    }
    case FrameType::ask_repair: {
      auto wanted = decode_route_buckets(frame.body);
      if (!wanted) return std::unexpected(wanted.error());
      if (sender_) sender_->repair(std::move(*wanted));
      more_ = true;
      return {};
    }
    case FrameType::renew:
      if (!frame.body.empty()) return fail(ErrorCode::malformed, "a renew frame has no body");
      if (on_renew) on_renew();
      return {};
    case FrameType::journal_held: {
      auto held = decode_journal_held(frame.body);
      if (!held) return std::unexpected(held.error());
      if (peer_held_) return fail(ErrorCode::malformed, "a second journal_held");
      peer_held_ = std::move(*held);
      more_ = true;
      return {};
    }
    case FrameType::journal_ack: {
      const auto records = decode_journal_ack(frame.body);
      if (!records) return std::unexpected(records.error());
      if (!lane_out_) return fail(ErrorCode::malformed, "acknowledges journal records that were never sent");
      more_ = true;
      return lane_out_->on_ack(*records);
    }
    case FrameType::hops: {
      auto hops = decode_hops(frame.body);
      if (!hops) return std::unexpected(hops.error());
      peer_hops_ = std::move(*hops);
      if (on_hops) on_hops();
      return {};
    }
    default: break;
  }
  // From here on: data. Nothing is received that was not asked for.
  if (options_.receive_texts.empty()) return fail(ErrorCode::refused, "this side receives nothing");
  if (frame.type == FrameType::begin) {
    const auto begin = decode_begin(frame.body);
    if (!begin) return std::unexpected(begin.error());
    if (begun_) return fail(ErrorCode::malformed, "a second begin");
    const auto& held = receiver_.held();
    if (begin->resumed && (held.incarnation != peer_hello_.incarnation || held.view != begin->view)) {
      return fail(ErrorCode::malformed, "resumes what was never held");
    }
    begun_ = true;
    receiver_.begin(peer_hello_.incarnation, *begin);
    take_requests();
    return {};
  }
  if (!begun_) return fail(ErrorCode::malformed, "data before begin");
  note_data(now);
  switch (frame.type) {
    case FrameType::route: {
      auto route = decode_route(frame.body);
      return route ? receiver_.on_route(*route) : std::unexpected(route.error());
    }
    case FrameType::define: return receiver_.on_define(frame.body);
    case FrameType::remove: {
      auto points = decode_remove(frame.body);
      return points ? receiver_.on_remove(*points) : std::unexpected(points.error());
    }
    case FrameType::changes: return receiver_.on_changes(frame.body, false);
    case FrameType::stale_changes: return receiver_.on_changes(frame.body, true);
    case FrameType::position: {
      auto position = decode_position(frame.body);
      if (!position) return std::unexpected(position.error());
      receiver_.on_position(*position);
      take_requests();
      return {};
    }
    case FrameType::route_digests: {
      const auto digests = decode_route_digests(frame.body);
      if (!digests) return std::unexpected(digests.error());
      receiver_.on_route_digests(*digests);
      take_requests();
      return {};
    }
    case FrameType::bucket_digests: {
      const auto digests = decode_bucket_digests(frame.body);
      if (!digests) return std::unexpected(digests.error());
      receiver_.on_bucket_digests(*digests);
      take_requests();
      return {};
    }
    case FrameType::journal:
      if (!lane_in_) return fail(ErrorCode::refused, "this side takes no journal records");
      more_ = true;
      return lane_in_->on_records(frame.body);
    case FrameType::repaired: {
      const auto done = decode_route_buckets(frame.body);
      if (!done) return std::unexpected(done.error());
      receiver_.on_repaired(*done);
      return {};
    }
    default: return fail(ErrorCode::malformed, "unexpected frame");
  }
}

Result<void> Session::handle_hello(const Frame& frame, MonotonicTime now) {
  auto hello = decode_hello(frame.body);
  if (!hello) return std::unexpected(hello.error());
  if (hello->version < kOldestVersion || hello->oldest > kVersion) {
    close(CloseCode::version, "peer speaks protocol " + std::to_string(hello->oldest) + " to " + std::to_string(hello->version) +
                                  ", this node " + std::to_string(kOldestVersion) + " to " + std::to_string(kVersion));
    return {};
  }
  if (hello->node != options_.peer) return fail(ErrorCode::refused, "peer calls itself '" + hello->node + "', its certificate says '" + options_.peer + "'");
  if (hello->node == options_.node) return fail(ErrorCode::refused, "peer has this node's own name");
  peer_hello_ = std::move(*hello);
  heartbeat_ = std::min(heartbeat_, peer_hello_.heartbeat);
  timeout_ = std::min(timeout_, peer_hello_.timeout);
  budget_ = PeerBudget(std::min(heartbeat_, timeout_ / 4));
  state_ = State::running;
  if (options_.one_way != OneWay::off) uplink_.emplace(options_.one_way == OneWay::strict);
  last_fresh_ = now;
  next_heartbeat_ = now;
  if (!options_.send.empty() && !peer_hello_.receive.empty()) {
    auto sender = Sender::make(namespace_, options_.incarnation, options_.send, peer_hello_, receiver_.provider(),
                               FlowWindow(options_.first_window, sent_bytes_), waker_);
    if (!sender) return std::unexpected(sender.error());
    sender_ = std::move(*sender);
    encode(control_, sender_->begin());
  }
  receiver_.peer_listens(!peer_hello_.reads_nothing);
  // What it holds is not read then; it passes over what it has.
  if (options_.one_way == OneWay::acks && peer_hello_.takes_journal) peer_held_.emplace();
  if (takes_journal() && !peer_hello_.send.empty()) {
    lane_in_ = std::make_unique<LaneReceiver>(*options_.journal, options_.node, [receive = options_.receive](std::string_view path) { return receive.matches(path); },
                                              options_.max_points, waker_);
    if (!peer_hello_.reads_little && !peer_hello_.reads_nothing) encode_journal_held(control_, options_.journal->held());
  }
  more_ = true;
  if (on_running) on_running();
  return {};
}

// Whoever keeps nothing for anyone takes nothing: custody stays where it is.
bool Session::takes_journal() const {
  return options_.journal != nullptr && !options_.receive_texts.empty() && options_.journal->has_readers();
}

// A heartbeat that waited in buffers on its way tells of the past: what came with it is as old as it is.
void Session::note_age(std::uint64_t sent_ns, MonotonicTime now) {
  const std::int64_t offset = now.time_since_epoch().count() - static_cast<std::int64_t>(sent_ns);
  if (now - offset_since_ > kOffsetWindow) {  // clocks drift: old offsets are forgotten
    least_offset_[1] = std::exchange(least_offset_[0], INT64_MAX);
    offset_since_ = now;
  }
  least_offset_[0] = std::min(least_offset_[0], offset);
  last_fresh_ = std::max(last_fresh_, now - Duration(offset - std::min(least_offset_[0], least_offset_[1])));
}

Result<void> Session::handle_heartbeat(const Frame& frame, MonotonicTime now) {
  const auto heartbeat = decode_heartbeat(frame.body);
  if (!heartbeat) return std::unexpected(heartbeat.error());
  note_age(heartbeat->sent_ns, now);
  peer_sent_ns_ = heartbeat->sent_ns;
  peer_sent_at_ = now;
  const auto now_ns = static_cast<std::uint64_t>(now.time_since_epoch().count());
  if (heartbeat->echo_ns != 0 && heartbeat->echo_ns <= now_ns && heartbeat->held_ns <= now_ns - heartbeat->echo_ns) {
    const auto round_trip = Duration(static_cast<std::int64_t>(now_ns - heartbeat->echo_ns - heartbeat->held_ns));
    delay_ = delay_ == Duration(0) ? round_trip / 2 : (delay_ * 3 + round_trip / 2) / 4;
  }
  return {};
}

Result<void> Session::handle_close(const Frame& frame) {
  if (uplink_) return handle_close(Close{ByteReader(frame.body).number<std::uint16_t>(), {}});   // the rest was passed over
  const auto close = decode_close(frame.body);
  if (!close) return std::unexpected(close.error());
  return handle_close(*close);
}

Result<void> Session::handle_close(const Close& said) {
  const auto code = static_cast<CloseCode>(said.code);
  refused_by_peer_ = code != CloseCode::normal && code != CloseCode::timeout && code != CloseCode::reconfigured;
  end(code == CloseCode::normal ? std::string(to_string(code)) : "peer closed: " + (said.text.empty() ? std::string(to_string(code)) : said.text));
  return {};
}

// --- Output ------------------------------------------------------------------------------------------------------------

void Session::set_hops(Bytes encoded_frame) {
  if (state_ == State::closed) return;
  hops_ = std::move(encoded_frame);
  more_ = true;
}

void Session::take_requests() {
  if (receiver_.must_begin_anew()) return close(CloseCode::reconfigured, "points are missing that this peer can only tell anew");
  const Bytes requests = receiver_.take_requests();
  if (requests.empty()) return;
  control_.insert(control_.end(), requests.begin(), requests.end());
  more_ = true;
}

void Session::check_takeover() {
  if (state_ != State::running) return;
  receiver_.check_takeover();
  take_requests();
}

void Session::put_ack(Bytes& out) {
  encode_ack(out, received_bytes_);
  acknowledged_bytes_ = received_bytes_;
  ack_wanted_ = false;
}

// A little early, so that the heartbeats of all links of a node fall together: a thousand idle links are then some dozen
// wake-ups a second, not a thousand.
MonotonicTime Session::next_beat(MonotonicTime now) const {
  const Duration every = std::min(heartbeat_, timeout_ / 4);
  const Duration grid = std::max<Duration>(every / 8, std::chrono::milliseconds(1));
  const MonotonicTime due = now + every;
  return due - due.time_since_epoch() % grid;
}

// Only the session in use: another may still hold the journal's reader of this link.
void Session::open_lane() {
  if (lane_out_ || !peer_held_ || !has_receiver_ || options_.journal == nullptr) return;
  auto receive = Patterns::parse(peer_hello_.receive);
  if (!receive) return;
  auto lane = LaneSender::open(*options_.journal, options_.journal_reader, options_.peer, *peer_held_,
                               [send = options_.send, receive = std::move(*receive)](std::string_view path) { return send.matches(path) && receive.matches(path); }, waker_);
  if (lane) lane_out_ = std::move(*lane);
}

// Behind the live values, and never more on the way than half of what the window allows: what is live waits for little. When
// live values take all of it, an eighth is left.
void Session::fill_lane(Bytes& out, std::size_t live) {
  open_lane();
  if (!lane_out_) return;
  const std::size_t taken = sender_->window().window() / 2 + live;
  const std::size_t room = sender_->window().room();
  std::size_t left = room > taken ? std::min(room - taken, kLaneBytes) : 0;
  lane_credit_ = std::min(lane_credit_ + live / 8, kLaneBytes);
  if (left < kLeastLaneBytes) left = lane_credit_ >= kLeastLaneBytes ? std::exchange(lane_credit_, 0) : 0;
  if (left > 0 && lane_out_->fill(out, left)) more_ = true;
}

void Session::fill(Bytes& out, MonotonicTime now) {
  const std::size_t before = out.size();
  more_ = false;
  if (strict() && sender_) {
    sender_->pace(options_.pace, now);
    pace_due_ = now + kPaceStep;
  }
  out.insert(out.end(), control_.begin(), control_.end());
  control_.clear();
  bool data = false;
  if (state_ == State::running) {
    const bool beat = now >= next_heartbeat_;
    if (beat) next_heartbeat_ = next_beat(now);
    if (peer_hello_.reads_nothing) ack_wanted_ = false;
    if (beat && !peer_hello_.reads_nothing) {
      Heartbeat heartbeat;
      heartbeat.sent_ns = static_cast<std::uint64_t>(now.time_since_epoch().count());
      heartbeat.echo_ns = peer_sent_ns_;
      heartbeat.held_ns = peer_sent_ns_ == 0 ? 0 : static_cast<std::uint64_t>((now - peer_sent_at_).count());
      heartbeat.utc = namespace_.clock().utc();
      encode(out, heartbeat);
      if (begun_ && received_bytes_ != acknowledged_bytes_) put_ack(out);
    }
    if (!hops_.empty() && hops_allowance_.afford(hops_cost(hops_.size()), now)) {  // else with a later heartbeat
      out.insert(out.end(), hops_.begin(), hops_.end());
      hops_.clear();
    }
    if (ack_wanted_ && now >= ack_due_) put_ack(out);
    if (std::uint64_t records = 0; lane_in_ && lane_in_->take_ack(records)) encode_journal_ack(out, records);
    if (sender_) {
      const std::size_t control_end = out.size();
      more_ = sender_->fill(out, kFillBytes, beat);
      fill_lane(out, out.size() - control_end);
      data = out.size() > control_end;
    }
  }
  sent_bytes_ += out.size() - before;
  if (sender_) sender_->on_sent(out.size() - before, data, now);
}

void Session::tick(MonotonicTime now) {
  if (state_ == State::closed) return;
  if (state_ == State::greeting && now - started_ >= kHelloTimeout) return close(CloseCode::timeout, "no hello within 5 s");
  if (silent(now) && state_ == State::running) return close(CloseCode::timeout, "timeout");
  check_takeover();
  if (now >= next_heartbeat_ || (ack_wanted_ && now >= ack_due_) || (paced() && now >= pace_due_)) more_ = true;
}

// Has more to say than its pace lets it.
bool Session::paced() const { return strict() && sender_ && sender_->window().in_flight() > 0; }


MonotonicTime Session::next_tick() const {
  if (state_ == State::closed) return MonotonicTime::max();
  if (state_ == State::greeting) return started_ + kHelloTimeout;
  MonotonicTime next = next_heartbeat_;
  if (paced()) next = std::min(next, pace_due_);
  if (!strict()) next = std::min(next, std::min(last_heard_, last_fresh_) + timeout_);
  if (ack_wanted_) next = std::min(next, ack_due_);
  return next;
}

}  // namespace sallyport::link
