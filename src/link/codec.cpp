// Frames of the link, all but changes. Lengths are checked where they are used.
#include "link/codec.h"

#include <algorithm>

#include "namespace/path.h"

namespace sallyport::link {
namespace {

constexpr std::size_t kMaxName = 256;
constexpr std::size_t kMaxText = 1024;
constexpr std::size_t kMaxPatterns = 1024;
constexpr std::size_t kMaxMetas = 256;  // per frame; then the frame is closed
constexpr std::uint64_t kMagic = 0x54524f50594c4c53ull;  // "SLLYPORT" on the wire

std::unexpected<Error> malformed(std::string_view what) { return fail(ErrorCode::malformed, std::string(what)); }

template <typename T>
Result<T> complete(const ByteReader& in, T value, std::string_view what) {
  if (!in.ok()) return malformed(std::string(what) + " is cut short");
  if (!in.done()) return malformed(std::string(what) + " has " + std::to_string(in.remaining()) + " bytes too many");
  return value;
}

std::string cut(std::string_view text, std::size_t max) { return std::string(text.substr(0, max)); }

void put_cause(ByteWriter& out, const Cause& cause) {
  out.text(cut(cause.node, kMaxName));
  out.text(cut(cause.link, kMaxName));
  out.number<std::int64_t>(cause.since);
  out.text(cut(cause.what, kMaxText));
}

Cause get_cause(ByteReader& in) {
  Cause cause;
  cause.node = in.text(kMaxName);
  cause.link = in.text(kMaxName);
  cause.since = in.number<std::int64_t>();
  cause.what = in.text(kMaxText);
  return cause;
}

// Names and reasons are shown to people and sent on: what is not text is refused at the door.
bool is_text(std::initializer_list<std::string_view> texts) { return std::ranges::all_of(texts, is_valid_utf8); }

void put_texts(ByteWriter& out, const std::vector<std::string>& texts) {
  out.varint(texts.size());
  for (const auto& text : texts) out.text(text);
}

bool get_texts(ByteReader& in, std::vector<std::string>& texts) {
  const std::uint64_t count = in.varint();
  if (!in.ok() || count > kMaxPatterns) return false;
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) texts.emplace_back(in.text(kMaxPathBytes));
  return in.ok();
}

}  // namespace

std::string_view to_string(CloseCode code) {
  switch (code) {
    case CloseCode::normal: return "peer is shutting down";
    case CloseCode::malformed: return "malformed frame";
    case CloseCode::version: return "no common protocol version";
    case CloseCode::not_allowed: return "not allowed";
    case CloseCode::timeout: return "timeout";
    case CloseCode::replaced: return "replaced by a newer connection";
    case CloseCode::limit: return "limit reached";
    case CloseCode::reconfigured: return "reconfigured";
  }
  return "unknown";
}

Result<std::optional<Frame>> next_frame(std::span<const std::byte> stream, std::size_t max_body) {
  if (stream.size() < kFrameHeader) return std::nullopt;
  std::uint32_t length;
  std::memcpy(&length, stream.data(), 4);
  if (length < 1 || length - 1 > max_body) {
    return malformed("frame of " + std::to_string(length) + " bytes (1 to " + std::to_string(max_body + 1) + " are possible)");
  }
  const auto type = std::to_integer<std::uint8_t>(stream[4]);
  if (type < static_cast<std::uint8_t>(FrameType::hello) || type > static_cast<std::uint8_t>(FrameType::journal_ack)) {
    return malformed("unknown frame type " + std::to_string(type));
  }
  if (stream.size() < std::size_t{4} + length) return std::nullopt;
  return Frame{static_cast<FrameType>(type), stream.subspan(kFrameHeader, length - 1), std::size_t{4} + length};
}

// --- Control messages --------------------------------------------------------------------------------------------------

