// A value from what a person typed: `sallyport write`, tests. Reads what append_value_json writes for the same type, without
// the quotes around texts.
#pragma once

#include <string_view>

#include "base/result.h"
#include "namespace/value.h"

namespace sallyport {

// Scalars: true/false, numbers in range, NaN and Infinity, texts as they are, base64 for ByteString, ISO 8601 for DateTime,
// canonical Guids, StatusCodes as 0x80310000. Arrays, of types other than texts: [1, 2, 3]. invalid: says what is expected.
Result<Value> parse_value(Type type, bool array, std::string_view text);

}  // namespace sallyport
