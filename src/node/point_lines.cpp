#include "node/point_lines.h"

#include <array>
#include <cstdio>

#include "base/json_writer.h"
#include "namespace/point_json.h"

namespace sallyport::node {
namespace {

bool has_meta(const Meta& meta) { return meta != Meta{}; }

std::string type_name(const Meta& meta) { return std::string(to_string(meta.type)) + (meta.array ? "[]" : ""); }

void append_meta(JsonWriter& json, const Meta& meta) {
  json.begin_object();
  if (meta.type != Type::null) json.field("type", type_name(meta));
  if (!meta.description.empty()) json.field("description", meta.description);
  if (!meta.unit.empty()) json.field("unit", meta.unit);
  if (meta.range_low) json.field("range_low", *meta.range_low);
  if (meta.range_high) json.field("range_high", *meta.range_high);
  if (!meta.enum_strings.empty()) {
    json.key("enum_strings");
    json.begin_array();
    for (const auto& text : meta.enum_strings) json.string(text);
    json.end_array();
  }
  if (meta.burst) json.field("burst", unsigned{meta.burst});
  if (meta.every) json.field("delivery", "every");
  json.end_object();
}

}  // namespace

void append_point_with_meta(std::string& out, const PointView& point) {
  append_point_json(out, point);
  if (!point.meta || !has_meta(*point.meta)) return;
  out.pop_back();  // the closing brace
  out += ",\"meta\":";
  JsonWriter json(out);
  append_meta(json, *point.meta);
  out += '}';
}

void append_digest_line(std::string& out, const PointView& point) {
  std::string type;
  append_type_name(type, point.value);
  std::array<char, 16> status{};
  std::snprintf(status.data(), status.size(), "0x%08X", point.status);
  JsonWriter json(out);
  json.begin_array();
  json.string(point.path);
  json.string(type);
  append_value_json(json, point.value);
  json.string(status.data());
  json.raw(std::to_string(point.source_time));
  json.end_array();
}

}  // namespace sallyport::node
