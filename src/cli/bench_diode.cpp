// sallyport bench diode: what a one-way link carries, what it costs, and how long a receiver that was killed takes to be whole.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "base/settings.h"
#include "cli/bench.h"
#include "cli/bench_meter.h"
#include "cli/bench_report.h"
#include "cli/terminal.h"
#include "net/receiver_key.h"

namespace sallyport::cli::bench {
namespace {

using std::chrono::seconds;

struct Arguments {
  std::int64_t points = 10'000;
  std::int64_t rate = 100'000;
  std::int64_t bits_per_second = 100'000'000;
  double redundancy = 0.25;
  double seconds = 10;
  bool json = false;
};

struct Figures {
  double changes_per_second = 0, bits_per_second = 0, datagrams_per_second = 0, bytes_per_change = 0;
  double cpu_sender = 0, cpu_receiver = 0;     // of one core
  recorder::Histogram latency;
  std::uint64_t datagrams = 0, lost = 0, recovered = 0, losses = 0, socket_dropped = 0;
  std::uint64_t round_ms = 0;
  std::uint64_t wrong = 0, backwards = 0, missing = 0;
  double first_seconds = 0, recovery_seconds = 0;   // from the start of a node until it has everything: at first, after kill -9
};

std::uint16_t free_udp_port() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

double between(MonotonicTime from, MonotonicTime to) { return std::chrono::duration<double>(to - from).count(); }

Result<void> wait_whole(const Deployment& nodes, std::uint64_t points) {
  return nodes.wait("the office has everything", seconds(60), [&]() -> Result<bool> {
    const auto office = nodes.status("office");
    if (!office) return false;   // not ready yet
    const LinkFigures* link = office->link("plant");
    return link != nullptr && link->synchronized && office->good == points;
  });
}

Result<std::unique_ptr<Deployment>> set_up(const Interrupt& interrupt, const Arguments& arguments, Figures& figures) {
  auto made = Deployment::make(interrupt, "");
  if (!made) return made;
  Deployment& nodes = **made;
  if (auto key = net::make_receiver_key("office", nodes.file("pki")); !key) return std::unexpected(key.error());
  const std::string address = "udp://127.0.0.1:" + std::to_string(free_udp_port());
  const std::string link = "[[link]]\nname = \"diode\"\npeer = ";
  if (auto ok = nodes.start("office", false, {},
                            link + "\"plant\"\nreceive = [\"bench/**\"]\ndiode = { receive = \"" + address + "\", key = \"pki/office.receiver.key\" }\n" +
                                recorder_text("meter.json", "Double"));
      !ok)
    return std::unexpected(ok.error());
  SimulatorText simulator;
  simulator.points = static_cast<std::uint64_t>(arguments.points);
  simulator.rate = static_cast<std::uint64_t>(arguments.rate);
  simulator.more = "start_on = \"start\"\nrest_on = \"rest\"\n";
  const MonotonicTime began = monotonic_now();
  if (auto ok = nodes.start("plant", false, {},
                            link + "\"office\"\nsend = [\"bench/**\"]\ndiode = { send = \"" + address + "\", rate = \"" +
                                std::to_string(arguments.bits_per_second) + " bit/s\", redundancy = " + std::to_string(arguments.redundancy) +
                                ", receiver = \"pki/office.receiver.pub\" }\n" + text_of(simulator));
      !ok)
    return std::unexpected(ok.error());
  if (auto ok = wait_whole(nodes, simulator.points); !ok) return std::unexpected(ok.error());
  figures.first_seconds = between(began, monotonic_now());
  return made;
}

std::uint64_t figure(const LinkFigures* link, const std::string& name) {
  if (link == nullptr) return 0;
  const auto found = link->diode.find(name);
  return found == link->diode.end() ? 0 : found->second;
}

// While changes flow.
Result<void> measure_flow(const Deployment& nodes, const Arguments& arguments, Figures& figures) {
  const std::string meter = nodes.file("meter.json");
  std::ofstream(nodes.file("start")).close();
  if (auto ok = nodes.interrupt().sleep(seconds(2)); !ok) return ok;
  const auto before = fresh_reading(nodes, meter);
  const auto status_before = nodes.status("office");
  if (!before || !status_before) return std::unexpected(before ? status_before.error() : before.error());
  const Usage sender_before = nodes.usage("plant"), receiver_before = nodes.usage("office");
  if (auto ok = nodes.interrupt().sleep(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(arguments.seconds))); !ok) return ok;
  const Usage sender = nodes.usage("plant"), receiver = nodes.usage("office");
  const auto after = fresh_reading(nodes, meter);
  const auto status = nodes.status("office"), plant = nodes.status("plant");
  if (!after || !status || !plant) return fail(ErrorCode::unavailable, "a node does not answer");
  const double time = static_cast<double>(after->at - before->at) / 1e9;
  const auto changes = static_cast<double>(after->totals.changes - before->totals.changes);
  if (changes <= 0) return fail(ErrorCode::unavailable, "no change came through the diode");
  const LinkFigures* link = status->link("plant");
  const LinkFigures* link_before = status_before->link("plant");
  const auto bytes = static_cast<double>(figure(link, "bytes") - figure(link_before, "bytes"));
  figures.changes_per_second = changes / time;
  figures.bits_per_second = bytes * 8 / time;
  figures.datagrams_per_second = static_cast<double>(figure(link, "datagrams") - figure(link_before, "datagrams")) / time;
  figures.bytes_per_change = bytes / changes;
  figures.cpu_sender = static_cast<double>(sender.cpu_ns - sender_before.cpu_ns) / 1e9 / between(sender_before.at, sender.at);
  figures.cpu_receiver = static_cast<double>(receiver.cpu_ns - receiver_before.cpu_ns) / 1e9 / between(receiver_before.at, receiver.at);
  figures.latency = after->totals.latency;
  figures.datagrams = figure(link, "datagrams");
  figures.lost = figure(link, "lost");
  figures.recovered = figure(link, "recovered");
  figures.losses = figure(link, "losses");
  figures.socket_dropped = figure(link, "socket_dropped");
  figures.round_ms = figure(plant->link("office"), "round_ms");
  figures.wrong = after->totals.wrong;
  figures.backwards = after->totals.backwards;
  return {};
}

Result<Figures> measure(const Interrupt& interrupt, const Arguments& arguments) {
  Figures figures;
  const auto nodes = set_up(interrupt, arguments, figures);
  if (!nodes) return std::unexpected(nodes.error());
  Deployment& all = **nodes;
  if (auto ok = measure_flow(all, arguments, figures); !ok) return std::unexpected(ok.error());
  std::ofstream(all.file("rest")).close();
  if (auto quiet = wait_until_quiet(all, all.file("meter.json"), seconds(30)); !quiet) return std::unexpected(quiet.error());
  const auto missing = all.differences("plant", "office");
  if (!missing) return std::unexpected(missing.error());
  figures.missing = *missing;
  all.child("office").signal(SIGKILL);
  all.stop("office");
  const MonotonicTime began = monotonic_now();
  if (auto again = all.start_helper("office", {"run", "-c", all.file("office.toml")}); !again) return std::unexpected(again.error());
  if (auto ok = wait_whole(all, static_cast<std::uint64_t>(arguments.points)); !ok) return std::unexpected(ok.error());
  figures.recovery_seconds = between(began, monotonic_now());
  return figures;
}

std::string as_json(const Arguments& arguments, const Machine& machine, const Figures& f) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("points", arguments.points);
  json.field("rate", arguments.rate);
  json.field("bits_per_second_allowed", arguments.bits_per_second);
  json.field("redundancy", arguments.redundancy);
  json.field("changes_per_second", round_to(f.changes_per_second, 1));
  json.field("bits_per_second", round_to(f.bits_per_second, 0));
  json.field("datagrams_per_second", round_to(f.datagrams_per_second, 0));
  json.field("bytes_per_change", round_to(f.bytes_per_change, 2));
  json.field("cpu_sender", round_to(f.cpu_sender, 3));
  json.field("cpu_receiver", round_to(f.cpu_receiver, 3));
  json.field("latency_p50_us", f.latency.quantile(0.5) / 1000);
  json.field("latency_p99_us", f.latency.quantile(0.99) / 1000);
  json.field("datagrams", f.datagrams);
  json.field("lost", f.lost);
  json.field("recovered", f.recovered);
  json.field("losses", f.losses);
  json.field("socket_dropped", f.socket_dropped);
  json.field("round_ms", f.round_ms);
  json.field("first_seconds", round_to(f.first_seconds, 3));
  json.field("recovery_seconds", round_to(f.recovery_seconds, 3));
  json.field("wrong", f.wrong);
  json.field("backwards", f.backwards);
  json.field("missing", f.missing);
  write_machine(json, machine);
  json.end_object();
  return out + "\n";
}

