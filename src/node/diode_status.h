// How a diode link shows in `status --json`, $sys, /metrics, hints and `doctor`. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"
#include "node/doctor.h"

namespace sallyport::node {

// What it counts and measures, one by one; the same names everywhere. Milliseconds where the name says so.
struct DiodeFigure {
  std::string name;
  std::uint64_t value = 0;
  bool grows = true;      // a counter; else a gauge
};
std::vector<DiodeFigure> diode_figures(const link::diode::DiodeStatus& diode);

void write_diode(JsonWriter& json, const link::LinkStatus& link);   // "diode": {…}, for a link that is one
std::vector<std::string> diode_hints(const link::LinkStatus& link);
Findings check_diode(const link::LinkStatus& link);

}  // namespace sallyport::node
