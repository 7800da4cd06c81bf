// The small plant: pumps of sixteen points each, with the types, units, ranges and enums that real ones have. A point's
// value follows from (seed, pump, number of the change) alone, so all points of a pump tell the same story.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "namespace/point.h"
#include "namespace/value.h"

namespace sallyport::simulator {

inline constexpr std::uint32_t kPumpPoints = 16;

std::string_view pump_point_name(std::uint32_t slot);  // slot < kPumpPoints
std::vector<Meta> pump_metas();                        // by slot
Value pump_value(std::uint64_t seed, std::uint32_t pump, std::uint32_t slot, std::uint64_t change);

}  // namespace sallyport::simulator
