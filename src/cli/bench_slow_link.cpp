// sallyport bench slow-link: far more changes than the line can carry; how old is what a consumer sees?
#include <algorithm>
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
  std::int64_t points = 10'000;
  std::int64_t rate = 50'000;
  std::int64_t bits_per_second = 1'000'000;
  double seconds = 10;
  bool json = false;
};

struct Slow {
  double mean_age = 0, p99_age = 0, max_age = 0;  // seconds; of the values of all points, sampled all the time
  double bytes_per_change = 0, changes_per_second = 0;
  double full_pass = 0;  // seconds to send every point once
  std::uint64_t rss_before = 0, rss_after = 0, mirror_rss_before = 0, mirror_rss_after = 0;
  std::uint64_t connects = 0;
  std::uint64_t wrong = 0, backwards = 0;
  std::string group;
};

struct Bed {
  std::unique_ptr<Deployment> nodes;
  std::unique_ptr<Relay> relay;
  std::string meter;
};

Result<Bed> set_up(const Interrupt& interrupt, const Arguments& arguments) {
  auto deployment = Deployment::make(interrupt, "");
  if (!deployment) return std::unexpected(deployment.error());
  Bed bed{.nodes = *std::move(deployment), .relay = {}, .meter = {}};
  bed.meter = bed.nodes->file("meter.json");
  const std::string recorder = recorder_text("meter.json", "Double", "ages = true\n");
  if (auto ok = bed.nodes->start("mirror", true, {{.peer = "plant", .receives = true}}, recorder); !ok)
    return std::unexpected(ok.error());
  const auto mirror = bed.nodes->status("mirror");
  if (!mirror) return std::unexpected(mirror.error());
  auto relay = Relay::start(
      {.target = mirror->port, .bytes_per_second = static_cast<std::uint64_t>(arguments.bits_per_second) / 8});
  if (!relay) return std::unexpected(relay.error());
  bed.relay = *std::move(relay);
  SimulatorText simulator;
  simulator.points = static_cast<std::uint64_t>(arguments.points);
  simulator.rate = static_cast<std::uint64_t>(arguments.rate);
  simulator.more = "start_on = \"start\"\n";
  const LinkText link{.peer = "mirror", .sends = true, .dial_port = bed.relay->port()};
  if (auto ok = bed.nodes->start("plant", false, {link}, text_of(simulator)); !ok) return std::unexpected(ok.error());
  // A definition is a hundred bytes, with the path.
  const auto limit = seconds(30) + seconds(arguments.points * 200 * 8 / arguments.bits_per_second);
  const auto complete = bed.nodes->wait("the mirror is complete", limit, [&]() -> Result<bool> {
    const auto reading = read_meter(bed.meter);
    return reading && reading->totals.points >= static_cast<std::uint64_t>(arguments.points);
  });
  if (!complete) return std::unexpected(complete.error());
  return bed;
}

// Looks at the ages again and again, for that long.
Result<Reading> watch(const Bed& bed, Duration length, Slow& slow) {
  const MonotonicTime until = monotonic_now() + length;
  double sum = 0;
  std::size_t samples = 0;
  for (;;) {
    auto reading = fresh_reading(*bed.nodes, bed.meter);
    if (!reading) return reading;
    if (reading->ages) {
      sum += reading->ages->mean / 1e9;
      ++samples;
      slow.p99_age = std::max(slow.p99_age, static_cast<double>(reading->ages->p99) / 1e9);
      slow.max_age = std::max(slow.max_age, static_cast<double>(reading->ages->max) / 1e9);
    }
    if (monotonic_now() < until) continue;
    slow.mean_age = samples == 0 ? 0 : sum / static_cast<double>(samples);
    return reading;
  }
}

Result<Slow> measure(const Interrupt& interrupt, const Arguments& arguments) {
  auto bed = set_up(interrupt, arguments);
  if (!bed) return std::unexpected(bed.error());
  std::ofstream(bed->nodes->file("start")).close();
  // Until what the snapshot left in buffers is gone.
  if (auto ok = interrupt.sleep(seconds(3)); !ok) return std::unexpected(ok.error());
  Slow slow;
  const auto before = fresh_reading(*bed->nodes, bed->meter);
  if (!before) return std::unexpected(before.error());
  const RelayFigures relay_before = bed->relay->figures();
  slow.rss_before = bed->nodes->usage("plant").rss_bytes;
  slow.mirror_rss_before = bed->nodes->usage("mirror").rss_bytes;
  const auto after =
      watch(*bed, std::chrono::duration_cast<Duration>(std::chrono::duration<double>(arguments.seconds)), slow);
  if (!after) return std::unexpected(after.error());
  const RelayFigures relay_after = bed->relay->figures();
  slow.rss_after = bed->nodes->usage("plant").rss_bytes;
  slow.mirror_rss_after = bed->nodes->usage("mirror").rss_bytes;
  const auto changes = static_cast<double>(after->totals.changes - before->totals.changes);
  if (changes <= 0) return fail(ErrorCode::unavailable, "no change came through the slow link");
  slow.changes_per_second = changes / (static_cast<double>(after->at - before->at) / 1e9);
  slow.bytes_per_change = static_cast<double>(relay_after.forward_bytes - relay_before.forward_bytes) / changes;
  slow.full_pass = slow.bytes_per_change * static_cast<double>(arguments.points) * 8 /
                   static_cast<double>(arguments.bits_per_second);
  slow.wrong = after->totals.wrong;
  slow.backwards = after->totals.backwards;
  const auto status = bed->nodes->status("plant");
  if (!status) return std::unexpected(status.error());
  if (const LinkFigures* link = status->link("mirror")) {
    slow.group = link->group;
    slow.connects = link->connects;
  }
  return slow;
}

