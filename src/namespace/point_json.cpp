#include "namespace/point_json.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/base64.h"

namespace sallyport {
namespace {

constexpr std::int64_t kTicksPerSecond = 10'000'000;
constexpr std::int64_t kSecondsPerDay = 86'400;

template <typename Number>
void put_digits(std::string& out, Number number, int width) {
  std::array<char, 20> text;
  for (int i = width - 1; i >= 0; --i, number /= 10)
    text[static_cast<std::size_t>(i)] = static_cast<char>('0' + number % 10);
  out.append(text.data(), static_cast<std::size_t>(width));
}

void put_hex(std::string& out, std::uint64_t number, int width, std::string_view digits) {
  for (int shift = (width - 1) * 4; shift >= 0; shift -= 4) out += digits[number >> shift & 15];
}

std::array<char, 10> status_text(Status status) {
  std::array<char, 10> text{'0', 'x'};
  for (std::size_t i = 0; i < 8; ++i) text[2 + i] = "0123456789ABCDEF"[status >> (28 - 4 * i) & 15];
  return text;
}

// Seven digits, since a tick is 100 ns. Beyond the years 1 to 9999 it reads as the nearest end. (OPC 10000-6 §5.4.2.6)
void append_ticks(std::string& out, std::int64_t ticks) {
  using namespace std::chrono;
  constexpr sys_days epoch = year(1601) / January / 1;
  constexpr sys_days end = year(10000) / January / 1;
  constexpr std::int64_t last = (end - epoch).count() * kSecondsPerDay * kTicksPerSecond - 1;
  if (ticks <= 0) {
    out += "0001-01-01T00:00:00.0000000Z";
    return;
  }
  ticks = std::min(ticks, last);
  const std::int64_t second = ticks / kTicksPerSecond;
  const std::int64_t second_of_day = second % kSecondsPerDay;
  const year_month_day date{epoch + days(second / kSecondsPerDay)};
  put_digits(out, static_cast<int>(date.year()), 4);
  put_digits(out += '-', static_cast<unsigned>(date.month()), 2);
  put_digits(out += '-', static_cast<unsigned>(date.day()), 2);
  put_digits(out += 'T', second_of_day / 3600, 2);
  put_digits(out += ':', second_of_day / 60 % 60, 2);
  put_digits(out += ':', second_of_day % 60, 2);
  put_digits(out += '.', ticks % kTicksPerSecond, 7);
  out += 'Z';
}

// Canonical text; the first three fields are little-endian numbers. (OPC 10000-6 §5.1.3)
void append_guid(std::string& out, std::span<const std::byte> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  ByteReader reader(bytes);
  put_hex(out, reader.number<std::uint32_t>(), 8, digits);
  put_hex(out += '-', reader.number<std::uint16_t>(), 4, digits);
  put_hex(out += '-', reader.number<std::uint16_t>(), 4, digits);
  out += '-';
  for (int i = 0; i < 8; ++i) {
    if (i == 2) out += '-';
    put_hex(out, reader.number<std::uint8_t>(), 2, digits);
  }
}

template <typename Append>
void append_ascii(JsonWriter& json, Append&& append) {
  std::string text = "\"";
  append(text);
  text += '"';
  json.raw(text);
}

void append_localized_text(JsonWriter& json, std::span<const std::byte> contents) {
  const auto [locale, text] = view_localized_text(contents);
  json.begin_object();
  json.field("locale", locale);
  json.field("text", text);
  json.end_object();
}

void append_opaque(JsonWriter& json, std::span<const std::byte> contents) {
  const auto [type_id, body] = view_opaque(contents);
  json.begin_object();
  json.field("type_id", type_id);
  json.key("body");
  append_ascii(json, [&](std::string& out) { append_base64(out, body); });
  json.end_object();
}

void append_scalar(JsonWriter& json, const Value& value) {
  const std::uint64_t bits = value.is_blob() ? 0 : value.bits();
  switch (value.type()) {
    case Type::null:
    case Type::variant:
      return json.null();  // a Variant is never a scalar by itself
    case Type::boolean:
      return json.boolean(bits != 0);
    case Type::sbyte:
      return json.integer(static_cast<std::int8_t>(bits));
    case Type::int16:
      return json.integer(static_cast<std::int16_t>(bits));
    case Type::int32:
      return json.integer(static_cast<std::int32_t>(bits));
    case Type::int64:
      return json.integer(static_cast<std::int64_t>(bits));
    case Type::byte:
    case Type::uint16:
    case Type::uint32:
    case Type::uint64:
      return json.unsigned_integer(bits);
    case Type::float32:
      return json.number(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
    case Type::float64:
      return json.number(value.float64());
    case Type::string:
    case Type::xml_element:
    case Type::node_id:
    case Type::expanded_node_id:
    case Type::qualified_name:
      return json.string(value.text());
    case Type::date_time:
      return append_ascii(json, [&](std::string& out) { append_ticks(out, static_cast<std::int64_t>(bits)); });
    case Type::guid:
      return append_ascii(json, [&](std::string& out) { append_guid(out, value.contents()); });
    case Type::byte_string:
      return append_ascii(json, [&](std::string& out) { append_base64(out, value.contents()); });
    case Type::status_code: {
      const auto text = status_text(static_cast<Status>(bits));
      return json.string({text.data(), text.size()});
    }
    case Type::localized_text:
      return append_localized_text(json, value.contents());
    case Type::structure:
    case Type::data_value:
    case Type::diagnostic_info:
      return append_opaque(json, value.contents());
  }
  json.null();
}

void append_elements(JsonWriter& json, ElementReader& reader, std::span<const std::uint32_t> dimensions) {
  json.begin_array();
  for (std::uint32_t i = 0; i < dimensions[0]; ++i) {
    if (dimensions.size() > 1) {
      append_elements(json, reader, dimensions.subspan(1));
    } else if (Value element; reader.next(element)) {
      append_value_json(json, element);
    } else {
      json.null();
    }
  }
  json.end_array();
}

void append_cause(JsonWriter& json, std::string& out, const Cause& cause) {
  json.key("cause");
  json.begin_object();
  json.field("node", cause.node);
  json.field("link", cause.link);
  json.key("since");
  json.raw("\"");
  append_utc(out, cause.since);
  out += '"';
  json.field("what", cause.what);
  json.end_object();
}

}  // namespace

std::string_view to_string(Verified verified) {
  switch (verified) {
    case Verified::unknown: return "";
    case Verified::unverified: return "unverified";
    case Verified::signed_fast: return "signed";
    case Verified::signed_pq: return "signed-pq";
  }
  return "";
}

void append_value_json(JsonWriter& json, const Value& value) {
  if (!value.is_array()) return append_scalar(json, value);
  const auto array = view_array(value);
  if (!array) return json.null();
  // An empty matrix may have other dimensions of any size: they are not written out.
  if (array->count == 0) return json.raw("[]");
  ElementReader reader(*array);
  append_elements(json, reader, array->dimensions);
}

void append_type_name(std::string& out, const Value& value) {
  out += to_string(value.type());
  if (!value.is_array()) return;
  const auto array = view_array(value);
  for (std::size_t i = 0; i < (array ? array->dimensions.size() : 1); ++i) out += "[]";
}

void append_point_json(std::string& out, std::string_view path, const Value& value, Status status,
                       UtcNanoseconds source_time, std::string_view origin, const Cause* cause, Verified verified) {
  JsonWriter json(out);
  json.begin_object();
  json.field("path", path);
  json.key("value");
  append_value_json(json, value);
  json.key("type");
  json.raw("\"");
  append_type_name(out, value);
  out += '"';
  json.field("quality", to_string(quality_of(status)));
  const auto code = status_text(status);
  json.field("status", std::string_view(code.data(), code.size()));
  if (status != status::kGood) {
    if (const auto name = status_name(status); !name.empty()) json.field("status_name", name);
  }
  json.key("timestamp");
  json.raw("\"");
  append_utc(out, source_time);
  out += '"';
  json.field("origin", origin);
  if (cause != nullptr) append_cause(json, out, *cause);
  if (verified != Verified::unknown) json.field("verified", to_string(verified));
  json.end_object();
}

void append_point_json(std::string& out, const PointView& point) {
  append_point_json(out, point.path, point.value, point.status, point.source_time, point.origin,
                    point.cause ? &*point.cause : nullptr, point.verified);
}

const RouteCache::Entry& RouteCache::at(RouteId route, bool covered) {
  if (route == last_ && covered == last_covered_) return entry_;
  last_ = route;
  last_covered_ = covered;
  entry_ = {};
  if (route == kNoRoute) return entry_;
  entry_.origin = namespace_.route_info(route).origin;
  if (covered) entry_.cause = namespace_.route_state(route).cause;
  return entry_;
}

}  // namespace sallyport
