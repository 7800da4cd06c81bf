// sallyport bench fan-out, bench idle-links: one node and many downstream links.
#include <algorithm>
#include <fstream>

#include "cli/bench.h"
#include "cli/bench_downstream.h"
#include "cli/bench_report.h"
#include "cli/terminal.h"

namespace sallyport::cli::bench {

Result<Downstream> start_downstream(const Interrupt& interrupt, const SimulatorText& simulator, std::uint64_t links,
                                    unsigned threads) {
  auto deployment = Deployment::make(interrupt, "");
  if (!deployment) return std::unexpected(deployment.error());
  Downstream downstream{.nodes = *std::move(deployment), .alone = {}};
  Deployment& nodes = *downstream.nodes;
  nodes.set_threads(threads);
  std::vector<LinkText> texts;
  for (std::uint64_t i = 0; i < links; ++i) {
    const std::string name = "session-" + std::to_string(i);
    if (auto ok = nodes.issue(name, net::KeyAlgorithm::ed25519); !ok) return std::unexpected(ok.error());
    texts.push_back({.peer = name, .sends = true});
    if (i % 16 == 0) {
      if (auto ok = interrupt.sleep(Duration(0)); !ok) return std::unexpected(ok.error());
    }
  }
  if (auto ok = nodes.start("hub", true, texts, text_of(simulator)); !ok) return std::unexpected(ok.error());
  StatusFigures hub;
  const auto limit = std::chrono::seconds(30) + std::chrono::seconds(simulator.points / 100'000 + links / 20);
  const auto defined = nodes.wait("the source has defined its points", limit, [&]() -> Result<bool> {
    auto status = nodes.status("hub");
    if (!status) return std::unexpected(status.error());
    hub = *std::move(status);
    return hub.source_up;
  });
  if (!defined) return std::unexpected(defined.error());
  if (auto ok = interrupt.sleep(std::chrono::seconds(1)); !ok) return std::unexpected(ok.error());
  downstream.alone = nodes.usage("hub");
  auto helper = nodes.start_helper("sessions", {"bench", "sessions", "--folder", nodes.file("pki"), "--peer", "hub",
                                                "--port", std::to_string(hub.port), "--links", std::to_string(links),
                                                "--points", std::to_string(simulator.points)});
  if (!helper) return std::unexpected(helper.error());
  if (auto ok = (*helper)->wait_for_line(interrupt, "connected", limit); !ok) return std::unexpected(ok.error());
  return downstream;
}

namespace {

struct FanOutArguments {
  std::int64_t links = 10, points = 10'000, threads = 1;
  double seconds = 5;
  std::string rate = "max";
  bool json = false;
};

struct FanOut {
  double changes_per_second = 0;               // of all links together
  double slowest = 0, fastest = 0;             // of one link
  double hub_cpu_ns = 0, sessions_cpu_ns = 0;  // per change sent on one link
  double hub_cpu_share = 0, source_changes_per_second = 0;
  std::vector<double> loop_cpu_share;  // of the threads of the hub that links run on
  std::uint64_t rss_bytes = 0;
  std::string group;
};

struct Look {
  StatusFigures status;
  Usage hub, sessions;
};
Result<Look> look_at(const Deployment& nodes) {
  auto status = nodes.status("hub");
  if (!status) return std::unexpected(status.error());
  return Look{.status = *std::move(status), .hub = nodes.usage("hub"), .sessions = nodes.usage("sessions")};
}

FanOut between(const Look& before, const Look& after) {
  FanOut figures;
  const double elapsed = std::chrono::duration<double>(after.hub.at - before.hub.at).count();
  for (const LinkFigures& link : after.status.links) {
    const LinkFigures* old = before.status.link(link.peer);
    const double rate = static_cast<double>(link.send.changes - (old == nullptr ? 0 : old->send.changes)) / elapsed;
    figures.slowest = figures.changes_per_second == 0 ? rate : std::min(figures.slowest, rate);
    figures.fastest = std::max(figures.fastest, rate);
    figures.changes_per_second += rate;
    figures.group = link.group;
  }
  const double cpu_per_second = static_cast<double>(after.hub.cpu_ns - before.hub.cpu_ns) / elapsed;
  const double sessions_per_second = static_cast<double>(after.sessions.cpu_ns - before.sessions.cpu_ns) / elapsed;
  figures.hub_cpu_share = cpu_per_second / 1e9;
  for (std::size_t i = 0; i < std::min(before.status.loop_cpu_us.size(), after.status.loop_cpu_us.size()); ++i) {
    figures.loop_cpu_share.push_back(static_cast<double>(after.status.loop_cpu_us[i] - before.status.loop_cpu_us[i]) / 1e6 / elapsed);
  }
  if (figures.changes_per_second > 0) {
    figures.hub_cpu_ns = cpu_per_second / figures.changes_per_second;
    figures.sessions_cpu_ns = sessions_per_second / figures.changes_per_second;
  }
  figures.source_changes_per_second =
      static_cast<double>(after.status.source_changes - before.status.source_changes) / elapsed;
  figures.rss_bytes = after.hub.rss_bytes;
  return figures;
}

Result<FanOut> measure(const Interrupt& interrupt, const FanOutArguments& arguments) {
  const auto rate = parse_rate(arguments.rate);
  if (!rate) return std::unexpected(rate.error());
  SimulatorText simulator;
  simulator.points = static_cast<std::uint64_t>(arguments.points);
  simulator.rate = *rate;
  simulator.more = "start_on = \"start\"\n";
  const auto downstream = start_downstream(interrupt, simulator, static_cast<std::uint64_t>(arguments.links),
                                           static_cast<unsigned>(arguments.threads));
  if (!downstream) return std::unexpected(downstream.error());
  std::ofstream(downstream->nodes->file("start")).close();
  if (auto ok = interrupt.sleep(std::chrono::seconds(1)); !ok) return std::unexpected(ok.error());
  const auto before = look_at(*downstream->nodes);
  if (!before) return std::unexpected(before.error());
  const auto length = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(arguments.seconds));
  if (auto ok = interrupt.sleep(length); !ok) return std::unexpected(ok.error());
  const auto after = look_at(*downstream->nodes);
  if (!after) return std::unexpected(after.error());
  return between(*before, *after);
}

int run(const FanOutArguments& arguments) {
  const Machine machine = this_machine();
  const Interrupt interrupt;
  const auto figures = measure(interrupt, arguments);
  if (!figures) return failed(figures.error());
  if (arguments.json) {
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    json.field("links", arguments.links);
    json.field("points", arguments.points);
    json.field("rate", arguments.rate);
    json.field("threads", arguments.threads);
    json.field("changes_per_second", round_to(figures->changes_per_second, 0));
    json.field("slowest_link", round_to(figures->slowest, 0));
    json.field("fastest_link", round_to(figures->fastest, 0));
    json.field("source_changes_per_second", round_to(figures->source_changes_per_second, 0));
    json.field("hub_cpu_ns_per_change", round_to(figures->hub_cpu_ns, 1));
    json.field("hub_cpu_share", round_to(figures->hub_cpu_share, 3));
    json.key("hub_loop_cpu_share");
    json.begin_array();
    for (const double share : figures->loop_cpu_share) json.number(round_to(share, 3));
    json.end_array();
    json.field("sessions_cpu_ns_per_change", round_to(figures->sessions_cpu_ns, 1));
    json.field("rss_bytes", figures->rss_bytes);
    json.field("group", figures->group);
    write_machine(json, machine);
    json.end_object();
    print(out + "\n");
    return kSuccess;
  }
  const auto whole = [](double number) { return friendly_count(static_cast<std::uint64_t>(number)); };
  Sheet sheet(std::to_string(arguments.links) + " downstream links, " + whole(static_cast<double>(arguments.points)) +
              " points, rate " + arguments.rate + (arguments.threads > 1 ? ", " + std::to_string(arguments.threads) + " threads" : ""));
  sheet.line("changes sent, all links", in_millions(figures->changes_per_second) + "/s",
             "the source made " + in_millions(figures->source_changes_per_second) + "/s");
  sheet.line("slowest and fastest link", whole(figures->slowest) + " and " + whole(figures->fastest) + " /s");
  sheet.line("CPU of the sender", rounded(figures->hub_cpu_ns, 1) + " ns/change",
             "and link, source included; " + rounded(figures->hub_cpu_share * 100, 0) + " % of a core");
  if (figures->loop_cpu_share.size() > 1) {
    std::string shares;
    for (const double share : figures->loop_cpu_share) shares += rounded(share * 100, 0) + "  ";
    sheet.line("CPU of its loops", shares + "%", "of a core each");
  }
  sheet.line("CPU of the receivers", rounded(figures->sessions_cpu_ns, 1) + " ns/change");
  sheet.line("memory of the sender", friendly_bytes(figures->rss_bytes));
  sheet.print(machine);
  return kSuccess;
}

// --- Idle links
// ----------------------------------------------------------------------------------------------------------

struct IdleArguments {
  std::int64_t links = 1000, points = 1000;
  double seconds = 10;
  bool json = false;
};

struct Idle {
  double cpu_share = 0;
  double bytes_per_link = 0, peak_bytes_per_link = 0;
  double switches_per_second = 0;
  std::uint64_t up = 0;
};

Result<Idle> measure_idle(const Interrupt& interrupt, const IdleArguments& arguments) {
  SimulatorText simulator;
  simulator.points = static_cast<std::uint64_t>(arguments.points);
  simulator.rate = 0;
  const auto downstream = start_downstream(interrupt, simulator, static_cast<std::uint64_t>(arguments.links));
  if (!downstream) return std::unexpected(downstream.error());
  if (auto ok = interrupt.sleep(std::chrono::seconds(3)); !ok) return std::unexpected(ok.error());
  const Usage before = downstream->nodes->usage("hub");
  const auto length = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(arguments.seconds));
  if (auto ok = interrupt.sleep(length); !ok) return std::unexpected(ok.error());
  const Usage after = downstream->nodes->usage("hub");
  const auto status = downstream->nodes->status("hub");
  if (!status) return std::unexpected(status.error());
  Idle idle;
  const double elapsed = std::chrono::duration<double>(after.at - before.at).count();
  const auto links = static_cast<double>(arguments.links);
  const double alone = static_cast<double>(downstream->alone.rss_bytes);
  idle.cpu_share = static_cast<double>(after.cpu_ns - before.cpu_ns) / 1e9 / elapsed;
  idle.bytes_per_link = (static_cast<double>(after.rss_bytes) - alone) / links;
  idle.peak_bytes_per_link = (static_cast<double>(after.peak_bytes) - alone) / links;
  idle.switches_per_second = static_cast<double>(after.switches - before.switches) / elapsed;
  idle.up = static_cast<std::uint64_t>(std::ranges::count_if(status->links, &LinkFigures::up));
  return idle;
}

int run_idle(const IdleArguments& arguments) {
  const Machine machine = this_machine();
  const Interrupt interrupt;
  const auto idle = measure_idle(interrupt, arguments);
  if (!idle) return failed(idle.error());
  const bool all_up = idle->up == static_cast<std::uint64_t>(arguments.links);
  if (arguments.json) {
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    json.field("links", arguments.links);
    json.field("up", idle->up);
    json.field("points", arguments.points);
    json.field("cpu_share", round_to(idle->cpu_share, 4));
    json.field("bytes_per_link", round_to(idle->bytes_per_link, 0));
    json.field("peak_bytes_per_link", round_to(idle->peak_bytes_per_link, 0));
    json.field("context_switches_per_second", round_to(idle->switches_per_second, 0));
    write_machine(json, machine);
    json.end_object();
    print(out + "\n");
    return all_up ? kSuccess : kFailure;
  }
  Sheet sheet(std::to_string(arguments.links) + " idle downstream links, " +
              friendly_count(static_cast<std::uint64_t>(arguments.points)) + " points at rest, default heartbeat");
  sheet.line("links up", std::to_string(idle->up));
  sheet.line("CPU", rounded(idle->cpu_share * 100, 2) + " %", "of one core");
  sheet.line("memory per link", rounded(idle->bytes_per_link / 1024, 1) + " KiB",
             "at most " + rounded(idle->peak_bytes_per_link / 1024, 1) + " KiB while they connected");
  sheet.line("context switches", rounded(idle->switches_per_second, 0) + " /s");
  sheet.print(machine);
  return all_up ? kSuccess : kFailure;
}

}  // namespace

void add_fan_out(Options& bench) {
  bench.command("fan-out", "One node sends to many downstream links", [](Options& options) -> Action {
    const auto arguments = std::make_shared<FanOutArguments>();
    options.number("--links", arguments->links, "how many downstream links", 1, 2000);
    options.number("--points", arguments->points, "how many points", 1, 1'000'000);
    options.number("--threads", arguments->threads, "[node] threads of the node that sends", 1, 64);
    options.real("--seconds", arguments->seconds, "how long to measure", 0.1, 600);
    options.text("--rate", arguments->rate, "changes per second of all points together, or max");
    options.json(arguments->json);
    return [arguments] { return run(*arguments); };
  });
}

void add_idle_links(Options& bench) {
  bench.command("idle-links", "What downstream links cost a node when nothing changes", [](Options& options) -> Action {
    const auto arguments = std::make_shared<IdleArguments>();
    options.number("--links", arguments->links, "how many downstream links", 1, 2000);
    options.number("--points", arguments->points, "how many points each link mirrors", 1, 100'000);
    options.real("--seconds", arguments->seconds, "how long to measure", 1, 600);
    options.json(arguments->json);
    return [arguments] { return run_idle(*arguments); };
  });
}

}  // namespace sallyport::cli::bench
