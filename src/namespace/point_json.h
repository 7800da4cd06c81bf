// A point as JSON, the same on HTTP, MQTT, NDJSON and the command line (docs/json.md).
#pragma once

#include <string>
#include <string_view>

#include "base/json_writer.h"
#include "namespace/change.h"
#include "namespace/namespace.h"

namespace sallyport {

// Appends {"path":…,"value":…,"type":…,"quality":…,"status":…,"timestamp":…,"origin":…} with status_name when not Good and
// cause when covered, verified on a node that verifies. No newline.
void append_point_json(std::string& out, std::string_view path, const Value& value, Status status, UtcNanoseconds source_time,
                       std::string_view origin, const Cause* cause, Verified verified = Verified::unknown);
void append_point_json(std::string& out, const PointView& point);
// Just the value: numbers, strings, nested arrays for matrices, base64 for byte strings, objects for structures
// ({"type_id":…,"body":base64}), ISO 8601 for DateTime.
void append_value_json(JsonWriter& json, const Value& value);
// "Double", "Double[]", "Double[][]" for what the value is.
void append_type_name(std::string& out, const Value& value);

// Looks up origin and cause of routes for a run of updates; remembers the last. Causes change: refresh() before each
// batch, or make a new one. One thread.
class RouteCache {
 public:
  explicit RouteCache(const Namespace& ns) : namespace_(ns) {}
  struct Entry { std::string origin; Cause cause; };
  const Entry& at(RouteId route, bool covered);
  void refresh() { last_ = kNoRoute, last_covered_ = false, entry_ = {}; }

 private:
  const Namespace& namespace_;
  RouteId last_ = kNoRoute;
  bool last_covered_ = false;
  Entry entry_;
};

}  // namespace sallyport
