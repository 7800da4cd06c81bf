// Runs a real chain under random faults until told to stop (SIGINT, SIGTERM) or for --seconds S, and a simulation of fresh
// seeds beside it. Every minute a line; ends with 1 and the reason at the first violation:
//   a point good at the last consumer longer after a break than the bound, or one that steps back;
//   mirrors not equal within 15 s of quiet; a node that ended by itself;
//   memory of a node more than 1.5 times + 16 MiB, or its descriptors more than 16, above what they were when it had warmed up;
//   a failing seed of the simulation.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "tail.h"

namespace sallyport::tests {
namespace {

namespace fs = std::filesystem;

constexpr auto kBreakBound = milliseconds(750) + milliseconds(500);  // timeout + 0.5 s
constexpr auto kLoad = milliseconds(750);                            // for a machine that does other things too
constexpr auto kQuietBound = seconds(15);                            // dialling again waits up to 5 s on each hop
constexpr auto kWarm = seconds(20);
constexpr const char* kFaketime = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
const char* const kFaults[] = {"stalls", "resets", "kills", "freezes", "restarts", "certificates", "clock steps"};

volatile std::sig_atomic_t told_to_stop = 0;

double in_seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

struct Usage {
  long rss_kib = 0;
  long descriptors = 0;
};

Usage usage_of(pid_t pid) {
  Usage usage;
  const std::string folder = "/proc/" + std::to_string(pid);
  std::ifstream status(folder + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) usage.rss_kib = std::atol(line.c_str() + 6);
  }
  std::error_code ignored;
  for (fs::directory_iterator at(folder + "/fd", ignored), end; at != end; at.increment(ignored)) ++usage.descriptors;
  return usage;
}

// A node's use of memory and descriptors against what it was once warm; from the beginning again after a restart.
class UsageWatch {
 public:
  std::string check(Process& process) {
    if (process.pid() != pid_) {
      pid_ = process.pid();
      since_ = Clock::now();
      warm_.reset();
    }
    now_ = usage_of(pid_);
    if (!warm_ && Clock::now() - since_ > kWarm) warm_ = now_;
    if (!warm_) return {};
    if (now_.rss_kib > warm_->rss_kib * 3 / 2 + 16 * 1024) {
      return "memory grew from " + std::to_string(warm_->rss_kib) + " to " + std::to_string(now_.rss_kib) + " KiB";
    }
    if (now_.descriptors > warm_->descriptors + 16) {
      return "descriptors grew from " + std::to_string(warm_->descriptors) + " to " + std::to_string(now_.descriptors);
    }
    return {};
  }
  const Usage& now() const { return now_; }

 private:
  pid_t pid_ = -1;
  Clock::time_point since_;
  std::optional<Usage> warm_;
  Usage now_;
};

// Fresh seeds of the simulation, a minute each.
class Simulation {
 public:
  explicit Simulation(std::uint64_t seed) : seed_(seed) { next(); }
  // Empty, or what failed.
  std::string check() {
    if (process_.running()) return {};
    const int code = process_.wait(seconds(0));
    std::ifstream in(folder_.path() + "/sim.log");
    std::string line, last;
    while (std::getline(in, line)) last += line + "\n";
    if (code != 0) return "the simulation failed:\n" + last;
    schedules_ += std::strtoull(last.c_str(), nullptr, 10);
    fs::remove(folder_.path() + "/sim.log");
    next();
    return {};
  }
  std::uint64_t schedules() const { return schedules_; }

 private:
  void next() {
    seed_ += 1'000'000;
    process_ = Process({"nice", SALLYPORT_SIM, "--first", std::to_string(seed_), "--seconds", "20"},
                       {.network_of = 0, .output_file = folder_.path() + "/sim.log", .output_fd = -1});
  }
  TempFolder folder_;
  std::uint64_t seed_, schedules_ = 0;
  Process process_;
};

class Soak {
 public:
  explicit Soak(std::uint64_t seed) : random_(seed), simulation_(seed) {}

  int run(Clock::duration length) {
    if (!begin()) return finish();
    while (why_.empty() && !told_to_stop && (length.count() == 0 || Clock::now() - began_ < length)) {
      for (int i = 0; i < 4 && why_.empty() && !told_to_stop; ++i) {
        one_fault();
        check_nodes();
      }
      check_quiet();
      if (Clock::now() >= next_line_) print_line();
    }
    return finish();
  }

 private:
  static ChainOptions options(const Plant& plant) {
    ChainOptions options;
    options.gated = true;
    options.broker = false;
    options.heartbeat = "250ms";
    options.timeout = "750ms";
    options.source = "[[source.opcua]]\nname = \"line1\"\nendpoint = \"" + plant.endpoint() +
                     "\"\ninto = \"acme/line1\"\nbrowse = [\"nsu=urn:sallyport:plant;s=Plant\"]\nsecurity = \"none\"\npublishing_interval = \"100ms\"\n";
    return options;
  }

