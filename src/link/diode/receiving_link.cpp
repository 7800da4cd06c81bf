#include "link/diode/receiving_link.h"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "base/log.h"
#include "link/diode/sending_link.h"

namespace sallyport::link::diode {
namespace {

constexpr Duration kReopen = std::chrono::seconds(2);
constexpr unsigned kDrainEvery = 64;   // datagrams

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace

std::unique_ptr<DiodeLink> make_diode_link(TunnelContext& context, LinkOptions options) {
  if (options.diode->sends) return std::make_unique<SendingLink>(context, std::move(options));
  return std::make_unique<ReceivingLink>(context, std::move(options));
}

ReceivingLink::ReceivingLink(TunnelContext& context, LinkOptions options)
    : context_(context),
      options_(std::move(options)),
      receiver_(context.ns, context.node, options_.name, options_.receive, options_.on_loss, context.max_points, options_.rank),
      timer_(context.loop),
      since_(context.ns.clock().utc()) {}

ReceivingLink::~ReceivingLink() { stop("shutting down"); }

Result<void> ReceivingLink::open() {
  const auto& diode = *options_.diode;
  std::error_code failed;
  std::filesystem::create_directories(diode.state_folder, failed);
  ReaderOptions wire;
  wire.sender = options_.peer;
  wire.receiver = diode.keys.key->name;
  auto key = crypto::XWingPrivate::from_seed(diode.keys.key->key.seed());
  if (!key) return std::unexpected(key.error());
  auto reader = WireReader::make(wire, *std::move(key), diode.keys.trust, diode.state_folder + "/" + options_.name + ".received");
  if (!reader) return std::unexpected(reader.error());
  reader_ = *std::move(reader);
  auto inlet = open_inlet(context_.loop, diode.address, [this](std::span<const std::byte> datagram) { take(datagram); }, [this] { drain(); });
  if (!inlet) return std::unexpected(inlet.error());
  inlet_ = *std::move(inlet);
  return {};
}

void ReceivingLink::start() {
  if (!session_) {
    std::unique_ptr<OneWayLaneReceiver> lane;
    // Whoever keeps nothing for anyone takes nothing.
    if (context_.journal != nullptr && context_.journal->has_readers()) {
      lane = std::make_unique<OneWayLaneReceiver>(*context_.journal, context_.node, options_.name, lines_of(options_.receive.text()),
                                                  [receive = options_.receive](std::string_view path) { return receive.matches(path); });
    }
    session_ = std::make_unique<OneWayReceiver>(context_.ns, receiver_, OneWayReceiveOptions{.link = options_.name, .timeout = options_.timeout}, std::move(lane),
                                                context_.ns.clock().monotonic());
    session_->on_hops = [this] {
      if (context_.hops_changed) context_.hops_changed();
    };
    session_->on_state = [this] { note_state(); };
  }
  auto opened = open();
  if (!opened) {
    if (reason_ != opened.error().message) log::error("diode link cannot receive", log::field("link", options_.name), log::field("reason", opened.error().message));
    reason_ = opened.error().message;
    reader_.reset();
    timer_.after(kReopen, [this] { start(); });
    return;
  }
  reason_ = "nothing has come yet";
  log::info("diode link listens", log::field("link", options_.name), log::field("at", to_string(options_.diode->address)), log::field("port", inlet_->port()));
  tick();
}

void ReceivingLink::stop(const std::string& why) {
  timer_.cancel();
  inlet_.reset();
  if (session_) session_->stop(why);
  session_.reset();
  reader_.reset();
  state_ = LinkState::down;
  reason_ = why;
}

void ReceivingLink::take(std::span<const std::byte> datagram) {
  Clock& clock = context_.ns.clock();
  reader_->received(datagram, clock.monotonic(), clock.utc());
  if (++undrained_ >= kDrainEvery) drain();
}

void ReceivingLink::drain() {
  undrained_ = 0;
  const MonotonicTime now = context_.ns.clock().monotonic();
  while (const auto segment = reader_->next(now)) session_->received(segment->bytes, now);
  const std::string& refusal = reader_->counters().last_refusal;
  if (!refusal.empty() && refusal != refusal_logged_) {
    refusal_logged_ = refusal;
    log::warn("diode link refused an announcement", log::field("link", options_.name), log::field("reason", refusal));
  }
  note_routes();
  plan(now);
}

void ReceivingLink::tick() {
  session_->tick(context_.ns.clock().monotonic());
  drain();
}

void ReceivingLink::plan(MonotonicTime now) {
  const Duration wait = std::min(session_->next_tick(), reader_->next_tick()) - now;
  timer_.after(std::clamp<Duration>(wait, std::chrono::milliseconds(1), std::chrono::milliseconds(500)), [this] { tick(); });
}

void ReceivingLink::note_state() {
  const LinkState state = session_->up() ? LinkState::up : LinkState::down;
  if (state != state_) since_ = context_.ns.clock().utc();
  if (state == LinkState::up && state_ != state) ++connects_;
  state_ = state;
  reason_ = session_->up() ? std::string() : session_->reason();
  if (context_.hops_changed) context_.hops_changed();
}

void ReceivingLink::note_routes() {
  if (std::exchange(routes_seen_, context_.ns.route_version()) != context_.ns.route_version() && context_.routes_changed) context_.routes_changed();
}

void ReceivingLink::check_takeover() { routes_seen_ = context_.ns.route_version(); }   // the carousel comes by anyway

ReceiverMemory ReceivingLink::memory() const {
  ReceiverMemory memory = receiver_.memory();
  memory.peer = options_.peer;
  return memory;
}

std::vector<HopStatus> ReceivingLink::hops() const {
  const bool up = state_ == LinkState::up;
  std::vector<HopStatus> hops;
  hops.push_back({context_.node, options_.name, options_.peer, state_, since_, reason_, Duration(0), true});
  if (!session_) return hops;
  for (const HopStatus& hop : session_->hops()) {
    if (hop.node == context_.node) continue;
    hops.push_back(hop);
    hops.back().heard = hop.heard && up;
  }
  return hops;
}

// --- Status ----------------------------------------------------------------------------------------------------------------

LinkStatus ReceivingLink::status() const {
  LinkStatus status;
  const auto& options = *options_.diode;
  status.name = options_.name;
  status.peer = options_.peer;
  status.state = state_;
  status.since = since_;
  status.reason = reason_;
  status.address = to_string(options.address);
  status.group = "X-Wing";
  status.connects = connects_;
  const ReceiverCounters& received = receiver_.counters();
  status.receive.changes = received.changes;
  status.receive.definitions = received.definitions;
  status.refused = received.refused + received.routes_refused;
  status.digest_mismatches = received.digest_mismatches;
  status.full_resends = received.full_resends;
  status.resumes = received.resumes;
  auto& diode = status.diode.emplace();
  diode.carrier = options.address.carrier == Carrier::udp ? "udp" : "tcp";
  diode.max_staleness = options.max_staleness;
  if (!session_ || !reader_ || !inlet_) return status;
  status.receive.dropped = session_->unknown();
  status.receive.bytes = inlet_->counters().bytes;
  status.synchronized = session_->up() && !session_->in_doubt();
  status.hops = session_->hops();
  for (HopStatus& hop : status.hops) hop.heard = hop.heard && state_ == LinkState::up;
  const auto& said = session_->counters();
  const Beat& beat = session_->beat();
  const InletCounters inlet = inlet_->counters();
  const ReaderCounters& wire = reader_->counters();
  if (beat.max_staleness > Duration(0)) diode.max_staleness = std::min(diode.max_staleness, beat.max_staleness);
  diode.datagrams = inlet.datagrams;
  diode.bytes = inlet.bytes;
  diode.socket_dropped = inlet.dropped;
  diode.socket_buffer = inlet.buffer_bytes;
  diode.skipped_bytes = inlet.skipped;
  diode.epoch = wire.epoch;
  diode.lost_datagrams = wire.lost_datagrams;
  diode.recovered = wire.recovered_shards;
  diode.lost_groups = wire.lost_groups;
  const Refused& r = wire.refused;
  diode.refused = {{"malformed", r.malformed}, {"authentication", r.authentication}, {"replay", r.replay}, {"old_epoch", r.old_epoch}, {"unknown_epoch", r.unknown_epoch},
                   {"wrong_sender", r.wrong_sender}, {"signature", r.signature}, {"stale", r.stale}, {"crowded", r.crowded}};
  diode.last_refusal = wire.last_refusal;
  diode.rounds = said.rounds;
  diode.round = beat.round;
  diode.losses = said.losses;
  diode.lost_news = said.lost_news;
  diode.malformed = said.malformed;
  diode.senders = said.lives;
  diode.in_doubt = session_->in_doubt();
  diode.doubt = diode.in_doubt ? session_->doubt_reason() : std::string();
  diode.staleness = diode.in_doubt ? session_->staleness(context_.ns.clock().monotonic()) : Duration(0);
  diode.recovery = said.recovery;
  diode.clock_offset = session_->clock_offset();
  if (const auto* lane = session_->lane()) {
    diode.records = lane->received();
    diode.records_lost = lane->lost();
    diode.record_gaps = lane->gaps();
    diode.records_held_back = lane->held_back();
  }
  return status;
}

}  // namespace sallyport::link::diode
