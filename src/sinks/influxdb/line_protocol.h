// Rows as InfluxDB line protocol. Bytes out, no I/O.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "namespace/collector.h"
#include "namespace/value_columns.h"

namespace sallyport::influxdb {

// What the format cannot carry (line ends in names, NUL) becomes a space.
void append_name(std::string& out, std::string_view name);          // a measurement
void append_tag(std::string& out, std::string_view text);           // a tag's or field's key, a tag's value
void append_field_text(std::string& out, std::string_view text);    // in quotes

class LineWriter {
 public:
  explicit LineWriter(std::string measurement) : measurement_(std::move(measurement)) {}
  // One line, with its end. `time`: as it is to be stored.
  void add(std::string& out, const Row& row, const FeedPoint& point, UtcNanoseconds time);
  void add(std::string& out, const FeedGap& gap);

 private:
  const std::string measurement_;
  ValueColumns columns_;
};

// The database keeps one point for each series and time: changes of one point that have the same source time follow each
// other by one nanosecond. The same again for the same changes in the same order.
class TieBreak {
 public:
  UtcNanoseconds time_of(const Row& row);

 private:
  struct Last {
    UtcNanoseconds source = INT64_MIN, stored = INT64_MIN;
  };
  std::vector<Last> last_;  // by the collector's ids
};

}  // namespace sallyport::influxdb
