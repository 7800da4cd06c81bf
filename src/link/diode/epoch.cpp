#include "link/diode/epoch.h"

#include <algorithm>

#include "base/chunk_file.h"
#include "base/log.h"

namespace sallyport::link::diode {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMaxName = 64;
constexpr std::size_t kMaxCore = 2048;
constexpr std::uint32_t kSenderFormat = 0x0d10de01, kReceiverFormat = 0x0d10de02;
constexpr Duration kForget = std::chrono::minutes(2);  // of a collection that nothing was added to
using namespace std::string_view_literals;
// With their final zero byte: no context is the beginning of another.
constexpr std::string_view kSignContext = "sallyport diode epoch v1\0"sv;
constexpr std::string_view kKeyContext = "sallyport diode key v1\0"sv;
constexpr std::string_view kDataPurpose = "sallyport diode data v1"sv;

[[nodiscard]] std::unexpected<Error> malformed() { return fail(ErrorCode::malformed, "not an announcement of an epoch"); }

Bytes to_sign(std::span<const std::byte> signed_bytes) {
  Bytes message;
  ByteWriter writer(message);
  writer.bytes(as_bytes(kSignContext));
  writer.bytes(signed_bytes);
  return message;
}

template <typename T>
Result<T> load(const std::string& file, std::uint32_t format, T (*decode)(ByteReader&)) {
  auto reader = ChunkReader::open(file, format);
  if (!reader) return std::unexpected(reader.error());
  Chunk chunk;
  const auto more = reader->next(chunk);
  if (!more || !*more) return fail(ErrorCode::malformed, file + ": empty");
  ByteReader bytes(chunk.bytes);
  T state = decode(bytes);
  if (!bytes.done()) return fail(ErrorCode::malformed, file + ": of another size");
  return state;
}

Result<void> store(const std::string& file, std::uint32_t format, std::span<const std::byte> bytes) {
  auto writer = ChunkWriter::create(file, format);
  if (!writer) return std::unexpected(writer.error());
  if (auto ok = writer->add(1, bytes); !ok) return ok;
  return writer->commit();
}

void warn_of(const Error& error, std::string_view what) {
  if (error.code == ErrorCode::not_found) return;
  log::warn(what, log::field("reason", error.message));
}

}  // namespace

Bytes encode_core(const EpochCore& core) {
  Bytes out;
  ByteWriter writer(out);
  writer.number<std::uint64_t>(core.life);
  writer.number<std::uint64_t>(core.epoch);
  writer.number<std::int64_t>(core.started);
  writer.number<std::uint16_t>(core.depth);
  writer.number<std::uint32_t>(static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(core.hold).count()));
  writer.text(core.sender);
  writer.text(core.receiver);
  writer.bytes(core.receiver_key);
  writer.bytes(core.ciphertext);
  return out;
}

Result<EpochCore> decode_core(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  EpochCore core;
  core.life = reader.number<std::uint64_t>();
  core.epoch = reader.number<std::uint64_t>();
  core.started = reader.number<std::int64_t>();
  core.depth = reader.number<std::uint16_t>();
  core.hold = std::chrono::microseconds(reader.number<std::uint32_t>());
  core.sender = reader.text(kMaxName);
  core.receiver = reader.text(kMaxName);
  std::ranges::copy(reader.bytes(core.receiver_key.size()), core.receiver_key.begin());
  std::ranges::copy(reader.bytes(core.ciphertext.size()), core.ciphertext.begin());
  if (!reader.done() || core.epoch == 0 || core.depth == 0) return malformed();
  return core;
}

Result<crypto::Key> epoch_key(const crypto::Key& shared, std::span<const std::byte> core) {
  return crypto::hkdf_sha256(shared.bytes(), crypto::sha256({as_bytes(kKeyContext), core}), as_bytes(kDataPurpose));
}

Bytes announce(std::span<const std::byte> core, UtcNanoseconds utc, const net::Signer& signer) {
  Bytes out;
  ByteWriter writer(out);
  writer.number<std::uint8_t>(kVersion);
  writer.number<std::int64_t>(utc);
  writer.number<std::uint16_t>(static_cast<std::uint16_t>(core.size()));
  writer.bytes(core);
  writer.number<std::uint32_t>(static_cast<std::uint32_t>(signer.credential().size()));
  writer.bytes(signer.credential());
  const Bytes message = to_sign(out);
  writer.bytes(signer.sign_fast(message));
  writer.bytes(signer.sign_pq(message));
  return out;
}

Result<Announcement> parse_announcement(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  if (bytes.size() > kMaxAnnouncement || reader.number<std::uint8_t>() != kVersion) return malformed();
  Announcement found;
  found.utc = reader.number<std::int64_t>();
  const std::size_t core_size = reader.number<std::uint16_t>();
  if (core_size > kMaxCore) return malformed();
  found.core_bytes = reader.bytes(core_size);
  found.credential = reader.bytes(reader.number<std::uint32_t>());
  found.signed_bytes = bytes.first(bytes.size() - reader.remaining());
  found.fast = reader.bytes(crypto::kFastSignatureBytes);
  found.pq = reader.bytes(crypto::kPqSignatureBytes);
  if (!reader.done()) return malformed();
  auto core = decode_core(found.core_bytes);
  if (!core) return std::unexpected(core.error());
  found.core = *std::move(core);
  return found;
}

