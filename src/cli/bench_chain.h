// A chain of nodes on this machine: simulator → node 0 → … → node H → recorder, with a real TLS link per hop. Main
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_deployment.h"
#include "cli/bench_meter.h"
#include "cli/bench_report.h"

namespace sallyport::cli::bench {

struct ChainOptions {
  std::uint64_t points = 100'000;
  unsigned hops = 2;
  unsigned threads = 1;  // [node] threads of each node
  double seconds = 5;
  double warm_up = 1;
  std::optional<std::uint64_t> rate;  // changes per second of all points; none: as fast as it goes
  bool stamp_due = false;             // source times are the times at which changes were due
  std::string type = "Double";
  std::string order = "sequential";
  bool every = false;                 // the points are `every`, and the recorder reads the journal
  std::string keep;
};

// The nodes, in order from the plant on.
class Chain {
 public:
  // Starts everything and waits until the last node has every point.
  static Result<std::unique_ptr<Chain>> start(const Interrupt& interrupt, const ChainOptions& options);

  Deployment& deployment() { return *deployment_; }
  const std::vector<std::string>& nodes() const { return nodes_; }
  std::string result_file() const { return deployment_->file("meter.json"); }
  // Of the last link, from its sender to its receiver, since it connected: TLS included.
  Result<std::uint64_t> bytes_to_last();
  Result<void> rest();  // the simulator changes nothing more

 private:
  explicit Chain(std::unique_ptr<Deployment> deployment) : deployment_(std::move(deployment)) {}
  Result<void> start_nodes(const ChainOptions& options);
  Result<std::uint16_t> port_of(std::size_t node) const;
  std::vector<LinkText> links_of(std::size_t node, const std::vector<std::uint16_t>& ports) const;

  std::unique_ptr<Deployment> deployment_;
  std::vector<std::string> nodes_;
};

// Two states of everything that is measured, and what lies between them.
struct ChainState {
  Reading reading;
  std::vector<Usage> usage;
  std::vector<StatusFigures> status;
  std::uint64_t wire_bytes = 0;
};
Result<ChainState> look_at(Chain& chain);

struct ChainFigures {
  double changes_per_second = 0, source_changes_per_second = 0;
  recorder::Histogram latency;
  double bytes_per_change = 0;
  std::vector<double> cpu_ns_per_change;    // by node
  std::vector<double> cpu_share;            // of one core, by node
  std::vector<double> switches_per_second;  // by node
  std::vector<std::uint64_t> rss_bytes, peak_bytes;
  double changes_per_pull = 0;
  std::string group;
  std::uint64_t wrong = 0, backwards = 0, not_good = 0, missing = 0;
  double seconds = 0;
};
ChainFigures between(const ChainState& before, const ChainState& after);

// All of it: start, warm up, measure, rest, compare.
Result<ChainFigures> measure_chain(const Interrupt& interrupt, const ChainOptions& options);

}  // namespace sallyport::cli::bench
