// A gap as JSON, the same on HTTP, the command line and in event streams (docs/json.md).
#pragma once

#include <string>

#include "namespace/feed.h"

namespace sallyport {

// Appends {"node":…,"where":…,"cause":…,"start":…,"end":…,"lost":…,"match":[…],"detail":…}; null for what is not known.
void append_gap_json(std::string& out, const Gap& gap);

}  // namespace sallyport
