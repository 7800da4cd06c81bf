// Verifies one stream of containers and brings its points into the namespace by a route of their own. Believes nothing that
// a node on the way says: a value is good here only while the origin's own signature, certificate, version and clock say so.
// No I/O, no thread; time comes from the namespace's clock. One thread at a time.
//
// State            enters when                                                          points
//   waiting        there is no verified announcement and manifest yet                   not good
//   live           the newest manifest is fresh, and each bucket is at least as new     good, but those of failed buckets
//   lost           no fresh manifest for `timeout`, or the path here broke              not good, values kept
// A bucket fails alone when its container is not what was signed, or stays older than a manifest that came `timeout` ago.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/aead.h"
#include "crypto/x_wing.h"
#include "namespace/namespace.h"
#include "net/signer.h"
#include "seal/container.h"
#include "seal/proofs.h"

namespace sallyport::seal {

struct VerifyOptions {
  std::vector<std::string> match;
  std::string origin;
  Duration timeout = std::chrono::seconds(3);
  Duration max_age = std::chrono::seconds(5);
  std::shared_ptr<const crypto::XWingPrivate> key;   // of confidential points; null: none
  std::string key_file;
  friend bool operator==(const VerifyOptions& a, const VerifyOptions& b) {
    return a.match == b.match && a.origin == b.origin && a.timeout == b.timeout && a.max_age == b.max_age && a.key_file == b.key_file;
  }
};

// What must survive a restart, so that what was refused before is refused again.
struct StreamMemory {
  std::string origin, prefix;
  std::uint64_t epoch = 0;
  UtcNanoseconds manifest = 0;       // time of the newest one accepted
  std::vector<std::string> hops;
};

// Containers that were refused, by what was wrong with them.
struct Refusals {
  std::uint64_t malformed = 0, misplaced = 0, signature = 0, certificate = 0, old_epoch = 0, rollback = 0, late = 0, key = 0,
                checkpoint = 0;
  std::uint64_t outside = 0;         // points the origin may not bring here
  std::uint64_t total() const { return malformed + misplaced + signature + certificate + old_epoch + rollback + late + key + checkpoint; }
};

// By the names they have in status, hints and metrics.
std::vector<std::pair<std::string_view, std::uint64_t>> refusals_by_name(const Refusals& refused);

enum class StreamState : std::uint8_t { waiting, live, lost };
std::string_view to_string(StreamState state);

struct StreamStatus {
  std::string origin, prefix;
  StreamState state = StreamState::waiting;
  UtcNanoseconds since = 0;
  std::string reason;                // why not live
  std::uint64_t epoch = 0;
  std::uint64_t points = 0, buckets = 0, failed_buckets = 0, pq_buckets = 0;
  std::uint64_t containers = 0, signatures = 0, pq_signatures = 0, stale = 0;
  bool confidential = false;
  UtcNanoseconds manifest = 0;       // the newest one's time
  UtcNanoseconds certificate_not_after = 0;
  Refusals refused;
  std::string last_refusal;          // "signature of bucket 17 wrong"
};

class Unsealer {
 public:
  Unsealer(Namespace& ns, std::string node, VerifyOptions options, std::shared_ptr<const net::Trust> trust, StreamMemory memory);
  ~Unsealer();   // the route goes, and its points
  Unsealer(const Unsealer&) = delete;
  Unsealer& operator=(const Unsealer&) = delete;

  // A container as it came, at the place that its head names, which is in this stream; `bytes` is what it was read from.
  void take(const Container& container, const Value& bytes);
  // What came where the values of a bucket belong (or elsewhere in this stream: none) is no container, or another one.
  void refuse_malformed(std::string what, std::optional<std::uint64_t> bucket);
  void refuse_misplaced(std::string what, std::optional<std::uint64_t> bucket);
  // The container of the newest manifest is covered, or gone: the way here is broken, as `cause` says.
  void upstream_lost(const Cause& cause);
  void upstream_here() { upstream_.reset(); }
  void set_hops(std::vector<std::string> hops);   // of the route by which the containers come
  void set_trust(std::shared_ptr<const net::Trust> trust);
  // Time passed.
  void tick();
  void stop();   // nothing more comes

  const StreamMemory& memory() const { return memory_; }
  bool memory_changed() { return std::exchange(memory_changed_, false); }    // must be on disk at once
  StreamStatus status() const;

