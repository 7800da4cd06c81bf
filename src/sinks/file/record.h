// One update as a line of the file. Bytes only, no I/O.
#pragma once

#include <string>
#include <string_view>

#include "namespace/change.h"
#include "namespace/point_json.h"

namespace sallyport::file {

enum class Format : std::uint8_t { ndjson, csv };

inline constexpr std::string_view kCsvHeader = "path,value,type,quality,status,timestamp,origin\n";

// Appends the update and a newline. A removed point is {"path":…,"removed":true}, in CSV a row with quality "removed".
void append_record(std::string& out, Format format, std::string_view path, const Update& update, RouteCache& routes);
// Appends one field, quoted when RFC 4180 §2 asks for it.
void append_csv_field(std::string& out, std::string_view text);

}  // namespace sallyport::file
