#include "seal/unsealer.h"

#include <algorithm>

#include "base/log.h"
#include "crypto/hash.h"
#include "seal/issuer.h"

namespace sallyport::seal {
namespace {

std::string seconds_text(Duration span) {
  const auto tenths = std::chrono::duration_cast<std::chrono::milliseconds>(span).count() / 100;
  return std::to_string(tenths / 10) + (tenths % 10 != 0 ? "." + std::to_string(tenths % 10) : "") + " s";
}

std::string bucket_text(std::uint64_t number) { return "bucket " + std::to_string(number); }

}  // namespace

std::vector<std::pair<std::string_view, std::uint64_t>> refusals_by_name(const Refusals& refused) {
  return {{"malformed", refused.malformed}, {"misplaced", refused.misplaced}, {"signature", refused.signature},
          {"certificate", refused.certificate}, {"old_epoch", refused.old_epoch}, {"rollback", refused.rollback},
          {"late", refused.late}, {"key", refused.key}, {"checkpoint", refused.checkpoint}, {"outside", refused.outside}};
}

std::string_view to_string(StreamState state) {
  switch (state) {
    case StreamState::waiting: return "waiting";
    case StreamState::live: return "live";
    case StreamState::lost: return "lost";
  }
  return "lost";
}

Unsealer::Unsealer(Namespace& ns, std::string node, VerifyOptions options, std::shared_ptr<const net::Trust> trust, StreamMemory memory)
    : namespace_(ns),
      node_(std::move(node)),
      options_(std::move(options)),
      match_(Patterns::parse(options_.match).value_or(Patterns())),
      trust_(std::move(trust)),
      memory_(std::move(memory)),
      provider_(ns.add_provider()),
      since_(ns.clock().utc()),
      reason_("waiting for the announcement of " + options_.origin),
      sweep_(!memory_.hops.empty()) {
  if (options_.key) {
    const Hash mine = crypto::sha256(options_.key->public_key());
    std::memcpy(&key_number_, mine.data(), sizeof(key_number_));
  }
  if (!memory_.hops.empty()) make_route();   // at once, so that what was kept over a restart is taken up again
}

Unsealer::~Unsealer() {
  if (route_ != kNoRoute) namespace_.remove_route(route_);
}

RouteInfo Unsealer::route_info() const {
  return {.origin = memory_.origin, .source = memory_.prefix.empty() ? "seal" : "seal " + memory_.prefix, .hops = memory_.hops};
}

void Unsealer::make_route() {
  if (route_ != kNoRoute) return;
  const auto route = namespace_.add_route(route_info(), provider_, false);
  if (!route) {
    reason_ = route.error().message;
    return;
  }
  route_ = *route;
  namespace_.set_route_verified(route_, Verified::signed_fast);
  namespace_.cover(route_, status::kBadWaitingForInitialData, cause("seal: " + reason_));
}

void Unsealer::set_hops(std::vector<std::string> hops) {
  if (hops == memory_.hops && route_ != kNoRoute) return;
  memory_.hops = std::move(hops);
  memory_changed_ = true;
  if (route_ == kNoRoute) make_route();
  else namespace_.set_route_info(route_, route_info());
}

Cause Unsealer::cause(std::string what) const { return {node_, "seal " + memory_.origin, since_, std::move(what)}; }

void Unsealer::set_owner(PointId id, std::uint32_t bucket) {
  if (id >= owners_.size()) owners_.resize(std::size_t{id} + id / 2 + 64, kNobody);
  const std::uint32_t before = std::exchange(owners_[id], bucket);
  if (before == kNobody && bucket != kNobody) ++owned_;
  if (before != kNobody && bucket == kNobody) --owned_;
}

void Unsealer::refuse(std::uint64_t& counter, std::string what) {
  if (counter++ == 0) log::warn("seal refused", log::field("origin", memory_.origin), log::field("prefix", memory_.prefix), log::field("reason", what));
  last_refusal_ = std::move(what);
}

void Unsealer::refuse_malformed(std::string what, std::optional<std::uint64_t> bucket) {
  refuse(refused_.malformed, what);
  if (bucket) fail_bucket(*bucket, status::kBadSecurityChecksFailed, std::move(what));
}

void Unsealer::refuse_misplaced(std::string what, std::optional<std::uint64_t> bucket) {
  refuse(refused_.misplaced, what);
  if (bucket) fail_bucket(*bucket, status::kBadSecurityChecksFailed, std::move(what));
}

// --- Containers ------------------------------------------------------------------------------------------------------

void Unsealer::take(const Container& c, const Value& bytes) {
  ++containers_;
  if (c.head.kind == Kind::announcement) return take_announcement(c);
  if (c.head.epoch < memory_.epoch) return refuse(refused_.old_epoch, "epoch " + std::to_string(c.head.epoch) + " is over");
  const bool early = !credential_ || c.head.epoch > memory_.epoch || (c.head.encrypted && !ready());
  if (early) {
    const bool wanted = c.head.kind == Kind::key ? c.head.number == key_number_ : c.head.number < kMaxBuckets;   // no more than there can be
    if (wanted) pending_.insert_or_assign({c.head.kind, c.head.number}, bytes);
    return;
  }
  switch (c.head.kind) {
    case Kind::announcement: return;
    case Kind::key: return take_key(c);
    case Kind::manifest: return take_manifest(c);
    case Kind::checkpoint: return take_checkpoint(c);
    case Kind::definitions: return take_definitions(c);
    case Kind::values: return take_values(c);
  }
}

void Unsealer::take_pending() {
  auto waiting = std::exchange(pending_, {});
  for (const auto& [name, bytes] : waiting) {
    if (const auto container = decode_container(bytes.contents())) take(*container, bytes);
  }
}

bool Unsealer::check(const Container& c, bool with_pq) {
  if (proofs_.check(c, with_pq, *credential_)) return true;
  const bool of_bucket = c.head.kind == Kind::values || c.head.kind == Kind::definitions;
  std::string what = "signature of the " + std::string(c.head.kind == Kind::values        ? "values"
                                                       : c.head.kind == Kind::definitions ? "definitions"
                                                       : c.head.kind == Kind::manifest    ? "manifest"
                                                       : c.head.kind == Kind::checkpoint  ? "checkpoint"
                                                                                          : "key") +
                     (of_bucket ? " of " + bucket_text(c.head.number) : "") + " wrong";
  refuse(refused_.signature, what);
  if (c.head.kind == Kind::values) fail_bucket(c.head.number, status::kBadSecurityChecksFailed, std::move(what));
  return false;
}

void Unsealer::take_announcement(const Container& c) {
  if (c.head.epoch < memory_.epoch) return refuse(refused_.old_epoch, "announcement of epoch " + std::to_string(c.head.epoch) + ", which is over");
  if (credential_ && c.head.epoch == memory_.epoch && c.head.version <= announced_) return;
  auto body = decode_announcement(c.body);
  if (!body) return refuse(refused_.malformed, body.error().message);
  auto credential = net::Credential::verify(body->credential, *trust_, memory_.origin, namespace_.clock().utc());
  if (!credential) {
    refuse(refused_.certificate, credential.error().message);
    if (state_ == StreamState::waiting) reason_ = credential.error().message;
    return;
  }
  Proofs fresh;
  if (!fresh.check(c, true, *credential)) return refuse(refused_.signature, "signature of the announcement wrong");
  if (c.head.epoch > memory_.epoch) begin_epoch(c.head.epoch);
  if (!credential_ || credential_->fingerprint() != credential->fingerprint()) proofs_.forget();
  credential_ = *std::move(credential);
  announcement_ = *std::move(body);
  announced_ = c.head.version;
  if (state_ == StreamState::waiting) reason_ = announcement_.confidential && !options_.key ? "its points are confidential; give [[verify]] the key of a reader" : "waiting for a manifest";
  take_pending();
}

void Unsealer::begin_epoch(std::uint64_t epoch) {
  memory_.epoch = epoch;
  memory_.manifest = 0;
  memory_changed_ = true;
  for (std::uint32_t number = 0; number < buckets_.size(); ++number) {
    Bucket& bucket = buckets_[number];
    for (std::size_t i = 0; i < bucket.ids.size() && i < bucket.values.values.size(); ++i) {
      if (owner_of(bucket.ids[i]) == number) leftovers_.push_back({bucket.ids[i], std::move(bucket.values.values[i])});
    }
  }
  // A point that came back since the epoch before this one is here twice.
  std::ranges::stable_sort(leftovers_, {}, &Leftover::id);
  const auto twice = std::ranges::unique(leftovers_, {}, &Leftover::id);
  leftovers_.erase(twice.begin(), twice.end());
  leftovers_until_ = namespace_.clock().monotonic() + options_.timeout;
  buckets_.clear();
  owners_.clear();
  owned_ = 0;
  named_.clear();
  cipher_.reset();
  credential_.reset();
  announced_ = 0;
  has_manifest_ = false;
  manifest_ = {};
  manifest_number_ = checkpoint_number_ = 0;
  checkpoint_ = {};
}

void Unsealer::take_key(const Container& c) {
  if (!options_.key || cipher_) return;
  if (c.head.number != key_number_ || !check(c, true)) return;
  const auto box = decode_key_box(c.body);
  if (!box || box->reader != crypto::sha256(options_.key->public_key())) return refuse(refused_.key, "the content key is for another reader");
  const auto shared = options_.key->decapsulate(box->ciphertext);
  if (!shared) return refuse(refused_.key, shared.error().message);
  const auto wrapping = wrapping_key(*shared, c.head, box->ciphertext);
  auto unwrapping = wrapping ? crypto::Aead::make(*wrapping) : std::unexpected(wrapping.error());
  crypto::Key content;
  if (!unwrapping || box->wrapped.size() != content.size() + crypto::kTagBytes ||
      !unwrapping->open({}, c.head_bytes, box->wrapped, content.bytes()))
    return refuse(refused_.key, "the content key cannot be opened with " + options_.key_file);
  auto cipher = crypto::Aead::make(content);
  if (!cipher) return refuse(refused_.key, cipher.error().message);
  cipher_ = *std::move(cipher);
  if (state_ == StreamState::waiting) reason_ = "waiting for a manifest";
  take_pending();
}

bool Unsealer::open(const Container& c, Bytes& plain, std::span<const std::byte>& body) {
  body = c.body;
  if (c.head.encrypted != announcement_.confidential) {
    refuse(refused_.malformed, bucket_text(c.head.number) + (c.head.encrypted ? " is encrypted" : " is not encrypted") + ", against the announcement");
    return false;
  }
  if (!c.head.encrypted) return true;
  if (c.body.size() < crypto::kTagBytes) return false;
  plain.resize(c.body.size() - crypto::kTagBytes);
  if (!cipher_->open(nonce_of(c.head), c.head_bytes, c.body, plain)) {
    refuse(refused_.key, bucket_text(c.head.number) + " cannot be decrypted");
    return false;
  }
  body = plain;
  return true;
}

// --- What the newest versions are ------------------------------------------------------------------------------------

void Unsealer::take_manifest(const Container& c) {
  if (c.head.version < manifest_number_) return refuse(refused_.rollback, "an earlier manifest");
  if (c.head.version == manifest_number_ || !check(c, false)) return;
  auto body = decode_manifest(c.body);
  if (!body) return refuse(refused_.malformed, body.error().message);
  const UtcNanoseconds now = namespace_.clock().utc();
  if (now > credential_->not_after()) return refuse(refused_.certificate, "the certificate of " + memory_.origin + " expired at " + format_utc(credential_->not_after()));
  const Duration age(now - body->time);
  if (age > options_.max_age) return refuse(refused_.late, "the manifest is " + seconds_text(age) + " old by the clock of this node");
  if (-age > options_.max_age) return refuse(refused_.late, "the manifest is " + seconds_text(-age) + " ahead of the clock of this node");
  // Numbers tell in one run of this node; over a restart of it, the time does.
  if (manifest_number_ == 0 && body->time <= memory_.manifest) return refuse(refused_.rollback, "a manifest that was here before");
  memory_.manifest = body->time;
  manifest_number_ = c.head.version;
  manifest_ = *std::move(body);
  manifest_at_ = namespace_.clock().monotonic();
  has_manifest_ = true;
  if (buckets_.size() < manifest_.versions.size()) buckets_.resize(manifest_.versions.size());
  named_.push_back({manifest_at_, manifest_.versions});
  for (std::uint32_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i].candidate != 0) try_show(i);
  }
  try_live();
}

