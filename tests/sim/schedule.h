// One schedule: a network, faults, rest; all from one seed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace sallyport::sim {

struct Figures {
  std::uint64_t faults = 0;
  Duration virtual_time{0};
  Duration slowest{0};          // from the last fault until every mirror was right
  std::uint64_t slowest_seed = 0;
};

// What went wrong, if anything.
std::optional<std::string> run_schedule(std::uint64_t seed, bool trace, Figures& figures);

}  // namespace sallyport::sim
