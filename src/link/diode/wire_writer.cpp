#include "link/diode/wire_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <vector>

#include "base/log.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "link/diode/datagram.h"
#include "link/diode/epoch.h"
#include "link/diode/fec.h"

namespace sallyport::link::diode {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kAnnouncementBytes = 16 * 1024;   // about; for reckoning with
constexpr double kAnnouncementShare = 0.05;
constexpr std::uint64_t kLastCounter = 1ull << 48;      // never reached: rekeying comes long before
constexpr Duration kRekeyRetry = 10s;
constexpr std::size_t kSpareBuffers = 8;

unsigned parity_for(unsigned k, double redundancy) {
  if (redundancy <= 0) return 0;
  // Small groups need more than their share: of few datagrams, a few more than the average are soon lost.
  const unsigned r = static_cast<unsigned>(std::ceil(redundancy * k)) + (k > 1 ? 2 : 1);
  return std::min<unsigned>(r, static_cast<unsigned>(kMaxShards) - k);
}

// A group that is closed, on its way out.
struct OutGroup {
  std::uint64_t number = 0;
  std::uint8_t k = 0, r = 0;
  std::size_t shard_bytes = 0;
  unsigned next = 0;
  Bytes data, parity;
};

struct Lane {
  std::deque<OutGroup> groups;
  MonotonicTime parity_at{};            // not before, while nothing else waits in this lane
};

struct Epoch {
  std::uint64_t number = 0;
  Bytes core;
  crypto::Aead aead;
  std::uint64_t counter = 0;            // the next nonce
  std::optional<MonotonicTime> first_at{};   // its first datagram
  MonotonicTime started{};              // or announced, while it waits
  CutAnnouncement announcement{};
  MonotonicTime signed_at{};
  bool sign_again = false;
  std::uint8_t next_fragment = 0;
};

}  // namespace

WireOptions wire_options_for(std::uint64_t bits_per_second) {
  WireOptions options;
  const double bytes = std::max<double>(static_cast<double>(bits_per_second) / 8, 1000);
  const double datagrams = bytes / static_cast<double>(options.datagram_bytes);  // each second
  options.shards = static_cast<unsigned>(std::clamp(datagrams * 0.01 / 1.3, 4.0, 64.0));
  const double group = (options.shards + parity_for(options.shards, options.redundancy)) / datagrams;  // seconds
  options.depth = static_cast<unsigned>(std::clamp(0.04 / group, 2.0, 32.0));
  const auto seconds = [](double value) { return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value)); };
  options.hold = std::clamp<Duration>(seconds(3 * options.depth * group) + 50ms, 100ms, 30s);
  options.announce_every = std::max<Duration>(1s, seconds(kAnnouncementBytes / (bytes * kAnnouncementShare)));
  options.refresh_every = std::max<Duration>(60s, 4 * options.announce_every);
  options.rekey_lead = std::max<Duration>(5s, 4 * options.announce_every);
  return options;
}

struct WireWriter::Impl {
  Impl(WireOptions o, std::shared_ptr<const net::Signer> s, const crypto::XWingPublic& r, std::string file)
      : options(std::move(o)), signer(std::move(s)), receiver(r), state_file(std::move(file)), lanes(options.depth) {
    max_shard = options.datagram_bytes - kShardOverhead;
    capacity = options.shards * max_shard;
    open.reserve(capacity);
  }

  Result<Epoch> make_epoch(UtcNanoseconds utc);
  void tick_epochs(MonotonicTime now, UtcNanoseconds utc);
  void prepare_next(MonotonicTime now, UtcNanoseconds utc);
  void switch_epoch(MonotonicTime now);
  void sign_anew(Epoch& epoch, MonotonicTime now, UtcNanoseconds utc);
  std::span<const std::byte> fragment_datagram(MonotonicTime now);
  void close_group();
  std::optional<std::span<const std::byte>> shard_datagram(MonotonicTime now);
  std::span<const std::byte> emit_shard(Lane& lane, MonotonicTime now);
  std::span<const std::byte> seal(std::size_t plain_size);
  std::span<const std::byte> hand_out();
  std::size_t waiting_groups() const;
  Bytes take_buffer(std::size_t size);
  void give_back(Bytes&& buffer);

  WireOptions options;
  std::shared_ptr<const net::Signer> signer;
  crypto::XWingPublic receiver;
  std::string state_file;
  std::uint64_t last_epoch = 0;
  std::optional<Epoch> current, pending;
  MonotonicTime fragment_at{}, rekey_not_before{};
  unsigned burst = 0;                   // fragments that go out without waiting for their time
  bool started = false, pending_turn = false;