void Unsealer::take_checkpoint(const Container& c) {
  if (c.head.version <= checkpoint_number_) return;
  if (!check(c, true)) return;
  auto body = decode_checkpoint(c.body);
  if (!body) return refuse(refused_.malformed, body.error().message);
  if (checkpoint_number_ != 0 && c.head.version == checkpoint_number_ + 1 && body->previous != checkpoint_hash_)
    return refuse(refused_.checkpoint, "a checkpoint that does not follow the one before");
  checkpoint_number_ = c.head.version;
  checkpoint_hash_ = proofs_.leaf_of(c);
  checkpoint_ = *std::move(body);
  for (std::uint32_t i = 0; i < buckets_.size(); ++i) compare_checkpoint(i, buckets_[i]);
}

bool Unsealer::contradicts_checkpoint(std::uint32_t number, std::uint64_t version, const Hash& hash) const {
  return number < checkpoint_.entries.size() && checkpoint_.entries[number].version == version && checkpoint_.entries[number].hash != hash;
}

void Unsealer::compare_checkpoint(std::uint32_t number, Bucket& bucket) {
  if (bucket.applied == 0 || bucket.failed || bucket.pq || number >= checkpoint_.entries.size()) return;
  if (checkpoint_.entries[number].version != bucket.applied) return;
  if (contradicts_checkpoint(number, bucket.applied, bucket.hash)) {
    refuse(refused_.checkpoint, "the checkpoint knows " + bucket_text(number) + " otherwise");
    return fail_bucket(number, status::kBadSecurityChecksFailed, last_refusal_);
  }
  bucket.pq = true;
  namespace_.set_verified(route_, bucket.ids, Verified::signed_pq);
}

