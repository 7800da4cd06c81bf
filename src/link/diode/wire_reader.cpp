#include "link/diode/wire_reader.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/replay_window.h"
#include "link/diode/datagram.h"
#include "link/diode/epoch.h"
#include "link/diode/reassembly.h"

namespace sallyport::link::diode {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxEpochs = 4;                  // keys at once: the last, the running, announced ones
constexpr Duration kGrace = 2s;                        // for datagrams of the last epoch that are under way
constexpr std::uint64_t kFirstStep = 16, kMaxStep = 1 << 20;    // how far ahead the mark is set
constexpr Duration kMarkEvery = 1s;                    // about
constexpr std::uint32_t kAgeAhead = 1000;              // ms: so long is a receiver that was killed blind, whatever the rate
constexpr Duration kWriteRetry = 100ms;
constexpr unsigned kChecksEachSecond = 20;             // of whole announcements: each costs a millisecond

struct Epoch {
  std::uint64_t number = 0, life = 0;
  crypto::Digest core{};
  UtcNanoseconds started = 0;
  unsigned depth = 1;
  Duration hold{0};
  crypto::Aead aead;
  crypto::ReplayWindow window;
  bool used = false;
  std::uint64_t first = 0, accepted = 0;               // lowest counter seen; how many
  std::uint32_t newest_age = 0;
  std::uint64_t floor = 0;                             // below both of these: taken before a restart, perhaps
  std::uint32_t age_floor = 0;
  std::optional<MonotonicTime> ends{};

  std::uint64_t lost() const { return used ? window.next() - first - accepted : 0; }
};

}  // namespace

struct WireReader::Impl {
  Impl(ReaderOptions o, crypto::XWingPrivate k, std::shared_ptr<const net::Trust> t, std::string file)
      : options(std::move(o)), key(std::move(k)), key_digest(crypto::sha256(key.public_key())), trust(std::move(t)),
        state_file(std::move(file)), reassembly(options.max_groups, options.max_bytes) {}

  void sealed(std::span<const std::byte> datagram, MonotonicTime now, UtcNanoseconds utc);
  bool may_take(Epoch& epoch, const SealedHeader& header, MonotonicTime now);
  bool advance_mark(Epoch& epoch, const SealedHeader& header, MonotonicTime now);
  void begin_data(Epoch& epoch, MonotonicTime now);
  void shard(const Epoch& epoch, std::span<const std::byte> plain, MonotonicTime now);
  void fragment(const Fragment& fragment, bool was_sealed, MonotonicTime now, UtcNanoseconds utc);
  void announcement(std::span<const std::byte> bytes, UtcNanoseconds utc);
  void accept(const Announcement& announcement);
  bool may_check(MonotonicTime now);
  void refuse(std::uint64_t& counter, const std::string& why);
  Epoch* find(std::uint64_t number);
  void drop_ended(MonotonicTime now);
  void drop(std::size_t at);
  bool open_group(MonotonicTime now);
  void update_losses();

  ReaderOptions options;
  crypto::XWingPrivate key;
  crypto::Digest key_digest;
  std::shared_ptr<const net::Trust> trust;
  std::string state_file;
  ReceiverEpoch state;                                 // as on disk
  std::uint64_t step = kFirstStep;
  bool cannot_write = false;
  MonotonicTime marked_at{}, tried_at{};
  std::uint64_t marked_from = 0;                       // the next counter at that time
  std::vector<Epoch> epochs;
  Collector collector;
  MonotonicTime check_second{};
  unsigned checks = 0;
  Bytes plain, whole;

  Reassembly reassembly;
  bool begun = false;
  std::uint64_t reassembly_life = 0;
  GroupReader group;
  UtcNanoseconds group_sent = 0;
  std::uint64_t group_life = 0, number = 0;
  bool loss = false;
  std::optional<std::uint64_t> expected;               // number of the next segment, once one was handed out in this life
  std::uint64_t lost_before = 0;                       // datagrams, of epochs that are over
  ReaderCounters counters;
};

// ---- Datagrams ----

Epoch* WireReader::Impl::find(std::uint64_t number_wanted) {
  const auto found = std::ranges::find(epochs, number_wanted, &Epoch::number);
  return found == epochs.end() ? nullptr : &*found;
}

void WireReader::Impl::drop(std::size_t at) {
  lost_before += epochs[at].lost();
  epochs.erase(epochs.begin() + static_cast<std::ptrdiff_t>(at));
}

