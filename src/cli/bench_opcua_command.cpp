// sallyport bench opcua: an OPC UA server with many changing variables, a node beside it, and a second node.
#include "cli/bench.h"
#include "cli/bench_opcua.h"
#include "cli/bench_report.h"
#include "cli/terminal.h"

namespace sallyport::cli::bench {
namespace {

struct Arguments {
  std::int64_t points = 100'000;
  std::int64_t rate = 100'000;
  double seconds = 10;
  double warm_up = 2;
  std::string publishing_interval = "250ms";
  std::string sampling_interval;
  std::string keep;
  bool json = false;
};

constexpr std::pair<const char*, double> kQuantiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1.0}};
constexpr std::pair<const char*, double EdgeStart::*> kStart[] = {{"plant_server", &EdgeStart::plant_server},
                                                                  {"connect", &EdgeStart::connect},
                                                                  {"browse", &EdgeStart::browse},
                                                                  {"metadata", &EdgeStart::metadata},
                                                                  {"define", &EdgeStart::define},
                                                                  {"subscribe", &EdgeStart::subscribe},
                                                                  {"first_values", &EdgeStart::first_values},
                                                                  {"good_at_plant_node", &EdgeStart::good_here},
                                                                  {"good_at_second_node", &EdgeStart::good_there}};

std::string as_json(const Arguments& arguments, const Machine& machine, const EdgeFigures& figures) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("changes_per_second", round_to(figures.changes_per_second, 1));
  json.field("plant_changes_per_second", round_to(figures.plant_changes_per_second, 1));
  json.field("written", figures.written);
  json.field("arrived", figures.arrived);
  json.field("lost", figures.lost);
  json.field("wrong", figures.wrong);
  json.field("backwards", figures.backwards);
  json.field("missing", figures.missing);
  json.field("not_good", figures.not_good);
  json.field("overflows", figures.overflows);
  json.field("sequence_gaps", figures.sequence_gaps);
  json.key("processes");
  json.begin_array();
  for (std::size_t i = 0; i < figures.cpu_share.size(); ++i) {
    constexpr const char* kNames[] = {"plant server", "plant node", "second node"};
    json.begin_object();
    json.field("name", kNames[i]);
    json.field("cpu_share", round_to(figures.cpu_share[i], 3));
    json.field("cpu_ns_per_change", round_to(figures.cpu_ns_per_change[i], 1));
    json.field("context_switches_per_second", round_to(figures.switches_per_second[i], 1));
    json.field("rss_bytes", figures.rss_bytes[i]);
    json.end_object();
  }
  json.end_array();
  json.key("latency_ms");
  json.begin_object();
  for (const auto& [name, share] : kQuantiles)
    json.field(name, round_to(static_cast<double>(figures.latency.quantile(share)) / 1e6, 3));
  json.end_object();
  json.key("start_seconds");
  json.begin_object();
  for (const auto& [name, part] : kStart) json.field(name, round_to(figures.start.*part, 3));
  json.end_object();
  json.field("publishing_interval", figures.publishing_interval);
  json.field("sampling_interval", figures.sampling_interval);
  json.field("bytes_per_change", round_to(figures.bytes_per_change, 2));
  json.field("group", figures.group);
  json.field("points", arguments.points);
  json.field("rate", arguments.rate);
  json.field("seconds", round_to(figures.seconds, 3));
  write_machine(json, machine);
  json.end_object();
  return out + "\n";
}

std::string seconds_text(double seconds) { return rounded(seconds, 2) + " s"; }

