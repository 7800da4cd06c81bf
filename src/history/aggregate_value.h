// Small arithmetic on samples for the aggregates.
#pragma once

#include <optional>

#include "history/aggregate.h"

namespace sallyport::history {

double to_number(const Value& value);   // 0 when it is none
bool is_number(const Value& value);     // a finite one
// A number of the same type as `model` where it is one of that type, else a Double.
Value like(const Value& model, double number);
// Where the line through both stands at `time`.
double on_line(const Sample& from, const Sample& to, UtcNanoseconds time);
// The least (sign < 0) or greatest so far; the oldest of equals, and `many` says that there are such.
void keep_extreme(std::optional<Sample>& kept, bool& many, const Sample& sample, double number, int sign);

}  // namespace sallyport::history
