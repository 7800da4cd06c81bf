#include "namespace/value_codec.h"

#include <algorithm>

#include "namespace/path.h"

namespace sallyport {
namespace {

std::unexpected<Error> malformed(std::string_view what) { return fail(ErrorCode::malformed, std::string(what)); }
std::string_view cut(std::string_view text, std::size_t max) { return text.substr(0, max); }

}  // namespace

void encode_value(ByteWriter& out, const Value& value) {
  out.number<std::uint8_t>(value.type_byte());
  if (value.is_null()) return;
  if (!value.is_blob()) {
    const std::uint64_t bits = value.bits();
    out.bytes(std::as_bytes(std::span(&bits, 1)).first(inline_size(value.type())));
  } else {
    out.varint(value.contents().size());
    out.bytes(value.contents());
  }
}

Result<Value> decode_value(ByteReader& in) {
  const auto type_byte = in.number<std::uint8_t>();
  const bool array = type_byte & 0x80;
  if (!in.ok() || (type_byte & 0x7f) >= kTypeCount) return malformed("unknown value type");
  const Type type = static_cast<Type>(type_byte & 0x7f);
  if (type == Type::null) {
    if (array) return malformed("array of null");
    return Value();
  }
  if (const std::size_t size = inline_size(type); size > 0 && !array) {
    const auto bytes = in.bytes(size);
    if (!in.ok()) return malformed("value is cut short");
    std::uint64_t bits = 0;
    std::memcpy(&bits, bytes.data(), size);
    if (type == Type::boolean && bits > 1) return malformed("Boolean is neither 0 nor 1");
    return Value::scalar(type, bits);
  }
  const std::uint64_t size = in.varint();
  if (!in.ok() || size > kMaxValueSize) return malformed("value longer than " + std::to_string(kMaxValueSize) + " bytes");
  const auto contents = in.bytes(static_cast<std::size_t>(size));
  if (!in.ok()) return malformed("value is cut short");
  if (auto ok = check_contents(type, array, contents); !ok) return std::unexpected(ok.error());
  return Value::contents(type, array, contents);
}

void encode_meta(ByteWriter& w, const Meta& meta) {
  const bool range = meta.range_low || meta.range_high;
  w.number<std::uint8_t>(static_cast<std::uint8_t>(static_cast<std::uint8_t>(meta.type) | (meta.array ? 0x80 : 0)));
  w.number<std::uint8_t>(static_cast<std::uint8_t>((range ? 1 : 0) | (meta.every ? 2 : 0) | (meta.range_low ? 4 : 0) | (meta.range_high ? 8 : 0)));
  w.number<std::uint8_t>(meta.burst);
  w.text(cut(meta.description, kMaxMetaText));
  w.text(cut(meta.unit, kMaxMetaText));
  if (range) {
    w.number<double>(meta.range_low.value_or(0));
    w.number<double>(meta.range_high.value_or(0));
  }
  w.varint(std::min(meta.enum_strings.size(), kMaxEnumStrings));
  for (std::size_t i = 0; i < meta.enum_strings.size() && i < kMaxEnumStrings; ++i) w.text(cut(meta.enum_strings[i], kMaxMetaText));
}

Result<Meta> decode_meta(ByteReader& in) {
  Meta meta;
  const auto type = in.number<std::uint8_t>();
  if ((type & 0x7f) >= kTypeCount) return malformed("unknown data type");
  meta.type = static_cast<Type>(type & 0x7f);
  meta.array = type & 0x80;
  const auto flags = in.number<std::uint8_t>();
  if (flags > 15) return malformed("unknown metadata flags");
  meta.every = flags & 2;
  meta.burst = in.number<std::uint8_t>();
  meta.description = in.text(kMaxMetaText);
  meta.unit = in.text(kMaxMetaText);
  if (flags & 1) {
    const auto low = in.number<double>(), high = in.number<double>();
    if (flags & 4) meta.range_low = low;
    if (flags & 8) meta.range_high = high;
  }
  const std::uint64_t count = in.varint();
  if (!in.ok() || count > kMaxEnumStrings) return malformed("bad metadata");
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) meta.enum_strings.emplace_back(in.text(kMaxMetaText));
  if (!in.ok() || !is_valid_utf8(meta.description) || !is_valid_utf8(meta.unit) || !std::ranges::all_of(meta.enum_strings, is_valid_utf8)) {
    return malformed("bad metadata text");
  }
  return meta;
}

}  // namespace sallyport
