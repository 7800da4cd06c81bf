// Values in the column samples.value. A scalar number of the point's own type is a number there, so that the file can be
// read with plain SQL; text of a String point is text; everything else is bytes (namespace/value_codec.h).
#pragma once

#include "history/sqlite.h"
#include "namespace/value.h"

namespace sallyport::history {

// `scratch` holds the bytes until the statement has run.
void bind_value(Statement& statement, int at, const Value& value, Type of_point, Bytes& scratch);
Result<Value> column_value(const Statement& statement, int column, Type of_point);  // malformed

}  // namespace sallyport::history
