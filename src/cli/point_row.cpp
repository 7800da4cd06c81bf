#include "cli/point_row.h"

#include <boost/json.hpp>

#include "base/json_writer.h"
#include "cli/terminal.h"

namespace sallyport::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxShown = 60;  // bytes of a value on one line

std::string text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value && value->is_string() ? printable(std::string(value->get_string())) : std::string();
}

// As in the node's JSON; the library would write every double as 2.35E1.
void append_value(std::string& out, const json::value& value) {
  if (const auto* array = value.if_array()) {
    out += '[';
    for (std::size_t i = 0; i < array->size() && out.size() <= kMaxShown; ++i) {
      if (i > 0) out += ", ";
      append_value(out, (*array)[i]);
    }
    out += ']';
  } else if (value.is_double()) {
    JsonWriter(out).number(value.get_double());
  } else {
    out += value.is_string() ? std::string(value.get_string()) : json::serialize(value);
  }
}

std::string shown(const json::value& value) {
  std::string text;
  append_value(text, value);
  text = printable(text);
  if (text.size() <= kMaxShown) return text;
  std::size_t cut = kMaxShown;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
  return text.substr(0, cut) + "…";
}

std::string cause_of(const json::object& point, UtcNanoseconds now) {
  const auto* value = point.if_contains("cause");
  if (!value || !value->is_object()) return {};
  const auto& cause = value->get_object();
  std::string text = text_of(cause, "node");
  if (const auto link = text_of(cause, "link"); !link.empty()) text += " → " + link;
  text += ": " + text_of(cause, "what");
  if (const auto since = parse_utc(text_of(cause, "since")); since) text += ", since " + friendly_time(*since, now);
  return text;
}

Quality quality_of_text(std::string_view text) {
  return text == "good" ? Quality::good : text == "uncertain" ? Quality::uncertain : Quality::bad;
}

}  // namespace

Result<PointRow> parse_point(std::string_view line, UtcNanoseconds now) {
  boost::system::error_code error;
  const auto parsed = json::parse(line, error);
  if (error || !parsed.is_object()) return fail(ErrorCode::malformed, "the node's answer is no JSON");
  const auto& object = parsed.get_object();
  PointRow row;
  row.path = text_of(object, "path");
  row.removed = object.contains("removed");
  if (const auto* value = object.if_contains("value")) row.value = shown(*value);
  if (const auto* meta = object.if_contains("meta"); meta && meta->is_object())
    row.unit = text_of(meta->get_object(), "unit");
  row.origin = text_of(object, "origin");
  row.status_name = text_of(object, "status_name");
  row.quality = quality_of_text(text_of(object, "quality"));
  row.source_time = parse_utc(text_of(object, "timestamp")).value_or(0);
  row.cause = cause_of(object, now);
  row.verified = text_of(object, "verified");
  return row;
}

std::string quality_cell(const PointRow& point) {
  std::string text(to_string(point.quality));
  if (!point.status_name.empty()) text += " " + point.status_name;
  return coloured(text, colour_of(point.quality));
}

std::string verified_cell(const PointRow& point) {
  return coloured(point.verified, point.verified == "unverified" ? Colour::yellow : Colour::green);
}

UtcNanoseconds now_utc() { return SystemClock().utc(); }

}  // namespace sallyport::cli
