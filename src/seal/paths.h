// Where containers stand in the namespace, and what links must let through for them. Any thread.
//
// "$seal/plant-1/acme/berlin/$v17": origin, the literal levels that all its points begin with, kind and number. The last
// level begins with '$', so that no pattern over points ever matches it by accident.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "seal/container.h"

namespace sallyport::seal {

std::string container_path(std::string_view origin, std::string_view prefix, Kind kind, std::uint64_t number);
// All containers of one stream, of all kinds: "$seal/plant-1/acme/berlin/$*".
std::string stream_pattern(std::string_view origin, std::string_view prefix);

// The levels of a pattern before its first wildcard, at most as many as a container's path has room for: "acme/berlin" of
// "acme/berlin/**"; empty of "**".
std::string literal_prefix(std::string_view pattern);

// What a link's `send` or `receive` lets through, with the containers of it added: those whose points all begin with a prefix
// below which everything matches ("acme/berlin/**" lets those of acme/berlin and of acme/berlin/line-1 through, not those of
// acme), and none that may hold a point which is excluded. A list that names "$seal/…" itself is left as it is.
std::vector<std::string> with_seals(const std::vector<std::string>& texts);

// Whether a path may match both; errs on the side of yes.
bool may_overlap(std::string_view pattern_a, std::string_view pattern_b);

}  // namespace sallyport::seal