void print_table(const Arguments& arguments, const Machine& machine, const EdgeFigures& figures) {
  Sheet sheet("OPC UA server with " + friendly_count(static_cast<std::uint64_t>(arguments.points)) +
              " variables → plant node → second node");
  sheet.line("changes written", rounded(figures.plant_changes_per_second, 0) + " /s", "by the plant server");
  sheet.line("changes delivered", rounded(figures.changes_per_second, 0) + " /s", "at the second node");
  sheet.line("lost", std::to_string(figures.lost), "of " + friendly_count(figures.written) + ", from rest to rest");
  sheet.line("wrong, backwards, missing", std::to_string(figures.wrong) + ", " + std::to_string(figures.backwards) +
                                              ", " + std::to_string(figures.missing));
  constexpr const char* kNames[] = {"CPU of the plant server", "CPU of the plant node", "CPU of the second node"};
  for (std::size_t i = 0; i < figures.cpu_share.size(); ++i) {
    sheet.line(kNames[i], rounded(100 * figures.cpu_share[i], 1) + " %",
               "of a core; " + rounded(figures.cpu_ns_per_change[i], 0) + " ns/change, " +
                   rounded(static_cast<double>(figures.rss_bytes[i]) / 1e6, 0) + " MB");
  }
  for (const auto& [name, share] : {std::pair{"latency p50", 0.5}, {"latency p99", 0.99}, {"latency p99.9", 0.999}})
    sheet.line(name, rounded(static_cast<double>(figures.latency.quantile(share)) / 1e6, 1) + " ms",
               share == 0.5
                   ? "published every " + figures.publishing_interval + ", sampled " +
                         (figures.sampling_interval == "0ms" ? "at each write" : "every " + figures.sampling_interval)
                   : "");
  sheet.line("on the wire", rounded(figures.bytes_per_change, 1) + " B/change", "of the link, TLS included");
  const EdgeStart& start = figures.start;
  sheet.line("start: connect", seconds_text(start.connect));
  sheet.line("start: browse", seconds_text(start.browse));
  sheet.line("start: metadata", seconds_text(start.metadata));
  sheet.line("start: define", seconds_text(start.define));
  sheet.line("start: subscribe", seconds_text(start.subscribe));
  sheet.line("start: first values", seconds_text(start.first_values));
  sheet.line("all good at the plant node", seconds_text(start.good_here), "since its process was started");
  sheet.line("all good at the second", seconds_text(start.good_there));
  sheet.line("key exchange", figures.group);
  sheet.print(machine);
}

int run(const Arguments& arguments) {
  const Machine machine = this_machine();
  const Interrupt interrupt;
  EdgeOptions options;
  options.points = static_cast<std::uint64_t>(arguments.points);
  options.rate = static_cast<std::uint64_t>(arguments.rate);
  options.seconds = arguments.seconds;
  options.warm_up = arguments.warm_up;
  options.publishing_interval = arguments.publishing_interval;
  options.sampling_interval = arguments.sampling_interval;
  options.keep = arguments.keep;
  const auto figures = measure_edge(interrupt, options);
  if (!figures) return failed(figures.error());
  if (arguments.json)
    print(as_json(arguments, machine, *figures));
  else
    print_table(arguments, machine, *figures);
  return figures->wrong + figures->backwards + figures->missing + figures->lost == 0 ? kSuccess : kFailure;
}

}  // namespace

void add_opcua(Options& bench) {
  bench.command(
      "opcua", "An OPC UA server with many changing variables through two nodes: loss, CPU, start-up",
      [](Options& options) -> Action {
        const auto arguments = std::make_shared<Arguments>();
        options.number("--points", arguments->points, "variables of the server", 1, 1'000'000);
        options.number("--rate", arguments->rate, "changes per second of all of them together", 1, 10'000'000);
        options.real("--seconds", arguments->seconds, "how long to measure", 0.1, 600);
        options.real("--warm-up", arguments->warm_up, "seconds before that", 0, 60);
        options.text("--publishing-interval", arguments->publishing_interval, "asked of the server");
        options.text("--sampling-interval", arguments->sampling_interval,
                     "asked of the server; without it as often as is published; 0s: at each write");
        options.text("--keep", arguments->keep, "work in this folder and leave it: settings, logs, the result");
        options.json(arguments->json);
        return [arguments] { return run(*arguments); };
      });
}

}  // namespace sallyport::cli::bench