// --- Buckets ---------------------------------------------------------------------------------------------------------

Unsealer::Bucket* Unsealer::bucket_of(const Container& c) {
  if (c.head.number >= kMaxBuckets) return nullptr;
  if (c.head.number >= buckets_.size()) buckets_.resize(static_cast<std::size_t>(c.head.number) + 1);
  return &buckets_[static_cast<std::size_t>(c.head.number)];
}

void Unsealer::take_definitions(const Container& c) {
  if (c.head.number < buckets_.size() && c.head.version <= buckets_[c.head.number].defined) {
    if (c.head.version < buckets_[c.head.number].defined) refuse(refused_.rollback, "earlier definitions of " + bucket_text(c.head.number));
    return;
  }
  Bytes plain;
  std::span<const std::byte> body;
  if (!check(c, false) || !open(c, plain, body)) return;
  auto definitions = decode_definitions(body);
  if (!definitions) return refuse(refused_.malformed, definitions.error().message);
  Bucket* bucket = bucket_of(c);
  if (bucket == nullptr) return;
  bucket->definitions = *std::move(definitions);
  bucket->defined = c.head.version;
  bucket->definitions_hash = proofs_.leaf_of(c);
  if (bucket->candidate != 0) try_show(static_cast<std::uint32_t>(c.head.number));
}