  std::size_t max_shard = 0, capacity = 0;
  Bytes open;                           // payload of the group under construction, header included
  std::uint32_t open_segments = 0;
  MonotonicTime opened_at{};
  bool opened_at_known = false;
  UtcNanoseconds last_utc = 0;
  MonotonicTime last_now{};
  std::uint64_t next_group = 0, next_segment = 0;
  std::vector<Lane> lanes;
  std::size_t turn = 0;
  Fec fec;
  std::vector<Bytes> spare;
  Bytes scratch;
  WriterCounters counters;
};

// ---- Epochs ----

Result<Epoch> WireWriter::Impl::make_epoch(UtcNanoseconds utc) {
  const std::uint64_t number = std::max(last_epoch + 1, static_cast<std::uint64_t>(std::max<UtcNanoseconds>(utc, 1)));
  auto made = crypto::x_wing_encapsulate(receiver);
  if (!made) return std::unexpected(made.error());
  EpochCore core{.life = counters.life, .epoch = number, .started = utc, .depth = static_cast<std::uint16_t>(options.depth),
                 .hold = options.hold, .sender = options.sender, .receiver = options.receiver,
                 .receiver_key = crypto::sha256(receiver), .ciphertext = made->ciphertext};
  Bytes core_bytes = encode_core(core);
  const auto key = epoch_key(made->shared, core_bytes);
  if (!key) return std::unexpected(key.error());
  auto aead = crypto::Aead::make(*key);
  if (!aead) return std::unexpected(aead.error());
  // On disk before the first datagram: whatever happens from here on, the number is used up.
  if (auto stored = store_sender_epoch(state_file, number); !stored) return std::unexpected(stored.error());
  last_epoch = number;
  return Epoch{number, std::move(core_bytes), *std::move(aead)};
}

void WireWriter::Impl::sign_anew(Epoch& epoch, MonotonicTime now, UtcNanoseconds utc) {
  epoch.announcement = cut_announcement(epoch.number, announce(epoch.core, utc, *signer), options.datagram_bytes);
  epoch.signed_at = now;
  epoch.sign_again = false;
  epoch.next_fragment = 0;
}

void WireWriter::Impl::tick_epochs(MonotonicTime now, UtcNanoseconds utc) {
  if (!started) {
    started = true;
    current->started = now;
    sign_anew(*current, now, utc);
    burst = 2u * current->announcement.count;
    fragment_at = now;
  }
  if (current->sign_again || now - current->signed_at >= options.refresh_every) sign_anew(*current, now, utc);
  const Duration lead = std::max(options.rekey_lead, 3 * options.announce_every);
  const bool due = now - current->started >= options.rekey_after - std::min(lead, options.rekey_after / 2) ||
                   current->counter >= options.rekey_datagrams;
  if (!pending && due && now >= rekey_not_before) prepare_next(now, utc);
  if (pending && now - pending->started >= std::min(lead, options.rekey_after / 2)) switch_epoch(now);
}

void WireWriter::Impl::prepare_next(MonotonicTime now, UtcNanoseconds utc) {
  auto made = make_epoch(utc);
  if (!made) {
    // The running epoch goes on: no nonce comes twice in it, it only lasts longer than it should.
    rekey_not_before = now + kRekeyRetry;
    ++counters.failed_rekeys;
    if (counters.last_failure != made.error().message) {
      log::error("a diode's next epoch cannot begin; the running one goes on", log::field("reason", made.error().message));
    }
    counters.last_failure = made.error().message;
    return;
  }
  pending = *std::move(made);
  pending->started = now;
  sign_anew(*pending, now, utc);
}

void WireWriter::Impl::switch_epoch(MonotonicTime now) {
  current = std::exchange(pending, std::nullopt);
  current->started = now;
  current->next_fragment = 0;
  burst = current->announcement.count;
  ++counters.rekeys;
  counters.epoch = current->number;
  counters.last_failure.clear();
}

// The running epoch's announcement in the clear, for whoever comes late; the next one's, in turn with it, sealed, so that
// nobody on the way can keep a receiver that follows from following.
std::span<const std::byte> WireWriter::Impl::fragment_datagram(MonotonicTime now) {
  const bool next_epoch = pending && pending_turn;
  pending_turn = !pending_turn;
  Epoch& told = next_epoch ? *pending : *current;
  const Fragment fragment = told.announcement.fragment(told.next_fragment);
  told.next_fragment = static_cast<std::uint8_t>((told.next_fragment + 1) % told.announcement.count);
  if (burst > 0) --burst;
  const Duration space = options.announce_every / told.announcement.count / (pending ? 2 : 1);
  fragment_at = burst > 0 ? now + space : std::max(fragment_at + space, now - space);
  ++counters.announcement_datagrams;
  scratch.clear();
  if (!next_epoch) {
    append_fragment(scratch, kFragmentType, fragment);
    return hand_out();
  }
  scratch.resize(kSealedHeaderBytes);
  append_fragment(scratch, static_cast<std::uint8_t>(SealedKind::fragment), fragment);
  return seal(scratch.size() - kSealedHeaderBytes);
}