Result<void> check_signatures(const Announcement& announcement, const net::Trust& trust, UtcNanoseconds now) {
  const auto credential = net::Credential::verify(announcement.credential, trust, announcement.core.sender, now);
  if (!credential) return std::unexpected(credential.error());
  const Bytes message = to_sign(announcement.signed_bytes);
  if (!credential->check_fast(message, announcement.fast)) return fail(ErrorCode::refused, "the Ed25519 signature is wrong");
  if (!credential->check_pq(message, announcement.pq)) return fail(ErrorCode::refused, "the ML-DSA-65 signature is wrong");
  return {};
}

// ---- Fragments ----

FragmentId announcement_id(std::span<const std::byte> bytes) {
  FragmentId id{};
  const crypto::Digest digest = crypto::sha256(bytes);
  std::copy_n(digest.begin(), id.size(), id.begin());
  return id;
}

CutAnnouncement cut_announcement(std::uint64_t epoch, Bytes bytes, std::size_t datagram_bytes) {
  CutAnnouncement cut;
  cut.epoch = epoch;
  cut.id = announcement_id(bytes);
  cut.fragment_bytes = std::max(datagram_bytes - kFragmentOverhead, (bytes.size() + kMaxFragments - 1) / kMaxFragments);
  cut.count = static_cast<std::uint8_t>((bytes.size() + cut.fragment_bytes - 1) / cut.fragment_bytes);
  cut.bytes = std::move(bytes);
  return cut;
}

Fragment CutAnnouncement::fragment(std::uint8_t index) const {
  const std::size_t at = index * fragment_bytes;
  return {epoch, id, index, count, std::span(bytes).subspan(at, std::min(fragment_bytes, bytes.size() - at))};
}

Collector::Slot& Collector::slot_for(const Fragment& fragment, std::span<Slot> slots, MonotonicTime now) {
  Slot* best = nullptr;
  for (Slot& each : slots) {
    if (each.used && each.id == fragment.id && each.epoch == fragment.epoch && each.parts.size() == fragment.count) return each;
  }
  // A free one; else one that nobody adds to; else the one with the least in it. Who begins many pushes out beginnings.
  for (Slot& each : slots) {
    if (each.used && now - each.last > kForget) each = {};
    if (best == nullptr || (best->used && !each.used)) best = &each;
    else if (best->used && each.used && std::pair(each.held, each.last) < std::pair(best->held, best->last)) best = &each;
  }
  *best = {true, fragment.epoch, fragment.id, std::vector<Bytes>(fragment.count), 0, 0, now};
  return *best;
}

Collector::Added Collector::add(const Fragment& fragment, bool sealed, MonotonicTime now, Bytes& whole) {
  Slot& slot = slot_for(fragment, sealed ? std::span<Slot>(sealed_) : std::span<Slot>(clear_), now);
  Bytes& part = slot.parts[fragment.index];
  if (!part.empty()) return Added::kept;
  if (slot.bytes + fragment.bytes.size() > kMaxAnnouncement) return Added::crowded;
  part.assign(fragment.bytes.begin(), fragment.bytes.end());
  slot.bytes += part.size();
  slot.last = now;
  if (++slot.held < slot.parts.size()) return Added::kept;
  whole.clear();
  for (const Bytes& each : slot.parts) whole.insert(whole.end(), each.begin(), each.end());
  slot = {};
  // Somebody mixed in a fragment of his own: all of it begins anew.
  return announcement_id(whole) == fragment.id ? Added::whole : Added::malformed;
}

// ---- Files ----

std::uint64_t load_sender_epoch(const std::string& file) {
  const auto found = load<std::uint64_t>(file, kSenderFormat, [](ByteReader& reader) { return reader.number<std::uint64_t>(); });
  if (found) return *found;
  warn_of(found.error(), "the number of the last epoch cannot be read; a new one begins with the time of day");
  return 0;
}

Result<void> store_sender_epoch(const std::string& file, std::uint64_t epoch) {
  return store(file, kSenderFormat, std::as_bytes(std::span(&epoch, 1)));
}

ReceiverEpoch load_receiver_epoch(const std::string& file) {
  const auto found = load<ReceiverEpoch>(file, kReceiverFormat, [](ByteReader& reader) {
    ReceiverEpoch state;
    state.epoch = reader.number<std::uint64_t>();
    std::ranges::copy(reader.bytes(state.core.size()), state.core.begin());
    state.mark = reader.number<std::uint64_t>();
    state.age_mark = reader.number<std::uint32_t>();
    return state;
  });
  if (found) return *found;
  warn_of(found.error(), "what is known of the sender's epochs cannot be read; its next announcement of the right time is believed");
  return {};
}

Result<void> store_receiver_epoch(const std::string& file, const ReceiverEpoch& state) {
  Bytes out;
  ByteWriter writer(out);
  writer.number<std::uint64_t>(state.epoch);
  writer.bytes(state.core);
  writer.number<std::uint64_t>(state.mark);
  writer.number<std::uint32_t>(state.age_mark);
  return store(file, kReceiverFormat, out);
}

}  // namespace sallyport::link::diode
