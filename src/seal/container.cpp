#include "seal/container.h"

#include "namespace/path.h"
#include "namespace/value_codec.h"

namespace sallyport::seal {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::uint8_t kEncrypted = 1;
constexpr std::size_t kMaxOrigin = 64;
constexpr std::size_t kMaxCredential = 64 * 1024;
constexpr std::size_t kMaxPq = 8 * 1024;
constexpr std::size_t kMaxWrapped = 256;
constexpr std::size_t kMaxPathHashes = 17;   // of a tree of kMaxTree leaves
constexpr std::string_view kContext = "sallyport seal v1";

// Flags before each value.
constexpr std::uint8_t kSameStatus = 1, kSameTime = 2;

std::unexpected<Error> malformed(std::string_view what) { return fail(ErrorCode::malformed, "seal: " + std::string(what)); }

void put_hash(ByteWriter& out, const Hash& hash) { out.bytes(hash); }
Hash get_hash(ByteReader& in) {
  Hash hash{};
  if (const auto bytes = in.bytes(hash.size()); !bytes.empty()) std::memcpy(hash.data(), bytes.data(), hash.size());
  return hash;
}

bool known_kind(std::uint8_t kind) {
  switch (static_cast<Kind>(kind)) {
    case Kind::announcement:
    case Kind::definitions:
    case Kind::values:
    case Kind::manifest:
    case Kind::checkpoint:
    case Kind::key: return true;
  }
  return false;
}

// `count` things of at least `least` bytes each must fit what is left: nothing is reserved on a stranger's word.
bool plausible(const ByteReader& in, std::uint64_t count, std::size_t least, std::uint64_t max) {
  return in.ok() && count <= max && count * least <= in.remaining();
}

}  // namespace

// --- The envelope ----------------------------------------------------------------------------------------------------

void encode_head(Bytes& out, const Head& head) {
  ByteWriter w(out);
  w.number<std::uint8_t>(kFormat);
  w.number<std::uint8_t>(static_cast<std::uint8_t>(head.kind));
  w.number<std::uint8_t>(head.encrypted ? kEncrypted : 0);
  w.text(head.origin);
  w.text(head.prefix);
  w.number<std::uint64_t>(head.epoch);
  w.number<std::uint64_t>(head.number);
  w.number<std::uint64_t>(head.version);
}

void append_body(Bytes& out, std::span<const std::byte> body) {
  ByteWriter w(out);
  w.varint(body.size());
  w.bytes(body);
}

void append_proof(Bytes& out, const Proof& proof) {
  ByteWriter w(out);
  w.varint(proof.index);
  w.varint(proof.count);
  w.varint(proof.path.size());
  for (const Hash& hash : proof.path) put_hash(w, hash);
  w.bytes(proof.fast);
  w.varint(proof.pq.size());
  w.bytes(proof.pq);
}

Result<Container> decode_container(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  Container c;
  if (in.number<std::uint8_t>() != kFormat) return malformed("not of a format this version knows");
  const auto kind = in.number<std::uint8_t>();
  const auto flags = in.number<std::uint8_t>();
  if (!known_kind(kind) || (flags & ~kEncrypted) != 0) return malformed("unknown kind");
  c.head.kind = static_cast<Kind>(kind);
  c.head.encrypted = (flags & kEncrypted) != 0;
  c.head.origin = in.text(kMaxOrigin);
  c.head.prefix = in.text(kMaxPathBytes);
  c.head.epoch = in.number<std::uint64_t>();
  c.head.number = in.number<std::uint64_t>();
  c.head.version = in.number<std::uint64_t>();
  c.head_bytes = bytes.first(bytes.size() - in.remaining());
  const std::uint64_t size = in.varint();
  if (!in.ok() || size > in.remaining()) return malformed("cut off");
  c.body = in.bytes(static_cast<std::size_t>(size));
  c.signed_bytes = bytes.first(bytes.size() - in.remaining());
  const std::uint64_t index = in.varint(), count = in.varint(), hashes = in.varint();
  if (!in.ok() || count == 0 || count > kMaxTree || index >= count || !plausible(in, hashes, sizeof(Hash), kMaxPathHashes))
    return malformed("bad proof");
  c.proof.index = static_cast<std::uint32_t>(index);
  c.proof.count = static_cast<std::uint32_t>(count);
  c.proof.path.resize(static_cast<std::size_t>(hashes));
  for (Hash& hash : c.proof.path) hash = get_hash(in);
  if (const auto fast = in.bytes(c.proof.fast.size()); !fast.empty()) std::memcpy(c.proof.fast.data(), fast.data(), fast.size());
  const auto pq = in.text(kMaxPq);
  c.proof.pq.assign(as_bytes(pq).begin(), as_bytes(pq).end());
  if (!in.done()) return malformed("bad proof");
  return c;
}