// ---- Groups ----

std::size_t WireWriter::Impl::waiting_groups() const {
  std::size_t count = 0;
  for (const Lane& lane : lanes) count += lane.groups.size();
  return count;
}

Bytes WireWriter::Impl::take_buffer(std::size_t size) {
  Bytes buffer;
  if (!spare.empty()) {
    buffer = std::move(spare.back());
    spare.pop_back();
  }
  buffer.resize(size);
  return buffer;
}

void WireWriter::Impl::give_back(Bytes&& buffer) {
  if (!buffer.empty() && spare.size() < kSpareBuffers + 2 * options.depth) spare.push_back(std::move(buffer));
}

void WireWriter::Impl::close_group() {
  if (open_segments == 0) return;
  write_group_header(open, {.first_segment = next_segment - open_segments, .sent = last_utc, .segments = open_segments});
  OutGroup group;
  group.number = next_group++;
  const std::size_t k = (open.size() + max_shard - 1) / max_shard;
  group.k = static_cast<std::uint8_t>(k);
  group.r = static_cast<std::uint8_t>(parity_for(group.k, options.redundancy));
  group.shard_bytes = (open.size() + k - 1) / k;
  open.resize(k * group.shard_bytes);  // with zeros
  group.data = std::exchange(open, take_buffer(0));
  open.clear();
  open.reserve(capacity);
  if (group.r > 0) group.parity = take_buffer(group.r * group.shard_bytes);
  fec.encode(group.k, group.r, group.shard_bytes, group.data, group.parity);
  lanes[static_cast<std::size_t>(group.number % lanes.size())].groups.push_back(std::move(group));
  ++counters.groups;
  open_segments = 0;
  opened_at_known = false;
}

std::optional<std::span<const std::byte>> WireWriter::Impl::shard_datagram(MonotonicTime now) {
  for (std::size_t tried = 0; tried < lanes.size(); ++tried) {
    Lane& lane = lanes[turn];
    turn = (turn + 1) % lanes.size();
    if (lane.groups.empty()) continue;
    const OutGroup& group = lane.groups.front();
    // On an idle wire parity is spread in time, so that a moment's disturbance does not take all of a short group.
    const bool parity = group.next >= group.k;
    if (parity && lane.groups.size() == 1 && now < lane.parity_at) continue;
    return emit_shard(lane, now);
  }
  return std::nullopt;
}

std::span<const std::byte> WireWriter::Impl::emit_shard(Lane& lane, MonotonicTime now) {
  OutGroup& group = lane.groups.front();
  const unsigned index = group.next++;
  const bool parity = index >= group.k;
  const std::byte* from = parity ? group.parity.data() + (index - group.k) * group.shard_bytes : group.data.data() + index * group.shard_bytes;
  const std::size_t size = kShardHeaderBytes + group.shard_bytes;
  scratch.resize(kSealedHeaderBytes + size + crypto::kTagBytes);
  const std::span<std::byte> plain = std::span(scratch).subspan(kSealedHeaderBytes, size);
  write_shard_header(plain, {.group = group.number, .index = static_cast<std::uint8_t>(index), .k = group.k, .r = group.r});
  std::memcpy(plain.data() + kShardHeaderBytes, from, group.shard_bytes);
  if (parity) ++counters.parity_datagrams;
  lane.parity_at = now + options.parity_spacing;
  if (group.next == unsigned{group.k} + group.r) {
    give_back(std::move(group.data));
    give_back(std::move(group.parity));
    lane.groups.pop_front();
  }
  return seal(size);
}

// `scratch`: room for the header, then what is to be sealed.
std::span<const std::byte> WireWriter::Impl::seal(std::size_t plain_size) {
  scratch.resize(kSealedHeaderBytes + plain_size + crypto::kTagBytes);
  const std::uint64_t counter = current->counter++;
  if (!current->first_at) current->first_at = last_now;
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(last_now - *current->first_at).count();
  write_sealed_header(scratch, {.epoch = current->number, .counter = counter,
                                .age = static_cast<std::uint32_t>(std::clamp<std::int64_t>(age, 0, UINT32_MAX))});
  const std::span<std::byte> all(scratch);
  const auto body = all.subspan(kSealedHeaderBytes);
  const bool sealed = counter < kLastCounter && current->aead.seal(crypto::counted_nonce(counter), all.first(kSealedHeaderBytes),
                                                                   body.first(plain_size), body);
  if (!sealed) std::ranges::fill(body, std::byte{0});  // rather a datagram that nobody opens than an open one
  return hand_out();
}