void Unsealer::take_values(const Container& c) {
  if (c.head.number < buckets_.size()) {
    const Bucket& known = buckets_[c.head.number];
    const std::uint64_t held = std::max(known.applied, known.candidate);
    if (c.head.version < held) return refuse(refused_.rollback, "an earlier version of " + bucket_text(c.head.number));
    if (c.head.version == held && !known.failed) return;
  }
  Bytes plain;
  std::span<const std::byte> body;
  if (!check(c, false)) return;
  if (!open(c, plain, body)) return fail_bucket(c.head.number, status::kBadSecurityChecksFailed, last_refusal_);
  Bucket* bucket = bucket_of(c);
  if (bucket == nullptr) return;
  if (const auto decoded = decode_values(body, bucket->candidate_values); !decoded) {
    bucket->candidate = 0;
    refuse(refused_.malformed, decoded.error().message);
    return fail_bucket(c.head.number, status::kBadSecurityChecksFailed, last_refusal_);
  }
  bucket->candidate = c.head.version;
  bucket->candidate_hash = proofs_.leaf_of(c);
  try_show(static_cast<std::uint32_t>(c.head.number));
}

// Definitions are there, and it is not older than what the origin says is the newest: where nothing newer is shown, the first
// look must not be one into the past.
bool Unsealer::can_show(std::uint32_t number, const Bucket& bucket) const {
  if (bucket.candidate == 0 || !has_manifest_) return false;
  const bool strict = state_ != StreamState::live || bucket.failed || bucket.applied == 0;
  if (strict && bucket.candidate < named(number)) return false;
  const Values& values = bucket.candidate_values;
  const bool newest = bucket.defined == values.definitions && bucket.definitions_hash == values.definitions_hash &&
                      bucket.definitions.points.size() == values.values.size();
  const bool shown = bucket.ids_of == values.definitions && bucket.ids_hash == values.definitions_hash && bucket.ids.size() == values.values.size();
  return newest || shown;
}