int run(const Arguments& arguments) {
  const Machine machine = this_machine();
  const Interrupt interrupt;
  const auto figures = measure(interrupt, arguments);
  if (!figures) return failed(figures.error());
  const Figures& f = *figures;
  const bool right = f.wrong + f.backwards + f.missing == 0;
  if (arguments.json) {
    print(as_json(arguments, machine, f));
    return right ? kSuccess : kFailure;
  }
  Sheet sheet(friendly_count(static_cast<std::uint64_t>(arguments.rate)) + " changes/s of " + friendly_count(static_cast<std::uint64_t>(arguments.points)) +
              " points over a diode of " + bit_rate_text(static_cast<std::uint64_t>(arguments.bits_per_second)));
  sheet.line("changes through", friendly_count(static_cast<std::uint64_t>(f.changes_per_second)) + " /s", rounded(f.bytes_per_change, 1) + " B each, carousel and parity included");
  sheet.line("on the wire", rounded(f.bits_per_second / 1e6, 1) + " Mbit/s", friendly_count(static_cast<std::uint64_t>(f.datagrams_per_second)) + " datagrams/s");
  sheet.line("latency", microseconds_text(f.latency.quantile(0.5)), "p99: " + microseconds_text(f.latency.quantile(0.99)));
  sheet.line("processor", rounded(f.cpu_sender * 100, 1) + " % of a core", "the receiver: " + rounded(f.cpu_receiver * 100, 1) + " %");
  sheet.line("datagrams lost", std::to_string(f.lost), std::to_string(f.recovered) + " recovered, " + std::to_string(f.losses) + " losses, " + std::to_string(f.socket_dropped) + " dropped by the socket");
  sheet.line("a round of the carousel", std::to_string(f.round_ms) + " ms");
  sheet.line("everything there", rounded(f.first_seconds, 2) + " s", "from the start of the plant's node; " + rounded(f.recovery_seconds, 2) + " s from that of a receiver that was killed");
  sheet.line("wrong, backwards, missing", std::to_string(f.wrong) + ", " + std::to_string(f.backwards) + ", " + std::to_string(f.missing));
  sheet.print(machine);
  return right ? kSuccess : kFailure;
}

}  // namespace

void add_diode(Options& bench) {
  bench.command("diode", "What a one-way link carries on loopback, and how a receiver that was killed recovers", [](Options& options) -> Action {
    const auto arguments = std::make_shared<Arguments>();
    options.number("--points", arguments->points, "how many points", 1, 1'000'000);
    options.number("--rate", arguments->rate, "changes per second of all points together", 1, 100'000'000);
    options.number("--bits-per-second", arguments->bits_per_second, "`rate` of the diode", 200'000, 10'000'000'000);
    options.real("--redundancy", arguments->redundancy, "parity for each datagram", 0, 4);
    options.real("--seconds", arguments->seconds, "how long to measure", 1, 600);
    options.json(arguments->json);
    return [arguments] { return run(*arguments); };
  });
}

}  // namespace sallyport::cli::bench
