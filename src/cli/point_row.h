// A point as the commands show it to people, from its JSON.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "namespace/quality.h"

namespace sallyport::cli {

struct PointRow {
  std::string path;
  std::string value;  // one line, cut when long
  std::string unit;
  std::string origin;
  std::string status_name;
  std::string cause;  // "dmz-1 → plant-1: timeout since 14:03:27.123 (2.1 s ago)"; empty when nothing broke
  Quality quality = Quality::good;
  UtcNanoseconds source_time = 0;
  bool removed = false;
  std::string verified;  // empty on a node that verifies nothing
};

Result<PointRow> parse_point(std::string_view json, UtcNanoseconds now);
// "bad BadNoCommunication", coloured.
std::string quality_cell(const PointRow& point);
// "signed-pq", coloured.
std::string verified_cell(const PointRow& point);
UtcNanoseconds now_utc();

}  // namespace sallyport::cli