void encode(Bytes& out, const Hello& hello) {
  FrameWriter w(out, FrameType::hello);
  w.number<std::uint64_t>(kMagic);
  w.number<std::uint16_t>(hello.version);
  w.number<std::uint16_t>(hello.oldest);
  w.text(cut(hello.node, kMaxName));
  w.number<std::uint64_t>(hello.incarnation);
  w.number<std::int64_t>(hello.heartbeat.count());
  w.number<std::int64_t>(hello.timeout.count());
  put_texts(w, hello.send);
  put_texts(w, hello.receive);
  w.number<std::uint64_t>(hello.held.incarnation);
  w.number<std::uint64_t>(hello.held.seen);
  w.number<std::uint64_t>(hello.held.defined);
  w.number<std::uint64_t>(hello.held.view);
  w.number<std::uint8_t>(static_cast<std::uint8_t>((hello.takes_journal ? 1 : 0) | (hello.reads_little ? 2 : 0) | (hello.reads_nothing ? 4 : 0)));
}

Result<Hello> decode_hello(std::span<const std::byte> body) {
  ByteReader in(body);
  if (in.number<std::uint64_t>() != kMagic) return malformed("not a sallyport link");
  Hello hello;
  hello.version = in.number<std::uint16_t>();
  hello.oldest = in.number<std::uint16_t>();
  if (in.ok() && hello.oldest > kVersion) return hello;  // the rest may look different; the session says so
  hello.node = in.text(kMaxName);
  hello.incarnation = in.number<std::uint64_t>();
  hello.heartbeat = Duration(in.number<std::int64_t>());
  hello.timeout = Duration(in.number<std::int64_t>());
  if (!get_texts(in, hello.send) || !get_texts(in, hello.receive)) return malformed("hello: bad pattern list");
  hello.held.incarnation = in.number<std::uint64_t>();
  hello.held.seen = in.number<std::uint64_t>();
  hello.held.defined = in.number<std::uint64_t>();
  hello.held.view = in.number<std::uint64_t>();
  const unsigned flags = in.number<std::uint8_t>();
  if (!in.ok()) return malformed("hello is cut short");  // later versions may append
  hello.takes_journal = (flags & 1) != 0;
  hello.reads_little = (flags & 2) != 0;
  hello.reads_nothing = (flags & 4) != 0;

  if (hello.heartbeat < std::chrono::milliseconds(1) || hello.heartbeat > std::chrono::hours(1) || hello.timeout < hello.heartbeat ||
      hello.timeout > std::chrono::hours(24)) {
    return malformed("hello: heartbeat or timeout out of range");
  }
  if (!is_valid_utf8(hello.node)) return malformed("hello: node name is not UTF-8");
  return hello;
}

void encode(Bytes& out, const Begin& begin) {
  FrameWriter w(out, FrameType::begin);
  w.number<std::uint8_t>(begin.resumed ? 1 : 0);
  w.number<std::uint64_t>(begin.view);
}

Result<Begin> decode_begin(std::span<const std::byte> body) {
  ByteReader in(body);
  const auto flags = in.number<std::uint8_t>();
  if (flags > 1) return malformed("begin: unknown flags");
  const Begin begin{flags == 1, in.number<std::uint64_t>()};
  return complete(in, begin, "begin");
}

void encode(Bytes& out, const RouteMessage& m) {
  FrameWriter w(out, FrameType::route);
  w.number<std::uint16_t>(m.route);
  w.number<std::uint8_t>(static_cast<std::uint8_t>((m.state.covered ? 1 : 0) | (m.renew ? 2 : 0) | (m.withdrawn ? 4 : 0) | (m.state.complete ? 8 : 0)));
  w.text(cut(m.info.origin, kMaxName));
  w.text(cut(m.info.source, kMaxName));
  w.number<std::uint8_t>(static_cast<std::uint8_t>(m.info.hops.size()));
  for (const auto& hop : m.info.hops) w.text(cut(hop, kMaxName));
  if (!m.state.covered) return;
  w.number<std::uint32_t>(m.state.overlay);
  put_cause(w, m.state.cause);
}

