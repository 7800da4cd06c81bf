// Runs a session on a TLS stream: reads while there is something, writes what the session gives, keeps its timer.
#include "link/tunnel.h"

#include <algorithm>
#include <bit>
#include <sstream>

#include "base/log.h"

namespace sallyport::link {
namespace {

constexpr std::size_t kReadPerTurn = 512 * 1024;   // then others on the loop have their turn
constexpr std::size_t kWritePerTurn = 512 * 1024;
constexpr Duration kFirstRetry = std::chrono::milliseconds(100);
constexpr Duration kLongestRetry = std::chrono::seconds(5);
constexpr Duration kRefusedRetry = std::chrono::seconds(10);
constexpr Duration kStable = std::chrono::seconds(10);  // up this long: the back-off begins anew

// Only what matters to those behind: a delay that moved by a third is news, a microsecond is not.
std::uint64_t hash_hops(const std::vector<HopStatus>& hops) {
  std::uint64_t hash = hops.size();
  const auto mix = [&hash](std::uint64_t word) { hash = (hash ^ word) * 0x9E3779B97F4A7C15ull; hash ^= hash >> 29; };
  for (const HopStatus& hop : hops) {
    for (const std::string* text : {&hop.node, &hop.link, &hop.peer, &hop.reason}) mix(std::hash<std::string>()(*text));
    mix(static_cast<std::uint64_t>(hop.state) << 8 | (hop.heard ? 1 : 0));
    mix(static_cast<std::uint64_t>(hop.since));
    mix(static_cast<std::uint64_t>(std::bit_width(static_cast<std::uint64_t>(hop.delay.count()) / 20'000)));
  }
  return hash;
}

std::vector<std::string> pattern_texts(const Patterns& patterns) {
  std::vector<std::string> texts;
  std::istringstream lines(patterns.text());
  for (std::string line; std::getline(lines, line);) texts.push_back(line);
  return texts;
}

}  // namespace

// The stream and its session. Posted tasks hold it weakly.
struct Tunnel::Connection : std::enable_shared_from_this<Connection> {
  Connection(Tunnel& t, std::unique_ptr<net::TlsStream> s) : tunnel(&t), stream(std::move(s)), timer(t.context_.loop) {}

  void start(SessionOptions options) {
    Waker waker = [weak = weak_from_this(), &loop = tunnel->context_.loop] {
      loop.post([weak] {
        if (const auto self = weak.lock(); self && self->session) self->pump();
      });
    };
    session = std::make_unique<Session>(tunnel->context_.ns, tunnel->receiver_, std::move(options), now(), std::move(waker));
    wait_readable();
  }
  MonotonicTime now() const { return tunnel->context_.ns.clock().monotonic(); }

  void wait_readable() {
    stream->when_readable([weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && self->session) self->readable();
    });
  }
  void wait_writable() {
    if (waiting_writable) return;
    waiting_writable = true;
    stream->when_writable([weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self || !self->session) return;
      self->waiting_writable = false;
      self->pump();
    });
  }

  void readable() {
    const auto alive = shared_from_this();
    for (std::size_t total = 0; total < kReadPerTurn && session->state() != Session::State::closed;) {
      const auto space = session->input_space();
      const net::IoResult result = stream->read(space);
      if (result.kind == net::IoResult::Kind::would_block) break;
      if (result.kind != net::IoResult::Kind::bytes) return ended(result.reason);
      session->received(result.size, now());
      total += result.size;
    }
    pump();
    if (session && session->state() != Session::State::closed) wait_readable();
  }

  // Writes until the stream is full or there is nothing more.
  void pump() {
    const auto alive = shared_from_this();
    if (waiting_writable) return;
    for (std::size_t total = 0; total < kWritePerTurn;) {
      if (written == out.size()) {
        out.clear();
        written = 0;
        session->fill(out, now());
        if (out.empty()) {
          if (session->state() == Session::State::closed) return ended(session->reason());
          if (session->more()) break;   // a scan that found nothing yet: go on in the next turn
          return set_timer();
        }
      }
      const net::IoResult result = stream->write(std::span(out).subspan(written));
      if (result.kind == net::IoResult::Kind::would_block) {
        wait_writable();
        return set_timer();
      }
      if (result.kind != net::IoResult::Kind::bytes) {
        return ended(session->state() == Session::State::closed ? session->reason() : result.reason);
      }
      written += result.size;
      total += result.size;
    }
    tunnel->context_.loop.post([weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && self->session) self->pump();
    });
    set_timer();
  }