  bool begin() {
    step_clock(0);
    for (std::size_t i = 0; i < 3; ++i) start(i);
    if (!eventually([&] { return points() > 0 && points() == std::atoi(chain_.first().points("good").c_str()); }, seconds(40))) {
      return fail("the chain does not come up");
    }
    tail_ = std::make_unique<Tail>(chain_.http_port());
    expected_ = static_cast<std::size_t>(points());
    return wait_all_good();
  }
  int points() { return std::atoi(chain_.last().points("good").c_str()); }

  bool fail(const std::string& why) {
    if (why_.empty()) why_ = why;
    return false;
  }
  bool wait_all_good() {
    return eventually([&] { return tail_->good() >= expected_; }, kQuietBound) ||
           fail(std::to_string(tail_->good()) + " of " + std::to_string(expected_) + " points are good " + seconds_text(kQuietBound) + " after " + last_fault_);
  }
  static std::string seconds_text(Clock::duration duration) { return std::to_string(in_seconds(duration)) + " s"; }

  // The second node's wall clock can be stepped, where libfaketime is installed.
  void start(std::size_t index) {
    std::vector<std::string> before;
    if (index == 1 && fs::exists(kFaketime)) {
      before = {"env", std::string("LD_PRELOAD=") + kFaketime, "FAKETIME_TIMESTAMP_FILE=" + clock_file_, "FAKETIME_CACHE_DURATION=1",
                "FAKETIME_DONT_FAKE_MONOTONIC=1"};
    }
    chain_.node(index).start(before);
    if (!chain_.node(index).wait_ready()) fail(chain_.node(index).name() + " does not get ready");
  }
  void step_clock(int offset_seconds) {
    std::ofstream(clock_file_ + ".new", std::ios::trunc) << (offset_seconds < 0 ? "" : "+") << offset_seconds << "\n";
    fs::rename(clock_file_ + ".new", clock_file_);
  }

  int pick(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }
  // Mostly short, sometimes longer than the bound.
  milliseconds pause() { return milliseconds(pick(0, 2) == 0 ? pick(2200, 3500) : pick(20, 800)); }

  // For breaks that last: nothing may be good at the consumer once the bound is over.
  void watch_break(Clock::time_point since, Clock::duration length) {
    const auto due = since + kBreakBound + kLoad;
    std::this_thread::sleep_until(std::min(since + length, due));
    if (since + length < due) return;
    const auto turned = tail_->none_good_since();
    if (!turned) {
      fail("good " + seconds_text(Clock::now() - since) + " after " + last_fault_ + ": " + tail_->some_good());
      return;
    }
    worst_ = std::max(worst_, *turned - since);
    std::this_thread::sleep_until(since + length);
    if (tail_->good() != 0) fail("good again while " + last_fault_ + " lasts: " + tail_->some_good());
  }

  void one_fault() {
    const std::size_t kind = static_cast<std::size_t>(pick(0, 6)), hop = static_cast<std::size_t>(pick(0, 1));
    const std::size_t node = static_cast<std::size_t>(pick(0, 2));
    const auto length = pause();
    ++counts_[kind];
    last_fault_ = std::string(kFaults[kind]) + " (hop " + std::to_string(hop + 1) + " or node " + std::to_string(node + 1) + ", " +
                  std::to_string(length.count()) + " ms)";
    const auto since = Clock::now();
    if (kind == 0) {
      chain_.gate(hop).stall(true);
      watch_break(since, length);
      chain_.gate(hop).stall(false);
    } else if (kind == 1) {
      chain_.gate(hop).refuse(true);
      chain_.gate(hop).reset();
      watch_break(since, length);
      chain_.gate(hop).refuse(false);
    } else if (kind == 2 || kind == 4) {
      end_and_start(node, kind == 2 ? SIGKILL : SIGTERM, since, length);
    } else if (kind == 3) {
      chain_.node(node).process().freeze();
      if (node == 2) std::this_thread::sleep_for(length);
      else watch_break(since, length);
      chain_.node(node).process().thaw();
    } else if (kind == 5) {
      reissue(node);
    } else {
      step_clock(pick(-3600, 3600));
    }
    std::this_thread::sleep_for(milliseconds(pick(50, 500)));
  }

  void end_and_start(std::size_t node, int signal, Clock::time_point since, milliseconds length) {
    Process& process = chain_.node(node).process();
    process.signal(signal);
    // The consumer loses its connection with the last node, and what it knows is what it knew.
    if (node != 2) watch_break(since, length);
    if (process.wait(seconds(10)) != (signal == SIGTERM ? 0 : 128 + SIGKILL)) fail(chain_.node(node).name() + " did not end as told\n" + chain_.node(node).log());
    start(node);
    if (node == 2) tail_->connect();
  }