 private:
  struct Bucket {
    std::uint64_t applied = 0;                   // version that the namespace shows
    Hash hash{};
    Values values;                               // of it
    std::vector<PointId> ids;                    // by place in the definitions
    std::uint64_t ids_of = 0;                    // version of those,
    Hash ids_hash{};                             // and hash
    std::uint64_t defined = 0;                   // the newest definitions
    Hash definitions_hash{};
    Definitions definitions;
    std::uint64_t candidate = 0;                 // verified, but not shown yet; 0: none
    Hash candidate_hash{};
    Values candidate_values;
    bool failed = false, pq = false;
    std::string reason;
  };
  struct Named {
    MonotonicTime at;
    std::vector<std::uint64_t> versions;
  };

  void take_announcement(const Container& c);
  void take_key(const Container& c);
  void take_manifest(const Container& c);
  void take_checkpoint(const Container& c);
  void take_definitions(const Container& c);
  void take_values(const Container& c);
  void take_pending();
  bool ready() const { return credential_ && (!announcement_.confidential || cipher_); }
  bool open(const Container& c, Bytes& plain, std::span<const std::byte>& body);
  bool check(const Container& c, bool with_pq);
  Bucket* bucket_of(const Container& c);
  void begin_epoch(std::uint64_t epoch);
  void refuse(std::uint64_t& counter, std::string what);
  std::uint64_t named(std::size_t number) const { return number < manifest_.versions.size() ? manifest_.versions[number] : 0; }
  bool fresh() const { return has_manifest_ && !upstream_ && namespace_.clock().monotonic() - manifest_at_ <= options_.timeout; }
  static constexpr std::uint32_t kNobody = 0xffffffff;
  std::uint32_t owner_of(PointId id) const { return id < owners_.size() ? owners_[id] : kNobody; }
  void set_owner(PointId id, std::uint32_t bucket);
  bool can_show(std::uint32_t number, const Bucket& bucket) const;
  void try_show(std::uint32_t number);
  void show(std::uint32_t number, Bucket& bucket);
  void apply_values(std::uint32_t number, Bucket& bucket, bool all);
  void define(std::uint32_t number, Bucket& bucket);
  bool contradicts_checkpoint(std::uint32_t number, std::uint64_t version, const Hash& hash) const;
  void compare_checkpoint(std::uint32_t number, Bucket& bucket);
  void fail_bucket(std::uint64_t number, Status status, std::string reason);
  void require(const std::vector<std::uint64_t>& versions);
  bool settled() const;                            // each bucket is as new as the manifest says, or has failed
  void try_live();
  void lose(const Cause& cause, Status overlay = status::kBadNoCommunication);
  void end_leftovers(bool remove);
  void make_route();
  RouteInfo route_info() const;
  Cause cause(std::string what) const;

  Namespace& namespace_;
  const std::string node_;
  const VerifyOptions options_;
  const Patterns match_;
  std::shared_ptr<const net::Trust> trust_;
  StreamMemory memory_;
  bool memory_changed_ = false;
  std::uint32_t provider_;
  std::uint64_t key_number_ = 0;                 // of the container with the content key for our key
  RouteId route_ = kNoRoute;

  StreamState state_ = StreamState::waiting;
  UtcNanoseconds since_ = 0;
  std::string reason_;
  std::optional<Cause> upstream_;
  std::optional<net::Credential> credential_;
  Announcement announcement_;
  std::uint64_t announced_ = 0;                  // its version
  std::optional<crypto::Aead> cipher_;
  Proofs proofs_;
  std::map<std::pair<Kind, std::uint64_t>, Value> pending_;  // of an epoch, or under a key, that is not known yet

  bool has_manifest_ = false;                    // of this epoch
  Manifest manifest_;
  std::uint64_t manifest_number_ = 0;
  MonotonicTime manifest_at_{};
  std::deque<Named> named_;                      // manifests of the last `timeout`
  std::uint64_t checkpoint_number_ = 0;
  Hash checkpoint_hash_{};
  Checkpoint checkpoint_;

  std::vector<Bucket> buckets_;
  std::vector<std::uint32_t> owners_;            // by point: the bucket that names it
  std::uint64_t owned_ = 0;
  struct Leftover {
    PointId id;
    SealedValue value;
  };
  std::vector<Leftover> leftovers_;              // of the epoch before, not named in this one yet
  MonotonicTime leftovers_until_{};
  bool sweep_;                                   // the route may have points from before a restart

  Refusals refused_;
  std::uint64_t containers_ = 0, stale_ = 0;
  std::string last_refusal_;
};

}  // namespace sallyport::seal