// While the stream is not live nothing is shown: everything is at once when it becomes so.
void Unsealer::try_show(std::uint32_t number) {
  Bucket& bucket = buckets_[number];
  if (state_ == StreamState::live && !upstream_ && can_show(number, bucket)) show(number, bucket);
}

void Unsealer::show(std::uint32_t number, Bucket& bucket) {
  if (contradicts_checkpoint(number, bucket.candidate, bucket.candidate_hash)) {
    refuse(refused_.checkpoint, "the checkpoint knows " + bucket_text(number) + " otherwise");
    bucket.candidate = 0;
    return fail_bucket(number, status::kBadSecurityChecksFailed, last_refusal_);
  }
  const bool redefined = bucket.ids_of != bucket.candidate_values.definitions || bucket.ids_hash != bucket.candidate_values.definitions_hash;
  const bool all = bucket.failed;
  bucket.failed = bucket.pq = false;
  bucket.reason.clear();
  std::swap(bucket.values, bucket.candidate_values);   // those shown before are compared with, then reused
  if (redefined) define(number, bucket);
  else apply_values(number, bucket, all);
  bucket.applied = std::exchange(bucket.candidate, 0);
  bucket.hash = bucket.candidate_hash;
  compare_checkpoint(number, bucket);
}

// What is as it was needs no change: consumers would see one.
void Unsealer::apply_values(std::uint32_t number, Bucket& bucket, bool all) {
  std::vector<Change> changes;
  const auto& before = bucket.candidate_values.values;
  for (std::size_t i = 0; i < bucket.ids.size(); ++i) {
    const SealedValue& v = bucket.values.values[i];
    if (owner_of(bucket.ids[i]) != number) continue;
    const bool same = !all && i < before.size() && before[i].status == v.status && before[i].source_time == v.source_time && before[i].value == v.value;
    if (!same) changes.push_back({bucket.ids[i], v.status, v.source_time, v.value});
  }
  if (!changes.empty()) namespace_.apply(route_, changes);
}

