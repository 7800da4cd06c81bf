#include "cli/bench_chain.h"

#include <fstream>

#include "cli/bench_wire.h"

namespace sallyport::cli::bench {
namespace {

using std::chrono::seconds;

Duration seconds_of(double number) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(number));
}

std::string source_text(const ChainOptions& options) {
  SimulatorText simulator;
  simulator.points = options.points;
  simulator.rate = options.rate;
  simulator.type = options.type;
  simulator.order = options.order;
  simulator.more = "rest_on = \"rest\"\n";
  // One by one where the machine can: what is due is not held back to be handed over together.
  if (options.rate && *options.rate <= 50'000) simulator.more += "tick = \"10us\"\n";
  if (options.stamp_due) simulator.more += "stamp = \"due\"\n";
  return text_of(simulator) + (options.every ? "[[delivery]]\nmatch = \"bench/**\"\nmode = \"every\"\n" : "");
}

// 100,000 points a second is a tenth of what a laptop does.
Duration patience_for(std::uint64_t points) { return seconds(30) + seconds(points / 100'000); }

double per(double number, double base) { return base > 0 ? number / base : 0; }

}  // namespace

Result<std::unique_ptr<Chain>> Chain::start(const Interrupt& interrupt, const ChainOptions& options) {
  auto deployment = Deployment::make(interrupt, options.keep);
  if (!deployment) return std::unexpected(deployment.error());
  std::unique_ptr<Chain> chain(new Chain(*std::move(deployment)));
  for (unsigned i = 0; i <= options.hops; ++i) chain->nodes_.push_back("bench-" + std::to_string(i));
  chain->deployment_->set_threads(options.threads);
  if (auto ok = chain->start_nodes(options); !ok) return std::unexpected(ok.error());
  std::uint64_t there = 0;
  const auto complete =
      chain->deployment_->wait("the last node has every point", patience_for(options.points), [&]() -> Result<bool> {
        const auto reading = read_meter(chain->result_file());
        if (reading) there = reading->totals.points;
        return there >= options.points;
      });
  if (!complete) return within(std::to_string(there) + " points arrived", complete.error());
  return chain;
}

// As in plant → DMZ → AI, both neighbours dial the node between them: odd nodes listen, even nodes dial.
std::vector<LinkText> Chain::links_of(std::size_t node, const std::vector<std::uint16_t>& ports) const {
  std::vector<LinkText> links;
  const bool dials = node % 2 == 0;
  if (node > 0) {
    links.push_back(
        {.peer = nodes_[node - 1], .receives = true, .dial_port = dials ? ports[node - 1] : std::uint16_t{0}});
  }
  if (node + 1 < nodes_.size()) {
    links.push_back({.peer = nodes_[node + 1], .sends = true, .dial_port = dials ? ports[node + 1] : std::uint16_t{0}});
  }
  return links;
}

Result<void> Chain::start_nodes(const ChainOptions& options) {
  std::vector<std::uint16_t> ports(nodes_.size());
  const auto start = [&](std::size_t node) {
    std::string more;
    if (node == 0) more += source_text(options);
    if (node + 1 == nodes_.size()) more += recorder_text("meter.json", options.type, options.every ? "delivery = \"every\"\n" : "");
    return deployment_->start(nodes_[node], node % 2 == 1, links_of(node, ports), more);
  };
  for (std::size_t node = 1; node < nodes_.size(); node += 2) {
    if (auto ok = start(node); !ok) return ok;
    const auto port = port_of(node);
    if (!port) return std::unexpected(port.error());
    ports[node] = *port;
  }
  // The plant last: its values find the way open.
  for (std::size_t half = (nodes_.size() - 1) / 2 + 1; half-- > 0;) {
    if (auto ok = start(half * 2); !ok) return ok;
  }
  return {};
}

Result<std::uint16_t> Chain::port_of(std::size_t node) const {
  const auto status = deployment_->status(nodes_[node]);
  if (!status) return std::unexpected(status.error());
  if (status->port == 0) return fail(ErrorCode::internal, "node " + nodes_[node] + " does not say where it listens");
  return status->port;
}

Result<std::uint64_t> Chain::bytes_to_last() {
  const std::size_t last = nodes_.size() - 1;
  const std::size_t listener = last % 2 == 1 ? last : last - 1;
  const auto status = deployment_->status(nodes_[listener]);
  if (!status) return std::unexpected(status.error());
  const LinkFigures* link = status->link(nodes_[listener == last ? last - 1 : last]);
  if (link == nullptr || !link->up) return fail(ErrorCode::unavailable, "the link to the last node is not up");
  const auto bytes = wire_bytes(status->port, link->address);
  if (!bytes) return std::unexpected(bytes.error());
  return listener == last ? bytes->received : bytes->sent;
}

Result<void> Chain::rest() {
  std::ofstream file(deployment_->file("rest"));
  if (!file) return fail(ErrorCode::io, "cannot write " + deployment_->file("rest"));
  return {};
}

Result<ChainState> look_at(Chain& chain) {
  ChainState state;
  auto reading = fresh_reading(chain.deployment(), chain.result_file());
  if (!reading) return std::unexpected(reading.error());
  state.reading = *std::move(reading);
  for (const std::string& node : chain.nodes()) state.usage.push_back(chain.deployment().usage(node));
  const auto bytes = chain.bytes_to_last();
  if (!bytes) return std::unexpected(bytes.error());
  state.wire_bytes = *bytes;
  for (const std::string& node : chain.nodes()) {
    auto status = chain.deployment().status(node);
    if (!status) return std::unexpected(status.error());
    state.status.push_back(*std::move(status));
  }
  return state;
}

// The recorder's figures, the processes' and the links' are read a moment apart: each is made a rate of its own first.
ChainFigures between(const ChainState& before, const ChainState& after) {
  ChainFigures figures;
  const recorder::Totals& old = before.reading.totals;
  const recorder::Totals& now = after.reading.totals;
  figures.seconds = static_cast<double>(after.reading.at - before.reading.at) / 1e9;
  const auto changes = static_cast<double>(now.changes - old.changes);
  figures.changes_per_second = per(changes, figures.seconds);
  figures.changes_per_pull = per(changes, static_cast<double>(now.pulls - old.pulls));
  figures.latency = now.latency.since(old.latency);
  figures.wrong = now.wrong - old.wrong;
  figures.backwards = now.backwards - old.backwards;
  figures.not_good = now.not_good - old.not_good;
  for (std::size_t i = 0; i < after.usage.size(); ++i) {
    const Usage& from = before.usage[i];
    const Usage& to = after.usage[i];
    const double elapsed = std::chrono::duration<double>(to.at - from.at).count();
    const double cpu_per_second = per(static_cast<double>(to.cpu_ns - from.cpu_ns), elapsed);
    figures.cpu_share.push_back(cpu_per_second / 1e9);
    figures.cpu_ns_per_change.push_back(per(cpu_per_second, figures.changes_per_second));
    figures.switches_per_second.push_back(per(static_cast<double>(to.switches - from.switches), elapsed));
    figures.rss_bytes.push_back(to.rss_bytes);
    figures.peak_bytes.push_back(to.peak_bytes);
  }
  const double elapsed = std::chrono::duration<double>(after.usage[0].at - before.usage[0].at).count();
  figures.source_changes_per_second =
      per(static_cast<double>(after.status.front().source_changes - before.status.front().source_changes), elapsed);
  const auto& last_before = before.status.back().links.front();
  const auto& last_after = after.status.back().links.front();
  figures.bytes_per_change = per(static_cast<double>(after.wire_bytes - before.wire_bytes),
                                 static_cast<double>(last_after.receive.changes - last_before.receive.changes));
  figures.group = last_after.group;
  return figures;
}

Result<ChainFigures> measure_chain(const Interrupt& interrupt, const ChainOptions& options) {
  auto chain = Chain::start(interrupt, options);
  if (!chain) return std::unexpected(chain.error());
  if (auto ok = interrupt.sleep(seconds_of(options.warm_up)); !ok) return std::unexpected(ok.error());
  const auto before = look_at(**chain);
  if (!before) return std::unexpected(before.error());
  if (auto ok = interrupt.sleep(seconds_of(options.seconds)); !ok) return std::unexpected(ok.error());
  const auto after = look_at(**chain);
  if (!after) return std::unexpected(after.error());
  ChainFigures figures = between(*before, *after);
  if (auto ok = (*chain)->rest(); !ok) return std::unexpected(ok.error());
  const auto quiet = wait_until_quiet((*chain)->deployment(), (*chain)->result_file(), seconds(30));
  if (!quiet) return std::unexpected(quiet.error());
  // Whatever went wrong at any time counts.
  figures.wrong = quiet->totals.wrong;
  figures.backwards = quiet->totals.backwards;
  const auto missing = (*chain)->deployment().differences((*chain)->nodes().front(), (*chain)->nodes().back());
  if (!missing) return std::unexpected(missing.error());
  figures.missing = *missing + quiet->totals.missing + quiet->totals.repeated;
  return figures;
}

}  // namespace sallyport::cli::bench
