// Seals the points of one stream: sorts them into buckets and issues, for each bucket in which something changed, a container
// with the bucket's current state. A container that replaces another one loses nothing, so a slow link may conflate them.
// Manifests say each heartbeat which versions are the newest; checkpoints say so with post-quantum signatures. No I/O, no
// thread, time is given. One thread at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "crypto/x_wing.h"
#include "namespace/change.h"
#include "seal/issuer.h"

namespace sallyport::seal {

// Who may read a confidential stream.
struct Reader {
  std::string file;   // as in the settings
  crypto::XWingPublic key{};
  friend bool operator==(const Reader&, const Reader&) = default;
};

struct SealOptions {
  std::vector<std::string> match;
  Duration interval = std::chrono::milliseconds(100);    // a bucket is sealed at most so often
  Duration heartbeat = std::chrono::seconds(1);          // manifests
  Duration checkpoint = std::chrono::seconds(5);
  std::uint32_t points_per_seal = 64;
  bool plain = true;                                     // links carry the points in the clear too
  std::vector<Reader> readers;                           // not empty: confidential
  friend bool operator==(const SealOptions&, const SealOptions&) = default;
};

// A larger value is sealed as bad, without the value.
inline constexpr std::size_t kMaxSealedValue = 128 * 1024;

struct SealCounters {
  IssueCounters issued;
  std::uint64_t points = 0, buckets = 0, epoch = 0;
  std::uint64_t changes = 0;
  std::uint64_t too_large = 0;      // values that were
  std::uint64_t refused = 0;        // points beyond the last bucket
};

class Sealer {
 public:
  Sealer(std::string origin, std::string prefix, SealOptions options);

  // From here on everything is issued under this epoch, which is higher than any before, and by this signer: after a start,
  // and for another certificate. All is issued again with the next tick().
  Result<void> begin(std::uint64_t epoch, std::shared_ptr<const net::Signer> signer, UtcNanoseconds now);
  // A content key is not used for ever; then begin() with the next epoch is due.
  bool wants_new_epoch() const { return issuer_.encrypted() >= most_encrypted_; }
  void limit_encrypted(std::uint64_t most) { most_encrypted_ = most; }  // for tests

  // `id` is the caller's, dense. A known id is redefined when path or metadata differ.
  void define(PointId id, std::string_view path, std::shared_ptr<const Meta> meta, SealedValue value);
  void change(PointId id, SealedValue value);
  void remove(PointId id);
  bool knows(PointId id) const { return id < places_.size() && places_[id].bucket != kNone; }

  bool changed() const { return !dirty_.empty(); }
  // When tick() has something to do next.
  MonotonicTime due() const;
  Result<void> tick(MonotonicTime now, UtcNanoseconds utc, const Emit& emit);
  SealCounters counters() const;

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  struct Place {
    std::uint32_t bucket = kNone, slot = 0;
  };
  struct Member {
    PointId id;
    std::string path;
    std::shared_ptr<const Meta> meta;
  };
  struct Bucket {
    std::vector<Member> members;
    std::vector<SealedValue> values;
    std::uint64_t version = 0, definitions = 0;
    Hash hash{}, definitions_hash{};
    bool dirty = false, redefined = false, roomy = false;
  };

  void touch(std::uint32_t bucket, bool redefined);
  std::uint32_t bucket_with_room();
  void limit(SealedValue& value);
  Result<void> announce(UtcNanoseconds utc, const Emit& emit);
  Result<void> issue_values(UtcNanoseconds utc, const Emit& emit);
  Result<void> issue_bucket(std::uint32_t number, UtcNanoseconds utc);
  Result<void> issue_manifest(UtcNanoseconds utc, const Emit& emit);
  Result<void> issue_checkpoint(UtcNanoseconds utc, const Emit& emit);

  const std::string origin_, prefix_;
  const SealOptions options_;
  Issuer issuer_;
  std::shared_ptr<const net::Signer> signer_;
  crypto::Key content_key_;
  UtcNanoseconds started_ = 0;
  std::uint64_t announcements_ = 0, manifests_ = 0, checkpoints_ = 0;
  bool announced_ = false;
  bool unchecked_ = false;           // something was issued since the last checkpoint
  Hash last_checkpoint_{};
  MonotonicTime next_values_{}, next_manifest_{}, next_checkpoint_{};
  std::uint64_t most_encrypted_ = std::uint64_t{1} << 31;

  std::vector<Place> places_;        // by point id
  std::vector<Bucket> buckets_;
  std::vector<std::uint32_t> dirty_, room_;
  std::uint64_t points_ = 0, changes_ = 0, too_large_ = 0, refused_ = 0;
  Bytes body_;                       // reused
};

}  // namespace sallyport::seal