void Unsealer::define(std::uint32_t number, Bucket& bucket) {
  std::vector<Definition> definitions;
  std::vector<std::size_t> at;   // place in the bucket
  // Changes of `every` points come by the journal, which is not sealed: here they are the newest ones only.
  for (Meta& meta : bucket.definitions.metas) meta.every = false;
  for (std::size_t i = 0; i < bucket.definitions.points.size(); ++i) {
    const DefinedPoint& point = bucket.definitions.points[i];
    if (!match_.matches(point.path)) {
      refuse(refused_.outside, "'" + point.path + "' is not in the match of [[verify]]");
      continue;
    }
    const SealedValue& v = bucket.values.values[i];
    definitions.push_back({point.path, &bucket.definitions.metas[point.meta], {kNoPoint, v.status, v.source_time, v.value}, false, true});
    at.push_back(i);
  }
  std::vector<PointId> ids(definitions.size(), kNoPoint);
  const auto refused = namespace_.define(route_, definitions, ids);
  if (refused.count > 0) refuse(refused_.outside, refused.first_reason);
  const auto before = std::exchange(bucket.ids, std::vector<PointId>(bucket.definitions.points.size(), kNoPoint));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    bucket.ids[at[i]] = ids[i];
    if (ids[i] != kNoPoint) set_owner(ids[i], number);
  }
  std::vector<PointId> gone;
  for (const PointId id : before) {
    if (owner_of(id) != number || std::ranges::contains(bucket.ids, id)) continue;
    gone.push_back(id);
    set_owner(id, kNobody);
  }
  if (!gone.empty()) namespace_.remove(route_, gone);
  bucket.ids_of = bucket.defined;
  bucket.ids_hash = bucket.definitions_hash;
}

void Unsealer::fail_bucket(std::uint64_t number, Status status, std::string reason) {
  if (number >= buckets_.size()) return;
  Bucket& bucket = buckets_[static_cast<std::size_t>(number)];
  if (bucket.failed) return;
  if (std::ranges::none_of(buckets_, &Bucket::failed))
    log::warn("seal: points turned not-good", log::field("origin", memory_.origin), log::field("bucket", static_cast<std::int64_t>(number)), log::field("reason", reason));
  bucket.failed = true;
  bucket.pq = false;
  bucket.reason = std::move(reason);
  std::vector<Change> changes;
  for (std::size_t i = 0; i < bucket.ids.size() && i < bucket.values.values.size(); ++i) {
    const SealedValue& v = bucket.values.values[i];
    if (owner_of(bucket.ids[i]) != number) continue;
    changes.push_back({bucket.ids[i], quality_of(v.status) == Quality::bad ? v.status : status, v.source_time, v.value});
  }
  if (changes.empty()) return;
  namespace_.apply(route_, changes);
  namespace_.set_verified(route_, bucket.ids, Verified::unverified);
}

// --- Live or not -----------------------------------------------------------------------------------------------------

// A manifest that came `timeout` ago named these.
void Unsealer::require(const std::vector<std::uint64_t>& versions) {
  for (std::uint32_t i = 0; i < versions.size(); ++i) {
    const Bucket& bucket = buckets_[i];
    const bool held = bucket.applied >= versions[i] || (can_show(i, bucket) && bucket.candidate >= versions[i]);
    if (held || bucket.failed) continue;
    ++stale_;
    fail_bucket(i, status::kBadNoCommunication, bucket_text(i) + " is older than the manifest says, for more than " + seconds_text(options_.timeout));
  }
}

bool Unsealer::settled() const {
  for (std::uint32_t i = 0; i < manifest_.versions.size(); ++i) {
    const Bucket& bucket = buckets_[i];
    if (bucket.failed || bucket.applied >= named(i) || can_show(i, bucket)) continue;
    return false;
  }
  return true;
}

void Unsealer::try_live() {
  if (state_ == StreamState::live || !ready() || !fresh() || route_ == kNoRoute || !settled()) return;
  for (std::uint32_t i = 0; i < buckets_.size(); ++i) {
    if (can_show(i, buckets_[i])) show(i, buckets_[i]);
  }
  // What was kept over a restart and no bucket has named would be shown as good.
  if (std::exchange(sweep_, false)) {
    std::vector<bool> keep(owners_.size());
    for (std::size_t id = 0; id < owners_.size(); ++id) keep[id] = owners_[id] != kNobody;
    namespace_.remove_unnamed_in(route_, std::vector<bool>(Namespace::kBuckets, true), keep);
  }
  end_leftovers(std::ranges::none_of(buckets_, &Bucket::failed));
  state_ = StreamState::live;
  since_ = namespace_.clock().utc();
  reason_.clear();
  namespace_.set_complete(route_);
  namespace_.uncover(route_);
  log::info("seal: live", log::field("origin", memory_.origin), log::field("prefix", memory_.prefix));
}

