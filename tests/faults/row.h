// One line of the table in docs/reliability.md. Each is printed; with SALLYPORT_RELIABILITY=FILE it is also appended there
// as JSON, from which scripts/reliability makes the page. SALLYPORT_FAULTS=full asks for the lengths and times of the page;
// otherwise everything is as short as it can be and still be true.
#pragma once

#include <optional>
#include <string>

#include "process.h"

namespace sallyport::tests {

bool full_length();

struct Row {
  std::string table;                       // "chain", "load", "mosquitto-default", "mosquitto-tuned"
  std::string fault, bound;
  std::optional<Clock::duration> not_good; // the last consumer's last point turned not good, or it was told otherwise
  std::optional<Clock::duration> right;    // all right again, after healing
  std::optional<std::size_t> wrong;        // points whose last value at the consumer is not the source's
  std::optional<std::size_t> stale_good;   // points good, or told to be good, after the bound
  std::optional<std::size_t> backwards;    // updates older than what the point had
  std::string note;
};
void report(const Row& row);

std::string seconds_text(std::optional<Clock::duration> duration);  // "0.412 s", "-"

}  // namespace sallyport::tests
