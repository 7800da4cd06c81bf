// How the commands print for people: aligned tables, colours on a terminal only, times that can be read at a glance.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "namespace/quality.h"

namespace sallyport::cli {

enum class Colour { none, green, yellow, red, dim, bold };

// Whether standard output is a terminal that wants colours (NO_COLOR is heeded).
bool use_colour();
std::string coloured(std::string_view text, Colour colour);
std::string bold(std::string_view text);
Colour colour_of(Quality quality);

// Columns that a terminal will take for this UTF-8 text, escapes of coloured() not counted.
std::size_t display_width(std::string_view text);
// Control characters (an escape sequence in a value must not reach the terminal) become "\xNN".
std::string printable(std::string_view text);

class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  void sort() { std::ranges::sort(rows_); }  // by the first column
  bool empty() const { return rows_.empty(); }
  // Columns of numbers are aligned to the right.
  std::string text() const;
  void print() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

// "14:03:27.123 (2.1 s ago)" in local time; the date too when it is another day. "never" for 0.
std::string friendly_time(UtcNanoseconds time, UtcNanoseconds now);
std::string friendly_age(Duration age);            // "350 ms", "2.1 s", "4 min", "3 h", "12 days"
std::string friendly_count(std::uint64_t number);  // "1,234,567"
std::string friendly_bytes(std::uint64_t number);  // "1.2 MB"

void print(std::string_view text);        // standard output
void print_error(std::string_view text);  // "error: …" on standard error
int failed(const Error& error);           // prints it; returns kFailure

}  // namespace sallyport::cli
