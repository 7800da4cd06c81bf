// Changes on the wire: frames, values that are not plain scalars, and the decoder.
#include "link/change_codec.h"

#include <algorithm>
#include <utility>

#include "link/codec.h"

namespace sallyport::link {

// A frame's body is its records; the first is told against id -1, time 0, status Good and type Double.
void ChangeEncoder::start(bool stale) {
  if (open_) close_frame();
  open_ = true;
  stale_ = stale;
  at_ = out_.size();
  ByteWriter w(out_);
  w.number<std::uint32_t>(0);
  w.number<std::uint8_t>(static_cast<std::uint8_t>(stale ? FrameType::stale_changes : FrameType::changes));
  p_ = limit_ = out_.data() + out_.size();
  last_id_ = kNoPoint;  // so that id 0 may come first as "last + 1"
  last_time_ = 0;
  last_status_ = 0;
  last_type_ = static_cast<std::uint8_t>(Type::float64);
}

// A little for a frame of one change, more for one that grows: clearing room has its price.
void ChangeEncoder::make_room() {
  const std::size_t used = end();
  out_.resize(used + std::clamp<std::size_t>(used - at_, 4 * kLongest, 16 * 1024));
  p_ = out_.data() + used;
  limit_ = out_.data() + out_.size();
}

void ChangeEncoder::close_frame() {
  out_.resize(end());
  const auto size = static_cast<std::uint32_t>(out_.size() - at_ - 4);
  std::memcpy(out_.data() + at_, &size, 4);
  open_ = false;
}

std::size_t ChangeEncoder::finish() {
  if (!open_) return 0;
  close_frame();
  return std::exchange(count_, 0);
}

void ChangeEncoder::add_blob(PointId id, const Slot& slot) {
  if (static_cast<std::size_t>(limit_ - p_) < kLongest) make_room();
  std::byte* const control = p_;
  std::byte* p = control + 1;
  unsigned bits = head(p, id, slot);
  const auto type = static_cast<std::uint8_t>(static_cast<std::uint8_t>(slot.type) | (slot.array ? 0x80 : 0));
  if (type != last_type_) {
    bits |= 1u << 6;
    *p++ = static_cast<std::byte>(type);
    last_type_ = type;
  }
  *control = static_cast<std::byte>(bits);
  p_ = p;
  out_.resize(end());
  const Value value = Value::share_raw({slot.bits, slot.type, slot.array, true});
  ByteWriter w(out_);
  w.varint(value.contents().size());
  w.bytes(value.contents());
  p_ = limit_ = out_.data() + out_.size();
  ++count_;
}

namespace {

std::unexpected<Error> malformed(std::string_view what) { return fail(ErrorCode::malformed, "changes: " + std::string(what)); }

Result<Value> decode_blob(const std::byte*& p, const std::byte* end, Type type, bool array) {
  ByteReader in({p, end});
  const std::uint64_t size = in.varint();
  if (!in.ok() || size > kMaxValueSize) return malformed("value too long");
  const auto contents = in.bytes(static_cast<std::size_t>(size));
  if (!in.ok()) return malformed("cut short in a value");
  if (auto ok = check_contents(type, array, contents); !ok) return within("changes", ok.error());
  p = contents.data() + contents.size();
  return Value::contents(type, array, contents);
}

}  // namespace

Result<void> decode_changes(std::span<const std::byte> body, std::vector<Change>& out) {
  ChangeDecoder decoder(body);
  for (;;) {
    const std::size_t before = out.size();
    out.resize(before + 512);
    const auto count = decoder.next(std::span(out).subspan(before));
    out.resize(before + count.value_or(0));
    if (!count) return std::unexpected(count.error());
    if (*count == 0) return {};
  }
}

Result<std::size_t> ChangeDecoder::next(std::span<Change> out) {
  constexpr std::ptrdiff_t kLongestCommon = 1 + 8 + 8;
  constexpr unsigned char kIdBytes[4] = {0, 1, 3, 4};
  constexpr unsigned char kTimeBytes[4] = {0, 2, 4, 8};
  constexpr unsigned char kStatusBytes[4] = {0, 0, 0, 4};
  // In registers while it goes.
  const std::byte* p = p_;
  const std::byte* const end = end_;
  PointId id = id_;
  std::uint64_t time = time_;
  Status last_status = last_status_;
  Type type = type_;
  bool array = array_;
  std::size_t size = size_;
  std::size_t count = 0;
  while (p < end && count < out.size()) {
    const auto control = std::to_integer<unsigned>(*p++);
    // Nearly all: a Good value of eight bytes of the last type, an id and a time that follow the last ones. No more branches
    // than there are fields, and one look at the end.
    if ((control & 0xf2) == 0 && size == 8 && end - p >= kLongestCommon) [[likely]] {
      if ((control & 1) == 0) ++id;
      else id += 2 + std::to_integer<std::uint32_t>(*p++);
      if (const unsigned code = control >> 2; code == 1) {
        std::uint16_t later;
        std::memcpy(&later, p, 2);
        time += later;
        p += 2;
      } else if (code == 2) {
        std::int32_t step;
        std::memcpy(&step, p, 4);
        time += static_cast<std::uint64_t>(std::int64_t{step});
        p += 4;
      } else if (code == 3) {
        std::memcpy(&time, p, 8);
        p += 8;
      }
      std::uint64_t bits;
      std::memcpy(&bits, p, 8);
      p += 8;
      Change& change = out[count++];
      change.point = id;
      change.status = status::kGood;
      change.source_time = static_cast<std::int64_t>(time);
      change.value = Value::scalar(type, bits);
      continue;
    }
    const unsigned id_code = control & 3, time_code = control >> 2 & 3, status_code = control >> 4 & 3, value_code = control >> 6;
    if (end - p < kIdBytes[id_code] + kTimeBytes[time_code] + kStatusBytes[status_code] + (value_code == 1)) return malformed("cut short");
    if (id_code == 0) {
      ++id;
    } else if (id_code == 1) {
      id += 2 + std::to_integer<std::uint32_t>(*p);
    } else {
      id = 0;
      std::memcpy(&id, p, kIdBytes[id_code]);
    }
    p += kIdBytes[id_code];
    if (time_code == 1) {
      std::uint16_t later;
      std::memcpy(&later, p, 2);
      time += later;
    } else if (time_code == 2) {
      std::int32_t step;
      std::memcpy(&step, p, 4);
      time += static_cast<std::uint64_t>(std::int64_t{step});
    } else if (time_code == 3) {
      std::memcpy(&time, p, 8);
    }
    p += kTimeBytes[time_code];
    Status status = 0;
    if (status_code == 1) {
      status = last_status;
    } else if (status_code == 3) {
      std::memcpy(&status, p, 4);
      p += 4;
      last_status = status;
    } else if (status_code == 2) {
      return malformed("reserved status code");
    }
    Change& change = out[count++];
    change.point = id;
    change.status = status;
    change.source_time = static_cast<std::int64_t>(time);
    if (value_code == 0) [[likely]] {
    } else if (value_code == 1) {
      const auto byte = std::to_integer<std::uint8_t>(*p++);
      if ((byte & 0x7f) == 0 || (byte & 0x7f) >= kTypeCount) return malformed("unknown type");
      type = static_cast<Type>(byte & 0x7f);
      array = byte & 0x80;
      size = array ? 0 : inline_size(type);
    } else if (value_code == 2) {
      change.value = Value();
      continue;
    } else {
      return malformed("reserved value code");
    }
    if (size > 0) [[likely]] {
      if (static_cast<std::size_t>(end - p) < size) return malformed("cut short in a value");
      std::uint64_t bits = 0;
      if (size == 8) [[likely]] std::memcpy(&bits, p, 8);
      else std::memcpy(&bits, p, size);
      p += size;
      if (type == Type::boolean && bits > 1) return malformed("Boolean is neither 0 nor 1");
      change.value = Value::scalar(type, bits);
    } else {
      auto value = decode_blob(p, end, type, array);
      if (!value) return std::unexpected(value.error());
      change.value = std::move(*value);
    }
  }
  p_ = p;
  id_ = id;
  time_ = time;
  last_status_ = last_status;
  type_ = type;
  array_ = array;
  size_ = size;
  return count;
}

}  // namespace sallyport::link
