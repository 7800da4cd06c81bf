// Rows in the binary format of COPY (PostgreSQL, "COPY, Binary Format"). Bytes out, no I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "namespace/collector.h"
#include "namespace/value_columns.h"

namespace sallyport::postgres {

// In this order.
inline constexpr std::string_view kChangeColumns = "time, sequence, number, status, point, stream, ns, type, backfill, text, json";

// Microseconds since 2000-01-01, as the server keeps a timestamptz, and the nanoseconds left over (0 to 999).
struct ServerTime {
  std::int64_t microseconds = 0;
  std::int16_t nanoseconds = 0;
};
ServerTime to_server_time(UtcNanoseconds time);

class CopyRows {
 public:
  void begin();                          // the header; what was there is gone
  // Appends one row; `stream` 0: not from the journal.
  void add(const Row& row, std::int32_t point, std::int32_t stream);
  void end();                            // the trailer
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
  ValueColumns columns_;
};

// Why the server could never store it; "" when it can.
std::string never_fits(const Value& value);

}  // namespace sallyport::postgres
