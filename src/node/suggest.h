// "Did you mean": for a path or pattern that matches nothing, the nearest names that there are. Goes through the table,
// so never on the links' loop. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "namespace/namespace.h"

namespace sallyport::node {

// Follows the pattern down to the first level that does not exist; what stands there instead, the likeliest first.
std::vector<std::string> near_paths(const Namespace& ns, std::string_view pattern, std::size_t max);
// "; did you mean 'acme/berlin'?", "; there are 'a', 'b'", or nothing.
std::string suggestion(const Namespace& ns, std::string_view pattern);

}  // namespace sallyport::node
