// sallyport bench resume: a cable is pulled and plugged in again while some points changed; how soon is the mirror
// right?
#include <fstream>

#include "cli/bench.h"
#include "cli/bench_meter.h"
#include "cli/bench_relay.h"
#include "cli/bench_report.h"
#include "cli/terminal.h"

namespace sallyport::cli::bench {
namespace {

using std::chrono::seconds;

struct Arguments {
  std::int64_t points = 1'000'000;
  double changed = 1;  // percent
  double cut = 1;      // seconds
  bool json = false;
};

struct Resume {
  double milliseconds = 0;          // from the new connection until a consumer had read the last changed value
  double session_milliseconds = 0;  // of that, until the link was up
  std::uint64_t bytes = 0;          // both ways, in that time and the half second after
  std::uint64_t changed = 0;
  std::uint64_t definitions_again = 0;
  std::uint64_t wrong = 0, backwards = 0, missing = 0;
  std::string group;
};

// plant → relay → mirror; the mirror listens.
struct Bed {
  std::unique_ptr<Deployment> nodes;
  std::unique_ptr<Relay> relay;
  std::string meter;
};

Result<Bed> set_up(const Interrupt& interrupt, std::uint64_t points, std::uint64_t changed) {
  auto deployment = Deployment::make(interrupt, "");
  if (!deployment) return std::unexpected(deployment.error());
  Bed bed{.nodes = *std::move(deployment), .relay = {}, .meter = {}};
  bed.meter = bed.nodes->file("meter.json");
  if (auto ok = bed.nodes->start("mirror", true, {{.peer = "plant", .receives = true}},
                                 recorder_text("meter.json", "Double"));
      !ok)
    return std::unexpected(ok.error());
  const auto mirror = bed.nodes->status("mirror");
  if (!mirror) return std::unexpected(mirror.error());
  auto relay = Relay::start({.target = mirror->port});
  if (!relay) return std::unexpected(relay.error());
  bed.relay = *std::move(relay);
  SimulatorText simulator;
  simulator.points = points;
  simulator.more = "start_on = \"start\"\nafter = " + std::to_string(changed) + "\n";
  const LinkText link{.peer = "mirror", .sends = true, .dial_port = bed.relay->port()};
  if (auto ok = bed.nodes->start("plant", false, {link}, text_of(simulator)); !ok) return std::unexpected(ok.error());
  const auto complete =
      bed.nodes->wait("the mirror is complete", seconds(30) + seconds(points / 100'000), [&]() -> Result<bool> {
        const auto reading = read_meter(bed.meter);
        return reading && reading->totals.points >= points;
      });
  if (!complete) return std::unexpected(complete.error());
  const auto quiet = wait_until_quiet(*bed.nodes, bed.meter, seconds(30));
  if (!quiet) return std::unexpected(quiet.error());
  return bed;
}

// The points change while the cable is out.
Result<void> cut_and_change(const Bed& bed, std::uint64_t changed, Duration length) {
  const MonotonicTime began = monotonic_now();
  bed.relay->cut();
  std::ofstream(bed.nodes->file("start")).close();
  const auto done = bed.nodes->wait("the source has changed its points", seconds(30), [&]() -> Result<bool> {
    const auto status = bed.nodes->status("plant");
    if (!status) return std::unexpected(status.error());
    return status->source_changes >= changed;
  });
  if (!done) return done;
  // The mirror's consumers have been told that all is bad before the cable comes back, as in life.
  if (const auto quiet = wait_until_quiet(*bed.nodes, bed.meter, seconds(30)); !quiet)
    return std::unexpected(quiet.error());
  return bed.nodes->interrupt().sleep(length - (monotonic_now() - began));
}

Result<Resume> measure(const Interrupt& interrupt, const Arguments& arguments) {
  const auto points = static_cast<std::uint64_t>(arguments.points);
  Resume resume;
  resume.changed =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(points) * arguments.changed / 100));
  auto bed = set_up(interrupt, points, resume.changed);
  if (!bed) return std::unexpected(bed.error());
  const auto before = bed->nodes->status("mirror");
  if (!before) return std::unexpected(before.error());
  const auto length = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(arguments.cut));
  if (auto ok = cut_and_change(*bed, resume.changed, length); !ok) return std::unexpected(ok.error());
  const RelayFigures at_cut = bed->relay->figures();
  bed->relay->mend();
  const auto back = bed->nodes->wait("the plant dials again", seconds(20), [&]() -> Result<bool> {
    return bed->relay->figures().connections > at_cut.connections;
  });
  if (!back) return std::unexpected(back.error());
  const UtcNanoseconds connected = bed->relay->figures().connected;
  Reading reading;
  const auto right = bed->nodes->wait("the mirror has caught up", seconds(60), [&]() -> Result<bool> {
    auto now = wait_until_quiet(*bed->nodes, bed->meter, seconds(60));
    if (!now) return std::unexpected(now.error());
    reading = *std::move(now);
    return reading.totals.last_news > connected;
  });
  if (!right) return std::unexpected(right.error());
  const RelayFigures after = bed->relay->figures();
  resume.bytes = after.forward_bytes + after.backward_bytes - at_cut.forward_bytes - at_cut.backward_bytes;
  resume.milliseconds = static_cast<double>(reading.totals.last_news - connected) / 1e6;
  const auto status = bed->nodes->status("mirror");
  if (!status) return std::unexpected(status.error());
  const LinkFigures* link = status->link("plant");
  const LinkFigures* old = before->link("plant");
  if (link == nullptr || old == nullptr) return fail(ErrorCode::internal, "the link is not in the node's status");
  resume.group = link->group;
  resume.session_milliseconds = static_cast<double>(link->since - connected) / 1e6;
  resume.definitions_again = link->receive.definitions - old->receive.definitions;
  resume.wrong = reading.totals.wrong;
  resume.backwards = reading.totals.backwards;
  const auto differences = bed->nodes->differences("plant", "mirror");
  if (!differences) return std::unexpected(differences.error());
  resume.missing = *differences;
  return resume;
}

