// Gaps as JSON (docs/json.md), the same for the command line and HTTP.
#pragma once

#include <string>
#include <vector>

#include "namespace/feed.h"

namespace sallyport::node {

// {"gaps": […]}, oldest first.
std::string gaps_json(const std::vector<Gap>& gaps);

}  // namespace sallyport::node