Result<RouteMessage> decode_route(std::span<const std::byte> body) {
  ByteReader in(body);
  RouteMessage m;
  m.route = in.number<std::uint16_t>();
  const auto flags = in.number<std::uint8_t>();
  if (flags > 15) return malformed("route: unknown flags");
  m.state.covered = flags & 1;
  m.renew = flags & 2;
  m.withdrawn = flags & 4;
  m.state.complete = flags & 8;
  m.info.origin = in.text(kMaxName);
  m.info.source = in.text(kMaxName);
  const auto hops = in.number<std::uint8_t>();
  if (hops > kMaxHops) return malformed("route: more than " + std::to_string(kMaxHops) + " hops");
  for (unsigned i = 0; i < hops && in.ok(); ++i) {
    m.info.hops.emplace_back(in.text(kMaxName));
    if (!is_valid_utf8(m.info.hops.back())) return malformed("route: a hop is not UTF-8");
  }
  if (m.state.covered) {
    m.state.overlay = in.number<std::uint32_t>();
    m.state.cause = get_cause(in);
    if (quality_of(m.state.overlay) == Quality::good) return malformed("route: an overlay must not be good");
  }
  if (!is_text({m.info.origin, m.info.source, m.state.cause.node, m.state.cause.link, m.state.cause.what})) {
    return malformed("route: a name is not UTF-8");
  }
  return complete(in, std::move(m), "route");
}

void encode(Bytes& out, const Position& p) {
  FrameWriter w(out, FrameType::position);
  w.number<std::uint8_t>(static_cast<std::uint8_t>((p.synchronized ? 1 : 0) | (p.caught_up ? 2 : 0) | (p.complete ? 4 : 0)));
  w.varint(p.seen);
  w.varint(p.defined);
  if (!p.caught_up) return;
  w.number<std::uint64_t>(p.digest);
  w.varint(p.points);
}

Result<Position> decode_position(std::span<const std::byte> body) {
  ByteReader in(body);
  Position p;
  const auto flags = in.number<std::uint8_t>();
  if (flags > 7) return malformed("position: unknown flags");
  p.synchronized = flags & 1;
  p.caught_up = flags & 2;
  p.complete = flags & 4;
  p.seen = in.varint();
  p.defined = in.varint();
  if (p.caught_up) {
    p.digest = in.number<std::uint64_t>();
    p.points = in.varint();
  }
  return complete(in, p, "position");
}

void encode(Bytes& out, const Heartbeat& h) {
  FrameWriter w(out, FrameType::heartbeat);
  w.number<std::uint64_t>(h.sent_ns);
  w.number<std::uint64_t>(h.echo_ns);
  w.number<std::uint64_t>(h.held_ns);
  w.number<std::int64_t>(h.utc);
}

Result<Heartbeat> decode_heartbeat(std::span<const std::byte> body) {
  ByteReader in(body);
  Heartbeat h;
  h.sent_ns = in.number<std::uint64_t>();
  h.echo_ns = in.number<std::uint64_t>();
  h.held_ns = in.number<std::uint64_t>();
  h.utc = in.number<std::int64_t>();
  if (h.sent_ns >= 1ull << 62) return malformed("heartbeat: sending time out of range");
  return complete(in, h, "heartbeat");
}

void encode_hops(Bytes& out, std::span<const HopStatus> hops) {
  std::size_t fit = 0;
  for (std::size_t size = 16; fit < hops.size() && fit < kMaxHopEntries; ++fit) {
    const HopStatus& hop = hops[fit];
    size += 32 + std::min(hop.node.size(), kMaxName) + std::min(hop.link.size(), kMaxName) + std::min(hop.peer.size(), kMaxName) + std::min(hop.reason.size(), kMaxText);
    if (size > kMaxHopsBytes) break;
  }
  FrameWriter w(out, FrameType::hops);
  w.varint(fit);
  for (const HopStatus& hop : hops.first(fit)) {
    w.text(cut(hop.node, kMaxName));
    w.text(cut(hop.link, kMaxName));
    w.text(cut(hop.peer, kMaxName));
    w.number<std::uint8_t>(static_cast<std::uint8_t>(static_cast<unsigned>(hop.state) | (hop.heard ? 0x80u : 0u)));
    w.number<std::int64_t>(hop.since);
    w.text(cut(hop.reason, kMaxText));
    w.varint(static_cast<std::uint64_t>(std::max<std::int64_t>(0, hop.delay.count())));
  }
}

