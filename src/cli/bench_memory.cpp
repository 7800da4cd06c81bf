// sallyport bench memory: what a mirrored point costs at a node that only mirrors.
#include "cli/bench.h"
#include "cli/bench_deployment.h"
#include "cli/bench_report.h"
#include "cli/terminal.h"

namespace sallyport::cli::bench {
namespace {

struct Arguments {
  std::int64_t points = 1'000'000;
  std::string type = "Double";
  bool json = false;
};

struct Memory {
  std::uint64_t plant = 0, mirror = 0, mirror_peak = 0;
};

// A plant that defines its points and rests, and a node that mirrors them.
Result<Memory> measure(const Interrupt& interrupt, std::uint64_t points, const std::string& type) {
  auto deployment = Deployment::make(interrupt, "");
  if (!deployment) return std::unexpected(deployment.error());
  Deployment& nodes = **deployment;
  if (auto ok = nodes.start("mirror", true, {{.peer = "plant", .receives = true}}, ""); !ok)
    return std::unexpected(ok.error());
  const auto listening = nodes.status("mirror");
  if (!listening) return std::unexpected(listening.error());
  SimulatorText simulator;
  simulator.points = points;
  simulator.rate = 0;
  simulator.type = type;
  const LinkText link{.peer = "mirror", .sends = true, .dial_port = listening->port};
  if (auto ok = nodes.start("plant", false, {link}, text_of(simulator)); !ok) return std::unexpected(ok.error());
  const auto limit = std::chrono::seconds(30) + std::chrono::seconds(points / 100'000);
  const auto complete = nodes.wait("the mirror is complete", limit, [&]() -> Result<bool> {
    const auto status = nodes.status("mirror");
    if (!status) return std::unexpected(status.error());
    const LinkFigures* from = status->link("plant");
    return from != nullptr && from->synchronized && from->receive.definitions >= points;
  });
  if (!complete) return std::unexpected(complete.error());
  // What was only needed for the snapshot is given back by now, or never.
  if (auto ok = interrupt.sleep(std::chrono::milliseconds(1500)); !ok) return std::unexpected(ok.error());
  const Usage mirror = nodes.usage("mirror");
  return Memory{.plant = nodes.usage("plant").rss_bytes, .mirror = mirror.rss_bytes, .mirror_peak = mirror.peak_bytes};
}

int run(const Arguments& arguments) {
  const Machine machine = this_machine();
  const Interrupt interrupt;
  const auto points = static_cast<std::uint64_t>(arguments.points);
  const auto empty = measure(interrupt, 1, arguments.type);
  if (!empty) return failed(empty.error());
  const auto full = measure(interrupt, points, arguments.type);
  if (!full) return failed(full.error());
  const auto each = [points](std::uint64_t bytes) { return static_cast<double>(bytes) / static_cast<double>(points); };
  const double total = each(full->mirror), added = each(full->mirror - std::min(full->mirror, empty->mirror));
  if (arguments.json) {
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    json.field("points", points);
    json.field("bytes_per_point", round_to(total, 1));
    json.field("bytes_per_point_over_empty", round_to(added, 1));
    json.field("rss_bytes", full->mirror);
    json.field("peak_rss_bytes", full->mirror_peak);
    json.field("empty_rss_bytes", empty->mirror);
    json.field("plant_rss_bytes", full->plant);
    write_machine(json, machine);
    json.end_object();
    print(out + "\n");
    return kSuccess;
  }
  Sheet sheet("memory of a node that mirrors " + friendly_count(points) + " points of " + arguments.type +
              " with paths of 40 characters");
  sheet.line("per point", rounded(total, 0) + " B", "whole process divided by points");
  sheet.line("per point, over an empty node", rounded(added, 0) + " B",
             "an empty one has " + friendly_bytes(empty->mirror));
  sheet.line("whole process", friendly_bytes(full->mirror), "at most " + friendly_bytes(full->mirror_peak));
  sheet.line("the plant's", friendly_bytes(full->plant), "with the simulator");
  sheet.print(machine);
  return kSuccess;
}

}  // namespace

void add_memory(Options& bench) {
  bench.command("memory", "Memory per mirrored point", [](Options& options) -> Action {
    const auto arguments = std::make_shared<Arguments>();
    options.number("--points", arguments->points, "how many points", 1, 10'000'000);
    options.text("--type", arguments->type, "of the points");
    options.json(arguments->json);
    return [arguments] { return run(*arguments); };
  });
}

}  // namespace sallyport::cli::bench