std::string as_json(const Arguments& arguments, const Machine& machine, const Slow& slow) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("points", arguments.points);
  json.field("rate", arguments.rate);
  json.field("bits_per_second", arguments.bits_per_second);
  json.field("changes_per_second", round_to(slow.changes_per_second, 1));
  json.field("bytes_per_change", round_to(slow.bytes_per_change, 2));
  json.field("full_pass_seconds", round_to(slow.full_pass, 3));
  json.field("age_mean_seconds", round_to(slow.mean_age, 3));
  json.field("age_p99_seconds", round_to(slow.p99_age, 3));
  json.field("age_max_seconds", round_to(slow.max_age, 3));
  json.field("age_max_over_full_pass", round_to(slow.max_age / slow.full_pass, 3));
  json.field("rss_bytes_before", slow.rss_before);
  json.field("rss_bytes_after", slow.rss_after);
  json.field("mirror_rss_bytes_before", slow.mirror_rss_before);
  json.field("mirror_rss_bytes_after", slow.mirror_rss_after);
  json.field("connects", slow.connects);
  json.field("group", slow.group);
  json.field("wrong", slow.wrong);
  json.field("backwards", slow.backwards);
  write_machine(json, machine);
  json.end_object();
  return out + "\n";
}

int run(const Arguments& arguments) {
  const Machine machine = this_machine();
  const Interrupt interrupt;
  const auto slow = measure(interrupt, arguments);
  if (!slow) return failed(slow.error());
  const bool right = slow->wrong + slow->backwards == 0;
  if (arguments.json) {
    print(as_json(arguments, machine, *slow));
    return right ? kSuccess : kFailure;
  }
  Sheet sheet(friendly_count(static_cast<std::uint64_t>(arguments.rate)) + " changes/s of " +
              friendly_count(static_cast<std::uint64_t>(arguments.points)) + " points into " +
              rounded(static_cast<double>(arguments.bits_per_second) / 1e6, 2) + " Mbit/s");
  sheet.line("changes through", friendly_count(static_cast<std::uint64_t>(slow->changes_per_second)) + " /s",
             rounded(slow->bytes_per_change, 1) + " B each");
  sheet.line("one pass over all points", rounded(slow->full_pass, 2) + " s");
  sheet.line("age of what a consumer sees", rounded(slow->mean_age, 2) + " s", "mean");
  sheet.line("", rounded(slow->max_age, 2) + " s",
             "oldest; " + rounded(slow->max_age / slow->full_pass, 2) + " × one pass");
  sheet.line("memory of the plant", friendly_bytes(slow->rss_after), "before: " + friendly_bytes(slow->rss_before));
  sheet.line("memory of the mirror", friendly_bytes(slow->mirror_rss_after),
             "before: " + friendly_bytes(slow->mirror_rss_before));
  sheet.line("link came up", std::to_string(slow->connects) + " ×");
  sheet.line("wrong, backwards", std::to_string(slow->wrong) + ", " + std::to_string(slow->backwards));
  sheet.print(machine);
  return right ? kSuccess : kFailure;
}

}  // namespace

void add_slow_link(Options& bench) {
  bench.command(
      "slow-link", "Age of the values when the line carries a fraction of the changes", [](Options& options) -> Action {
        const auto arguments = std::make_shared<Arguments>();
        options.number("--points", arguments->points, "how many points", 1, 1'000'000);
        options.number("--rate", arguments->rate, "changes per second of all points together", 1, 100'000'000);
        options.number("--bits-per-second", arguments->bits_per_second, "of the line, each way", 10'000,
                       10'000'000'000);
        options.real("--seconds", arguments->seconds, "how long to measure", 1, 600);
        options.json(arguments->json);
        return [arguments] { return run(*arguments); };
      });
}

}  // namespace sallyport::cli::bench