Result<std::vector<HopStatus>> decode_hops(std::span<const std::byte> body) {
  if (body.size() > kMaxHopsBytes) return fail(ErrorCode::limit, "hops: more than " + std::to_string(kMaxHopsBytes) + " bytes");
  ByteReader in(body);
  const std::uint64_t count = in.varint();
  if (!in.ok() || count > kMaxHopEntries) return malformed("hops: more than " + std::to_string(kMaxHopEntries));
  std::vector<HopStatus> hops;
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    HopStatus& hop = hops.emplace_back();
    hop.node = in.text(kMaxName);
    hop.link = in.text(kMaxName);
    hop.peer = in.text(kMaxName);
    const auto state = in.number<std::uint8_t>();
    if ((state & 0x7f) > static_cast<unsigned>(LinkState::down)) return malformed("hops: unknown state");
    hop.state = static_cast<LinkState>(state & 0x7f);
    hop.heard = (state & 0x80) != 0;
    hop.since = in.number<std::int64_t>();
    hop.reason = in.text(kMaxText);
    hop.delay = Duration(static_cast<std::int64_t>(std::min<std::uint64_t>(in.varint(), INT64_MAX)));
    if (!is_text({hop.node, hop.link, hop.peer, hop.reason})) return malformed("hops: a name is not UTF-8");
  }
  return complete(in, std::move(hops), "hops");
}

void encode_ack(Bytes& out, std::uint64_t received_bytes) {
  FrameWriter w(out, FrameType::ack);
  w.number<std::uint64_t>(received_bytes);
}

Result<std::uint64_t> decode_ack(std::span<const std::byte> body) {
  ByteReader in(body);
  return complete(in, in.number<std::uint64_t>(), "ack");
}

void encode_close(Bytes& out, CloseCode code, std::string_view text) {
  FrameWriter w(out, FrameType::close);
  w.number<std::uint16_t>(static_cast<std::uint16_t>(code));
  w.text(cut(text, kMaxText));
}

Result<Close> decode_close(std::span<const std::byte> body) {
  ByteReader in(body);
  Close close{in.number<std::uint16_t>(), {}};
  close.text = in.text(kMaxText);
  if (!is_valid_utf8(close.text)) close.text.clear();
  return complete(in, std::move(close), "close");
}

void encode_refresh(Bytes& out, RouteId route) {
  FrameWriter w(out, FrameType::refresh);
  w.number<std::uint16_t>(route);
}

void encode_renew(Bytes& out) { FrameWriter w(out, FrameType::renew); }

Result<RouteId> decode_refresh(std::span<const std::byte> body) {
  ByteReader in(body);
  return complete(in, in.number<std::uint16_t>(), "refresh");
}

void encode_remove(Bytes& out, std::span<const PointId> points) {
  FrameWriter w(out, FrameType::remove);
  w.varint(points.size());
  PointId last = 0;
  for (const PointId id : points) {
    w.varint(zigzag(std::int64_t{id} - last));
    last = id;
  }
}

Result<std::vector<PointId>> decode_remove(std::span<const std::byte> body) {
  ByteReader in(body);
  const std::uint64_t count = in.varint();
  if (!in.ok() || count > body.size()) return malformed("remove: more points than bytes");
  std::vector<PointId> points;
  points.reserve(static_cast<std::size_t>(count));
  std::int64_t last = 0;
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    last += unzigzag(in.varint() & 0x3ffffffff);
    if (last < 0 || last >= std::int64_t{kNoPoint}) return malformed("remove: id out of range");
    points.push_back(static_cast<PointId>(last));
  }
  return complete(in, std::move(points), "remove");
}