Bytes signed_message(const Hash& root, std::uint32_t count, bool with_pq) {
  Bytes message;
  ByteWriter w(message);
  w.bytes(as_bytes(kContext));
  w.number<std::uint8_t>(0);
  w.number<std::uint8_t>(with_pq ? 2 : 1);
  w.number<std::uint32_t>(count);
  put_hash(w, root);
  return message;
}

// --- Bodies ----------------------------------------------------------------------------------------------------------

void encode(Bytes& out, const Announcement& body) {
  ByteWriter w(out);
  w.number<std::int64_t>(body.started);
  w.number<std::int64_t>(body.heartbeat.count());
  w.number<std::uint8_t>(body.confidential ? 1 : 0);
  w.varint(body.credential.size());
  w.bytes(body.credential);
}

Result<Announcement> decode_announcement(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  Announcement body;
  body.started = in.number<std::int64_t>();
  body.heartbeat = Duration(in.number<std::int64_t>());
  const auto flags = in.number<std::uint8_t>();
  body.confidential = flags == 1;
  const auto credential = as_bytes(in.text(kMaxCredential));
  if (!in.done() || flags > 1) return malformed("bad announcement");
  body.credential.assign(credential.begin(), credential.end());
  return body;
}

void encode(Bytes& out, const Definitions& body) {
  ByteWriter w(out);
  w.varint(body.metas.size());
  for (const Meta& meta : body.metas) encode_meta(w, meta);
  w.varint(body.points.size());
  for (const DefinedPoint& point : body.points) {
    w.text(point.path);
    w.varint(point.meta);
  }
}

Result<Definitions> decode_definitions(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  Definitions body;
  const std::uint64_t metas = in.varint();
  if (!plausible(in, metas, 1, kMaxPointsPerSeal)) return malformed("bad definitions");
  for (std::uint64_t i = 0; i < metas; ++i) {
    auto meta = decode_meta(in);
    if (!meta) return within("seal: definitions", meta.error());
    body.metas.push_back(*std::move(meta));
  }
  const std::uint64_t points = in.varint();
  if (!plausible(in, points, 2, kMaxPointsPerSeal)) return malformed("bad definitions");
  body.points.resize(static_cast<std::size_t>(points));
  for (DefinedPoint& point : body.points) {
    point.path = in.text(kMaxPathBytes);
    const std::uint64_t meta = in.varint();
    if (!in.ok() || meta >= metas || point.path.empty()) return malformed("bad definition");
    point.meta = static_cast<std::uint32_t>(meta);
  }
  if (!in.done()) return malformed("bad definitions");
  return body;
}

void encode(Bytes& out, const Values& body) {
  ByteWriter w(out);
  w.number<std::int64_t>(body.sealed);
  w.number<std::uint64_t>(body.definitions);
  put_hash(w, body.definitions_hash);
  w.varint(body.values.size());
  Status status = status::kGood;
  UtcNanoseconds time = body.sealed;
  for (const SealedValue& v : body.values) {
    w.number<std::uint8_t>(static_cast<std::uint8_t>((v.status == status ? kSameStatus : 0) | (v.source_time == time ? kSameTime : 0)));
    if (v.status != status) w.number<std::uint32_t>(v.status);
    if (v.source_time != time) w.varint(zigzag(static_cast<std::int64_t>(static_cast<std::uint64_t>(v.source_time) - static_cast<std::uint64_t>(time))));
    status = v.status;
    time = v.source_time;
    encode_value(w, v.value);
  }
}

