// [[seal]] and [[verify]] as they are read from the settings, and what they mean for links: containers go wherever the points
// go that they hold; points that are sealed alone are not sent in the clear; points that are verified come from no link
// (docs/seals.md). Main thread.
#pragma once

#include "node/config.h"

namespace sallyport::node {

// After the links, the deliveries and the identity. What is wrong is added to the problems.
void read_seals(SettingsReader& root, Config& config, Problems& problems);

}  // namespace sallyport::node