// --- Digests -----------------------------------------------------------------------------------------------------------

void encode_ask_digests(Bytes& out, RouteId route) {
  FrameWriter w(out, FrameType::ask_digests);
  w.number<std::uint16_t>(route);
}

Result<RouteId> decode_ask_digests(std::span<const std::byte> body) {
  ByteReader in(body);
  return complete(in, in.number<std::uint16_t>(), "ask_digests");
}

void encode(Bytes& out, std::span<const RouteDigest> digests) {
  FrameWriter w(out, FrameType::route_digests);
  for (const RouteDigest& d : digests) {
    w.number<std::uint16_t>(d.route);
    w.number<std::uint64_t>(d.points);
    w.number<std::uint64_t>(d.digest);
  }
}

Result<std::vector<RouteDigest>> decode_route_digests(std::span<const std::byte> body) {
  ByteReader in(body);
  std::vector<RouteDigest> digests;
  while (in.ok() && !in.done()) {
    RouteDigest& d = digests.emplace_back();
    d.route = in.number<std::uint16_t>();
    d.points = in.number<std::uint64_t>();
    d.digest = in.number<std::uint64_t>();
    if (digests.size() > 1 && d.route <= digests[digests.size() - 2].route) return malformed("route_digests: routes are not ascending");
  }
  return complete(in, std::move(digests), "route_digests");
}

void encode_bucket_digests(Bytes& out, RouteId route, std::span<const std::uint64_t> digests) {
  FrameWriter w(out, FrameType::bucket_digests);
  w.number<std::uint16_t>(route);
  w.bytes(std::as_bytes(digests));
}

Result<BucketDigests> decode_bucket_digests(std::span<const std::byte> body) {
  ByteReader in(body);
  BucketDigests d{in.number<std::uint16_t>(), std::vector<std::uint64_t>(Namespace::kBuckets)};
  for (auto& digest : d.digests) digest = in.number<std::uint64_t>();
  return complete(in, std::move(d), "bucket_digests");
}

void encode(Bytes& out, FrameType type, const RouteBuckets& b) {
  FrameWriter w(out, type);
  w.number<std::uint16_t>(b.route);
  for (std::size_t i = 0; i < Namespace::kBuckets; i += 8) {
    unsigned byte = 0;
    for (std::size_t bit = 0; bit < 8; ++bit) byte |= b.buckets[i + bit] ? 1u << bit : 0u;
    w.number<std::uint8_t>(static_cast<std::uint8_t>(byte));
  }
}

Result<RouteBuckets> decode_route_buckets(std::span<const std::byte> body) {
  ByteReader in(body);
  RouteBuckets b{in.number<std::uint16_t>(), std::vector<bool>(Namespace::kBuckets)};
  for (std::size_t i = 0; i < Namespace::kBuckets && in.ok(); i += 8) {
    const auto byte = in.number<std::uint8_t>();
    for (std::size_t bit = 0; bit < 8; ++bit) b.buckets[i + bit] = byte >> bit & 1;
  }
  return complete(in, std::move(b), "route_buckets");
}

// --- Values and definitions --------------------------------------------------------------------------------------------

