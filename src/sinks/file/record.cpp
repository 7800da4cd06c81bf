#include "sinks/file/record.h"

#include "base/json_writer.h"

namespace sallyport::file {
namespace {

void append_status(std::string& out, Status status) {
  constexpr std::string_view digits = "0123456789abcdef";
  out += "0x";
  for (int shift = 28; shift >= 0; shift -= 4) out += digits[(status >> shift) & 0xf];
}

// A text stands for itself, null is empty, everything else is its JSON.
void append_csv_value(std::string& out, const Value& value) {
  if (value.is_null()) return;
  if (value.type() == Type::string && !value.is_array()) return append_csv_field(out, value.text());
  std::string json;
  JsonWriter writer(json);
  append_value_json(writer, value);
  const bool quoted = json.size() >= 2 && json.front() == '"' && json.find('\\') == std::string::npos;
  append_csv_field(out, quoted ? std::string_view(json).substr(1, json.size() - 2) : std::string_view(json));
}

void append_csv(std::string& out, std::string_view path, const Update& update, std::string_view origin) {
  append_csv_field(out, path);
  out += ',';
  if (update.kind == UpdateKind::removed) {
    out += ",,removed,,,\n";
    return;
  }
  append_csv_value(out, update.value);
  out += ',';
  append_type_name(out, update.value);
  out += ',';
  out += to_string(quality_of(update.status));
  out += ',';
  append_status(out, update.status);
  out += ',';
  append_utc(out, update.source_time);
  out += ',';
  append_csv_field(out, origin);
  out += '\n';
}

void append_ndjson(std::string& out, std::string_view path, const Update& update, const RouteCache::Entry& route) {
  if (update.kind == UpdateKind::removed) {
    JsonWriter json(out);
    json.begin_object();
    json.field("path", path);
    json.field("removed", true);
    json.end_object();
  } else {
    append_point_json(out, path, update.value, update.status, update.source_time, route.origin,
                      update.covered ? &route.cause : nullptr, update.verified);
  }
  out += '\n';
}

}  // namespace

void append_csv_field(std::string& out, std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void append_record(std::string& out, Format format, std::string_view path, const Update& update, RouteCache& routes) {
  static const RouteCache::Entry nowhere;
  const RouteCache::Entry& route =
      update.kind == UpdateKind::removed ? nowhere : routes.at(update.route, update.covered);
  if (format == Format::csv)
    append_csv(out, path, update, route.origin);
  else
    append_ndjson(out, path, update, route);
}

}  // namespace sallyport::file
