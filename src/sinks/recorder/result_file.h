// The recorder's totals as one JSON file, replaced as a whole so that a reader never sees half of it.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "sinks/recorder/tally.h"

namespace sallyport::recorder {

struct Report {
  std::string name;
  UtcNanoseconds at = 0;  // when the totals were what they are
  bool stopped = false;
  Totals totals;
  std::optional<Ages> ages;
};

std::string to_json(const Report& report);
Result<void> write_report(const std::string& path, const Report& report);

}  // namespace sallyport::recorder
