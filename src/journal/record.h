// The records of the journal as bytes, the same in a segment and in a frame of a link (docs/protocol.md, "Journal"). Names of
// streams and points are told once per segment or session; after that their numbers stand for them.
//
//   stream  varint id, text name, u64 epoch, varint high       point   varint id, varint stream, text path, metadata
//   change  varint stream, varint sequence, varint point, u8 flags, varint status, i64 source time, value
//   gap     varint stream, varint sequence, text node, text where, u8 cause, i64 start, i64 end, varint lost,
//           varint n, n patterns, text detail, varint n, n readers
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "namespace/feed.h"

namespace sallyport::journal {

enum class RecordKind : std::uint8_t { stream = 1, point = 2, change = 3, gap = 4 };

inline constexpr std::size_t kMaxName = 256;
inline constexpr std::size_t kMaxPath = 4096;
inline constexpr std::size_t kMaxGapMatch = 1024;
inline constexpr std::size_t kMaxGapText = 4096;
inline constexpr std::size_t kMaxRecord = kMaxValueSize + 65536;

struct StreamRecord {
  std::uint32_t id = 0;
  std::string name;                 // of the origin
  std::uint64_t epoch = 0;          // one life of the origin's journal
  std::uint64_t high = 0;           // the newest sequence number written before
};

struct PointRecord {
  std::uint32_t id = 0;
  std::uint32_t stream = 0;
  std::string path;
  Meta meta;
};

struct ChangeRecord {
  std::uint32_t stream = 0;
  std::uint64_t sequence = 0;
  std::uint32_t point = 0;
  bool backfill = false;
  Status status = status::kGood;
  UtcNanoseconds source_time = 0;
  Value value;
};

struct GapRecord {
  std::uint32_t stream = 0;
  std::uint64_t sequence = 0;
  Gap gap;
  std::vector<std::string> readers{};  // whom it concerns; empty: all. Not told to other nodes.
};

// Bodies only.
void encode(Bytes& out, const StreamRecord& record);
void encode(Bytes& out, const PointRecord& record);
void encode(Bytes& out, const ChangeRecord& record);
void encode(Bytes& out, const GapRecord& record);

using Record = std::variant<StreamRecord, PointRecord, ChangeRecord, GapRecord>;
Result<Record> decode(std::uint8_t kind, std::span<const std::byte> body);  // malformed
// The same without the detour for what nearly all of them are. false: malformed.
bool decode(std::span<const std::byte> body, ChangeRecord& change);

}  // namespace sallyport::journal
