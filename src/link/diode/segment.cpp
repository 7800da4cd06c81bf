#include "link/diode/segment.h"

namespace sallyport::link::diode {
namespace {

constexpr unsigned kNews = 1, kDefinitions = 2;
constexpr std::int64_t kLongest = 86'400'000'000'000ll * 366;

std::unexpected<Error> malformed(std::string_view what) { return fail(ErrorCode::malformed, std::string(what)); }

Duration duration(ByteReader& in, bool& ok) {
  const auto count = in.number<std::int64_t>();
  ok = ok && count >= 0 && count <= kLongest;
  return Duration(ok ? count : 0);
}

}  // namespace

void encode(Bytes& out, const SegmentHead& head) {
  ByteWriter w(out);
  w.number<std::uint8_t>(kSegmentVersion);
  w.number<std::uint8_t>(static_cast<std::uint8_t>((head.news ? kNews : 0) | (head.definitions ? kDefinitions : 0)));
  w.number<std::uint64_t>(head.life);
  w.number<std::uint64_t>(head.sent_ns);
  w.varint(head.news_count);
  w.varint(head.definition_count);
}

Result<SegmentHead> decode_head(ByteReader& in) {
  SegmentHead head;
  const auto version = in.number<std::uint8_t>();
  if (in.ok() && version != kSegmentVersion) return malformed("segment of version " + std::to_string(version) + ", this node understands " + std::to_string(kSegmentVersion));
  const auto flags = in.number<std::uint8_t>();
  head.news = flags & kNews;
  head.definitions = flags & kDefinitions;
  head.life = in.number<std::uint64_t>();
  head.sent_ns = in.number<std::uint64_t>();
  head.news_count = in.varint();
  head.definition_count = in.varint();
  if (!in.ok()) return malformed("segment is cut short");
  if (flags > (kNews | kDefinitions) || (head.definitions && !head.news)) return malformed("segment: unknown flags");
  if (head.life == 0 || head.sent_ns >> 62 != 0) return malformed("segment: life or time out of range");
  return head;
}

void encode(Bytes& out, const Beat& beat) {
  FrameWriter w(out, frame_type(Kind::beat));
  w.number<std::int64_t>(beat.utc);
  for (const Duration d : {beat.heartbeat, beat.timeout, beat.max_staleness, beat.round}) w.number<std::int64_t>(d.count());
  w.varint(beat.records_over);
}

Result<Beat> decode_beat(std::span<const std::byte> body) {
  ByteReader in(body);
  Beat beat;
  bool ok = true;
  beat.utc = in.number<std::int64_t>();
  for (Duration* d : {&beat.heartbeat, &beat.timeout, &beat.max_staleness, &beat.round}) *d = duration(in, ok);
  beat.records_over = in.varint();
  if (!in.done()) return malformed("beat: wrong size");
  if (!ok || beat.timeout < std::chrono::milliseconds(1)) return malformed("beat: a duration out of range");
  return beat;
}

Result<RawFrame> take_frame(std::span<const std::byte>& rest) {
  std::uint32_t length = 0;
  if (rest.size() < kFrameHeader) return malformed("frame is cut short");
  std::memcpy(&length, rest.data(), 4);
  if (length < 1 || length > rest.size() - 4) return malformed("frame is cut short");
  RawFrame frame{std::to_integer<std::uint8_t>(rest[4]), rest.subspan(kFrameHeader, length - 1)};
  rest = rest.subspan(std::size_t{4} + length);
  return frame;
}

std::size_t frame_size(std::span<const std::byte> frames) {
  std::uint32_t length = 0;
  std::memcpy(&length, frames.data(), 4);
  return std::size_t{4} + length;
}

Result<PointsView> decode_points(std::span<const std::byte> body) {
  ByteReader in(body);
  PointsView view;
  view.from = in.number<std::uint32_t>();
  view.to = in.number<std::uint32_t>();
  if (!in.ok() || view.to <= view.from) return malformed("points: bad range");
  for (auto rest = in.bytes(in.remaining()); !rest.empty();) {
    const auto frame = take_frame(rest);
    if (!frame) return within("points", frame.error());
    if (frame->type != static_cast<std::uint8_t>(FrameType::define)) return malformed("points: a frame that defines nothing");
    view.defines.push_back(frame->body);
  }
  return view;
}

Result<RoutesView> decode_routes(std::span<const std::byte> body) {
  ByteReader in(body);
  RoutesView view;
  view.from = in.number<std::uint16_t>();
  view.to = in.number<std::uint16_t>();
  if (!in.ok() || view.to < view.from) return malformed("routes: bad range");
  for (auto rest = in.bytes(in.remaining()); !rest.empty();) {
    const auto frame = take_frame(rest);
    if (!frame) return within("routes", frame.error());
    if (frame->type != static_cast<std::uint8_t>(FrameType::route)) return malformed("routes: a frame that is no route");
    auto route = decode_route(frame->body);
    if (!route) return within("routes", route.error());
    view.routes.push_back(*std::move(route));
  }
  return view;
}

void encode_fragment(Bytes& out, std::uint64_t number, std::size_t total, std::size_t at, std::span<const std::byte> bytes) {
  FrameWriter w(out, frame_type(Kind::fragment));
  w.varint(number);
  w.varint(total);
  w.varint(at);
  w.bytes(bytes);
}

Result<FragmentView> decode_fragment(std::span<const std::byte> body) {
  ByteReader in(body);
  FragmentView view;
  view.number = in.varint();
  view.total = in.varint();
  view.at = in.varint();
  view.bytes = in.bytes(in.remaining());
  if (!in.ok()) return malformed("fragment is cut short");
  if (view.total > kLargestFrame || view.bytes.empty() || view.bytes.size() > view.total || view.at > view.total - view.bytes.size()) return malformed("fragment: bad size");
  return view;
}

}  // namespace sallyport::link::diode
