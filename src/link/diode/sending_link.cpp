#include "link/diode/sending_link.h"

#include <algorithm>
#include <filesystem>

#include "base/chunk_file.h"
#include "base/log.h"

namespace sallyport::link::diode {
namespace {

constexpr Duration kReopen = std::chrono::seconds(5);
constexpr Duration kSaveEvery = std::chrono::seconds(1);
constexpr Duration kBurst = std::chrono::milliseconds(10);    // of the rate: what a late timer may make good
constexpr double kLeastBurst = 8 * 1500;
constexpr std::size_t kBatch = 64;
constexpr unsigned kBatchesPerTurn = 16;
constexpr std::uint32_t kLaneFormat = 0x31454e4c;             // "LNE1"

}  // namespace

SendingLink::SendingLink(TunnelContext& context, LinkOptions options)
    : context_(context), options_(std::move(options)), timer_(context.loop), self_(std::make_shared<SendingLink*>(this)), since_(context.ns.clock().utc()) {
  // The namespace and the journal call from any thread.
  waker_ = [&loop = context_.loop, weak = std::weak_ptr(self_)] {
    loop.defer([weak] {
      if (const auto self = weak.lock(); self && *self != nullptr) (*self)->woken();
    });
  };
}

SendingLink::~SendingLink() {
  *self_ = nullptr;
  stop("shutting down");
}

std::string SendingLink::lane_file() const { return options_.diode->state_folder + "/" + options_.name + ".lane"; }

// What of the rate is left for segments: headers, seals, parity and announcements take the rest.
std::uint64_t SendingLink::payload_rate() const {
  const auto& diode = *options_.diode;
  const auto size = static_cast<double>(diode.datagram_bytes);
  const double share = (size - 64) / (size + static_cast<double>(kHeaders)) / (1 + diode.redundancy) * 0.95;
  return std::max<std::uint64_t>(1000, static_cast<std::uint64_t>(static_cast<double>(diode.bits_per_second) / 8 * share));
}

Result<void> SendingLink::open() {
  const auto& diode = *options_.diode;
  std::error_code failed;
  std::filesystem::create_directories(diode.state_folder, failed);
  Clock& clock = context_.ns.clock();
  WireOptions wire = wire_options_for(diode.bits_per_second);
  wire.sender = context_.node;
  wire.receiver = diode.keys.receiver->name;
  wire.datagram_bytes = diode.datagram_bytes;
  wire.redundancy = diode.redundancy;
  auto writer = WireWriter::make(wire, diode.keys.signer, diode.keys.receiver->key, diode.state_folder + "/" + options_.name + ".sent", clock.utc());
  if (!writer) return std::unexpected(writer.error());
  auto sender = OneWaySender::make(context_.ns,
                                   {.peer = options_.peer, .life = (*writer)->counters().life, .send = options_.send, .heartbeat = options_.heartbeat,
                                    .timeout = options_.timeout, .max_staleness = diode.max_staleness, .bytes_per_second = payload_rate()},
                                   clock.monotonic(), waker_);
  if (!sender) return std::unexpected(sender.error());
  auto outlet = open_outlet(context_.loop, clock, diode.address, diode.bits_per_second, [this] {
    blocked_ = false;
    pump();
  });
  if (!outlet) return std::unexpected(outlet.error());
  writer_ = *std::move(writer);
  sender_ = *std::move(sender);
  outlet_ = *std::move(outlet);
  return open_lane();
}

Result<void> SendingLink::open_lane() {
  if (context_.journal == nullptr) return {};
  OneWayLaneOptions lane;
  lane.reader = journal_reader_name(options_.name);
  lane.peer = options_.peer;
  lane.repeat = options_.diode->repeat;
  if (auto file = ChunkReader::open(lane_file(), kLaneFormat)) {
    Chunk chunk;
    const auto more = file->next(chunk);
    auto marks = more && *more ? decode_marks(chunk.bytes) : fail(ErrorCode::malformed, "it is empty");
    if (!marks) return within(lane_file(), marks.error());
    lane.marks = *std::move(marks);
  } else if (file.error().code != ErrorCode::not_found) {
    return std::unexpected(file.error());
  }
  auto opened = OneWayLaneSender::open(*context_.journal, std::move(lane), [send = options_.send](std::string_view path) { return send.matches(path); }, waker_);
  if (!opened) return std::unexpected(opened.error());
  sender_->set_lane(*std::move(opened));
  return {};
}

void SendingLink::start() {
  if (auto opened = open(); !opened) {
    log::error("diode link cannot send", log::field("link", options_.name), log::field("reason", opened.error().message));
    reason_ = opened.error().message;
    timer_.after(kReopen, [this] { start(); });
    return;
  }
  ++starts_;
  filled_ = context_.ns.clock().monotonic();
  note_state();
  if (context_.hops_changed) context_.hops_changed();
  pump();
}

void SendingLink::stop(const std::string& why) {
  timer_.cancel();
  if (sender_ && sender_->lane()) save_lane(MonotonicTime::max());
  outlet_.reset();
  sender_.reset();
  writer_.reset();
  state_ = LinkState::down;
  reason_ = why;
}

void SendingLink::send_hops(const std::vector<HopStatus>& hops) {
  if (!sender_) return;
  sender_->set_hops(hops);
}

// --- Sending ---------------------------------------------------------------------------------------------------------------

void SendingLink::woken() {
  if (!sender_) return;
  if (sender_->lane()) sender_->lane()->woken();
  pump();
}

void SendingLink::refill(MonotonicTime now) {
  const double rate = static_cast<double>(options_.diode->bits_per_second) / 8;
  const double most = std::max(kLeastBurst, rate * std::chrono::duration<double>(kBurst).count());
  tokens_ = std::min(most, tokens_ + rate * std::chrono::duration<double>(now - filled_).count());
  filled_ = now;
}

// False: there is nothing to add to the group now.
bool SendingLink::feed(MonotonicTime now) {
  const std::size_t room = writer_->room();
  if (room == 0) return false;
  if (room < OneWaySender::kLeastRoom) {
    writer_->flush();
    return true;
  }
  if (sender_->next(segment_, room, now)) {
    writer_->add(segment_);
    return true;
  }
  if (!sender_->idle_and_armed()) again_ = true;
  return false;
}

void SendingLink::collect(MonotonicTime now) {
  batch_.clear();
  batch_at_ = 0;
  const UtcNanoseconds utc = context_.ns.clock().utc();
  while (tokens_ > 0 && batch_.size() < kBatch) {
    if (const auto datagram = writer_->next(now, utc)) {
      batch_.add(*datagram);
      tokens_ -= static_cast<double>(datagram->size() + kHeaders);
    } else if (!feed(now)) {
      break;
    }
  }
}

void SendingLink::pump() {
  if (pumping_ || !sender_) return;
  pumping_ = true;
  MonotonicTime now = context_.ns.clock().monotonic();
  for (unsigned i = 0; i < kBatchesPerTurn && !blocked_; ++i) {
    again_ = false;
    now = context_.ns.clock().monotonic();
    refill(now);
    if (batch_at_ == batch_.size()) collect(now);
    if (batch_.size() == 0) break;
    batch_at_ = outlet_->send(batch_, batch_at_);
    blocked_ = batch_at_ < batch_.size();
    if (tokens_ <= 0) break;
  }
  if (sender_->lane()) save_lane(now);
  pumping_ = false;
  note_state();
  note_shortage();
  plan(now);
}

void SendingLink::plan(MonotonicTime now) {
  if (blocked_) return timer_.after(std::chrono::seconds(1), [this] { blocked_ = false, pump(); });
  Duration wait = std::min(writer_->next_tick(), sender_->next_tick()) - now;
  if (again_) wait = Duration(0);
  if (tokens_ <= 0) {
    // Until there is enough for several: a timer for each datagram would cost more than they do.
    const double rate = static_cast<double>(options_.diode->bits_per_second) / 8;
    const double enough = std::min(kLeastBurst / 2, rate * 0.002) - tokens_;
    wait = std::max(wait, std::chrono::duration_cast<Duration>(std::chrono::duration<double>(enough / rate)));
  } else if (batch_.size() == kBatch || batch_at_ < batch_.size()) {
    wait = Duration(0);
  }
  timer_.after(std::clamp<Duration>(wait, Duration(0), std::chrono::seconds(1)), [this] { pump(); });
}

// What was said as often as it is to be said is noted before the journal may forget it.
void SendingLink::save_lane(MonotonicTime now) {
  if (now != MonotonicTime::max() && now - lane_saved_ < kSaveEvery) return;
  lane_saved_ = now == MonotonicTime::max() ? lane_saved_ : now;
  const auto state = sender_->lane()->take_state();
  if (!state) return;
  const auto save = [&]() -> Result<void> {
    auto file = ChunkWriter::create(lane_file(), kLaneFormat);
    if (!file) return std::unexpected(file.error());
    if (auto ok = file->add(1, *state); !ok) return ok;
    return file->commit();
  };
  const auto saved = save();
  if (saved) sender_->lane()->saved();
  if (!saved && !lane_failed_) log::error("diode link cannot note what was sent; the journal keeps it", log::field("file", lane_file()), log::field("reason", saved.error().message));
  lane_failed_ = !saved;
}

// --- Status ----------------------------------------------------------------------------------------------------------------

void SendingLink::note_state() {
  const std::string& problem = outlet_->problem();
  const LinkState state = problem.empty() ? LinkState::up : LinkState::connecting;
  if (state != state_) {
    since_ = context_.ns.clock().utc();
    if (state == LinkState::up) log::info("diode link sends", log::field("link", options_.name), log::field("to", to_string(options_.diode->address)));
    else log::warn("diode link cannot send for now", log::field("link", options_.name), log::field("reason", problem));
  }
  state_ = state;
  reason_ = problem;
}

void SendingLink::note_shortage() {
  const double shortage = sender_->shortage();
  if (short_ == (shortage > 1)) return;
  short_ = shortage > 1;
  if (!short_) return log::info("diode link: the rate is enough again", log::field("link", options_.name));
  log::warn("diode link: a round of the carousel takes longer than half of max_staleness; raise rate or max_staleness, or send fewer points",
            log::field("link", options_.name), log::field("times_the_rate", std::to_string(shortage).substr(0, 4)));
}

LinkStatus SendingLink::status() const {
  LinkStatus status;
  const auto& options = *options_.diode;
  status.name = options_.name;
  status.peer = options_.peer;
  status.state = state_;
  status.since = since_;
  status.reason = reason_;
  status.address = to_string(options.address);
  status.group = "X-Wing";
  status.dials = true;
  status.connects = starts_;
  auto& diode = status.diode.emplace();
  diode.sends = true;
  diode.carrier = options.address.carrier == Carrier::udp ? "udp" : "tcp";
  diode.rate = options.bits_per_second;
  diode.max_staleness = options.max_staleness;
  if (!sender_) return status;
  const auto& said = sender_->counters();
  status.send.changes = said.changes;
  status.send.definitions = said.definitions;
  status.send.bytes = outlet_->counters().bytes;
  status.synchronized = said.rounds > 0;
  diode.datagrams = outlet_->counters().datagrams;
  diode.bytes = outlet_->counters().bytes;
  diode.send_errors = outlet_->counters().errors;
  diode.rounds = said.rounds;
  diode.round = said.round;
  diode.round_bytes = said.round_bytes;
  diode.shortage = sender_->shortage();
  diode.too_large = said.too_large;
  const auto& wire = writer_->counters();
  diode.epoch = wire.epoch;
  diode.parity_datagrams = wire.parity_datagrams;
  diode.announcement_datagrams = wire.announcement_datagrams;
  diode.rekeys = wire.rekeys;
  if (const auto* lane = sender_->lane()) {
    diode.records = lane->sent();
    diode.too_large += lane->too_large();
  }
  return status;
}

}  // namespace sallyport::link::diode
