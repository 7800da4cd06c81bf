// An OPC UA plant on this machine: `sallyport simulate` with many tags → a node with an OPC UA source → TLS link → a
// second node → recorder. Main thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/bench_deployment.h"
#include "cli/bench_meter.h"

namespace sallyport::cli::bench {

struct EdgeOptions {
  std::uint64_t points = 100'000;
  std::uint64_t rate = 100'000;  // changes per second of all points together
  double seconds = 10;
  double warm_up = 2;
  std::string publishing_interval = "250ms";
  std::string sampling_interval;  // empty: the source's default, as often as is published
  std::string keep;
};

// From the start of the plant node's process on, with the plant changing all the while. Seconds.
struct EdgeStart {
  double plant_server = 0;  // until the plant server listened, before that
  // Of the source, as it says in its status.
  double connect = 0, browse = 0, metadata = 0, define = 0, subscribe = 0, first_values = 0;
  double good_here = 0;   // until every point was good at the plant node
  double good_there = 0;  // and at the second
};

struct EdgeFigures {
  EdgeStart start;
  double seconds = 0;
  double plant_changes_per_second = 0;  // what the plant server wrote
  double changes_per_second = 0;        // what the recorder at the second node read
  recorder::Histogram latency;          // from the server's source time to the recorder
  // By process: plant server, plant node, second node.
  std::vector<double> cpu_share, switches_per_second;
  std::vector<double> cpu_ns_per_change;
  std::vector<std::uint64_t> rss_bytes;
  double bytes_per_change = 0;
  std::string group, publishing_interval, sampling_interval;
  std::uint64_t written = 0, arrived = 0;  // from rest to rest
  std::uint64_t lost = 0, wrong = 0, backwards = 0, not_good = 0, missing = 0, overflows = 0, sequence_gaps = 0;
};

Result<EdgeFigures> measure_edge(const Interrupt& interrupt, const EdgeOptions& options);

}  // namespace sallyport::cli::bench