  void set_timer() {
    const MonotonicTime due = session->state() == Session::State::closed ? now() + std::chrono::milliseconds(500) : session->next_tick();
    if (timer_set && due >= timer_due) return;   // it will be set again when it fires
    timer_set = true;
    timer_due = due;
    timer.after(std::max(Duration(0), due - now()), [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self || !self->session) return;
      self->timer_set = false;
      if (self->session->state() == Session::State::closed) return self->ended(self->session->reason());  // the goodbye did not get through
      self->session->tick(self->now());
      if (self->session->more()) self->pump();
      if (self->session) self->set_timer();
    });
  }

  void ended(const std::string& reason) {
    const auto alive = shared_from_this();
    if (!session) return;
    session->lost(reason);
    const std::string why = session->reason();
    const bool refused = session->refused_by_peer();
    tunnel->connection_ended(why, refused);
  }

  Tunnel* tunnel;
  std::unique_ptr<net::TlsStream> stream;
  std::unique_ptr<Session> session;
  net::Timer timer;
  bool timer_set = false;
  MonotonicTime timer_due{};
  bool waiting_writable = false;
  Bytes out;
  std::size_t written = 0;
  UtcNanoseconds up_since = 0;
};

Tunnel::Tunnel(TunnelContext& context, LinkOptions options)
    : context_(context),
      options_(std::move(options)),
      receiver_(context.ns, context.node, options_.name, options_.receive, options_.on_loss, context.max_points),
      retry_(context.loop),
      random_(std::random_device()()) {
  set_state(options_.dial ? LinkState::connecting : LinkState::down, options_.dial ? "" : "waiting for the peer to dial");
}

Tunnel::~Tunnel() { stop(CloseCode::normal, "shutting down"); }

void Tunnel::set_state(LinkState state, const std::string& reason) {
  const bool changed = state != state_;
  if (changed || since_ == 0) since_ = context_.ns.clock().utc();
  state_ = state;
  reason_ = reason;
  if (changed && context_.hops_changed) context_.hops_changed();
}

void Tunnel::start() {
  if (options_.dial) dial();
}

void Tunnel::dial() {
  net::DialOptions dial;
  dial.address = *options_.dial;
  dial.peer_name = options_.peer;
  dial.via = options_.via;
  attempt_ = net::dial(context_.loop, context_.identity, dial, [this](Result<std::unique_ptr<net::TlsStream>> stream) {
    if (stream) return run(std::move(*stream));
    connection_ended(stream.error().message, stream.error().code == ErrorCode::refused);
  });
}

void Tunnel::accept(std::unique_ptr<net::TlsStream> stream) {
  if (connection_) {
    log::info("link replaced by a newer connection of its peer", log::field("link", options_.name), log::field("from", stream->remote_address()));
    stop(CloseCode::replaced, "replaced by a newer connection");
  }
  run(std::move(stream));
}

void Tunnel::run(std::unique_ptr<net::TlsStream> stream) {
  SessionOptions session;
  session.node = context_.node;
  session.peer = options_.peer;
  session.incarnation = context_.incarnation;
  session.send = options_.send;
  session.send_texts = pattern_texts(options_.send);
  session.receive_texts = pattern_texts(options_.receive);
  session.heartbeat = options_.heartbeat;
  session.timeout = options_.timeout;
  session.first_window = last_window_;
  connection_ = std::make_shared<Connection>(*this, std::move(stream));
  connection_->start(std::move(session));
  connection_->session->on_running = [this] {
    ++connects_;
    connection_->up_since = context_.ns.clock().utc();
    set_state(LinkState::up, "");
    log::info("link up", log::field("link", options_.name), log::field("peer", options_.peer), log::field("group", connection_->stream->group()),
              log::field("address", connection_->stream->remote_address()));
  };
  connection_->session->on_hops = [this] {
    peer_hops_ = connection_->session->peer_hops();
    if (context_.hops_changed) context_.hops_changed();
  };
  connection_->pump();
}

