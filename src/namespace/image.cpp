#include "namespace/image.h"

#include "namespace/namespace_impl.h"
#include "namespace/value_codec.h"

namespace sallyport {
namespace {

enum Kind : std::uint32_t { kHead = 1, kMetas = 2, kRoutes = 3, kPoints = 4 };

constexpr std::size_t kChunkBytes = 1u << 20;
constexpr std::size_t kMaxName = 256;

enum Flags : std::uint8_t { kPresent = 1, kStale = 2, kReused = 4, kGuarded = 8 };

std::unexpected<Error> malformed(std::string_view what) { return fail(ErrorCode::malformed, std::string(what)); }

void put_route(ByteWriter& w, const Route& route) {
  w.number<std::uint8_t>(static_cast<std::uint8_t>((route.provider != 0 ? 1 : 0) | (route.complete ? 2 : 0)));
  w.text(route.info.origin);
  w.text(route.info.source);
  w.varint(route.info.hops.size());
  for (const std::string& hop : route.info.hops) w.text(hop);
  w.varint(route.rank);
  w.varint(route.blocked_by.size());
  for (const RouteId by : route.blocked_by) w.varint(by);
}

bool get_route(ByteReader& in, Route& route) {
  const auto flags = in.number<std::uint8_t>();
  route.provider = flags & 1 ? kRestoredProvider : 0;
  route.complete = flags & 2;
  route.info.origin = in.text(kMaxName);
  route.info.source = in.text(kMaxName);
  const std::uint64_t hops = in.varint();
  if (hops > kMaxHops) return false;
  for (std::uint64_t i = 0; i < hops; ++i) route.info.hops.emplace_back(in.text(kMaxName));
  route.rank = static_cast<std::uint32_t>(in.varint());
  const std::uint64_t blocked = in.varint();
  if (!in.ok() || blocked > 0xffff) return false;
  for (std::uint64_t i = 0; i < blocked; ++i) route.blocked_by.push_back(static_cast<RouteId>(in.varint()));
  return in.ok();
}

// Paths and times as differences to the record before: most have much in common.
class PointEncoder {
 public:
  explicit PointEncoder(Bytes& out) : w_(out) {}
  void add(const Slot& slot, std::string_view path, RouteId route, const Value& value) {
    std::size_t shared = 0;
    while (shared < path.size() && shared < last_.size() && path[shared] == last_[shared]) ++shared;
    w_.number<std::uint8_t>(static_cast<std::uint8_t>((slot.present ? kPresent : 0) | (slot.stale ? kStale : 0) | (slot.reused ? kReused : 0) | (slot.guarded ? kGuarded : 0)));
    w_.varint(shared);
    w_.text(path.substr(shared));
    w_.varint(route);
    w_.varint(slot.defined);
    last_ = path;
    if (!slot.present) return;
    w_.varint(slot.meta);
    w_.varint(slot.revision);
    w_.number<std::uint32_t>(slot.status);
    w_.varint(zigzag(static_cast<std::int64_t>(static_cast<std::uint64_t>(slot.source_time) - static_cast<std::uint64_t>(time_))));
    time_ = slot.source_time;
    encode_value(w_, value);
  }

 private:
  ByteWriter w_;
  std::string last_;
  UtcNanoseconds time_ = 0;
};

}  // namespace

Result<void> save_image(const Namespace& ns, const ChunkSink& out) {
  Namespace::Impl& im = ns.impl();
  const std::lock_guard lock(im.mutex);
  Bytes bytes;
  ByteWriter w(bytes);
  w.varint(im.changes.head());
  w.varint(im.definitions.head());
  w.varint(im.table.end());
  if (auto ok = out(kHead, bytes); !ok) return ok;

  bytes.clear();
  w.varint(im.table.meta_end());
  for (std::uint32_t i = 0; i < im.table.meta_end(); ++i) encode_meta(w, im.table.meta(i) ? *im.table.meta(i) : Meta());
  if (auto ok = out(kMetas, bytes); !ok) return ok;

  bytes.clear();
  w.varint(im.routes.size());
  for (const Route& route : im.routes) put_route(w, route);
  if (auto ok = out(kRoutes, bytes); !ok) return ok;

  bytes.clear();
  std::optional<PointEncoder> encoder;
  for (PointId id = 0; id < im.table.end(); ++id) {
    if (!encoder) encoder.emplace(bytes);
    const Slot& slot = im.table[id];
    encoder->add(slot, im.table.path(slot), im.cells[slot.cell].route, im.table.value(slot));
    if (bytes.size() < kChunkBytes && id + 1 < im.table.end()) continue;
    if (auto ok = out(kPoints, bytes); !ok) return ok;
    bytes.clear();
    encoder.reset();
  }
  return {};
}

ImageRestorer::ImageRestorer(Namespace& ns, std::string_view node)
    : im_(ns.impl()), cause_{std::string(node), "", ns.clock().utc(), "this node was restarted"} {}

Result<void> ImageRestorer::take(const Chunk& chunk) {
  ByteReader in(chunk.bytes);
  const std::lock_guard lock(im_.mutex);
  Result<void> taken;
  switch (chunk.kind) {
    case kHead: taken = take_head(in); break;
    case kMetas: taken = take_metas(in); break;
    case kRoutes: taken = take_routes(in); break;
    case kPoints: taken = take_points(in); break;
    default: return malformed("unknown chunk");
  }
  if (taken && !in.done()) return malformed("a chunk that is cut short or has bytes too many");
  return taken;
}

Result<void> ImageRestorer::take_head(ByteReader& in) {
  revision_ = in.varint();
  definition_ = in.varint();
  points_ = static_cast<std::uint32_t>(in.varint());
  if (points_ > im_.table.capacity()) return fail(ErrorCode::limit, "more points than [limits] points allows now");
  im_.changes.restore(revision_);
  im_.definitions.restore(definition_);
  return {};
}

Result<void> ImageRestorer::take_metas(ByteReader& in) {
  const std::uint64_t count = in.varint();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    auto meta = decode_meta(in);
    if (!meta) return std::unexpected(meta.error());
    metas_.push_back(*std::move(meta));
  }
  return {};
}

