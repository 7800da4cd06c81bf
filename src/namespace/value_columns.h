// A value as columns of a table: a number where it is one, a text where it is one, JSON for the rest. For sinks that write to
// databases.
#pragma once

#include <optional>
#include <string>

#include "namespace/value.h"

namespace sallyport {

// Reused by its owner from value to value.
struct ValueColumns {
  std::optional<double> number;  // numbers, and booleans as 0 and 1
  bool has_text = false, has_json = false;
  std::string text;              // strings, ids, times, byte strings (base64); integers that a double does not hold exactly
  std::string json;              // arrays, structures, localized texts
};
// The text is UTF-8: bytes that are not become U+FFFD, as in JSON.
void to_columns(const Value& value, ValueColumns& columns);

}  // namespace sallyport
