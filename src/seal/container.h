// Sealed containers as bytes (docs/seals.md, "Format"): the state of up to some dozens of points, or what proves that it is
// the newest, with the origin's signature. No I/O, no clock, no keys: what a signature is worth is said elsewhere.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "namespace/point.h"
#include "seal/merkle.h"

namespace sallyport::seal {

// The letter is that in the container's path.
enum class Kind : std::uint8_t {
  announcement = 'a',  // who seals, since when: its certificates
  definitions = 'd',   // paths and metadata of a bucket
  values = 'v',        // its values, qualities and times
  manifest = 'm',      // which version of each bucket is the newest
  checkpoint = 'c',    // the same with hashes, and a post-quantum signature
  key = 'k',           // the content key for one reader
};

inline constexpr std::uint32_t kMaxBuckets = 65'536;
inline constexpr std::uint32_t kMaxPointsPerSeal = 1024;
inline constexpr std::uint32_t kMaxTree = 1u << 16;

struct Head {
  Kind kind = Kind::values;
  bool encrypted = false;
  std::string origin, prefix;    // the node, and the literal levels that all its paths begin with
  std::uint64_t epoch = 0;       // grows with each start of the origin
  std::uint64_t number = 0;      // of the bucket; of a key: the reader's
  std::uint64_t version = 0;     // grows with each issue
  friend bool operator==(const Head&, const Head&) = default;
};

struct Proof {
  std::uint32_t index = 0, count = 1;
  std::vector<Hash> path;
  std::array<std::byte, 64> fast{};  // Ed25519
  Bytes pq;                          // ML-DSA-65; empty: not signed so
};

// Points into the bytes it was read from.
struct Container {
  Head head;
  std::span<const std::byte> head_bytes, body, signed_bytes;
  Proof proof;
};

// head ‖ size ‖ body: what is signed. The proof follows.
void encode_head(Bytes& out, const Head& head);
void append_body(Bytes& out, std::span<const std::byte> body);
void append_proof(Bytes& out, const Proof& proof);
Result<Container> decode_container(std::span<const std::byte> bytes);   // malformed
// What the keys sign: a root, and of what kind of signature it is.
Bytes signed_message(const Hash& root, std::uint32_t count, bool with_pq);

struct Announcement {
  UtcNanoseconds started = 0;
  Duration heartbeat{0};
  bool confidential = false;
  Bytes credential;
};
struct DefinedPoint {
  std::string path;
  std::uint32_t meta = 0;  // index
};
struct Definitions {
  std::vector<Meta> metas;
  std::vector<DefinedPoint> points;
};
struct SealedValue {
  Status status = status::kGood;
  UtcNanoseconds source_time = 0;
  Value value;
};
struct Values {
  UtcNanoseconds sealed = 0;
  std::uint64_t definitions = 0;   // version of the definitions these values belong to,
  Hash definitions_hash{};         // and their leaf hash
  std::vector<SealedValue> values; // in the order of the definitions
};
struct Manifest {
  UtcNanoseconds time = 0;
  std::vector<std::uint64_t> versions;   // of the values, by bucket; 0: never issued
};
struct Checkpoint {
  struct Entry {
    std::uint64_t version = 0;
    Hash hash{};
  };
  UtcNanoseconds time = 0;
  Hash previous{};                 // leaf hash of the checkpoint before
  std::vector<Entry> entries;      // by bucket
};
struct KeyBox {
  Hash reader{};                   // SHA-256 of the reader's public key
  std::array<std::byte, 1120> ciphertext{};
  Bytes wrapped;                   // the content key under what the ciphertext carries
};

void encode(Bytes& out, const Announcement& body);
void encode(Bytes& out, const Definitions& body);
void encode(Bytes& out, const Values& body);
void encode(Bytes& out, const Manifest& body);
void encode(Bytes& out, const Checkpoint& body);
void encode(Bytes& out, const KeyBox& body);

// malformed
Result<Announcement> decode_announcement(std::span<const std::byte> body);
Result<Definitions> decode_definitions(std::span<const std::byte> body);
Result<void> decode_values(std::span<const std::byte> body, Values& out);   // `out` is reused
Result<Manifest> decode_manifest(std::span<const std::byte> body);
Result<Checkpoint> decode_checkpoint(std::span<const std::byte> body);
Result<KeyBox> decode_key_box(std::span<const std::byte> body);

}  // namespace sallyport::seal