int run(const Arguments& arguments) {
  const Machine machine = this_machine();
  const Interrupt interrupt;
  const auto resume = measure(interrupt, arguments);
  if (!resume) return failed(resume.error());
  const auto points = static_cast<std::uint64_t>(arguments.points);
  const bool right = resume->wrong + resume->backwards + resume->missing == 0;
  if (arguments.json) {
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    json.field("points", points);
    json.field("changed", resume->changed);
    json.field("milliseconds", round_to(resume->milliseconds, 2));
    json.field("milliseconds_until_link_up", round_to(resume->session_milliseconds, 2));
    json.field("bytes", resume->bytes);
    json.field("bytes_per_changed_point",
               round_to(static_cast<double>(resume->bytes) / static_cast<double>(resume->changed), 1));
    json.field("definitions_again", resume->definitions_again);
    json.field("group", resume->group);
    json.field("wrong", resume->wrong);
    json.field("backwards", resume->backwards);
    json.field("missing", resume->missing);
    write_machine(json, machine);
    json.end_object();
    print(out + "\n");
    return right ? kSuccess : kFailure;
  }
  Sheet sheet("resume after a cut in which " + friendly_count(resume->changed) + " of " + friendly_count(points) +
              " points changed");
  sheet.line("until a consumer had all of them", rounded(resume->milliseconds, 1) + " ms",
             "since the connection was back");
  sheet.line("until the link was up", rounded(resume->session_milliseconds, 1) + " ms", "TLS handshake and hello");
  sheet.line("bytes on the wire", friendly_bytes(resume->bytes), "handshake and heartbeats included");
  sheet.line("definitions sent again", friendly_count(resume->definitions_again), "0: no full resend");
  sheet.line("wrong, backwards, missing", std::to_string(resume->wrong) + ", " + std::to_string(resume->backwards) +
                                              ", " + std::to_string(resume->missing));
  sheet.print(machine);
  return right ? kSuccess : kFailure;
}

}  // namespace

void add_resume(Options& bench) {
  bench.command("resume", "Time until the mirror is right again after a cut", [](Options& options) -> Action {
    const auto arguments = std::make_shared<Arguments>();
    options.number("--points", arguments->points, "how many points", 1, 10'000'000);
    options.real("--changed", arguments->changed, "how many of them change meanwhile, in percent", 0.0001, 100);
    options.real("--cut", arguments->cut, "at least so many seconds without the cable", 0.1, 600);
    options.json(arguments->json);
    return [arguments] { return run(*arguments); };
  });
}

}  // namespace sallyport::cli::bench
