// The benchmarks of `sallyport bench`; bench.cpp lists them, each stands in its own file.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "cli/command.h"

namespace sallyport::cli::bench {

void add_chain(Options& bench);
void add_latency(Options& bench);
void add_memory(Options& bench);
void add_snapshot(Options& bench);
void add_resume(Options& bench);
void add_slow_link(Options& bench);
void add_fan_out(Options& bench);
void add_idle_links(Options& bench);
void add_opcua(Options& bench);
void add_journal(Options& bench);
void add_history(Options& bench);
void add_sessions(Options& bench);
void add_diode(Options& bench);
void add_seal(Options& bench);

// "max", or changes per second.
Result<std::optional<std::uint64_t>> parse_rate(const std::string& text);

}  // namespace sallyport::cli::bench