void WireReader::Impl::drop_ended(MonotonicTime now) {
  for (std::size_t i = epochs.size(); i-- > 0;) {
    if (epochs[i].ends && *epochs[i].ends <= now) drop(i);
  }
}

void WireReader::Impl::sealed(std::span<const std::byte> datagram, MonotonicTime now, UtcNanoseconds utc) {
  const auto header = read_sealed_header(datagram);
  if (!header) return void(++counters.refused.malformed);
  Epoch* epoch = find(header->epoch);
  if (epoch == nullptr) return void(++(header->epoch < state.epoch ? counters.refused.old_epoch : counters.refused.unknown_epoch));
  const auto body = datagram.subspan(kSealedHeaderBytes);
  plain.resize(body.size() - crypto::kTagBytes);
  if (!epoch->aead.open(crypto::counted_nonce(header->counter), datagram.first(kSealedHeaderBytes), body, plain)) {
    return void(++counters.refused.authentication);
  }
  if (!epoch->window.fresh(header->counter) || (header->counter < epoch->floor && header->age < epoch->age_floor)) {
    return void(++counters.refused.replay);
  }
  if (!may_take(*epoch, *header, now)) return void(++counters.refused.crowded);
  epoch = find(header->epoch);  // others may have ended, and moved it
  epoch->window.take(header->counter);
  epoch->newest_age = std::max(epoch->newest_age, header->age);
  epoch->first = epoch->accepted == 0 ? header->counter : std::min(epoch->first, header->counter);
  ++epoch->accepted;
  ++counters.accepted;
  if (plain[0] == static_cast<std::byte>(SealedKind::fragment)) {
    const auto part = read_fragment(plain);
    if (!part) return void(++counters.refused.malformed);
    return fragment(*part, true, now, utc);
  }
  shard(*epoch, plain, now);
}

// Before anything is taken that a restart must not take again, the disk knows.
bool WireReader::Impl::may_take(Epoch& epoch, const SealedHeader& header, MonotonicTime now) {
  // An epoch that a later one has replaced is refused altogether after a restart.
  if (epoch.number < state.epoch) return true;
  const bool noted = epoch.number == state.epoch && header.counter < state.mark && header.age < state.age_mark;
  if (!noted && !advance_mark(epoch, header, now)) return false;
  if (!epoch.used) begin_data(epoch, now);
  return true;
}

// As many counters as come in a second, and a second of age: that is what is lost when the process is killed, and how often the
// disk is written. The age sees to it when fewer come than came, the counter when a stop in order shall lose nothing.
bool WireReader::Impl::advance_mark(Epoch& epoch, const SealedHeader& header, MonotonicTime now) {
  if (cannot_write && now - tried_at < kWriteRetry) return false;
  tried_at = now;
  const std::uint64_t first_free = std::max(header.counter + 1, epoch.window.next());
  const double took = std::max(0.001, std::chrono::duration<double>(now - marked_at).count());
  const double came = epoch.number == state.epoch && first_free > marked_from ? static_cast<double>(first_free - marked_from) : 0;
  const auto each = static_cast<std::uint64_t>(came / took * std::chrono::duration<double>(kMarkEvery).count());
  step = std::clamp(each, kFirstStep, std::min(kMaxStep, 2 * step));
  const std::uint32_t age = std::max(header.age, epoch.newest_age);
  const ReceiverEpoch next{epoch.number, epoch.core, first_free + step, age > UINT32_MAX - kAgeAhead ? UINT32_MAX : age + kAgeAhead};
  if (auto stored = store_receiver_epoch(state_file, next); !stored) {
    ++counters.failed_writes;
    if (!std::exchange(cannot_write, true)) {
      log::error("what a diode has received cannot be noted, so nothing more is taken from it; make room or give the right to write",
                 log::field("file", state_file), log::field("reason", stored.error().message));
    }
    return false;
  }
  cannot_write = false;
  state = next;
  marked_at = now;
  marked_from = first_free;
  return true;
}

// The first datagram of an epoch: it replaces those before it.
void WireReader::Impl::begin_data(Epoch& epoch, MonotonicTime now) {
  epoch.used = true;
  counters.epoch = epoch.number;
  counters.life = epoch.life;
  counters.epoch_started = epoch.started;
  ++counters.epochs;
  const std::uint64_t begins = epoch.number, life = epoch.life;
  const Duration grace = std::min<Duration>(epoch.hold, 60s) + kGrace;
  for (std::size_t i = epochs.size(); i-- > 0;) {
    if (epochs[i].number >= begins) continue;
    if (epochs[i].life != life || !epochs[i].used) {
      drop(i);  // of a sender that is no more
    } else if (!epochs[i].ends) {
      epochs[i].ends = now + grace;
    }
  }
}

