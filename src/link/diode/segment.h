// What a one-way link says, as bytes (docs/diode.md, "Session"): segments, each decodable by itself given what was defined
// before, made of frames. Those of docs/protocol.md are used where they fit. No I/O. Every decoder checks every length.
#pragma once

#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "link/codec.h"
#include "link/messages.h"

namespace sallyport::link::diode {

inline constexpr std::uint8_t kSegmentVersion = 1;
inline constexpr std::size_t kMaxHead = 2 + 8 + 8 + 10 + 10;
inline constexpr std::size_t kLargestValue = 1u << 20;           // of a point; a larger one turns bad at the receiver
inline constexpr std::size_t kLargestFrame = kLargestValue + (256u << 10);

// Frames that only one-way links have; their numbers are none of FrameType's.
enum class Kind : std::uint8_t { points = 64, routes = 65, fragment = 66, records = 67, beat = 68 };
constexpr FrameType frame_type(Kind kind) { return static_cast<FrameType>(kind); }

// First in each segment. Counting segments with news shows what was lost; the rest comes again anyway.
struct SegmentHead {
  bool news = false;                 // routes, definitions or changes that are told once
  bool definitions = false;          // and such among them by which ids mean something else
  std::uint64_t life = 0;            // of the sender: ids mean the same while it stays
  std::uint64_t sent_ns = 0;         // the sender's monotonic clock
  std::uint64_t news_count = 0;      // segments with news, of this life, this one included
  std::uint64_t definition_count = 0;
};

// With each heartbeat.
struct Beat {
  UtcNanoseconds utc = 0;
  Duration heartbeat{0}, timeout{0}, max_staleness{0};
  Duration round{0};                 // how long it took to tell everything, 0: not done yet
  std::uint64_t records_over = 1;    // frames of records below this number do not come again
};

// All points of the link with an id in [from, to). `defines`: whole frames.
struct PointsView {
  PointId from = 0, to = 0;
  std::vector<std::span<const std::byte>> defines;   // bodies
};
// All routes with an id in [from, to].
struct RoutesView {
  RouteId from = 0, to = 0;
  std::vector<RouteMessage> routes;
};
// A part of a frame that is larger than a segment.
struct FragmentView {
  std::uint64_t number = 0;          // of the frame that was cut, in this life
  std::uint64_t total = 0, at = 0;
  std::span<const std::byte> bytes;
};

void encode(Bytes& out, const SegmentHead& head);
Result<SegmentHead> decode_head(ByteReader& in);
void encode(Bytes& out, const Beat& beat);
Result<Beat> decode_beat(std::span<const std::byte> body);
Result<PointsView> decode_points(std::span<const std::byte> body);
Result<RoutesView> decode_routes(std::span<const std::byte> body);
void encode_fragment(Bytes& out, std::uint64_t number, std::size_t total, std::size_t at, std::span<const std::byte> bytes);
Result<FragmentView> decode_fragment(std::span<const std::byte> body);

// The frame at the front of `rest`, which is cut off. malformed: there is none that is whole.
struct RawFrame {
  std::uint8_t type = 0;
  std::span<const std::byte> body;
};
Result<RawFrame> take_frame(std::span<const std::byte>& rest);
// The same of what this side wrote itself: its size, header and all.
std::size_t frame_size(std::span<const std::byte> frames);

}  // namespace sallyport::link::diode
