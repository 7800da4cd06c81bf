// What one datagram of a one-way wire looks like (docs/diode.md): a sealed shard, a sealed fragment of the next epoch's
// announcement, or a fragment of an announcement in the clear. Bytes in, fields out; nothing here knows a key.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "crypto/aead.h"

namespace sallyport::link::diode {

inline constexpr std::uint8_t kSealedType = 0xd1;     // version 1 of each
inline constexpr std::uint8_t kFragmentType = 0xa1;
inline constexpr std::size_t kMinDatagram = 256, kMaxDatagram = 9000;  // what a writer may be told
inline constexpr std::size_t kMaxShards = 255;        // k + r

// type, epoch, counter, age: in the clear, and bound to what is sealed.
inline constexpr std::size_t kSealedHeaderBytes = 1 + 8 + 8 + 4;
struct SealedHeader {
  std::uint64_t epoch = 0, counter = 0;
  std::uint32_t age = 0;                 // milliseconds since the epoch's first datagram; never goes back
};
// Of a whole datagram; what follows the header is sealed. Nothing: too short, or of another type.
std::optional<SealedHeader> read_sealed_header(std::span<const std::byte> datagram);
void write_sealed_header(std::span<std::byte> out, const SealedHeader& header);

// The first byte of what is sealed.
enum class SealedKind : std::uint8_t { shard = 0, fragment = 1 };

inline constexpr std::size_t kShardHeaderBytes = 1 + 8 + 1 + 1 + 1;
struct Shard {
  std::uint64_t group = 0;
  std::uint8_t index = 0;                // below k: data; else parity
  std::uint8_t k = 0, r = 0;
  std::span<const std::byte> bytes{};
};
// Of what was sealed, kind included. Nothing: its numbers cannot be.
std::optional<Shard> read_shard(std::span<const std::byte> plain);
void write_shard_header(std::span<std::byte> out, const Shard& shard);

inline constexpr std::size_t kFragmentIdBytes = 16;
using FragmentId = std::array<std::byte, kFragmentIdBytes>;  // the first bytes of the announcement's SHA-256
inline constexpr std::size_t kFragmentHeaderBytes = 1 + 8 + kFragmentIdBytes + 1 + 1;
inline constexpr std::size_t kMaxFragments = 128;
inline constexpr std::size_t kMaxAnnouncement = 64 * 1024;
struct Fragment {
  std::uint64_t epoch = 0;
  FragmentId id{};
  std::uint8_t index = 0, count = 0;
  std::span<const std::byte> bytes{};
};
// Of a whole datagram of kFragmentType, or of what was sealed as SealedKind::fragment: they differ in the first byte.
std::optional<Fragment> read_fragment(std::span<const std::byte> bytes);
void append_fragment(Bytes& out, std::uint8_t first, const Fragment& fragment);

inline constexpr std::size_t kShardOverhead = kSealedHeaderBytes + kShardHeaderBytes + crypto::kTagBytes;
inline constexpr std::size_t kFragmentOverhead = kSealedHeaderBytes + kFragmentHeaderBytes + crypto::kTagBytes;

// What the data shards of a group carry, end to end: this header, then each segment behind its u32 length; zeros fill up.
inline constexpr std::size_t kGroupHeaderBytes = 8 + 8 + 4;
struct GroupHeader {
  std::uint64_t first_segment = 0;
  std::int64_t sent = 0;                 // UTC, nanoseconds
  std::uint32_t segments = 0;
};
void write_group_header(std::span<std::byte> out, const GroupHeader& header);

// Walks a group's segments.
class GroupReader {
 public:
  GroupReader() = default;
  explicit GroupReader(std::span<const std::byte> payload);
  const GroupHeader& header() const { return header_; }
  // Checked as a whole when it was made: no segment is handed out of a group that is not right to its end.
  bool ok() const { return ok_; }
  std::optional<std::span<const std::byte>> next();

 private:
  GroupHeader header_{};
  std::span<const std::byte> rest_{};
  std::uint32_t left_ = 0;
  bool ok_ = false;
};

}  // namespace sallyport::link::diode
