// `diode = { … }` of a [[link]] (docs/config.md). Main thread.
#pragma once

#include <optional>

#include "base/settings.h"
#include "node/config.h"

namespace sallyport::node {

// `link` has its name, peer, patterns, heartbeat and timeout already. Loads the keys, so that a wrong one is found here.
std::optional<link::diode::DiodeOptions> read_diode(const Settings& table, Problems& problems, const Config& config, const LinkConfig& link);

}  // namespace sallyport::node
