#include "sinks/mqtt/payload.h"

#include "base/json_writer.h"

namespace sallyport::mqtt {
namespace {

constexpr std::int64_t kMillisecond = 1'000'000;

bool is_known(const Update& update) { return quality_of(update.status) != Quality::bad && !update.value.is_null(); }

void append_bare_value(std::string& out, const Update& update) {
  if (!is_known(update)) {
    out += "null";
  } else if (update.value.type() == Type::string && !update.value.is_array()) {
    out += update.value.text();
  } else {
    JsonWriter json(out);
    append_value_json(json, update.value);
  }
}

void append_umh(std::string& out, std::string_view path, const Update& update) {
  std::int64_t milliseconds = update.source_time / kMillisecond;
  if (update.source_time % kMillisecond < 0) --milliseconds;
  JsonWriter json(out);
  json.begin_object();
  json.field("timestamp_ms", milliseconds);
  json.key(path.substr(path.rfind('/') + 1));
  if (is_known(update))
    append_value_json(json, update.value);
  else
    json.null();
  json.end_object();
}

}  // namespace

void append_payload(std::string& out, Format format, std::string_view path, const Update& update,
                    const RouteCache::Entry& route) {
  switch (format) {
    case Format::json:
      return append_point_json(out, path, update.value, update.status, update.source_time, route.origin,
                               update.covered ? &route.cause : nullptr, update.verified);
    case Format::value:
      return append_bare_value(out, update);
    case Format::umh:
      return append_umh(out, path, update);
  }
}

}  // namespace sallyport::mqtt