// Record: varint zigzag id difference, varint route, varint length shared with the last path, text rest, meta (varint number
// in this frame; the next free number: the metadata follow), u8 flags (1 covered, 2 forced), u32 status, varint zigzag time difference, value.
void DefineEncoder::add(PointId id, RouteId route, std::string_view path, const Meta& meta, std::uint32_t meta_key, bool covered,
                        Status status, UtcNanoseconds source_time, const Value& value, bool forced) {
  if (metas_.size() == kMaxMetas) finish();
  if (!open_) {
    open_ = true;
    at_ = out_.size();
    ByteWriter(out_).number<std::uint32_t>(0);
    ByteWriter(out_).number<std::uint8_t>(static_cast<std::uint8_t>(FrameType::define));
    last_id_ = 0;
    last_time_ = 0;
    last_path_.clear();
    metas_.clear();
  }
  ByteWriter w(out_);
  w.varint(zigzag(std::int64_t{id} - last_id_));
  last_id_ = id;
  w.varint(route);
  const auto shared = static_cast<std::size_t>(std::ranges::mismatch(path, last_path_).in1 - path.begin());
  w.varint(shared);
  w.text(path.substr(shared));
  last_path_ = path;
  const auto known = std::ranges::find(metas_.rbegin(), metas_.rend(), meta_key);
  if (known != metas_.rend()) {
    w.varint(static_cast<std::uint64_t>(metas_.rend() - known - 1));
  } else {
    w.varint(metas_.size());
    metas_.push_back(meta_key);
    encode_meta(w, meta);
  }
  w.number<std::uint8_t>(static_cast<std::uint8_t>((covered ? 1 : 0) | (forced ? 2 : 0)));
  w.number<std::uint32_t>(status);
  w.varint(zigzag(static_cast<std::int64_t>(static_cast<std::uint64_t>(source_time) - static_cast<std::uint64_t>(last_time_))));
  last_time_ = source_time;
  encode_value(w, value);
}

void DefineEncoder::finish() {
  if (!open_) return;
  open_ = false;
  const auto size = static_cast<std::uint32_t>(out_.size() - at_ - 4);
  std::memcpy(out_.data() + at_, &size, 4);
}

Result<void> decode_define(std::span<const std::byte> body, DefineFrame& out) {
  out.records.clear();
  out.paths.clear();
  out.metas.clear();
  ByteReader in(body);
  std::int64_t last_id = 0;
  std::uint64_t last_time = 0;
  std::uint32_t last_at = 0, last_size = 0;
  while (in.ok() && !in.done()) {
    DefineRecord r;
    last_id += unzigzag(in.varint() & 0x3ffffffff);
    if (last_id < 0 || last_id >= std::int64_t{kNoPoint}) return malformed("define: id out of range");
    r.id = static_cast<PointId>(last_id);
    const std::uint64_t route = in.varint();
    const std::uint64_t shared = in.varint();
    const std::string_view rest = in.text(kMaxPathBytes);
    if (!in.ok() || route > 0xffff || shared > last_size || shared + rest.size() > kMaxPathBytes) return malformed("define: bad path");
    r.route = static_cast<RouteId>(route);
    r.path_at = static_cast<std::uint32_t>(out.paths.size());
    r.path_size = static_cast<std::uint32_t>(shared + rest.size());
    out.paths.reserve(out.paths.size() + r.path_size);
    out.paths.append(out.paths.data() + last_at, static_cast<std::size_t>(shared));
    out.paths += rest;
    last_at = r.path_at;
    last_size = r.path_size;
    const std::uint64_t meta = in.varint();
    if (!in.ok() || meta > out.metas.size() || meta > kMaxMetas) return malformed("define: unknown metadata");
    if (meta == out.metas.size()) {
      auto parsed = decode_meta(in);
      if (!parsed) return std::unexpected(parsed.error());
      out.metas.push_back(std::move(*parsed));
    }
    r.meta = static_cast<std::uint32_t>(meta);
    const auto flags = in.number<std::uint8_t>();
    if (flags > 3) return malformed("define: unknown flags");
    r.covered = flags & 1;
    r.forced = flags & 2;
    r.status = in.number<std::uint32_t>();
    last_time += static_cast<std::uint64_t>(unzigzag(in.varint()));
    r.source_time = static_cast<std::int64_t>(last_time);
    auto value = decode_value(in);
    if (!value) return within("define", value.error());
    r.value = std::move(*value);
    out.records.push_back(std::move(r));
  }
  if (!in.ok()) return malformed("define is cut short");
  return {};
}

}  // namespace sallyport::link
