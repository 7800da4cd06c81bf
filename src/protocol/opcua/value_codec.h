// OPC UA's Variant and DataValue to and from the namespace's Value, quality and source time. Nothing is dropped: what
// has no value type of its own travels as opaque bytes with its type id.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "namespace/change.h"
#include "protocol/opcua/node_id.h"
#include "protocol/opcua/ua.h"

namespace sallyport::opcua {

// A null string reads as an empty one, a null array as an array without elements. Structures keep their body exactly as
// encoded; an XML body is marked by "xml;" before the type id. NodeIds inside bodies keep the source's indexes.
// limit: larger than kMaxValueSize. malformed: nested deeper than a Value may be.
Result<Value> to_value(const UA_Variant& variant, const NamespaceTable& namespaces);
// The way back. not_found: a NodeId or QualifiedName of a namespace that `namespaces` does not have.
Result<Variant> to_variant(const Value& value, const NamespaceTable& namespaces);

// 100 ns since 1601 (and up to 9999 × 10 ps) to ns since 1970; clamped to the years 1678 to 2261.
UtcNanoseconds to_utc(UA_DateTime ticks, std::uint16_t picoseconds = 0);
UA_DateTime to_ticks(UtcNanoseconds time);

// Value, status and source time of what a server reported. Source time is the source's, else the server's, else
// `received`; no status means Good. A value that cannot be carried becomes null with BadEncodingLimitsExceeded.
// `change.point` is left alone.
void to_change(const UA_DataValue& data, const NamespaceTable& namespaces, UtcNanoseconds received, Change& change);

// Built-in type of a variant's elements; enumerations are Int32, everything structured is Structure.
Type type_of(const UA_DataType& type);

}  // namespace sallyport::opcua
