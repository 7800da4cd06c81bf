// A node with many downstream links: what fan-out and idle-links have in common. Main thread.
#pragma once

#include <memory>

#include "cli/bench_deployment.h"

namespace sallyport::cli::bench {

struct Downstream {
  std::unique_ptr<Deployment> nodes;
  Usage alone;  // of the hub, before anybody connected
};
// A node "hub" with that simulator and so many threads, and `links` sessions (another process, "sessions") that dial it and are all up.
Result<Downstream> start_downstream(const Interrupt& interrupt, const SimulatorText& simulator, std::uint64_t links,
                                    unsigned threads = 1);

}  // namespace sallyport::cli::bench