Result<void> ImageRestorer::take_routes(ByteReader& in) {
  const std::uint64_t count = in.varint();
  if (count == 0 || count > im_.limits.max_routes) return fail(ErrorCode::limit, "more routes than [limits] routes allows now");
  for (std::uint64_t i = 0; i < count; ++i) {
    Route route;
    if (!get_route(in, route)) return malformed("bad route");
    if (i == 0) continue;   // belongs to nobody
    route.covers = 1;
    route.covered = true;
    route.overlay = status::kBadNoCommunication;
    route.cause = cause_;
    route.cover_revision = revision_;
    route.version = ++im_.route_version;
    im_.routes.push_back(std::move(route));
  }
  return {};
}

Result<void> ImageRestorer::take_points(ByteReader& in) {
  path_.clear();
  time_ = 0;
  while (in.ok() && in.remaining() > 0) {
    const auto flags = in.number<std::uint8_t>();
    const std::uint64_t shared = in.varint();
    if (shared > path_.size()) return malformed("bad path");
    path_.resize(static_cast<std::size_t>(shared));
    path_ += in.text(kMaxPathBytes);
    const std::uint64_t route = in.varint();
    const std::uint64_t defined = in.varint();
    const bool present = flags & kPresent;
    if (!in.ok() || route >= im_.routes.size() || defined > definition_ || path_.size() > kMaxPathBytes) return malformed("bad point");
    const PointId id = im_.table.end();
    const std::uint64_t hash = hash_path(path_);
    if (present && im_.table.find(path_, hash) != kNoPoint) return malformed("a path twice");
    if (!im_.table.restore(path_, hash, present, defined)) return fail(ErrorCode::limit, "more points than [limits] points allows now");
    Slot& slot = im_.table[id];
    slot.cell = im_.cell_for(static_cast<RouteId>(route), {});
    slot.reused = !present || (flags & kReused);   // its views are not known any more: readers are told it is gone
    if (!present) continue;
    const std::uint64_t meta = in.varint();
    if (meta >= metas_.size()) return malformed("bad metadata");
    slot.meta = im_.table.intern_meta(metas_[static_cast<std::size_t>(meta)]);
    slot.burst = metas_[static_cast<std::size_t>(meta)].burst;
    slot.revision = in.varint();
    slot.status = in.number<std::uint32_t>();
    slot.source_time = static_cast<UtcNanoseconds>(static_cast<std::uint64_t>(time_) + static_cast<std::uint64_t>(unzigzag(in.varint())));
    time_ = slot.source_time;
    slot.stale = flags & kStale;
    slot.guarded = flags & kGuarded;
    auto value = decode_value(in);
    if (!value) return std::unexpected(value.error());
    if (slot.revision > revision_) return malformed("bad revision");
    im_.table.set_value(slot, *std::move(value));
    Cell& cell = im_.cells[slot.cell];
    cell.digest += digest_of(slot);
    ++cell.points;
    ++im_.routes[cell.route].points;
  }
  return {};
}

Result<void> ImageRestorer::finish() {
  const std::lock_guard lock(im_.mutex);
  if (im_.table.end() != points_) return malformed("points are missing");
  im_.table.finish_restore();
  return {};
}

}  // namespace sallyport
