#include "cli/bench_opcua.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "cli/bench_wire.h"

namespace sallyport::cli::bench {
namespace {

using std::chrono::seconds;

constexpr const char* kServer = "plant-server";
constexpr const char* kPlant = "plant";
constexpr const char* kSecond = "second";

Duration seconds_of(double number) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(number));
}
double since(MonotonicTime start) { return std::chrono::duration<double>(monotonic_now() - start).count(); }
double per(double number, double base) { return base > 0 ? number / base : 0; }

std::string contents(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// What stands between `before` and `after`, the last time there is such a place.
std::string between(const std::string& text, std::string_view before, std::string_view after) {
  const std::size_t at = text.rfind(before);
  if (at == text.npos) return {};
  const std::size_t from = at + before.size(), to = text.find(after, from);
  return to == text.npos ? std::string() : text.substr(from, to - from);
}

std::size_t count_of(const std::string& text, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++count;
  return count;
}

struct EdgeState {
  Reading reading;
  std::uint64_t source_changes = 0, link_changes = 0, wire_bytes = 0;
  std::vector<Usage> usage;
  std::string group;
};

// The three processes.
class Edge {
 public:
  Edge(const EdgeOptions& options, std::unique_ptr<Deployment> nodes) : options_(options), nodes_(std::move(nodes)) {}

  Result<void> start(EdgeFigures& figures);
  Result<EdgeState> look();
  Result<std::uint64_t> rest();  // changes of tags that the plant server has written up to then
  void go_on() { nodes_->child(kServer).signal(SIGUSR2); }
  Result<Reading> quiet() { return wait_until_quiet(*nodes_, result_file(), seconds(30)); }
  Result<std::uint64_t> missing() { return nodes_->differences(kPlant, kSecond); }
  Result<void> note_source(EdgeFigures& figures);
  const Interrupt& interrupt() const { return nodes_->interrupt(); }

 private:
  Result<std::string> start_server();
  Result<void> wait_good(const char* node);
  std::string source_text(const std::string& endpoint) const;
  std::string result_file() const { return nodes_->file("meter.json"); }

  const EdgeOptions& options_;
  std::unique_ptr<Deployment> nodes_;
  std::uint16_t port_ = 0;
};

// Its endpoint.
Result<std::string> Edge::start_server() {
  const auto server =
      nodes_->start_helper(kServer, {"simulate", "--port", "0", "--tags", std::to_string(options_.points), "--rate",
                                     std::to_string(options_.rate), "--shape", "ramp"});
  if (!server) return std::unexpected(server.error());
  if (auto ready = (*server)->wait_for_line(interrupt(), "ready", seconds(60) + seconds(options_.points / 2000));
      !ready)
    return std::unexpected(ready.error());
  std::string endpoint = between(contents(nodes_->file(std::string(kServer) + ".log")), "endpoint = \"", "\"");
  if (endpoint.empty()) return fail(ErrorCode::internal, "the plant server does not say where it listens");
  return endpoint;
}

std::string Edge::source_text(const std::string& endpoint) const {
  return "[[source.opcua]]\nname = \"plant\"\nendpoint = \"" + endpoint +
         "\"\ninto = \"bench/opcua\"\nbrowse = [\"nsu=urn:sallyport:plant;s=Plant/Tags\"]\nsecurity = \"none\"\n"
         "publishing_interval = \"" +
         options_.publishing_interval + "\"\n" +
         (options_.sampling_interval.empty() ? std::string()
                                             : "sampling_interval = \"" + options_.sampling_interval + "\"\n") +
         "max_points = " + std::to_string(std::max<std::uint64_t>(options_.points, 1000)) + "\n\n";
}

Result<void> Edge::wait_good(const char* node) {
  std::uint64_t good = 0;
  const auto waited =
      nodes_->wait("every point is good", seconds(60) + seconds(options_.points / 5000), [&]() -> Result<bool> {
        // Now and then only: what asks takes time from what is asked.
        if (auto ok = interrupt().sleep(std::chrono::milliseconds(20)); !ok) return std::unexpected(ok.error());
        const auto status = nodes_->status(node);
        if (!status) return std::unexpected(status.error());
        good = status->good;
        return good >= options_.points;
      });
  if (!waited) return within(std::to_string(good) + " points are good at " + node, waited.error());
  return {};
}

Result<void> Edge::start(EdgeFigures& figures) {
  const MonotonicTime begun = monotonic_now();
  const auto endpoint = start_server();
  if (!endpoint) return within("plant server", endpoint.error());
  figures.start.plant_server = since(begun);
  const auto listening =
      nodes_->start(kSecond, true, {{.peer = kPlant, .receives = true}}, recorder_text("meter.json", "Double"));
  if (!listening) return listening;
  const auto second = nodes_->status(kSecond);
  if (!second) return std::unexpected(second.error());
  port_ = second->port;
  const MonotonicTime started = monotonic_now();
  const LinkText link{.peer = kSecond, .sends = true, .dial_port = port_};
  if (auto ok = nodes_->start(kPlant, false, {link}, source_text(*endpoint)); !ok) return ok;
  if (auto good = wait_good(kPlant); !good) return good;
  figures.start.good_here = since(started);
  if (auto good = wait_good(kSecond); !good) return good;
  figures.start.good_there = since(started);
  return note_source(figures);
}

Result<void> Edge::note_source(EdgeFigures& figures) {
  const auto status = nodes_->status(kPlant);
  if (!status) return std::unexpected(status.error());
  const auto number = [&status](const std::string& key) {
    const auto found = status->source_details.find(key);
    return found == status->source_details.end() ? 0.0 : std::strtod(found->second.c_str(), nullptr) / 1e3;
  };
  const auto text = [&status](const std::string& key) {
    const auto found = status->source_details.find(key);
    return found == status->source_details.end() ? std::string() : found->second;
  };
  figures.start.connect = number("start_connect");
  figures.start.browse = number("start_browse");
  figures.start.metadata = number("start_metadata");
  figures.start.define = number("start_define");
  figures.start.subscribe = number("start_subscribe");
  figures.start.first_values = number("start_first_values");
  figures.publishing_interval = text("publishing_interval");
  figures.sampling_interval = text("sampling_interval");
  figures.overflows = status->source_counter("overflows");
  figures.sequence_gaps = status->source_counter("sequence_gaps");
  return {};
}

Result<std::uint64_t> Edge::rest() {
  constexpr std::string_view kSaid = "resting after ";
  const std::string log = nodes_->file(std::string(kServer) + ".log");
  const std::size_t said = count_of(contents(log), kSaid);
  nodes_->child(kServer).signal(SIGUSR1);
  std::string number;
  const auto rests = nodes_->wait("the plant server rests", seconds(20), [&]() -> Result<bool> {
    const std::string text = contents(log);
    number = between(text, kSaid, " changes");
    return count_of(text, kSaid) > said && !number.empty();
  });
  if (!rests) return std::unexpected(rests.error());
  return std::strtoull(number.c_str(), nullptr, 10);
}

Result<EdgeState> Edge::look() {
  EdgeState state;
  auto reading = fresh_reading(*nodes_, result_file());
  if (!reading) return std::unexpected(reading.error());
  state.reading = *std::move(reading);
  for (const char* process : {kServer, kPlant, kSecond}) state.usage.push_back(nodes_->usage(process));
  const auto plant = nodes_->status(kPlant);
  if (!plant) return std::unexpected(plant.error());
  const auto second = nodes_->status(kSecond);
  if (!second) return std::unexpected(second.error());
  const LinkFigures* link = second->link(kPlant);
  if (link == nullptr || !link->up) return fail(ErrorCode::unavailable, "the link between the nodes is not up");
  const auto bytes = wire_bytes(port_, link->address);
  if (!bytes) return std::unexpected(bytes.error());
  state.source_changes = plant->source_changes;
  state.link_changes = link->receive.changes;
  state.wire_bytes = bytes->received;
  state.group = link->group;
  return state;
}

void note_rates(EdgeFigures& figures, const EdgeState& before, const EdgeState& after) {
  const recorder::Totals& old = before.reading.totals;
  const recorder::Totals& now = after.reading.totals;
  figures.seconds = static_cast<double>(after.reading.at - before.reading.at) / 1e9;
  figures.changes_per_second = per(static_cast<double>(now.changes - old.changes), figures.seconds);
  figures.latency = now.latency.since(old.latency);
  for (std::size_t i = 0; i < after.usage.size(); ++i) {
    const Usage& from = before.usage[i];
    const Usage& to = after.usage[i];
    const double elapsed = std::chrono::duration<double>(to.at - from.at).count();
    const double cpu_per_second = per(static_cast<double>(to.cpu_ns - from.cpu_ns), elapsed);
    figures.cpu_share.push_back(cpu_per_second / 1e9);
    figures.cpu_ns_per_change.push_back(per(cpu_per_second, figures.changes_per_second));
    figures.switches_per_second.push_back(per(static_cast<double>(to.switches - from.switches), elapsed));
    figures.rss_bytes.push_back(to.rss_bytes);
  }
  figures.bytes_per_change = per(static_cast<double>(after.wire_bytes - before.wire_bytes),
                                 static_cast<double>(after.link_changes - before.link_changes));
  figures.group = after.group;
}

// From rest to rest each change that the server wrote must arrive at the recorder.
Result<void> measure(Edge& edge, const EdgeOptions& options, EdgeFigures& figures) {
  const auto written_before = edge.rest();
  if (!written_before) return std::unexpected(written_before.error());
  const auto rested = edge.quiet();
  if (!rested) return std::unexpected(rested.error());
  edge.go_on();
  const MonotonicTime begun = monotonic_now();
  if (auto ok = edge.interrupt().sleep(seconds_of(options.warm_up)); !ok) return ok;
  const auto before = edge.look();
  if (!before) return std::unexpected(before.error());
  if (auto ok = edge.interrupt().sleep(seconds_of(options.seconds)); !ok) return ok;
  const auto after = edge.look();
  if (!after) return std::unexpected(after.error());
  note_rates(figures, *before, *after);
  const auto written = edge.rest();
  if (!written) return std::unexpected(written.error());
  figures.written = *written - *written_before;
  figures.plant_changes_per_second = static_cast<double>(figures.written) / since(begun);
  const auto quiet = edge.quiet();
  if (!quiet) return std::unexpected(quiet.error());
  figures.arrived = quiet->totals.changes - rested->totals.changes;
  figures.lost = figures.written - std::min(figures.written, figures.arrived);
  // Before their first values, while the source starts, points are rightly not good.
  figures.wrong = quiet->totals.wrong - rested->totals.wrong;
  figures.backwards = quiet->totals.backwards;  // at any time
  figures.not_good = quiet->totals.not_good - rested->totals.not_good;
  const auto missing = edge.missing();
  if (!missing) return std::unexpected(missing.error());
  figures.missing = *missing;
  return edge.note_source(figures);
}

}  // namespace

Result<EdgeFigures> measure_edge(const Interrupt& interrupt, const EdgeOptions& options) {
  auto deployment = Deployment::make(interrupt, options.keep);
  if (!deployment) return std::unexpected(deployment.error());
  Edge edge(options, *std::move(deployment));
  EdgeFigures figures;
  if (auto started = edge.start(figures); !started) return std::unexpected(started.error());
  if (auto measured = measure(edge, options, figures); !measured) return std::unexpected(measured.error());
  return figures;
}

}  // namespace sallyport::cli::bench
