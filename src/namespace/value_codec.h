// Values and metadata as bytes, the same on the wire and on disk (docs/protocol.md, "Value", "Metadata").
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "namespace/point.h"
#include "namespace/value.h"

namespace sallyport {

inline constexpr std::size_t kMaxEnumStrings = 1024;

void encode_value(ByteWriter& out, const Value& value);
Result<Value> decode_value(ByteReader& in);      // malformed
void encode_meta(ByteWriter& out, const Meta& meta);
Result<Meta> decode_meta(ByteReader& in);        // malformed

}  // namespace sallyport
