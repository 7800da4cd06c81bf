// Changes on the wire: the hot path. A frame holds records that differ from the one before by as little as can be said
// (docs/protocol.md, "Changes"). A double whose time and status are as expected costs 9 to 12 bytes.
//
// Control byte of a record, low bits first:
//   2 bits id      0: last + 1   1: u8 d: last + 2 + d   2: u24   3: u32
//   2 bits time    0: as last    1: u16 ns later         2: i32 ns from last   3: i64
//   2 bits status  0: Good       1: as last              3: u32
//   2 bits value   0: of the last record's type          1: type byte first    2: null
// Then id, time, status, type byte, value (scalar bytes, or varint length and contents).
#pragma once

#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "link/messages.h"
#include "namespace/change.h"
#include "namespace/table.h"

namespace sallyport::link {

class ChangeEncoder {
 public:
  explicit ChangeEncoder(Bytes& out) : out_(out) {}

  void add(PointId id, const Slot& slot, bool stale) {
    if (!open_ || stale != stale_) start(stale);
    if (slot.blob) [[unlikely]] return add_blob(id, slot);
    if (static_cast<std::size_t>(limit_ - p_) < kLongest) [[unlikely]] make_room();
    std::byte* const control = p_;
    std::byte* p = control + 1;
    unsigned bits = head(p, id, slot);
    const std::size_t size = inline_size(slot.type);
    if (slot.type == Type::null) [[unlikely]] {
      bits |= 2u << 6;
    } else if (const auto type = static_cast<std::uint8_t>(slot.type); type != last_type_) [[unlikely]] {
      bits |= 1u << 6;
      *p++ = static_cast<std::byte>(type);
      last_type_ = type;
    }
    std::memcpy(p, &slot.bits, 8);
    p += size;
    *control = static_cast<std::byte>(bits);
    p_ = p;
    ++count_;
  }
  // Closes the frame, if one is open. Returns the number of changes in it. Until then `out` has room behind end().
  std::size_t finish();
  std::size_t end() const { return open_ ? static_cast<std::size_t>(p_ - out_.data()) : out_.size(); }

 private:
  static constexpr std::size_t kLongest = 1 + 4 + 8 + 4 + 1 + 8;

  void start(bool stale);
  void close_frame();
  void make_room();
  void add_blob(PointId id, const Slot& slot);
  unsigned head(std::byte*& p, PointId id, const Slot& slot) {
    unsigned bits;
    const std::uint32_t step = id - last_id_ - 1;
    if (step == 0) {
      bits = 0;
    } else if (step <= 256) {
      bits = 1;
      *p++ = static_cast<std::byte>(step - 1);
    } else if (id < 1u << 24) {
      bits = 2;
      std::memcpy(p, &id, 4);
      p += 3;
    } else {
      bits = 3;
      std::memcpy(p, &id, 4);
      p += 4;
    }
    last_id_ = id;
    const std::uint64_t later = static_cast<std::uint64_t>(slot.source_time) - static_cast<std::uint64_t>(last_time_);
    if (later != 0) {
      if (later < 65536) {
        bits |= 1u << 2;
        std::memcpy(p, &later, 2);
        p += 2;
      } else if (later + 0x80000000u < 0x100000000u) {
        bits |= 2u << 2;
        std::memcpy(p, &later, 4);
        p += 4;
      } else {
        bits |= 3u << 2;
        std::memcpy(p, &slot.source_time, 8);
        p += 8;
      }
      last_time_ = slot.source_time;
    }
    if (slot.status != 0) [[unlikely]] {
      if (slot.status == last_status_) {
        bits |= 1u << 4;
      } else {
        bits |= 3u << 4;
        std::memcpy(p, &slot.status, 4);
        p += 4;
        last_status_ = slot.status;
      }
    }
    return bits;
  }

  Bytes& out_;
  std::byte* p_ = nullptr;       // where the next record goes, and how far it may reach
  std::byte* limit_ = nullptr;
  bool open_ = false, stale_ = false;
  std::size_t at_ = 0, count_ = 0;
  PointId last_id_ = 0;
  UtcNanoseconds last_time_ = 0;
  Status last_status_ = 0;
  std::uint8_t last_type_ = 0;
};

// Goes through a frame's body in blocks that stay in the first-level cache.
class ChangeDecoder {
 public:
  explicit ChangeDecoder(std::span<const std::byte> body) : p_(body.data()), end_(body.data() + body.size()) {}
  // Fills `out` from the front, with the sender's ids; returns how many, 0 at the end. malformed: what came before is good.
  Result<std::size_t> next(std::span<Change> out);

 private:
  const std::byte* p_;
  const std::byte* end_;
  PointId id_ = kNoPoint;
  std::uint64_t time_ = 0;
  Status last_status_ = 0;
  Type type_ = Type::float64;
  bool array_ = false;
  std::size_t size_ = 8;
};

// Appends all changes of a frame's body to `out`.
Result<void> decode_changes(std::span<const std::byte> body, std::vector<Change>& out);

}  // namespace sallyport::link