void WireReader::Impl::shard(const Epoch& epoch, std::span<const std::byte> bytes, MonotonicTime now) {
  const auto part = read_shard(bytes);
  if (!part) return void(++counters.refused.malformed);
  if (!begun || reassembly_life != epoch.life) {
    reassembly.begin(part->group, epoch.depth, epoch.hold);
    begun = true;
    reassembly_life = epoch.life;
  }
  switch (reassembly.add(*part, now)) {
    case Reassembly::Added::taken:
    case Reassembly::Added::useless: break;
    case Reassembly::Added::malformed: ++counters.refused.malformed; break;
    case Reassembly::Added::crowded: ++counters.refused.crowded; break;
  }
}

// ---- Announcements ----

void WireReader::Impl::refuse(std::uint64_t& counter, const std::string& why) {
  ++counter;
  if (counters.last_refusal == why) return;
  counters.last_refusal = why;
  log::warn("the announcement of a diode's epoch is not believed", log::field("sender", options.sender), log::field("reason", why));
}

bool WireReader::Impl::may_check(MonotonicTime now) {
  if (now - check_second >= 1s) {
    check_second = now;
    checks = 0;
  }
  return checks++ < kChecksEachSecond;
}

void WireReader::Impl::fragment(const Fragment& part, bool was_sealed, MonotonicTime now, UtcNanoseconds utc) {
  if (find(part.epoch) != nullptr) return;  // known already: it is repeated for those who come late
  if (part.epoch < state.epoch) return void(++counters.refused.old_epoch);
  switch (collector.add(part, was_sealed, now, whole)) {
    case Collector::Added::kept: return;
    case Collector::Added::malformed: ++counters.refused.malformed; return;
    case Collector::Added::crowded: ++counters.refused.crowded; return;
    case Collector::Added::whole: break;
  }
  if (!was_sealed && !may_check(now)) return void(++counters.refused.crowded);
  announcement(whole, utc);
}

void WireReader::Impl::announcement(std::span<const std::byte> bytes, UtcNanoseconds utc) {
  const auto found = parse_announcement(bytes);
  if (!found) return void(++counters.refused.malformed);
  const EpochCore& core = found->core;
  Refused& refused = counters.refused;
  if (core.sender != options.sender) return refuse(refused.wrong_sender, "it is of '" + core.sender + "', expected '" + options.sender + "'");
  if (core.receiver != options.receiver) return refuse(refused.wrong_sender, "it is for '" + core.receiver + "', and this is '" + options.receiver + "'");
  if (core.receiver_key != key_digest) {
    return refuse(refused.wrong_sender, "it is sealed for another key of '" + core.receiver + "'; carry the .receiver.pub that belongs to this node's key to the sender");
  }
  const UtcNanoseconds limit = options.max_announcement_age.count();
  if (found->utc > utc + limit || found->utc < utc - limit) {
    return refuse(refused.stale, "it is of " + format_utc(found->utc) + ", and it is now " + format_utc(utc) + "; are the clocks right, or was it recorded?");
  }
  if (core.epoch < state.epoch) return refuse(refused.old_epoch, "its epoch is over");
  if (core.epoch == state.epoch && crypto::sha256(found->core_bytes) != state.core) {
    return refuse(refused.old_epoch, "another epoch had its number");
  }
  if (auto ok = check_signatures(*found, *trust, utc); !ok) return refuse(refused.signature, ok.error().message);
  if (find(core.epoch) == nullptr) accept(*found);
}

void WireReader::Impl::accept(const Announcement& found) {
  const EpochCore& core = found.core;
  const auto shared = key.decapsulate(core.ciphertext);
  if (!shared) return refuse(counters.refused.signature, shared.error().message);
  const auto sealing = epoch_key(*shared, found.core_bytes);
  if (!sealing) return refuse(counters.refused.signature, sealing.error().message);
  auto aead = crypto::Aead::make(*sealing);
  if (!aead) return refuse(counters.refused.signature, aead.error().message);
  Epoch epoch{core.epoch, core.life, crypto::sha256(found.core_bytes), core.started, core.depth, core.hold, *std::move(aead),
              crypto::ReplayWindow(options.replay_width)};
  if (epoch.number == state.epoch) {
    epoch.floor = state.mark;
    epoch.age_floor = state.age_mark;
  }
  if (epochs.size() >= kMaxEpochs) {
    // The lowest that no data came in; should all be in use, the oldest.
    const auto unused = std::ranges::find_if(epochs, [](const Epoch& each) { return !each.used; });
    drop(static_cast<std::size_t>((unused == epochs.end() ? epochs.begin() : unused) - epochs.begin()));
  }
  epochs.insert(std::ranges::upper_bound(epochs, epoch.number, {}, &Epoch::number), std::move(epoch));
  ++counters.announcements;
  counters.last_refusal.clear();
}

