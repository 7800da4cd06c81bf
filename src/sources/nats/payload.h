// A message's payload as a change: the point's JSON (docs/json.md), or a bare value.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "namespace/change.h"

namespace sallyport::nats {

// {"value":…} with "type", "status" or "quality", and "timestamp" where known; other keys are passed over. Without a type,
// numbers are Double. `received`: the source time when the payload has none. malformed: says what is wrong.
Result<Change> parse_point(std::string_view payload, UtcNanoseconds received);

// A bare value: of the type when one is given; else a number, true or false, or the text as it is.
Result<Change> parse_bare(std::string_view payload, std::optional<Type> type, UtcNanoseconds received);

}  // namespace sallyport::nats
