// One file of the journal: a header, then blocks of records, each block one write. Everything is checked: the header of each
// block, each block, and each record, so that a damaged byte costs one record and not what lies behind it. Knows nothing of
// streams or readers. One thread at a time.
//
//   header  u64 magic, u32 format, u32 crc of what follows, 16 bytes journal id, u64 first position, i64 created,
//           u64 position of the last record before, 8 bytes 0
//   block   u32 magic, u32 bytes, u64 position of the first record, u32 records, u32 crc of the bytes, i64 written,
//           u32 crc of this header so far
//   record  u8 kind, varint size, body, u32 crc of (kind, size, body, low half of its position)
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "journal/record.h"

namespace sallyport::journal {

inline constexpr std::size_t kSegmentHeader = 64;
inline constexpr std::size_t kBlockHeader = 36;
inline constexpr std::size_t kMaxBlock = kMaxRecord + 1024;

struct JournalId {
  std::uint64_t high = 0, low = 0;
  friend bool operator==(const JournalId&, const JournalId&) = default;
};
std::string to_string(const JournalId& id);        // 32 hex digits

struct SegmentHeader {
  JournalId journal;
  Position first = 1;
  UtcNanoseconds created = 0;
  Position before = 0;               // last position of the segment before this one; a start leaves positions out
};

std::string segment_name(Position first);           // "0000000000000001.seg"
std::optional<Position> parse_segment_name(std::string_view name);

// A block under construction.
class BlockBuilder {
 public:
  // `first`: position of the first record. `room`: of a block written before, to be used again.
  void begin(Position first, Bytes room = {});
  template <typename R>
  void add(RecordKind kind, const R& record) {
    const std::size_t at = open(kind);
    encode(bytes_, record);
    close(at);
  }
  std::uint32_t records() const { return records_; }
  std::size_t size() const { return bytes_.size(); }
  Position next() const { return first_ + records_; }
  // The finished bytes, header included. begin() comes next.
  Bytes finish(UtcNanoseconds now);

 private:
  std::size_t open(RecordKind kind);
  void close(std::size_t at);
  Bytes bytes_;
  Position first_ = 1;
  std::uint32_t records_ = 0;
};

class SegmentWriter {
 public:
  // A new file, header written. exists, io.
  static Result<SegmentWriter> create(const std::string& folder, const SegmentHeader& header);
  SegmentWriter(SegmentWriter&& other) noexcept;
  SegmentWriter& operator=(SegmentWriter&& other) noexcept;
  ~SegmentWriter();
  // All of it or nothing: what was written of a block that did not fit is cut off again. io.
  Result<void> append(std::span<const std::byte> block);
  Result<void> sync();
  // Forgets what was written behind `size`: it is written again.
  void rewind(std::uint64_t size) { size_ = size; }
  std::uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  SegmentWriter(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

// What reading came upon.
struct Damage {
  std::uint64_t records = 0;         // known to be lost
  Position first = 0;                // the first of them
  UtcNanoseconds written = 0;        // about when they were written
};

class SegmentReader {
 public:
  // not_found, io; malformed: the header is damaged (open it with `first` from its name all the same: `salvage`).
  static Result<SegmentReader> open(const std::string& path, bool salvage = false);
  SegmentReader(SegmentReader&& other) noexcept;
  SegmentReader& operator=(SegmentReader&& other) noexcept;
  ~SegmentReader();

  const SegmentHeader& header() const { return header_; }
  // The next block into memory; false: nothing whole there yet (its writer may still be at it). Damaged bytes before it are
  // passed over and told as damage. `limit`: bytes of the file that may be read, as its writer has said.
  Result<bool> next_block(std::uint64_t limit = UINT64_MAX);
  Position block_first() const { return block_first_; }
  std::uint32_t block_records() const { return block_records_; }
  UtcNanoseconds block_written() const { return block_written_; }
  // Records of the block, one by one; false: that was the last.
  struct Raw {
    std::uint8_t kind = 0;
    Position position = 0;
    std::span<const std::byte> body;
  };
  bool next_record(Raw& record);
  // What was lost since the last call.
  std::vector<Damage> take_damage() { return std::exchange(damage_, {}); }
  std::uint64_t offset() const { return offset_; }   // behind the blocks read
  Position expected() const { return expected_; }

 private:
  SegmentReader(int fd, SegmentHeader header) : fd_(fd), header_(header), expected_(header.first) {}
  Result<bool> read_header(std::uint64_t at, std::uint64_t limit, std::uint32_t& size);
  Result<std::uint64_t> find_block(std::uint64_t from, std::uint64_t limit);
  Result<bool> fetch(std::uint64_t at, std::size_t size, std::uint64_t limit);
  void lose(Position first, std::uint64_t records);

  int fd_ = -1;
  SegmentHeader header_;
  std::uint64_t offset_ = kSegmentHeader;
  Bytes buffer_;                     // bytes of the file from buffer_at_ on
  std::uint64_t buffer_at_ = 0;
  std::span<const std::byte> block_, rest_;
  bool block_ok_ = true;             // its crc is right: records need no look
  Position block_first_ = 0, expected_;
  std::uint32_t block_records_ = 0, block_done_ = 0, block_crc_ = 0;
  UtcNanoseconds block_written_ = 0;
  std::vector<Damage> damage_;
};

}  // namespace sallyport::journal