void Tunnel::connection_ended(const std::string& reason, bool refused) {
  const bool was_up = state_ == LinkState::up;
  if (connection_) {
    if (connection_->session) {
      sent_bytes_before_ += connection_->session->sent_bytes();
      received_bytes_before_ += connection_->session->received_bytes();
    }
    if (connection_->up_since != 0 && context_.ns.clock().utc() - connection_->up_since > kStable.count()) failures_ = 0;
    connection_->timer.cancel();
    connection_->session.reset();
    connection_->stream.reset();
    connection_.reset();
  }
  receiver_.lost(reason);
  hops_sent_hash_ = 0;
  if (was_up) {
    log::warn("link down", log::field("link", options_.name), log::field("peer", options_.peer), log::field("reason", reason));
  } else if (failures_ == 0 || reason != reason_) {
    log::warn("link cannot connect", log::field("link", options_.name), log::field("peer", options_.peer), log::field("reason", reason));
  }
  set_state(options_.dial ? LinkState::connecting : LinkState::down, reason);
  if (options_.dial) retry_later(refused);
}

void Tunnel::retry_later(bool refused) {
  const Duration backed_off = std::min(kLongestRetry, kFirstRetry * (1 << std::min(failures_, 8u)));
  ++failures_;
  const Duration base = refused ? kRefusedRetry : backed_off;
  const double jitter = std::uniform_real_distribution<double>(0.5, 1.0)(random_);  // so that a thousand do not come at once
  retry_.after(std::chrono::duration_cast<Duration>(base * jitter), [this] { dial(); });
}

void Tunnel::stop(CloseCode code, const std::string& text) {
  attempt_.reset();
  retry_.cancel();
  if (!connection_) return;
  const auto connection = std::exchange(connection_, nullptr);
  if (connection->session) {
    connection->session->close(code, text);
    connection->session->fill(connection->out, connection->now());
    sent_bytes_before_ += connection->session->sent_bytes();
    received_bytes_before_ += connection->session->received_bytes();
    // One try: a peer that does not read must not hold us up.
    connection->stream->write(std::span(connection->out).subspan(connection->written));
  }
  connection->timer.cancel();
  connection->session.reset();
  hops_sent_hash_ = 0;
  set_state(LinkState::down, text);
}

// --- Status ------------------------------------------------------------------------------------------------------------

LinkStatus Tunnel::status() const {
  LinkStatus status;
  status.name = options_.name;
  status.peer = options_.peer;
  status.state = state_;
  status.since = since_;
  status.reason = reason_;
  status.dials = options_.dial.has_value();
  status.address = options_.dial ? net::to_string(*options_.dial) : "";
  status.send.bytes = sent_bytes_before_;
  status.receive.bytes = received_bytes_before_;
  const ReceiverCounters& received = receiver_.counters();
  status.receive.changes = received.changes;
  status.receive.definitions = received.definitions;
  status.receive.dropped = received.unknown;
  status.refused = received.refused;
  status.send.changes = sent_before_.changes;
  status.send.definitions = sent_before_.definitions;
  status.connects = connects_;
  status.hops = peer_hops_;
  const bool heard = connection_ && connection_->session && state_ == LinkState::up;
  for (HopStatus& hop : status.hops) hop.heard = hop.heard && heard;
  if (heard) {
    const Session& session = *connection_->session;
    status.group = connection_->stream->group();
    status.address = connection_->stream->remote_address();
    status.delay = session.delay();
    status.synchronized = receiver_.synchronized();
    status.send.bytes += session.sent_bytes();
    status.receive.bytes += session.received_bytes();
    if (const Sender* sender = session.sender()) {
      status.send.changes += sender->counters().changes;
      status.send.definitions += sender->counters().definitions;
    }
  }
  return status;
}

void Tunnel::append_hops(std::vector<HopStatus>& out, const std::string& not_for_peer) const {
  if (options_.peer == not_for_peer || options_.receive.empty()) return;
  const bool up = state_ == LinkState::up && connection_ && connection_->session;
  out.push_back({context_.node, options_.name, options_.peer, state_, since_, reason_, up ? connection_->session->delay() : Duration(0), true});
  for (const HopStatus& hop : peer_hops_) {
    if (hop.node == not_for_peer || hop.node == context_.node || out.size() >= kMaxHopEntries) continue;
    out.push_back(hop);
    out.back().heard = hop.heard && up;
  }
}

void Tunnel::send_hops(std::vector<HopStatus> hops) {
  if (!connection_ || !connection_->session || state_ != LinkState::up || connection_->session->sender() == nullptr) return;
  const std::uint64_t hash = hash_hops(hops);
  if (hash == hops_sent_hash_) return;
  hops_sent_hash_ = hash;
  Bytes frame;
  encode_hops(frame, hops);
  connection_->session->set_hops(std::move(frame));
  connection_->pump();
}

}  // namespace sallyport::link