  // A new certificate, as from a PKI that renews, and the signal to read it.
  void reissue(std::size_t node) {
    const std::string name = chain_.node(node).name(), stem = chain_.pki().folder() + "/" + name;
    fs::remove(stem + ".crt");
    fs::remove(stem + ".key");
    chain_.pki().issue(name);
    chain_.node(node).process().signal(SIGHUP);
  }

  void check_nodes() {
    for (std::size_t i = 0; i < 3; ++i) {
      Process& process = chain_.node(i).process();
      if (!process.running()) {
        fail(chain_.node(i).name() + " ended by itself");
        return;
      }
      const std::string grown = usage_[i].check(process);
      if (!grown.empty()) fail(chain_.node(i).name() + ": " + grown);
    }
    if (tail_->backwards() != 0) fail("a point stepped back at the consumer: " + tail_->first_backwards());
    const std::string failed = simulation_.check();
    if (!failed.empty()) fail(failed);
  }

  void check_quiet() {
    step_clock(0);
    if (!why_.empty() || !wait_all_good()) return;
    plant_.process().signal(SIGUSR1);
    const auto since = Clock::now();
    ++quiets_;
    const bool equal = eventually(
        [&] {
          const auto digests = chain_.digests();
          return !digests.front().empty() && std::ranges::count(digests, digests.front()) == 3;
        },
        kQuietBound);
    if (!equal) fail("mirrors differ " + seconds_text(kQuietBound) + " after the plant rested");
    else slowest_quiet_ = std::max(slowest_quiet_, Clock::now() - since);
    plant_.process().signal(SIGUSR2);
  }

  void print_line() {
    next_line_ = Clock::now() + seconds(60);
    std::string faults;
    for (std::size_t i = 0; i < std::size(kFaults); ++i) faults += (i == 0 ? "" : ", ") + std::to_string(counts_[i]) + " " + kFaults[i];
    std::printf("%6.0f s | %llu updates of %zu points | %s | mirrors equal %d/%d, slowest %.2f s | worst time to not-good %.2f s (bound %.2f s)"
                " | MiB %ld %ld %ld | descriptors %ld %ld %ld | %llu schedules simulated\n",
                in_seconds(Clock::now() - began_), static_cast<unsigned long long>(tail_->updates()), expected_, faults.c_str(), quiets_ - (why_.empty() ? 0 : 1),
                quiets_, in_seconds(slowest_quiet_), in_seconds(worst_), in_seconds(kBreakBound), usage_[0].now().rss_kib / 1024, usage_[1].now().rss_kib / 1024,
                usage_[2].now().rss_kib / 1024, usage_[0].now().descriptors, usage_[1].now().descriptors, usage_[2].now().descriptors,
                static_cast<unsigned long long>(simulation_.schedules()));
    std::fflush(stdout);
  }

  int finish() {
    if (tail_) print_line();
    if (why_.empty()) return 0;
    std::printf("VIOLATION after %.0f s: %s\nlast fault: %s\n", in_seconds(Clock::now() - began_), why_.c_str(), last_fault_.c_str());
    for (std::size_t i = 0; i < 3; ++i) {
      const std::string log = chain_.node(i).log();
      std::printf("--- %s\n%s", chain_.node(i).name().c_str(), log.substr(log.size() > 3000 ? log.size() - 3000 : 0).c_str());
    }
    return 1;
  }

  std::mt19937_64 random_;
  TempFolder folder_;
  std::string clock_file_ = folder_.path() + "/clock";
  Plant plant_{folder_, {"--tags", "300", "--rate", "500"}};
  Chain chain_{options(plant_)};
  std::unique_ptr<Tail> tail_;
  Simulation simulation_;
  UsageWatch usage_[3];
  int counts_[std::size(kFaults)] = {};
  int quiets_ = 0;
  std::size_t expected_ = 0;
  Clock::duration worst_{0}, slowest_quiet_{0};
  Clock::time_point began_ = Clock::now(), next_line_ = began_;
  std::string why_, last_fault_ = "nothing";
};

}  // namespace

int soak(std::uint64_t seed, seconds length) {
  std::signal(SIGINT, [](int) { told_to_stop = 1; });
  std::signal(SIGTERM, [](int) { told_to_stop = 1; });
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Soak soak(seed);
  return soak.run(length);
}

}  // namespace sallyport::tests

int main(int argc, char** argv) {
  long long length = 0;
  std::uint64_t seed = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) / 1'000'000;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 < argc && std::strcmp(argv[i], "--seconds") == 0) length = std::atoll(argv[i + 1]);
    else if (i + 1 < argc && std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
    else {
      std::fprintf(stderr, "usage: soak [--seconds S] [--seed N]   (0 seconds: until SIGINT or SIGTERM)\n");
      return 2;
    }
  }
  return sallyport::tests::soak(seed, std::chrono::seconds(length));
}
