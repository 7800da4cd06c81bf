#include "describe.h"

#include <array>
#include <format>

#include "link/change_codec.h"
#include "link/lane.h"

namespace sallyport::link {
namespace {

namespace json = boost::json;

std::string opaque(std::uint64_t value) { return std::format("0x{:016x}", value); }

json::array strings(const std::vector<std::string>& texts) {
  json::array out;
  for (const auto& text : texts) out.emplace_back(text);
  return out;
}

Described describe_hello(const Hello& h) {
  Described out{{{"version", h.version},
                 {"oldest", h.oldest},
                 {"node", h.node},
                 {"incarnation", opaque(h.incarnation)},
                 {"heartbeat", h.heartbeat.count()},
                 {"timeout", h.timeout.count()},
                 {"send", strings(h.send)},
                 {"receive", strings(h.receive)},
                 {"held", json::object{{"incarnation", opaque(h.held.incarnation)}, {"seen", h.held.seen},
                                       {"defined", h.held.defined}, {"view", opaque(h.held.view)}}},
                 {"flags", (h.takes_journal ? 1 : 0) | (h.reads_little ? 2 : 0) | (h.reads_nothing ? 4 : 0)}},
                {}};
  encode(out.again, h);
  return out;
}

Described describe_route(const RouteMessage& m) {
  Described out{{{"route", m.route},
                 {"covered", m.state.covered},
                 {"renew", m.renew},
                 {"withdrawn", m.withdrawn},
                 {"complete", m.state.complete},
                 {"origin", m.info.origin},
                 {"source", m.info.source},
                 {"hops", strings(m.info.hops)}},
                {}};
  if (m.state.covered) {
    const Cause& c = m.state.cause;
    out.fields["overlay"] = m.state.overlay;
    out.fields["cause"] = json::object{{"node", c.node}, {"link", c.link}, {"since", c.since}, {"what", c.what}};
  }
  encode(out.again, m);
  return out;
}

Described describe_position(const Position& p) {
  Described out{{{"synchronized", p.synchronized}, {"caught_up", p.caught_up}, {"complete", p.complete}, {"seen", p.seen}, {"defined", p.defined}}, {}};
  if (p.caught_up) {
    out.fields["digest"] = opaque(p.digest);
    out.fields["points"] = p.points;
  }
  encode(out.again, p);
  return out;
}

Described describe_hops(const std::vector<HopStatus>& hops) {
  json::array list;
  for (const HopStatus& h : hops) {
    list.emplace_back(json::object{{"node", h.node}, {"link", h.link}, {"peer", h.peer}, {"state", to_string(h.state)}, {"heard", h.heard},
                                   {"since", h.since}, {"reason", h.reason}, {"delay", h.delay.count()}});
  }
  Described out{{{"hops", std::move(list)}}, {}};
  encode_hops(out.again, hops);
  return out;
}

Described describe_buckets(FrameType type, const RouteBuckets& b) {
  json::array set;
  for (std::size_t i = 0; i < b.buckets.size(); ++i) {
    if (b.buckets[i]) set.emplace_back(i);
  }
  Described out{{{"route", b.route}, {"buckets", std::move(set)}}, {}};
  encode(out.again, type, b);
  return out;
}

Described describe_bucket_digests(const BucketDigests& d) {
  json::array set;
  for (std::size_t i = 0; i < d.digests.size(); ++i) {
    if (d.digests[i] != 0) set.emplace_back(json::object{{"bucket", i}, {"digest", opaque(d.digests[i])}});
  }
  Described out{{{"route", d.route}, {"not_zero", std::move(set)}}, {}};
  encode_bucket_digests(out.again, d.route, d.digests);
  return out;
}

Described describe_route_digests(const std::vector<RouteDigest>& digests) {
  json::array list;
  for (const RouteDigest& d : digests) list.emplace_back(json::object{{"route", d.route}, {"points", d.points}, {"digest", opaque(d.digest)}});
  Described out{{{"digests", std::move(list)}}, {}};
  encode(out.again, digests);
  return out;
}

// The bytes of a value without its type byte and, where there is one, without its length.
json::object describe_value(const Value& value) {
  const std::uint64_t bits = value.bits();
  const auto contents = value.is_blob() ? value.contents() : std::as_bytes(std::span(&bits, 1)).first(inline_size(value.type()));
  return {{"type", static_cast<unsigned>(value.type())}, {"array", value.is_array()}, {"contents", to_hex(contents)}};
}

json::object describe_meta(const Meta& m) {
  json::object out{{"type", static_cast<unsigned>(m.type)}, {"array", m.array}, {"every", m.every}, {"burst", m.burst},
                   {"description", m.description}, {"unit", m.unit}, {"enum", strings(m.enum_strings)}};
  if (m.range_low) out["low"] = *m.range_low;
  if (m.range_high) out["high"] = *m.range_high;
  return out;
}

Result<Described> describe_define(std::span<const std::byte> body) {
  DefineFrame frame;
  if (auto ok = decode_define(body, frame); !ok) return std::unexpected(ok.error());
  Described out;
  json::array list;
  DefineEncoder encoder(out.again);
  for (const DefineRecord& r : frame.records) {
    const std::string_view path = std::string_view(frame.paths).substr(r.path_at, r.path_size);
    const Meta& meta = frame.metas[r.meta];
    list.emplace_back(json::object{{"id", r.id}, {"route", r.route}, {"path", path}, {"meta", describe_meta(meta)}, {"covered", r.covered},
                                   {"forced", r.forced}, {"status", r.status}, {"time", r.source_time}, {"value", describe_value(r.value)}});
    encoder.add(r.id, r.route, path, meta, r.meta, r.covered, r.status, r.source_time, r.value, r.forced);
  }
  encoder.finish();
  out.fields["records"] = std::move(list);
  return out;
}

Result<Described> describe_changes(std::span<const std::byte> body, bool stale) {
  std::vector<Change> changes;
  if (auto ok = decode_changes(body, changes); !ok) return std::unexpected(ok.error());
  Described out;
  json::array list;
  ChangeEncoder encoder(out.again);
  for (const Change& c : changes) {
    list.emplace_back(json::object{{"id", c.point}, {"status", c.status}, {"time", c.source_time}, {"value", describe_value(c.value)}});
    const Value::Raw raw = Value(c.value).release_raw();
    Slot slot{};
    slot.bits = raw.bits;
    slot.type = raw.type;
    slot.array = raw.array;
    slot.blob = raw.blob;
    slot.status = c.status;
    slot.source_time = c.source_time;
    encoder.add(c.point, slot, stale);
    static_cast<void>(Value::adopt_raw(raw));
  }
  encoder.finish();
  out.fields["records"] = std::move(list);
  return out;
}

Described describe_remove(const std::vector<PointId>& points) {
  json::array list;
  for (const PointId id : points) list.emplace_back(id);
  Described out{{{"points", std::move(list)}}, {}};
  encode_remove(out.again, points);
  return out;
}

Described describe_heartbeat(const Heartbeat& h) {
  Described out{{{"sent", h.sent_ns}, {"echo", h.echo_ns}, {"held", h.held_ns}, {"utc", h.utc}}, {}};
  encode(out.again, h);
  return out;
}

Described describe_close(const Close& c) {
  Described out{{{"code", c.code}, {"text", c.text}}, {}};
  encode_close(out.again, static_cast<CloseCode>(c.code), c.text);
  return out;
}

Described describe_number(FrameType type, std::uint64_t number) {
  Described out{{{type == FrameType::ack ? "bytes" : type == FrameType::journal_ack ? "records" : "route", number}}, {}};
  if (type == FrameType::journal_ack) encode_journal_ack(out.again, number);
  if (type == FrameType::ack) encode_ack(out.again, number);
  if (type == FrameType::refresh) encode_refresh(out.again, static_cast<RouteId>(number));
  if (type == FrameType::ask_digests) encode_ask_digests(out.again, static_cast<RouteId>(number));
  return out;
}

Described describe_begin(const Begin& b) {
  Described out{{{"resumed", b.resumed}, {"view", opaque(b.view)}}, {}};
  encode(out.again, b);
  return out;
}

Result<Described> describe_renew(std::span<const std::byte> body) {
  if (!body.empty()) return fail(ErrorCode::malformed, "a renew frame has no body");
  Described out;
  encode_renew(out.again);
  return out;
}

Described describe_journal_held(const std::vector<journal::Held>& held) {
  Described out;
  json::array streams;
  for (const auto& one : held) streams.push_back(json::object{{"name", one.name}, {"epoch", opaque(one.epoch)}, {"sequence", one.sequence}});
  out.fields["streams"] = std::move(streams);
  encode_journal_held(out.again, held);
  return out;
}

// One record, and the same bytes from what was understood.
template <typename R>
void record_again(Bytes& out, journal::RecordKind kind, const R& record) {
  Bytes body;
  journal::encode(body, record);
  ByteWriter w(out);
  w.number<std::uint8_t>(static_cast<std::uint8_t>(kind));
  w.varint(body.size());
  w.bytes(body);
}

json::object describe_record(const journal::Record& record, Bytes& again) {
  using journal::RecordKind;
  if (const auto* s = std::get_if<journal::StreamRecord>(&record)) {
    record_again(again, RecordKind::stream, *s);
    return {{"kind", "stream"}, {"id", s->id}, {"name", s->name}, {"epoch", opaque(s->epoch)}};
  }
  if (const auto* p = std::get_if<journal::PointRecord>(&record)) {
    record_again(again, RecordKind::point, *p);
    return {{"kind", "point"}, {"id", p->id}, {"stream", p->stream}, {"path", p->path}};
  }
  if (const auto* c = std::get_if<journal::ChangeRecord>(&record)) {
    record_again(again, RecordKind::change, *c);
    return {{"kind", "change"}, {"stream", c->stream}, {"sequence", c->sequence}, {"point", c->point}, {"backfill", c->backfill}, {"status", c->status},
            {"time", c->source_time}, {"value", c->value.float64()}};
  }
  const auto& g = std::get<journal::GapRecord>(record);
  record_again(again, RecordKind::gap, g);
  return {{"kind", "gap"}, {"stream", g.stream}, {"sequence", g.sequence}, {"node", g.gap.node}, {"where", g.gap.where}, {"cause", to_string(g.gap.cause)},
          {"start", g.gap.start}, {"end", g.gap.end}, {"lost", g.gap.lost}, {"match", strings(g.gap.match)}, {"detail", g.gap.detail}};
}

Result<Described> describe_journal(std::span<const std::byte> body) {
  Described out;
  json::array records;
  ByteReader in(body);
  std::optional<FrameWriter> frame(std::in_place, out.again, FrameType::journal);
  while (in.ok() && in.remaining() > 0) {
    const auto kind = in.number<std::uint8_t>();
    const auto record = journal::decode(kind, in.bytes(static_cast<std::size_t>(in.varint())));
    if (!record) return std::unexpected(record.error());
    records.push_back(describe_record(*record, out.again));
  }
  if (!in.done()) return fail(ErrorCode::malformed, "a journal frame cut short");
  frame.reset();   // its length is written now
  out.fields["records"] = std::move(records);
  return out;
}

}  // namespace

Result<Described> describe(const Frame& frame) {
  const auto body = frame.body;
  switch (frame.type) {
    case FrameType::hello: return decode_hello(body).transform(describe_hello);
    case FrameType::begin: return decode_begin(body).transform(describe_begin);
    case FrameType::route: return decode_route(body).transform(describe_route);
    case FrameType::define: return describe_define(body);
    case FrameType::remove: return decode_remove(body).transform(describe_remove);
    case FrameType::changes: return describe_changes(body, false);
    case FrameType::stale_changes: return describe_changes(body, true);
    case FrameType::position: return decode_position(body).transform(describe_position);
    case FrameType::heartbeat: return decode_heartbeat(body).transform(describe_heartbeat);
    case FrameType::hops: return decode_hops(body).transform(describe_hops);
    case FrameType::ack: return decode_ack(body).transform([](std::uint64_t n) { return describe_number(FrameType::ack, n); });
    case FrameType::refresh: return decode_refresh(body).transform([](RouteId r) { return describe_number(FrameType::refresh, r); });
    case FrameType::ask_digests: return decode_ask_digests(body).transform([](RouteId r) { return describe_number(FrameType::ask_digests, r); });
    case FrameType::close: return decode_close(body).transform(describe_close);
    case FrameType::route_digests: return decode_route_digests(body).transform(describe_route_digests);
    case FrameType::bucket_digests: return decode_bucket_digests(body).transform(describe_bucket_digests);
    case FrameType::renew: return describe_renew(body);
    case FrameType::journal_held: return decode_journal_held(body).transform(describe_journal_held);
    case FrameType::journal_ack: return decode_journal_ack(body).transform([](std::uint64_t n) { return describe_number(FrameType::journal_ack, n); });
    case FrameType::journal: return describe_journal(body);
    case FrameType::ask_repair:
    case FrameType::repaired: return decode_route_buckets(body).transform([&](const RouteBuckets& b) { return describe_buckets(frame.type, b); });
  }
  return fail(ErrorCode::malformed, "no such type");
}

std::string_view name_of(FrameType type) {
  constexpr std::array<std::string_view, 23> names{"", "hello", "route", "define", "remove", "changes", "position", "heartbeat", "hops", "ack",
                                                   "close", "refresh", "stale_changes", "begin", "ask_digests", "route_digests",
                                                   "bucket_digests", "ask_repair", "repaired", "renew", "journal_held", "journal", "journal_ack"};
  const auto index = static_cast<std::size_t>(type);
  return index < names.size() ? names[index] : "";
}

Bytes from_hex(std::string_view hex) {
  Bytes out;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < hex.size(); i += 3) out.push_back(static_cast<std::byte>(digit(hex[i]) * 16 + digit(hex[i + 1])));
  return out;
}

std::string to_hex(std::span<const std::byte> bytes) {
  std::string out;
  for (const std::byte b : bytes) out += std::format("{}{:02x}", out.empty() ? "" : " ", std::to_integer<unsigned>(b));
  return out;
}

}  // namespace sallyport::link
