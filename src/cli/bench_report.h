// How benchmarks print: one JSON document or a table for people, both with the machine they ran on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"

namespace sallyport::cli::bench {

struct Machine {
  unsigned cores = 0;
  std::string cpu, kernel, openssl, version;
  double load = 0;  // of the last minute, when it was asked: something else may be running
};
Machine this_machine();
void write_machine(JsonWriter& json, const Machine& machine);  // "machine": {…}

// Name, figure and remark, in lines.
class Sheet {
 public:
  explicit Sheet(std::string title) : title_(std::move(title)) {}
  void line(std::string name, std::string figure, std::string remark = {});
  void print(const Machine& machine) const;

 private:
  struct Line {
    std::string name, figure, remark;
  };
  std::string title_;
  std::vector<Line> lines_;
};

std::string rounded(double number, int digits);            // "12.3"
std::string in_millions(double number);                    // "12.3 million"
std::string microseconds_text(std::uint64_t nanoseconds);  // "81 µs"
// 1234567.891 → 1234567.9 and such, so that JSON does not pretend more precision than there is.
double round_to(double number, int digits);

}  // namespace sallyport::cli::bench
