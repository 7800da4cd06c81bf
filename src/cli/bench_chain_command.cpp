// sallyport bench chain, bench latency: plant → … → last node, and what arrives there.
#include "cli/bench.h"
#include "cli/bench_chain.h"
#include "cli/terminal.h"

namespace sallyport::cli::bench {
namespace {

struct Arguments {
  std::int64_t points = 100'000;
  std::int64_t hops = 2;
  std::int64_t threads = 1;
  double seconds = 5;
  double warm_up = 1;
  std::string rate = "max";
  std::string stamp = "due";
  std::string type = "Double";
  std::string order = "sequential";
  std::string keep;
  bool every = false;
  bool json = false;
};

Result<ChainOptions> options_of(const Arguments& arguments) {
  const auto rate = parse_rate(arguments.rate);
  if (!rate) return std::unexpected(rate.error());
  ChainOptions options;
  options.points = static_cast<std::uint64_t>(arguments.points);
  options.hops = static_cast<unsigned>(arguments.hops);
  options.threads = static_cast<unsigned>(arguments.threads);
  options.seconds = arguments.seconds;
  options.warm_up = arguments.warm_up;
  options.rate = *rate;
  options.stamp_due = rate->has_value() && arguments.stamp == "due";
  options.type = arguments.type;
  options.order = arguments.order;
  options.every = arguments.every;
  options.keep = arguments.keep;
  return options;
}

double mean(const std::vector<double>& numbers) {
  double sum = 0;
  for (const double number : numbers) sum += number;
  return numbers.empty() ? 0 : sum / static_cast<double>(numbers.size());
}

template <typename Numbers, typename Write>
void write_array(JsonWriter& json, std::string_view key, const Numbers& numbers, Write write) {
  json.key(key);
  json.begin_array();
  for (const auto number : numbers) write(number);
  json.end_array();
}

void write_latency(JsonWriter& json, const recorder::Histogram& latency) {
  json.key("latency_us");
  json.begin_object();
  for (const auto& [name, share] :
       {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}, {"max", 1.0}}) {
    json.field(name, round_to(static_cast<double>(latency.quantile(share)) / 1e3, 1));
  }
  json.end_object();
}

std::string as_json(const Arguments& arguments, const Machine& machine, const ChainFigures& figures) {
  std::string out;
  JsonWriter json(out);
  const auto real = [&json](double number) { json.number(round_to(number, 3)); };
  const auto whole = [&json](std::uint64_t number) { json.unsigned_integer(number); };
  json.begin_object();
  json.field("changes_per_second", round_to(figures.changes_per_second, 1));
  write_latency(json, figures.latency);
  json.field("bytes_per_change", round_to(figures.bytes_per_change, 2));
  json.field("cpu_ns_per_change_per_node", round_to(mean(figures.cpu_ns_per_change), 1));
  write_array(json, "rss_bytes", figures.rss_bytes, whole);
  json.field("group", figures.group);
  json.field("wrong", figures.wrong);
  json.field("backwards", figures.backwards);
  json.field("missing", figures.missing);
  json.field("not_good", figures.not_good);
  json.field("points", arguments.points);
  json.field("hops", arguments.hops);
  json.field("threads", arguments.threads);
  json.field("seconds", round_to(figures.seconds, 3));
  json.field("rate", arguments.rate);
  json.field("type", arguments.type);
  json.field("order", arguments.order);
  json.field("source_changes_per_second", round_to(figures.source_changes_per_second, 1));
  json.field("changes_per_pull", round_to(figures.changes_per_pull, 2));
  write_array(json, "cpu_ns_per_change", figures.cpu_ns_per_change, real);
  write_array(json, "cpu_share", figures.cpu_share, real);
  write_array(json, "context_switches_per_second", figures.switches_per_second, real);
  write_array(json, "peak_rss_bytes", figures.peak_bytes, whole);
  write_machine(json, machine);
  json.end_object();
  return out + "\n";
}

std::string joined(const std::vector<double>& numbers, double factor, int digits) {
  std::string out;
  for (const double number : numbers) out += (out.empty() ? "" : "  ") + rounded(number * factor, digits);
  return out;
}

std::string joined_megabytes(const std::vector<std::uint64_t>& numbers) {
  std::string out;
  for (const std::uint64_t number : numbers)
    out += (out.empty() ? "" : "  ") + rounded(static_cast<double>(number) / 1e6, 0);
  return out;
}

void print_table(const Arguments& arguments, const Machine& machine, const ChainFigures& figures) {
  Sheet sheet("chain of " + std::to_string(arguments.hops + 1) + " nodes, " +
              friendly_count(static_cast<std::uint64_t>(arguments.points)) + " points of " + arguments.type +
              ", rate " + arguments.rate + (arguments.threads > 1 ? ", " + std::to_string(arguments.threads) + " threads each" : ""));
  sheet.line("changes delivered", in_millions(figures.changes_per_second) + "/s",
             "the source made " + in_millions(figures.source_changes_per_second) + "/s");
  for (const auto& [name, share] :
       {std::pair{"latency p50", 0.5}, {"latency p99", 0.99}, {"latency p99.9", 0.999}, {"latency p99.99", 0.9999}}) {
    sheet.line(name, microseconds_text(figures.latency.quantile(share)));
  }
  sheet.line("on the wire", rounded(figures.bytes_per_change, 1) + " B/change", "TLS included");
  sheet.line("CPU per change", joined(figures.cpu_ns_per_change, 1, 1) + " ns",
             "by node; mean " + rounded(mean(figures.cpu_ns_per_change), 1));
  sheet.line("CPU used", joined(figures.cpu_share, 100, 0) + " %", "of one core, by node");
  sheet.line("context switches", joined(figures.switches_per_second, 1, 0) + " /s", "by node");
  sheet.line("memory", joined_megabytes(figures.rss_bytes) + " MB", "by node");
  sheet.line("key exchange", figures.group);
  sheet.line("wrong, backwards, missing", std::to_string(figures.wrong) + ", " + std::to_string(figures.backwards) +
                                              ", " + std::to_string(figures.missing));
  sheet.print(machine);
}

int run(const Arguments& arguments) {
  const auto options = options_of(arguments);
  if (!options) return failed(options.error());
  const Machine machine = this_machine();
  const Interrupt interrupt;
  const auto figures = measure_chain(interrupt, *options);
  if (!figures) return failed(figures.error());
  if (arguments.json)
    print(as_json(arguments, machine, *figures));
  else
    print_table(arguments, machine, *figures);
  return figures->wrong + figures->backwards + figures->missing == 0 ? kSuccess : kFailure;
}

Action set_up(Options& options, const std::shared_ptr<Arguments>& arguments) {
  options.number("--points", arguments->points, "how many points", 1, 10'000'000);
  options.number("--hops", arguments->hops, "links from the plant to the last node", 1, 15);
  options.number("--threads", arguments->threads, "[node] threads of each node", 1, 64);
  options.real("--seconds", arguments->seconds, "how long to measure", 0.1, 600);
  options.real("--warm-up", arguments->warm_up, "seconds before that", 0, 60);
  options.text("--rate", arguments->rate, "changes per second of all points together, or max");
  options.choice("--stamp", arguments->stamp, "with a rate, latency counts from when a change was due, or made",
                 {"due", "made"});
  options.text("--type", arguments->type, "of the points: Double, Int32, String …");
  options.choice("--order", arguments->order, "which point changes next", {"sequential", "random"});
  options.flag("--every", arguments->every, "each change, by the journal: none may be missing");
  options.text("--keep", arguments->keep, "work in this folder and leave it: settings, logs, the recorder's result");
  options.json(arguments->json);
  return [arguments] { return run(*arguments); };
}

}  // namespace

void add_chain(Options& bench) {
  bench.command("chain", "Throughput, CPU, bytes and latency from a plant to the last of a chain of nodes",
                [](Options& options) { return set_up(options, std::make_shared<Arguments>()); });
}

void add_latency(Options& bench) {
  bench.command("latency", "The same at a fixed rate, open loop: latency counts from when each change was due",
                [](Options& options) {
                  const auto arguments = std::make_shared<Arguments>();
                  arguments->rate = "10000";
                  arguments->seconds = 10;
                  return set_up(options, arguments);
                });
}

}  // namespace sallyport::cli::bench