std::span<const std::byte> WireWriter::Impl::hand_out() {
  ++counters.datagrams;
  counters.bytes += scratch.size();
  return scratch;
}

// ---- The surface ----

WireWriter::WireWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WireWriter::~WireWriter() = default;

Result<std::unique_ptr<WireWriter>> WireWriter::make(WireOptions options, std::shared_ptr<const net::Signer> signer,
                                                     const crypto::XWingPublic& receiver, std::string state_file, UtcNanoseconds now) {
  if (options.datagram_bytes < kMinDatagram || options.datagram_bytes > kMaxDatagram) {
    return fail(ErrorCode::invalid, "datagrams of " + std::to_string(options.datagram_bytes) + " bytes: 256 to 9,000 are possible");
  }
  if (options.shards < 1 || options.shards > 128 || options.depth < 1 || options.depth > 64 || options.redundancy < 0 || options.redundancy > 4) {
    return fail(ErrorCode::invalid, "a group has 1 to 128 shards, 1 to 64 groups are mixed, and redundancy is 0 to 4");
  }
  if (!signer || signer->name() != options.sender) return fail(ErrorCode::invalid, "the signer is not '" + options.sender + "'");
  auto impl = std::make_unique<Impl>(std::move(options), std::move(signer), receiver, std::move(state_file));
  impl->last_epoch = load_sender_epoch(impl->state_file);
  while (impl->counters.life == 0) {
    if (!crypto::fill_random(std::as_writable_bytes(std::span(&impl->counters.life, 1)))) return fail(ErrorCode::internal, "no randomness");
  }
  auto first = impl->make_epoch(now);
  if (!first) return std::unexpected(first.error());
  impl->current = *std::move(first);
  impl->last_utc = now;
  impl->counters.epoch = impl->current->number;
  return std::unique_ptr<WireWriter>(new WireWriter(std::move(impl)));
}

std::size_t WireWriter::max_segment() const { return impl_->capacity - kGroupHeaderBytes - sizeof(std::uint32_t); }

std::size_t WireWriter::room() const {
  if (impl_->waiting_groups() > impl_->options.depth) return 0;
  const std::size_t used = std::max(impl_->open.size(), kGroupHeaderBytes) + sizeof(std::uint32_t);
  return used < impl_->capacity ? impl_->capacity - used : 0;
}

bool WireWriter::add(std::span<const std::byte> segment) {
  if (segment.empty() || segment.size() > room()) return false;
  Impl& own = *impl_;
  if (own.open.empty()) own.open.resize(kGroupHeaderBytes);
  ByteWriter writer(own.open);
  writer.number<std::uint32_t>(static_cast<std::uint32_t>(segment.size()));
  writer.bytes(segment);
  ++own.open_segments;
  ++own.next_segment;
  ++own.counters.segments;
  own.counters.segment_bytes += segment.size();
  return true;
}

void WireWriter::flush() { impl_->close_group(); }

std::optional<std::span<const std::byte>> WireWriter::next(MonotonicTime now, UtcNanoseconds utc) {
  Impl& own = *impl_;
  own.last_utc = utc;
  own.last_now = now;
  own.tick_epochs(now, utc);
  if (own.open_segments > 0 && !own.opened_at_known) {
    own.opened_at = now;
    own.opened_at_known = true;
  }
  const bool full = own.capacity < own.open.size() + 64;
  if (full || (own.open_segments > 0 && now - own.opened_at >= own.options.flush)) own.close_group();
  if (own.burst > 0 || now >= own.fragment_at) return own.fragment_datagram(now);
  return own.shard_datagram(now);
}

MonotonicTime WireWriter::next_tick() const {
  const Impl& own = *impl_;
  if (!own.started || own.burst > 0) return own.last_now;
  MonotonicTime first = own.fragment_at;
  if (own.open_segments > 0) first = own.opened_at_known ? std::min(first, own.opened_at + own.options.flush) : own.last_now;
  for (const Lane& lane : own.lanes) {
    if (lane.groups.empty()) continue;
    const OutGroup& group = lane.groups.front();
    first = std::min(first, group.next < group.k || lane.groups.size() > 1 ? own.last_now : lane.parity_at);
  }
  return first;
}

std::size_t WireWriter::waiting_datagrams() const {
  std::size_t count = 0;
  for (const Lane& lane : impl_->lanes) {
    for (const OutGroup& group : lane.groups) count += unsigned{group.k} + group.r - group.next;
  }
  return count;
}

void WireWriter::set_signer(std::shared_ptr<const net::Signer> signer) {
  if (!signer || signer->name() != impl_->options.sender) return;
  impl_->signer = std::move(signer);
  impl_->current->sign_again = true;  // announced with it from the next datagram on
}

const WriterCounters& WireWriter::counters() const { return impl_->counters; }

}  // namespace sallyport::link::diode
