// The link's wire format, version 1 (docs/protocol.md): frames of control messages and definitions. Changes, the hot part,
// are in change_codec.h. No I/O. Every decoder checks every length and says what is wrong.
#pragma once

#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "link/messages.h"
#include "namespace/value_codec.h"
#include "namespace/link_cursor.h"
#include "namespace/namespace.h"

namespace sallyport::link {

// A frame cut out of a stream. `body` points into the stream's buffer.
struct Frame {
  FrameType type;
  std::span<const std::byte> body;
  std::size_t size = 0;  // with its header
};
// nullopt: not all there yet. malformed: a length no frame may have, or an unknown type.
Result<std::optional<Frame>> next_frame(std::span<const std::byte> stream, std::size_t max_body);

// Writes a frame: header now, length when it goes out of scope.
class FrameWriter : public ByteWriter {
 public:
  FrameWriter(Bytes& out, FrameType type) : ByteWriter(out), bytes_(out), at_(out.size()) {
    number<std::uint32_t>(0);
    number<std::uint8_t>(static_cast<std::uint8_t>(type));
  }
  ~FrameWriter() {
    const auto size = static_cast<std::uint32_t>(bytes_.size() - at_ - 4);
    std::memcpy(bytes_.data() + at_, &size, 4);
  }
  FrameWriter(const FrameWriter&) = delete;
  FrameWriter& operator=(const FrameWriter&) = delete;

 private:
  Bytes& bytes_;
  std::size_t at_;
};

void encode(Bytes& out, const Hello& hello);
void encode(Bytes& out, const Begin& begin);
void encode(Bytes& out, const RouteMessage& route);
void encode(Bytes& out, const Position& position);
void encode(Bytes& out, const Heartbeat& heartbeat);
void encode_hops(Bytes& out, std::span<const HopStatus> hops);  // as many of the first as fit
void encode_ack(Bytes& out, std::uint64_t received_bytes);
void encode_close(Bytes& out, CloseCode code, std::string_view text);
void encode_refresh(Bytes& out, RouteId route);
void encode_renew(Bytes& out);
void encode_remove(Bytes& out, std::span<const PointId> points);

void encode_ask_digests(Bytes& out, RouteId route);  // 0: of all routes; else the route's buckets
void encode(Bytes& out, std::span<const RouteDigest> digests);
void encode_bucket_digests(Bytes& out, RouteId route, std::span<const std::uint64_t> digests);
void encode(Bytes& out, FrameType type, const RouteBuckets& buckets);  // ask_repair, repaired

Result<Hello> decode_hello(std::span<const std::byte> body);
Result<Begin> decode_begin(std::span<const std::byte> body);
Result<RouteMessage> decode_route(std::span<const std::byte> body);
Result<Position> decode_position(std::span<const std::byte> body);
Result<Heartbeat> decode_heartbeat(std::span<const std::byte> body);
Result<std::vector<HopStatus>> decode_hops(std::span<const std::byte> body);
Result<std::uint64_t> decode_ack(std::span<const std::byte> body);
struct Close { std::uint16_t code; std::string text; };
Result<Close> decode_close(std::span<const std::byte> body);
Result<RouteId> decode_refresh(std::span<const std::byte> body);
Result<std::vector<PointId>> decode_remove(std::span<const std::byte> body);

Result<RouteId> decode_ask_digests(std::span<const std::byte> body);
Result<std::vector<RouteDigest>> decode_route_digests(std::span<const std::byte> body);
struct BucketDigests { RouteId route; std::vector<std::uint64_t> digests; };
Result<BucketDigests> decode_bucket_digests(std::span<const std::byte> body);
Result<RouteBuckets> decode_route_buckets(std::span<const std::byte> body);

// Definitions: one frame of many points. The encoder is fed under the namespace's lock.
class DefineEncoder {
 public:
  explicit DefineEncoder(Bytes& out) : out_(out) {}
  bool empty() const { return !open_; }
  void add(PointId id, RouteId route, std::string_view path, const Meta& meta, std::uint32_t meta_key, bool covered, Status status,
           UtcNanoseconds source_time, const Value& value, bool forced = false);
  void finish();  // closes the frame, if any

 private:
  Bytes& out_;
  bool open_ = false;
  std::size_t at_ = 0;
  PointId last_id_ = 0;
  UtcNanoseconds last_time_ = 0;
  std::string last_path_;
  std::vector<std::uint32_t> metas_;  // keys in order of their number in this frame
};

struct DefineRecord {
  PointId id;
  RouteId route;
  bool covered, forced;
  Status status;
  UtcNanoseconds source_time;
  std::uint32_t path_at, path_size;  // into DefineFrame::paths
  std::uint32_t meta;                // index into DefineFrame::metas
  Value value;
};
struct DefineFrame {
  std::vector<DefineRecord> records;
  std::string paths;
  std::vector<Meta> metas;
};
Result<void> decode_define(std::span<const std::byte> body, DefineFrame& out);

// One value: type byte, then the scalar's bytes, or varint length and contents. Null is the type byte 0 alone.

}  // namespace sallyport::link
