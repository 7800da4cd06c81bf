// What the recorder at the far end says, and what happened between two readings of it. Main thread.
#pragma once

#include <optional>
#include <string>

#include "cli/bench_deployment.h"
#include "sinks/recorder/tally.h"

namespace sallyport::cli::bench {

struct Reading {
  UtcNanoseconds at = 0;
  recorder::Totals totals;
  std::optional<recorder::Ages> ages;
};

// None before the file was first written.
std::optional<Reading> read_meter(const std::string& file);
// A reading of after this call.
Result<Reading> fresh_reading(const Deployment& deployment, const std::string& file);
// Waits until nothing has come for half a second.
Result<Reading> wait_until_quiet(const Deployment& deployment, const std::string& file, Duration limit);

}  // namespace sallyport::cli::bench