void Unsealer::lose(const Cause& cause, Status overlay) {
  if (state_ == StreamState::lost && reason_ == cause.what) return;
  if (state_ == StreamState::live) log::warn("seal: lost", log::field("origin", memory_.origin), log::field("prefix", memory_.prefix), log::field("reason", cause.what));
  const bool first = state_ == StreamState::live;
  state_ = StreamState::lost;
  reason_ = cause.what;
  if (route_ != kNoRoute) namespace_.cover(route_, overlay, cause, first);
}

void Unsealer::upstream_lost(const Cause& cause) {
  upstream_ = cause;
  if (state_ == StreamState::waiting) return;
  since_ = cause.since;
  lose(cause);
}

// Points of the epoch before that this one has not named: gone when everything is here, not good when something is missing.
void Unsealer::end_leftovers(bool remove) {
  std::vector<PointId> gone;
  std::vector<Change> changes;
  for (Leftover& left : leftovers_) {
    if (owner_of(left.id) != kNobody) continue;
    gone.push_back(left.id);
    if (!remove) changes.push_back({left.id, status::kBadNoCommunication, left.value.source_time, left.value.value});
  }
  if (remove) {
    namespace_.remove(route_, gone);
    leftovers_.clear();
  } else if (!changes.empty()) {
    namespace_.apply(route_, changes);
    namespace_.set_verified(route_, gone, Verified::unverified);
  }
}

void Unsealer::tick() {
  const MonotonicTime now = namespace_.clock().monotonic();
  while (!named_.empty() && now - named_.front().at >= options_.timeout) {
    const Named due = std::move(named_.front());
    named_.pop_front();
    if (fresh()) require(due.versions);
  }
  const bool silent = state_ == StreamState::live && now - manifest_at_ > options_.timeout;
  if (silent) {
    since_ = namespace_.clock().utc();
    lose(cause("seal: no fresh manifest of " + memory_.origin + " for " + seconds_text(options_.timeout) +
               (last_refusal_.empty() ? "" : "; the last refusal: " + last_refusal_)));
    has_manifest_ = false;
  }
  if (!leftovers_.empty() && state_ == StreamState::live) {
    if (fresh() && settled() && std::ranges::none_of(buckets_, &Bucket::failed)) end_leftovers(true);
    else if (now >= leftovers_until_) {
      end_leftovers(false);
      leftovers_until_ = MonotonicTime::max();
    }
  }
  try_live();
}

void Unsealer::stop() {
  if (state_ == StreamState::live) since_ = namespace_.clock().utc();
  if (state_ != StreamState::waiting) lose(cause("the node was stopped"));
}

void Unsealer::set_trust(std::shared_ptr<const net::Trust> trust) {
  trust_ = std::move(trust);
  if (!credential_) return;
  auto again = net::Credential::verify(announcement_.credential, *trust_, memory_.origin, namespace_.clock().utc());
  if (again) return;
  refuse(refused_.certificate, again.error().message);
  since_ = namespace_.clock().utc();
  lose(cause("seal: " + again.error().message));
  credential_.reset();
  has_manifest_ = false;
}

StreamStatus Unsealer::status() const {
  StreamStatus status;
  status.origin = memory_.origin;
  status.prefix = memory_.prefix;
  status.state = state_;
  status.since = since_;
  status.reason = reason_;
  status.epoch = memory_.epoch;
  status.points = owned_;
  status.buckets = buckets_.size();
  for (const Bucket& bucket : buckets_) {
    status.failed_buckets += bucket.failed ? 1 : 0;
    status.pq_buckets += bucket.pq ? 1 : 0;
    if (bucket.failed && status.reason.empty()) status.reason = bucket.reason;
  }
  status.containers = containers_;
  status.signatures = proofs_.fast_checks();
  status.pq_signatures = proofs_.pq_checks();
  status.stale = stale_;
  status.confidential = announcement_.confidential;
  status.manifest = manifest_.time;
  status.certificate_not_after = credential_ ? credential_->not_after() : 0;
  status.refused = refused_;
  status.last_refusal = last_refusal_;
  return status;
}

}  // namespace sallyport::seal
