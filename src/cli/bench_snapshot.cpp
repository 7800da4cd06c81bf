// sallyport bench snapshot: how long a new, empty node takes until it has every point.
#include "cli/bench.h"
#include "cli/bench_meter.h"
#include "cli/bench_report.h"
#include "cli/bench_wire.h"
#include "cli/terminal.h"

namespace sallyport::cli::bench {
namespace {

struct Arguments {
  std::int64_t points = 1'000'000;
  std::string type = "Double";
  bool json = false;
};

struct Snapshot {
  double from_link = 0, from_start = 0;  // seconds until a consumer of the new node had read every point
  std::uint64_t wire_bytes = 0;
  double hub_cpu_ns = 0, mirror_cpu_ns = 0;  // per point
  std::string group;
};

Result<Snapshot> measure(const Interrupt& interrupt, std::uint64_t points, const std::string& type) {
  auto deployment = Deployment::make(interrupt, "");
  if (!deployment) return std::unexpected(deployment.error());
  Deployment& nodes = **deployment;
  SimulatorText simulator;
  simulator.points = points;
  simulator.rate = 0;
  simulator.type = type;
  if (auto ok = nodes.start("hub", true, {{.peer = "new", .sends = true}}, text_of(simulator)); !ok)
    return std::unexpected(ok.error());
  StatusFigures hub;
  const auto limit = std::chrono::seconds(30) + std::chrono::seconds(points / 100'000);
  const auto defined = nodes.wait("the source has defined its points", limit, [&]() -> Result<bool> {
    auto status = nodes.status("hub");
    if (!status) return std::unexpected(status.error());
    hub = *std::move(status);
    return hub.source_up && hub.points >= points;
  });
  if (!defined) return std::unexpected(defined.error());
  const Usage before = nodes.usage("hub");
  const UtcNanoseconds started = SystemClock().utc();
  const LinkText link{.peer = "hub", .receives = true, .dial_port = hub.port};
  if (auto ok = nodes.start("new", false, {link}, recorder_text("meter.json", type)); !ok)
    return std::unexpected(ok.error());
  const std::string file = nodes.file("meter.json");
  const auto complete = nodes.wait("the new node has every point", limit, [&]() -> Result<bool> {
    const auto reading = read_meter(file);
    return reading && reading->totals.points >= points;
  });
  if (!complete) return std::unexpected(complete.error());
  const auto reading = wait_until_quiet(nodes, file, std::chrono::seconds(30));
  if (!reading) return std::unexpected(reading.error());
  const auto there = nodes.status("hub");
  const auto here = nodes.status("new");
  if (!there) return std::unexpected(there.error());
  if (!here) return std::unexpected(here.error());
  const LinkFigures* up = here->link("hub");
  const LinkFigures* to_new = there->link("new");
  if (up == nullptr || to_new == nullptr) return fail(ErrorCode::internal, "the link is not in the nodes' status");
  const auto wire = wire_bytes(there->port, to_new->address);
  if (!wire) return std::unexpected(wire.error());
  const UtcNanoseconds last = reading->totals.last_definition;
  const auto each = [points](std::uint64_t number) {
    return static_cast<double>(number) / static_cast<double>(points);
  };
  return Snapshot{.from_link = static_cast<double>(last - up->since) / 1e9,
                  .from_start = static_cast<double>(last - started) / 1e9,
                  .wire_bytes = wire->sent,
                  .hub_cpu_ns = each(nodes.usage("hub").cpu_ns - before.cpu_ns),
                  .mirror_cpu_ns = each(nodes.usage("new").cpu_ns),
                  .group = up->group};
}

int run(const Arguments& arguments) {
  const Machine machine = this_machine();
  const Interrupt interrupt;
  const auto points = static_cast<std::uint64_t>(arguments.points);
  const auto snapshot = measure(interrupt, points, arguments.type);
  if (!snapshot) return failed(snapshot.error());
  const double bytes_per_point = static_cast<double>(snapshot->wire_bytes) / static_cast<double>(points);
  if (arguments.json) {
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    json.field("points", points);
    json.field("seconds", round_to(snapshot->from_link, 4));
    json.field("seconds_from_process_start", round_to(snapshot->from_start, 4));
    json.field("points_per_second", round_to(static_cast<double>(points) / snapshot->from_link, 0));
    json.field("bytes_per_point", round_to(bytes_per_point, 1));
    json.field("sender_cpu_ns_per_point", round_to(snapshot->hub_cpu_ns, 1));
    json.field("receiver_cpu_ns_per_point", round_to(snapshot->mirror_cpu_ns, 1));
    json.field("group", snapshot->group);
    write_machine(json, machine);
    json.end_object();
    print(out + "\n");
    return kSuccess;
  }
  Sheet sheet("full mirror of " + friendly_count(points) + " points to a new node");
  sheet.line("until a consumer had all", rounded(snapshot->from_link, 3) + " s", "since the link was up");
  sheet.line("", rounded(snapshot->from_start, 3) + " s", "since its process was started");
  sheet.line("points", in_millions(static_cast<double>(points) / snapshot->from_link) + "/s");
  sheet.line("on the wire", rounded(bytes_per_point, 1) + " B/point", "TLS included");
  sheet.line("CPU of the sender", rounded(snapshot->hub_cpu_ns, 0) + " ns/point");
  sheet.line("CPU of the receiver", rounded(snapshot->mirror_cpu_ns, 0) + " ns/point",
             "with its start and the consumer");
  sheet.line("key exchange", snapshot->group);
  sheet.print(machine);
  return kSuccess;
}

}  // namespace

void add_snapshot(Options& bench) {
  bench.command("snapshot", "Time until a new, empty node has every point", [](Options& options) -> Action {
    const auto arguments = std::make_shared<Arguments>();
    options.number("--points", arguments->points, "how many points", 1, 10'000'000);
    options.text("--type", arguments->type, "of the points");
    options.json(arguments->json);
    return [arguments] { return run(*arguments); };
  });
}

}  // namespace sallyport::cli::bench