// ---- Segments ----

bool WireReader::Impl::open_group(MonotonicTime now) {
  for (;;) {
    const auto ready = reassembly.next(now);
    if (!ready) return false;
    loss = loss || ready->loss_before;
    group = GroupReader(ready->payload);
    if (!group.ok()) {
      ++counters.refused.malformed;
      loss = true;
      continue;
    }
    if (group_life != reassembly_life) {
      group_life = reassembly_life;
      expected.reset();
    }
    number = group.header().first_segment;
    group_sent = group.header().sent;
    return true;
  }
}

void WireReader::Impl::update_losses() {
  counters.groups = reassembly.counters().groups;
  counters.lost_groups = reassembly.counters().lost_groups;
  counters.recovered_shards = reassembly.counters().recovered_shards;
  counters.lost_datagrams = lost_before;
  for (const Epoch& each : epochs) counters.lost_datagrams += each.lost();
}

// ---- The surface ----

WireReader::WireReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

WireReader::~WireReader() {
  Impl& own = *impl_;
  const Epoch* current = own.find(own.state.epoch);
  if (current == nullptr || !current->used) return;
  // Failing is no matter: the mark on disk is further ahead, and a restart loses a second.
  static_cast<void>(store_receiver_epoch(own.state_file, {current->number, current->core, current->window.next(), UINT32_MAX}));
}

Result<std::unique_ptr<WireReader>> WireReader::make(ReaderOptions options, crypto::XWingPrivate key,
                                                     std::shared_ptr<const net::Trust> trust, std::string state_file) {
  if (options.sender.empty() || options.receiver.empty()) return fail(ErrorCode::invalid, "a wire has a sender and a receiver");
  if (!trust) return fail(ErrorCode::invalid, "without trust no announcement can be believed");
  auto impl = std::make_unique<Impl>(std::move(options), std::move(key), std::move(trust), std::move(state_file));
  impl->state = load_receiver_epoch(impl->state_file);
  return std::unique_ptr<WireReader>(new WireReader(std::move(impl)));
}

void WireReader::received(std::span<const std::byte> datagram, MonotonicTime now, UtcNanoseconds utc) {
  Impl& own = *impl_;
  ++own.counters.datagrams;
  own.counters.bytes += datagram.size();
  if (datagram.empty()) return void(++own.counters.refused.malformed);
  own.drop_ended(now);
  const auto type = std::to_integer<std::uint8_t>(datagram[0]);
  if (type == kSealedType) return own.sealed(datagram, now, utc);
  const auto part = type == kFragmentType ? read_fragment(datagram) : std::nullopt;
  if (!part) return void(++own.counters.refused.malformed);
  own.fragment(*part, false, now, utc);
}

std::optional<Segment> WireReader::next(MonotonicTime now) {
  Impl& own = *impl_;
  for (;;) {
    if (const auto bytes = own.group.next()) {
      Segment segment{own.group_life, own.number, own.group_sent, *bytes};
      segment.loss_before = std::exchange(own.loss, false);
      if (!own.expected) {
        segment.loss_before = segment.loss_before || own.number != 0;
      } else if (own.number > *own.expected) {
        segment.loss_before = true;
        segment.lost_segments = own.number - *own.expected;
      }
      own.counters.lost_segments += segment.lost_segments;
      own.expected = ++own.number;
      ++own.counters.segments;
      own.counters.segment_bytes += bytes->size();
      return segment;
    }
    if (!own.open_group(now)) return std::nullopt;
  }
}

MonotonicTime WireReader::next_tick() const { return impl_->reassembly.next_tick(); }

void WireReader::set_trust(std::shared_ptr<const net::Trust> trust) {
  if (trust) impl_->trust = std::move(trust);
}

const ReaderCounters& WireReader::counters() const {
  impl_->update_losses();
  return impl_->counters;
}

}  // namespace sallyport::link::diode
