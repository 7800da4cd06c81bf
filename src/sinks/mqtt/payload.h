// What is published for an update. Bytes only, no I/O.
#pragma once

#include <string>
#include <string_view>

#include "namespace/change.h"
#include "namespace/point_json.h"
#include "sinks/mqtt/mqtt_settings.h"

namespace sallyport::mqtt {

// json: the point as everywhere. value: the bare value as text. umh: {"timestamp_ms":…,"<last level of the
// path>":value}, the data model of the United Manufacturing Hub. The last two cannot say quality: a bad value is null
// there, never the last good one.
void append_payload(std::string& out, Format format, std::string_view path, const Update& update,
                    const RouteCache::Entry& route);

}  // namespace sallyport::mqtt