Result<void> decode_values(std::span<const std::byte> bytes, Values& out) {
  ByteReader in(bytes);
  out.sealed = in.number<std::int64_t>();
  out.definitions = in.number<std::uint64_t>();
  out.definitions_hash = get_hash(in);
  const std::uint64_t count = in.varint();
  if (!plausible(in, count, 2, kMaxPointsPerSeal)) return malformed("bad values");
  out.values.resize(static_cast<std::size_t>(count));
  Status status = status::kGood;
  UtcNanoseconds time = out.sealed;
  for (SealedValue& v : out.values) {
    const auto flags = in.number<std::uint8_t>();
    if ((flags & ~(kSameStatus | kSameTime)) != 0) return malformed("bad value");
    if ((flags & kSameStatus) == 0) status = in.number<std::uint32_t>();
    if ((flags & kSameTime) == 0) time = static_cast<std::int64_t>(static_cast<std::uint64_t>(time) + static_cast<std::uint64_t>(unzigzag(in.varint())));
    if (!in.ok()) return malformed("values are cut off");
    auto value = decode_value(in);
    if (!value) return within("seal: values", value.error());
    v.status = status;
    v.source_time = time;
    v.value = *std::move(value);
  }
  if (!in.done()) return malformed("bad values");
  return {};
}

void encode(Bytes& out, const Manifest& body) {
  ByteWriter w(out);
  w.number<std::int64_t>(body.time);
  w.varint(body.versions.size());
  for (const std::uint64_t version : body.versions) w.varint(version);
}

Result<Manifest> decode_manifest(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  Manifest body;
  body.time = in.number<std::int64_t>();
  const std::uint64_t count = in.varint();
  if (!plausible(in, count, 1, kMaxBuckets)) return malformed("bad manifest");
  body.versions.resize(static_cast<std::size_t>(count));
  for (std::uint64_t& version : body.versions) version = in.varint();
  if (!in.done()) return malformed("bad manifest");
  return body;
}

void encode(Bytes& out, const Checkpoint& body) {
  ByteWriter w(out);
  w.number<std::int64_t>(body.time);
  put_hash(w, body.previous);
  w.varint(body.entries.size());
  for (const auto& entry : body.entries) {
    w.varint(entry.version);
    put_hash(w, entry.hash);
  }
}

Result<Checkpoint> decode_checkpoint(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  Checkpoint body;
  body.time = in.number<std::int64_t>();
  body.previous = get_hash(in);
  const std::uint64_t count = in.varint();
  if (!plausible(in, count, 1 + sizeof(Hash), kMaxBuckets)) return malformed("bad checkpoint");
  body.entries.resize(static_cast<std::size_t>(count));
  for (auto& entry : body.entries) {
    entry.version = in.varint();
    entry.hash = get_hash(in);
  }
  if (!in.done()) return malformed("bad checkpoint");
  return body;
}

void encode(Bytes& out, const KeyBox& body) {
  ByteWriter w(out);
  put_hash(w, body.reader);
  w.bytes(body.ciphertext);
  w.varint(body.wrapped.size());
  w.bytes(body.wrapped);
}

Result<KeyBox> decode_key_box(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  KeyBox body;
  body.reader = get_hash(in);
  if (const auto text = in.bytes(body.ciphertext.size()); !text.empty()) std::memcpy(body.ciphertext.data(), text.data(), text.size());
  const auto wrapped = as_bytes(in.text(kMaxWrapped));
  if (!in.done()) return malformed("bad key");
  body.wrapped.assign(wrapped.begin(), wrapped.end());
  return body;
}

}  // namespace sallyport::seal
