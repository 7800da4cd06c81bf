#include "journal/record.h"

#include "namespace/value_codec.h"

namespace sallyport::journal {
namespace {

constexpr std::uint8_t kBackfill = 1;

std::byte* put_varint(std::byte* to, std::uint64_t value) {
  while (value >= 0x80) {
    *to++ = static_cast<std::byte>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<std::byte>(value);
  return to;
}

void put_texts(ByteWriter& w, const std::vector<std::string>& texts) {
  const std::size_t count = std::min(texts.size(), kMaxGapMatch);
  w.varint(count);
  for (std::size_t i = 0; i < count; ++i) w.text(std::string_view(texts[i]).substr(0, kMaxPath));
}

std::vector<std::string> take_texts(ByteReader& in) {
  std::vector<std::string> texts;
  const std::uint64_t count = in.varint();
  if (count > kMaxGapMatch) return texts;  // the rest will not fit
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) texts.emplace_back(in.text(kMaxPath));
  return texts;
}

}  // namespace

void encode(Bytes& out, const StreamRecord& record) {
  ByteWriter w(out);
  w.varint(record.id);
  w.text(record.name);
  w.number<std::uint64_t>(record.epoch);
  w.varint(record.high);
}

void encode(Bytes& out, const PointRecord& record) {
  ByteWriter w(out);
  w.varint(record.id);
  w.varint(record.stream);
  w.text(record.path);
  encode_meta(w, record.meta);
}

void encode(Bytes& out, const ChangeRecord& record) {
  std::byte head[48];
  std::byte* at = put_varint(head, record.stream);
  at = put_varint(at, record.sequence);
  at = put_varint(at, record.point);
  *at++ = static_cast<std::byte>(record.backfill ? kBackfill : 0);
  at = put_varint(at, record.status);
  std::memcpy(at, &record.source_time, sizeof record.source_time);
  at += sizeof record.source_time;
  out.insert(out.end(), head, at);
  ByteWriter w(out);
  encode_value(w, record.value);
}

void encode(Bytes& out, const GapRecord& record) {
  ByteWriter w(out);
  const Gap& gap = record.gap;
  w.varint(record.stream);
  w.varint(record.sequence);
  w.text(std::string_view(gap.node).substr(0, kMaxName));
  w.text(std::string_view(gap.where).substr(0, kMaxName));
  w.number<std::uint8_t>(static_cast<std::uint8_t>(gap.cause));
  w.number<std::int64_t>(gap.start);
  w.number<std::int64_t>(gap.end);
  w.varint(gap.lost);
  put_texts(w, gap.match);
  w.text(std::string_view(gap.detail).substr(0, kMaxGapText));
  put_texts(w, record.readers);
}

bool decode(std::span<const std::byte> body, ChangeRecord& change) {
  ByteReader in(body);
  const std::uint64_t stream = in.varint();
  change.sequence = in.varint();
  const std::uint64_t point = in.varint();
  const auto flags = in.number<std::uint8_t>();
  const std::uint64_t status = in.varint();
  change.source_time = in.number<std::int64_t>();
  if (!in.ok() || stream > UINT32_MAX || point > UINT32_MAX || status > UINT32_MAX || change.sequence == 0 || flags > kBackfill) return false;
  change.stream = static_cast<std::uint32_t>(stream);
  change.point = static_cast<std::uint32_t>(point);
  change.status = static_cast<Status>(status);
  change.backfill = flags == kBackfill;
  auto value = decode_value(in);
  if (!value || !in.done()) return false;
  change.value = std::move(*value);
  return true;
}

Result<Record> decode(std::uint8_t kind, std::span<const std::byte> body) {
  const auto bad = [&] { return fail(ErrorCode::malformed, "record of kind " + std::to_string(kind) + " does not follow its format"); };
  ByteReader in(body);
  switch (static_cast<RecordKind>(kind)) {
    case RecordKind::stream: {
      StreamRecord record;
      const std::uint64_t id = in.varint();
      record.name = in.text(kMaxName);
      record.epoch = in.number<std::uint64_t>();
      record.high = in.varint();
      if (!in.done() || id > UINT32_MAX || record.name.empty()) return bad();
      record.id = static_cast<std::uint32_t>(id);
      return record;
    }
    case RecordKind::point: {
      PointRecord record;
      const std::uint64_t id = in.varint(), stream = in.varint();
      record.path = in.text(kMaxPath);
      auto meta = decode_meta(in);
      if (!meta || !in.done() || id > UINT32_MAX || stream > UINT32_MAX || !check_path(record.path)) return bad();
      record.id = static_cast<std::uint32_t>(id);
      record.stream = static_cast<std::uint32_t>(stream);
      record.meta = std::move(*meta);
      return record;
    }
    case RecordKind::change: {
      ChangeRecord record;
      if (!decode(body, record)) return bad();
      return record;
    }
    case RecordKind::gap: {
      GapRecord record;
      const std::uint64_t stream = in.varint();
      record.sequence = in.varint();
      record.gap.node = in.text(kMaxName);
      record.gap.where = in.text(kMaxName);
      const auto cause = in.number<std::uint8_t>();
      record.gap.start = in.number<std::int64_t>();
      record.gap.end = in.number<std::int64_t>();
      record.gap.lost = in.varint();
      record.gap.match = take_texts(in);
      record.gap.detail = in.text(kMaxGapText);
      record.readers = take_texts(in);
      if (!in.done() || stream > UINT32_MAX || cause < 1 || cause > static_cast<std::uint8_t>(GapCause::too_slow)) return bad();
      record.stream = static_cast<std::uint32_t>(stream);
      record.gap.cause = static_cast<GapCause>(cause);
      return record;
    }
  }
  return bad();
}

}  // namespace sallyport::journal
