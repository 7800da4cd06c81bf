// Dials and is dialled; one connection of a link after the other, and when it can, the next before the last has ended.
#include "link/tunnel.h"

#include <algorithm>
#include <bit>
#include <sstream>

#include "base/log.h"

namespace sallyport::link {
namespace {

constexpr Duration kFirstRetry = std::chrono::milliseconds(100);
constexpr Duration kLongestRetry = std::chrono::seconds(5);
constexpr Duration kRefusedRetry = std::chrono::seconds(10);
constexpr Duration kTryPrimary = std::chrono::seconds(30);   // while connected to another address than the first
constexpr Duration kAskedRenewal = std::chrono::seconds(2);   // a peer may ask, but not make us dial without end
constexpr Duration kRetirement = std::chrono::seconds(2);
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

Tunnel::Tunnel(TunnelContext& context, LinkOptions options)
    : context_(context),
      options_(std::move(options)),
      receiver_(context.ns, context.node, options_.name, options_.receive, options_.on_loss, context.max_points, options_.rank),
      retry_(context.loop),
      renewal_(context.loop),
      retirement_(context.loop),
      random_(std::random_device()()) {
  set_state(dials() ? LinkState::connecting : LinkState::down, dials() ? "" : "waiting for the peer to dial");
}

Tunnel::~Tunnel() { stop(CloseCode::normal, "shutting down"); }

void Tunnel::set_state(LinkState state, const std::string& reason) {
  const bool changed = state != state_;
  if (changed || since_ == 0) since_ = context_.ns.clock().utc();
  state_ = state;
  reason_ = reason;
  if (changed && context_.hops_changed) context_.hops_changed();
}

// --- Connecting --------------------------------------------------------------------------------------------------------

void Tunnel::start() {
  if (dials()) dial(0, options_.dial.size());
}

void Tunnel::dial(std::size_t from, std::size_t to) {
  target_ = from % options_.dial.size();
  net::DialOptions dial;
  dial.address = options_.dial[target_];
  dial.peer_name = options_.peer;
  dial.via = options_.via;
  attempt_ = net::dial(context_.loop, context_.identity, dial, [this, from, to](Result<std::unique_ptr<net::TlsStream>> stream) {
    if (!stream) return dial_failed(stream.error(), from, to);
    failures_text_.clear();
    run(std::move(*stream));
  });
}

void Tunnel::dial_failed(const Error& error, std::size_t from, std::size_t to) {
  failures_text_ += (failures_text_.empty() ? "" : "; ") + error.message;
  if (from + 1 < to) return dial(from + 1, to);
  const std::string reason = std::exchange(failures_text_, {});
  if (connection_) return renewal_failed(reason);
  lost(reason, error.code == ErrorCode::refused);
}

void Tunnel::accept(std::unique_ptr<net::TlsStream> stream) { run(std::move(stream)); }

SessionOptions Tunnel::session_options() const {
  SessionOptions session;
  session.node = context_.node;
  session.peer = options_.peer;
  session.incarnation = context_.incarnation;
  session.journal = context_.journal;
  session.journal_reader = journal_reader_name(options_.name);
  session.receive = options_.receive;
  session.max_points = context_.max_points;
  session.send = options_.send;
  session.send_texts = pattern_texts(options_.send);
  session.receive_texts = pattern_texts(options_.receive);
  session.heartbeat = options_.heartbeat;
  session.timeout = options_.timeout;
  session.one_way = options_.one_way;
  session.pace = options_.rate / 8;
  session.candidate = candidate_ != nullptr;
  if (running() && connection_->session()->sender() != nullptr) session.first_window = connection_->session()->sender()->window().window();
  return session;
}

// While there is a connection in use, the new one is a candidate: it takes over when the peer has answered on it.
void Tunnel::run(std::unique_ptr<net::TlsStream> stream) {
  const auto weak = std::make_shared<std::weak_ptr<Connection>>();
  auto connection = std::make_shared<Connection>(context_.loop, context_.ns.clock(), std::move(stream), options_.key_update,
                                                 [this, weak](const std::string& reason, bool refused) {
                                                   if (const auto ended = weak->lock()) connection_ended(ended, reason, refused);
                                                 });
  *weak = connection;
  if (candidate_) std::exchange(candidate_, nullptr)->drop();
  (connection_ ? candidate_ : connection_) = connection;
  connection->start(context_.ns, receiver_, session_options());
  Session& session = *connection->session();
  session.on_running = [this, weak] {
    if (const auto up = weak->lock()) came_up(up);
  };
  session.on_hops = [this, &session] {
    peer_hops_ = session.peer_hops();
    if (context_.hops_changed) context_.hops_changed();
  };
  connection->after_read = [this] { note_routes(); };
  session.on_renew = [this] {
    // Asked again and again, it happens once, and is not put off.
    if (dials() && !candidate_ && !attempt_ && !std::exchange(renewal_asked_, true)) renewal_.after(jittered(kAskedRenewal), [this] { renew(); });
  };
  connection->pump();
}

void Tunnel::came_up(const std::shared_ptr<Connection>& connection) {
  const bool takes_over = connection == candidate_ && take_over();
  ++(takes_over ? renewals_ : connects_);
  log::info(takes_over ? "link goes on over a new connection" : "link up", log::field("link", options_.name), log::field("peer", options_.peer),
            log::field("group", connection->stream().group()), log::field("address", connection->stream().remote_address()));
  attempt_.reset();
  in_use_ = target_;
  connection->up_since = context_.ns.clock().monotonic();
  first_target_ = 0;
  hops_sent_hash_ = 0;
  set_state(LinkState::up, "");
  if (context_.hops_changed) context_.hops_changed();
  plan_renewal();
}

// false: the peer is another process than before, so that everything begins anew.
bool Tunnel::take_over() {
  const std::shared_ptr<Connection> old = std::exchange(connection_, std::exchange(candidate_, nullptr));
  account(*old);
  if (connection_->session()->succeed(*old->session())) {
    retire(old);
    return true;
  }
  log::warn("link replaced by a newer connection of its peer, which was restarted, or there are two nodes of this name", log::field("link", options_.name),
            log::field("old", old->stream().remote_address()), log::field("new", connection_->stream().remote_address()));
  old->close(CloseCode::replaced, "another node named '" + options_.peer + "' connected");
  return false;
}

void Tunnel::note_routes() {
  if (std::exchange(routes_seen_, context_.ns.route_version()) != context_.ns.route_version() && context_.routes_changed) context_.routes_changed();
}

void Tunnel::check_takeover() {
  routes_seen_ = context_.ns.route_version();
  if (!running()) return;
  connection_->session()->check_takeover();
  if (connection_->session()->more()) connection_->pump();
}

// --- Renewing ----------------------------------------------------------------------------------------------------------

void Tunnel::plan_renewal() {
  renewal_asked_ = false;
  if (!dials()) return;
  const Duration next = in_use_ == 0 ? options_.reconnect : std::min<Duration>(options_.reconnect, kTryPrimary);
  renewal_.after(jittered(next), [this] { renew(); });
}

void Tunnel::renew() {
  renewal_asked_ = false;
  if (!running()) return;
  if (!dials()) {
    connection_->session()->ask_renewal();
    return connection_->pump();
  }
  if (candidate_) return;
  const MonotonicTime now = context_.ns.clock().monotonic();
  const bool due = now - connection_->up_since.value_or(now) >= options_.reconnect / 2;
  // From a secondary address only those before it are tried, unless the connection is old.
  dial(0, in_use_ == 0 || due ? options_.dial.size() : in_use_);
}

void Tunnel::renewal_failed(const std::string& reason) {
  attempt_.reset();
  log::info("no new connection for now; the old one goes on", log::field("link", options_.name), log::field("reason", reason));
  renewal_.after(jittered(kTryPrimary), [this] { renew(); });
}

// The peer may not have taken over yet: it must see the new connection before it sees the end of the old one.
void Tunnel::retire(std::shared_ptr<Connection> old) {
  old->abandon();
  if (retired_) retired_->drop();
  retired_ = std::move(old);
  retirement_.after(kRetirement, [this] {
    if (retired_) std::exchange(retired_, nullptr)->drop();
  });
}

// --- Ending ------------------------------------------------------------------------------------------------------------

void Tunnel::account(const Connection& connection) {
  key_updates_before_ += connection.key_updates();
  const Session* session = connection.session();
  if (session == nullptr) return;
  sent_bytes_before_ += session->sent_bytes();
  received_bytes_before_ += session->received_bytes();
  discarded_before_ += session->discarded_bytes();
  sent_before_.changes += session->sent().changes;
  sent_before_.definitions += session->sent().definitions;
}

void Tunnel::count_closing(const Connection& connection) {
  if (connection.session() == nullptr) return;
  switch (connection.session()->closed_with().value_or(CloseCode::normal)) {
    case CloseCode::malformed: ++closed_.malformed; break;
    case CloseCode::version: ++closed_.version; break;
    case CloseCode::not_allowed: ++closed_.not_allowed; break;
    case CloseCode::timeout: ++closed_.timeout; break;
    case CloseCode::limit: ++closed_.limit; break;
    case CloseCode::normal:
    case CloseCode::replaced:
    case CloseCode::reconfigured: break;
  }
}

void Tunnel::connection_ended(const std::shared_ptr<Connection>& connection, const std::string& reason, bool refused) {
  count_closing(*connection);
  if (connection == candidate_) {
    std::exchange(candidate_, nullptr)->drop();
    if (dials()) renewal_failed(reason);
    return;
  }
  if (connection != connection_) return;
  account(*connection);
  const MonotonicTime now = context_.ns.clock().monotonic();
  if (!connection->up_since) first_target_ = dials() ? (target_ + 1) % options_.dial.size() : 0;
  else if (now - *connection->up_since > kStable) failures_ = 0;
  std::exchange(connection_, nullptr)->drop();
  lost(reason, refused);
}

void Tunnel::lost(const std::string& reason, bool refused) {
  const bool was_up = state_ == LinkState::up;
  receiver_.lost(reason);
  note_routes();
  hops_sent_hash_ = 0;
  renewal_.cancel();
  if (was_up) {
    log::warn("link down", log::field("link", options_.name), log::field("peer", options_.peer), log::field("reason", reason));
  } else if (failures_ == 0 || reason != reason_) {
    log::warn("link cannot connect", log::field("link", options_.name), log::field("peer", options_.peer), log::field("reason", reason));
  }
  set_state(dials() ? LinkState::connecting : LinkState::down, reason);
  if (retired_) std::exchange(retired_, nullptr)->drop();   // the peer shall know now
  if (candidate_) {   // it was about to take over, and now simply begins
    connection_ = std::exchange(candidate_, nullptr);
    connection_->session()->take_receiver();
    return;
  }
  attempt_.reset();
  if (dials()) retry_later(refused);
}

Duration Tunnel::jittered(Duration base) {  // so that a thousand do not come at once
  return std::chrono::duration_cast<Duration>(base * std::uniform_real_distribution<double>(0.5, 1.0)(random_));
}

void Tunnel::retry_later(bool refused) {
  const Duration backed_off = std::min(kLongestRetry, kFirstRetry * (1 << std::min(failures_, 8u)));
  ++failures_;
  retry_.after(jittered(refused ? kRefusedRetry : backed_off), [this] { dial(first_target_, first_target_ + options_.dial.size()); });
}

void Tunnel::stop(CloseCode code, const std::string& text) {
  attempt_.reset();
  retry_.cancel();
  renewal_.cancel();
  retirement_.cancel();
  for (auto* other : {&candidate_, &retired_}) {
    if (*other) std::exchange(*other, nullptr)->drop();
  }
  if (!connection_) return;
  const auto connection = std::exchange(connection_, nullptr);
  account(*connection);
  connection->close(code, text);
  hops_sent_hash_ = 0;
  set_state(LinkState::down, text);
}

ReceiverMemory Tunnel::memory() const {
  ReceiverMemory memory = receiver_.memory();
  memory.peer = options_.peer;
  return memory;
}

// --- Status ------------------------------------------------------------------------------------------------------------

LinkStatus Tunnel::status() const {
  LinkStatus status;
  status.name = options_.name;
  status.peer = options_.peer;
  status.state = state_;
  status.since = since_;
  status.reason = reason_;
  status.dials = dials();
  status.address = dials() ? net::to_string(options_.dial[running() ? in_use_ : target_]) : "";
  status.secondary = dials() && in_use_ > 0 && running();
  status.send.bytes = sent_bytes_before_;
  status.receive.bytes = received_bytes_before_;
  const ReceiverCounters& received = receiver_.counters();
  status.receive.changes = received.changes;
  status.receive.definitions = received.definitions;
  status.receive.dropped = received.unknown;
  status.one_way = options_.one_way;
  status.discarded_bytes = discarded_before_;
  status.refused = received.refused + received.routes_refused;
  status.closed = closed_;
  status.send.changes = sent_before_.changes;
  status.send.definitions = sent_before_.definitions;
  status.connects = connects_;
  status.hops = peer_hops_;
  status.renewals = renewals_;
  status.key_updates = key_updates_before_ + (connection_ ? connection_->key_updates() : 0);
  status.resumes = received.resumes;
  status.full_resends = received.full_resends;
  status.digest_mismatches = received.digest_mismatches;
  status.repaired_points = received.repaired_points;
  const bool heard = running();
  for (HopStatus& hop : status.hops) hop.heard = hop.heard && heard;
  if (heard) {
    const Session& session = *connection_->session();
    status.group = connection_->stream().group();
    status.address = connection_->stream().remote_address();
    status.delay = session.delay();
    status.synchronized = receiver_.synchronized();
    status.send.bytes += session.sent_bytes();
    status.receive.bytes += session.received_bytes();
    status.discarded_bytes += session.discarded_bytes();
    status.send.changes += session.sent().changes;
    status.send.definitions += session.sent().definitions;
  }
  return status;
}

std::vector<HopStatus> Tunnel::hops() const {
  const bool up = running();
  std::vector<HopStatus> hops;
  hops.push_back({context_.node, options_.name, options_.peer, state_, since_, reason_, up ? connection_->session()->delay() : Duration(0), true});
  for (const HopStatus& hop : peer_hops_) {
    if (hop.node == context_.node) continue;
    hops.push_back(hop);
    hops.back().heard = hop.heard && up;
  }
  return hops;
}

void Tunnel::send_hops(std::vector<HopStatus> hops) {
  if (!running() || connection_->session()->sender() == nullptr) return;
  const std::uint64_t hash = hash_hops(hops);
  if (hash == hops_sent_hash_) return;
  hops_sent_hash_ = hash;
  Bytes frame;
  encode_hops(frame, hops);
  connection_->session()->set_hops(std::move(frame));
  connection_->pump();
}

}  // namespace sallyport::link
