#include "seal/sealer.h"

#include <algorithm>

#include "crypto/hash.h"
#include "crypto/random.h"

namespace sallyport::seal {

Sealer::Sealer(std::string origin, std::string prefix, SealOptions options)
    : origin_(origin), prefix_(prefix), options_(std::move(options)), issuer_(std::move(origin), std::move(prefix)) {}

Result<void> Sealer::begin(std::uint64_t epoch, std::shared_ptr<const net::Signer> signer, UtcNanoseconds now) {
  const bool confidential = !options_.readers.empty();
  if (confidential && !crypto::fill_random(content_key_.bytes())) return fail(ErrorCode::io, "no random bytes for a content key");
  if (auto begun = issuer_.begin(epoch, confidential ? &content_key_ : nullptr); !begun) return begun;
  signer_ = std::move(signer);
  started_ = now;
  announcements_ = manifests_ = checkpoints_ = 0;
  announced_ = false;
  last_checkpoint_ = {};
  next_values_ = next_manifest_ = next_checkpoint_ = {};
  for (std::uint32_t i = 0; i < buckets_.size(); ++i) {
    buckets_[i].version = buckets_[i].definitions = 0;
    touch(i, true);
  }
  return {};
}

// --- Points ----------------------------------------------------------------------------------------------------------

void Sealer::touch(std::uint32_t number, bool redefined) {
  Bucket& bucket = buckets_[number];
  bucket.redefined |= redefined;
  if (!std::exchange(bucket.dirty, true)) dirty_.push_back(number);
}

std::uint32_t Sealer::bucket_with_room() {
  while (!room_.empty()) {
    const std::uint32_t number = room_.back();
    if (buckets_[number].members.size() < options_.points_per_seal) return number;
    buckets_[number].roomy = false;
    room_.pop_back();
  }
  if (buckets_.size() == kMaxBuckets) return kNone;
  buckets_.emplace_back().roomy = true;
  room_.push_back(static_cast<std::uint32_t>(buckets_.size() - 1));
  return room_.back();
}

void Sealer::limit(SealedValue& value) {
  if (value.value.contents().size() <= kMaxSealedValue) return;
  value.value = Value();
  value.status = status::kBadEncodingLimitsExceeded;
  ++too_large_;
}

void Sealer::define(PointId id, std::string_view path, std::shared_ptr<const Meta> meta, SealedValue value) {
  if (id >= places_.size()) places_.resize(std::size_t{id} + id / 2 + 64);
  limit(value);
  Place& place = places_[id];
  if (place.bucket == kNone) {
    const std::uint32_t number = bucket_with_room();
    if (number == kNone) {
      ++refused_;
      return;
    }
    Bucket& bucket = buckets_[number];
    place = {number, static_cast<std::uint32_t>(bucket.members.size())};
    bucket.members.push_back({id, std::string(path), std::move(meta)});
    bucket.values.push_back(std::move(value));
    ++points_;
    return touch(number, true);
  }
  Bucket& bucket = buckets_[place.bucket];
  Member& member = bucket.members[place.slot];
  const bool other = member.path != path || (member.meta != meta && *member.meta != *meta);
  member.path = path;
  member.meta = std::move(meta);
  bucket.values[place.slot] = std::move(value);
  touch(place.bucket, other);
}

void Sealer::change(PointId id, SealedValue value) {
  if (!knows(id)) return;
  limit(value);
  ++changes_;
  const Place place = places_[id];
  buckets_[place.bucket].values[place.slot] = std::move(value);
  touch(place.bucket, false);
}

void Sealer::remove(PointId id) {
  if (!knows(id)) return;
  const Place place = std::exchange(places_[id], Place{});
  Bucket& bucket = buckets_[place.bucket];
  if (place.slot + 1 != bucket.members.size()) {
    bucket.members[place.slot] = std::move(bucket.members.back());
    bucket.values[place.slot] = std::move(bucket.values.back());
    places_[bucket.members[place.slot].id].slot = place.slot;
  }
  bucket.members.pop_back();
  bucket.values.pop_back();
  --points_;
  if (!std::exchange(bucket.roomy, true)) room_.push_back(place.bucket);
  touch(place.bucket, true);
}

// --- Issuing ---------------------------------------------------------------------------------------------------------

MonotonicTime Sealer::due() const {
  MonotonicTime due = std::min(next_manifest_, unchecked_ ? next_checkpoint_ : MonotonicTime::max());
  if (!dirty_.empty()) due = std::min(due, next_values_);
  return announced_ ? due : MonotonicTime{};
}

Result<void> Sealer::tick(MonotonicTime now, UtcNanoseconds utc, const Emit& emit) {
  if (!announced_) {
    if (auto ok = announce(utc, emit); !ok) return ok;
  }
  if (!dirty_.empty() && now >= next_values_) {
    if (auto ok = issue_values(utc, emit); !ok) return ok;
    next_values_ = now + options_.interval;
  }
  if (now >= next_manifest_) {
    if (auto ok = issue_manifest(utc, emit); !ok) return ok;
    next_manifest_ = now + options_.heartbeat;
  }
  if (unchecked_ && now >= next_checkpoint_) {
    if (auto ok = issue_checkpoint(utc, emit); !ok) return ok;
    next_checkpoint_ = now + options_.checkpoint;
  }
  return {};
}

Result<void> Sealer::announce(UtcNanoseconds, const Emit& emit) {
  body_.clear();
  encode(body_, Announcement{started_, options_.heartbeat, !options_.readers.empty(), signer_->credential()});
  if (auto added = issuer_.add(Kind::announcement, 0, ++announcements_, body_); !added) return std::unexpected(added.error());
  for (const Reader& reader : options_.readers) {
    auto boxed = crypto::x_wing_encapsulate(reader.key);
    if (!boxed) return within(reader.file, boxed.error());
    KeyBox box;
    box.reader = crypto::sha256(reader.key);
    std::uint64_t number = 0;
    std::memcpy(&number, box.reader.data(), sizeof(number));
    const Head head{Kind::key, false, origin_, prefix_, issuer_.epoch(), number, announcements_};
    auto wrapping = wrapping_key(boxed->shared, head, boxed->ciphertext);
    if (!wrapping) return std::unexpected(wrapping.error());
    auto cipher = crypto::Aead::make(*wrapping);
    if (!cipher) return std::unexpected(cipher.error());
    box.ciphertext = boxed->ciphertext;
    box.wrapped.resize(content_key_.size() + crypto::kTagBytes);
    Bytes associated;
    encode_head(associated, head);
    // The wrapping key is used once.
    if (!cipher->seal({}, associated, content_key_.bytes(), box.wrapped)) return fail(ErrorCode::internal, "a content key cannot be wrapped");
    body_.clear();
    encode(body_, box);
    if (auto added = issuer_.add(Kind::key, number, announcements_, body_); !added) return std::unexpected(added.error());
  }
  issuer_.issue(*signer_, true, emit);
  announced_ = true;
  return {};
}

Result<void> Sealer::issue_bucket(std::uint32_t number, UtcNanoseconds utc) {
  Bucket& bucket = buckets_[number];
  if (bucket.redefined) {
    Definitions definitions;
    std::vector<const Meta*> known;
    for (const Member& member : bucket.members) {
      auto at = std::ranges::find(known, member.meta.get());
      if (at == known.end()) {
        definitions.metas.push_back(*member.meta);
        at = known.insert(known.end(), member.meta.get());
      }
      definitions.points.push_back({member.path, static_cast<std::uint32_t>(at - known.begin())});
    }
    body_.clear();
    encode(body_, definitions);
    const auto hash = issuer_.add(Kind::definitions, number, ++bucket.definitions, body_);
    if (!hash) return std::unexpected(hash.error());
    bucket.definitions_hash = *hash;
  }
  Values values{utc, bucket.definitions, bucket.definitions_hash, {}};
  values.values.swap(bucket.values);
  body_.clear();
  encode(body_, values);
  values.values.swap(bucket.values);
  const auto hash = issuer_.add(Kind::values, number, ++bucket.version, body_);
  if (!hash) return std::unexpected(hash.error());
  bucket.hash = *hash;
  bucket.dirty = bucket.redefined = false;
  return {};
}

Result<void> Sealer::issue_values(UtcNanoseconds utc, const Emit& emit) {
  for (const std::uint32_t number : dirty_) {
    if (auto ok = issue_bucket(number, utc); !ok) return ok;
  }
  dirty_.clear();
  issuer_.issue(*signer_, false, emit);
  unchecked_ = true;
  return {};
}

Result<void> Sealer::issue_manifest(UtcNanoseconds utc, const Emit& emit) {
  Manifest manifest{utc, {}};
  manifest.versions.reserve(buckets_.size());
  for (const Bucket& bucket : buckets_) manifest.versions.push_back(bucket.version);
  body_.clear();
  encode(body_, manifest);
  if (auto added = issuer_.add(Kind::manifest, 0, ++manifests_, body_); !added) return std::unexpected(added.error());
  issuer_.issue(*signer_, false, emit);
  return {};
}

Result<void> Sealer::issue_checkpoint(UtcNanoseconds utc, const Emit& emit) {
  Checkpoint checkpoint{utc, last_checkpoint_, {}};
  checkpoint.entries.reserve(buckets_.size());
  for (const Bucket& bucket : buckets_) checkpoint.entries.push_back({bucket.version, bucket.hash});
  body_.clear();
  encode(body_, checkpoint);
  const auto hash = issuer_.add(Kind::checkpoint, 0, ++checkpoints_, body_);
  if (!hash) return std::unexpected(hash.error());
  last_checkpoint_ = *hash;
  issuer_.issue(*signer_, true, emit);
  unchecked_ = false;
  return {};
}

SealCounters Sealer::counters() const {
  return {issuer_.counters(), points_, buckets_.size(), issuer_.epoch(), changes_, too_large_, refused_};
}

}  // namespace sallyport::seal
