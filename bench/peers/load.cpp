#include "load.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

namespace sallyport::peers {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr std::string_view kPattern = "bench/area1/line1/cell1/value-0000000000";
static_assert(kPattern.size() == kTopicSize);
constexpr std::size_t kDigits = 10;
constexpr double kValueOffset = 0.25;  // so that the values have a fraction, as measured ones do
constexpr std::size_t kMaxLatencies = 8'000'000;
constexpr std::size_t kBinarySize = 20;

std::optional<std::uint64_t> point_of(std::string_view topic) {
  if (topic.size() != kTopicSize) return std::nullopt;
  std::uint64_t point = 0;
  const char* end = topic.data() + topic.size();
  const auto [at, error] = std::from_chars(end - kDigits, end, point);
  if (error != std::errc() || at != end) return std::nullopt;
  return point;
}

// The number after `key`, or none.
template <typename Number>
std::optional<Number> after(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == text.npos) return std::nullopt;
  Number number{};
  const char* from = text.data() + at + key.size();
  if (std::from_chars(from, text.data() + text.size(), number).ec != std::errc()) return std::nullopt;
  return number;
}

std::optional<Change> change_of(double value, std::uint32_t status, std::int64_t time) {
  if (status != 0 || value < 1 || value > 4e9) return std::nullopt;
  return Change{static_cast<std::uint32_t>(value), time};
}

std::optional<Change> decode(std::span<const std::byte> payload) {
  if (payload.size() == kBinarySize) {
    double value = 0;
    std::uint32_t status = 0;
    std::int64_t time = 0;
    std::memcpy(&value, payload.data(), 8);
    std::memcpy(&status, payload.data() + 8, 4);
    std::memcpy(&time, payload.data() + 12, 8);
    return change_of(value, status, time);
  }
  const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
  const auto value = after<double>(text, "\"value\":");
  const auto status = after<std::uint32_t>(text, "\"status\":");
  const auto time = after<std::int64_t>(text, "\"timestamp\":");
  if (!value || !status || !time) return std::nullopt;
  return change_of(*value, *status, *time);
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::uint64_t slowest(const Tallies& tallies) {
  std::uint64_t least = ~std::uint64_t{0};
  for (const auto& tally : tallies) least = std::min(least, tally->received());
  return least;
}

// Publishes and keeps count.
class Load {
 public:
  Load(const LoadOptions& options, Sender& sender, const Tallies& tallies)
      : options_(options), sender_(sender), tallies_(tallies), topic_(topic_of(0, sender.separator())) {}

  void wait_for_path();
  void closed_loop(Clock::time_point until, std::uint64_t window);
  void open_loop(Clock::time_point until);
  void fill();
  bool drain();         // until everything arrived, or nothing has for two seconds
  void wait_for_all();  // or until patience is at its end
  void show_progress(bool on) { progress_ = on; }
  std::uint64_t best_window();
  std::uint64_t sent() const { return sent_; }

 private:
  void publish(std::uint64_t point, const Change& change);
  void publish_next(std::int64_t source_time) {
    publish(sent_ % options_.points, {static_cast<std::uint32_t>(sent_ / options_.points + 1), source_time});
    ++sent_;
  }
  std::uint64_t under_way() const { return sent_ - slowest(tallies_); }

  const LoadOptions& options_;
  Sender& sender_;
  const Tallies& tallies_;
  std::string topic_;
  std::array<std::byte, kMaxPayload> payload_{};
  void tell();

  std::uint64_t sent_ = 0;
  bool progress_ = false;
  Clock::time_point told_{};
};

void Load::publish(std::uint64_t point, const Change& change) {
  set_point(topic_.data(), point);
  const std::size_t size = encode(change, options_.payload == "json", payload_.data());
  sender_.send(topic_.c_str(), std::span(payload_).first(size));
}

// Links between servers come up when they do; a point behind the last one shows that they are.
void Load::wait_for_path() {
  const auto limit = Clock::now() + std::chrono::seconds(30);
  const auto all = [this] {
    return std::ranges::all_of(tallies_, [](const auto& tally) { return tally->probes() > 0; });
  };
  while (!all()) {
    if (Clock::now() > limit) die("nothing arrives at the last server within 30 s");
    publish(options_.points, {1, utc_nanoseconds()});
    for (int i = 0; i < 10 && !all(); ++i) sender_.service(std::chrono::milliseconds(10));
  }
  for (int i = 0; i < 30; ++i) sender_.service(std::chrono::milliseconds(10));  // probes still under way
}

void Load::closed_loop(Clock::time_point until, std::uint64_t window) {
  while (Clock::now() < until) {
    const std::uint64_t room = window - std::min(window, under_way());
    for (std::uint64_t i = 0; i < std::min<std::uint64_t>(room, 64); ++i) publish_next(utc_nanoseconds());
    sender_.service(microseconds(0));
    while (under_way() > window / 2 && room < 64 && Clock::now() < until) sender_.service(microseconds(200));
  }
}

void Load::open_loop(Clock::time_point until) {
  const auto began = Clock::now();
  const std::int64_t began_utc = utc_nanoseconds();
  for (std::uint64_t i = 0;; ++i) {
    const auto due = std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(i) / options_.rate * 1e9));
    if (began + due >= until) return;
    std::this_thread::sleep_until(began + due);
    publish_next(began_utc + due.count());  // what is late counts as late
    sender_.service(microseconds(0));
    tell();
  }
}

void Load::fill() {
  while (sent_ < options_.points) {
    if (under_way() < 1000) publish_next(utc_nanoseconds());
    sender_.service(microseconds(under_way() < 1000 ? 0 : 200));
  }
}

bool Load::drain() {
  std::uint64_t before = slowest(tallies_);
  auto quiet_since = Clock::now();
  while ((under_way() > 0 || sender_.unacknowledged() > 0) && Clock::now() - quiet_since < std::chrono::seconds(2)) {
    sender_.service(std::chrono::milliseconds(5));
    const std::uint64_t now = slowest(tallies_);
    if (now != before) quiet_since = Clock::now();
    before = now;
  }
  return under_way() == 0;
}

void Load::wait_for_all() {
  const std::chrono::duration<double> patience(options_.patience), quiet(options_.quiet);
  const auto began = Clock::now();
  auto last_news = began;
  std::uint64_t before = slowest(tallies_);
  while (under_way() > 0 && Clock::now() - began < patience && Clock::now() - last_news < quiet) {
    sender_.service(std::chrono::milliseconds(5));
    tell();
    const std::uint64_t now = slowest(tallies_);
    if (now != before) last_news = Clock::now();
    before = now;
  }
  told_ = {};
  tell();
  const auto stragglers = Clock::now() + std::chrono::seconds(3);  // what comes again
  while (Clock::now() < stragglers) sender_.service(std::chrono::milliseconds(5));
}

// What was sent and how far it came, ten times a second.
void Load::tell() {
  if (!progress_ || Clock::now() - told_ < std::chrono::milliseconds(100)) return;
  told_ = Clock::now();
  std::printf("{\"event\":\"progress\",\"sent\":%" PRIu64 ",\"newest\":%" PRIu64 ",\"at\":%.3f}\n", sent_,
              tallies_.front()->newest(), static_cast<double>(utc_nanoseconds()) / 1e9);
  std::fflush(stdout);
}

// Which window is best depends on the server; each gets a share of the warm-up. Many consumers share one, as the server
// queues each change once for each of them. JetStream keeps the last message of each subject, so no point may change
// twice while its first change is under way.
std::uint64_t Load::best_window() {
  std::uint64_t best = 0;
  double best_rate = -1;
  const auto part = [this](double share) {
    return Clock::now() +
           std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.warm_up / 3 * share));
  };
  for (const std::uint64_t wish : {500u, 4'000u, 32'000u}) {
    std::uint64_t window = std::max<std::uint64_t>(wish / options_.consumers, 50);
    if (options_.jetstream) window = std::clamp<std::uint64_t>(options_.points / 2, 1, window);
    closed_loop(part(0.4), window);
    const std::uint64_t before = slowest(tallies_);
    const auto began = Clock::now();
    closed_loop(part(0.6), window);
    const std::chrono::duration<double> took = Clock::now() - began;
    const double rate = static_cast<double>(slowest(tallies_) - before) / took.count();
    drain();
    if (rate > best_rate) {
      best_rate = rate;
      best = window;
    }
  }
  return best;
}

void print_event(const char* event, const Tallies& tallies) {
  std::uint64_t all = 0;
  for (const auto& tally : tallies) all += tally->received();
  std::printf("{\"event\":\"%s\",\"received\":%" PRIu64 ",\"slowest\":%" PRIu64 ",\"at\":%.6f,\"load_cpu\":%.3f}\n",
              event, all, slowest(tallies), static_cast<double>(utc_nanoseconds()) / 1e9, cpu_seconds());
  std::fflush(stdout);
}

double quantile_us(const std::vector<std::int64_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5);
  return static_cast<double>(sorted[at]) / 1e3;
}

int print_result(const Load& load, const Tallies& tallies, std::uint64_t window) {
  std::uint64_t wrong = 0, backwards = 0, duplicates = 0, missing = 0, bytes = 0, received = 0;
  for (const auto& tally : tallies) {
    wrong += tally->wrong;
    backwards += tally->backwards;
    duplicates += tally->duplicates;
    missing += load.sent() - std::min(load.sent(), tally->received());
    bytes += tally->bytes;
    received += tally->received();
  }
  auto& latencies = tallies.front()->latencies;
  std::ranges::sort(latencies);
  std::printf("{\"event\":\"result\",\"sent\":%" PRIu64 ",\"missing\":%" PRIu64 ",\"wrong\":%" PRIu64
              ",\"backwards\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"window\":%" PRIu64 ",\"payload_bytes\":%.1f",
              load.sent(), missing, wrong, backwards, duplicates, window,
              static_cast<double>(bytes) / static_cast<double>(std::max<std::uint64_t>(1, received)));
  std::printf(",\"latency_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"p9999\":%.1f,\"max\":%.1f}",
              quantile_us(latencies, 0.5), quantile_us(latencies, 0.9), quantile_us(latencies, 0.99),
              quantile_us(latencies, 0.999), quantile_us(latencies, 0.9999), quantile_us(latencies, 1));
  std::printf("}\n");
  std::fflush(stdout);
  return wrong + backwards + missing == 0 ? 0 : 1;
}

int run_outages(const LoadOptions& options, Load& load, const Tallies& tallies) {
  const auto seconds = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds));
  print_event("begin", tallies);
  load.show_progress(true);
  load.open_loop(Clock::now() + seconds);
  print_event("end", tallies);
  load.wait_for_all();
  const Tally& tally = *tallies.front();
  std::printf("{\"event\":\"result\",\"sent\":%" PRIu64 ",\"arrived\":%" PRIu64 ",\"repeated\":%" PRIu64
              ",\"backwards\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"not_newest\":%" PRIu64 "}\n",
              load.sent(), tally.received(), tally.duplicates, tally.backwards, tally.wrong,
              tally.not_newest(load.sent()));
  std::fflush(stdout);
  return 0;
}

void wait_for_end_of_input() {
  char rest = 0;
  while (::read(STDIN_FILENO, &rest, 1) > 0) {
  }
}

}  // namespace

void die(const std::string& what) {
  std::fprintf(stderr, "error: %s\n", what.c_str());
  std::_Exit(1);  // client threads are running
}

std::int64_t utc_nanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

LoadOptions parse_options(int argc, char** argv, const std::string& about) {
  LoadOptions options;
  CLI::App app(about);
  app.add_option("--mode", options.mode)->check(CLI::IsMember({"load", "fill", "collect", "outages"}));
  app.add_option("--publish", options.publish_port, "port of the first server on this machine");
  app.add_option("--consume", options.consume_port, "port of the last server on this machine")->required();
  app.add_option("--points", options.points)->check(CLI::Range(1, 100'000'000));
  app.add_option("--seconds", options.seconds, "how long to measure");
  app.add_option("--warm-up", options.warm_up, "seconds before that");
  app.add_option("--rate", options.rate, "changes per second, open loop; 0: as fast as everything arrives");
  app.add_option("--consumers", options.consumers, "at the last server")->check(CLI::Range(1, 10'000));
  app.add_option("--payload", options.payload)->check(CLI::IsMember({"binary", "json"}));
  app.add_option("--ca", options.authority)->required();
  app.add_option("--certificate", options.certificate)->required();
  app.add_option("--key", options.key)->required();
  app.add_option("--qos", options.qos)->check(CLI::Range(0, 1));
  app.add_flag("--retain", options.retain);
  app.add_flag("--jetstream", options.jetstream);
  app.add_option("--keep", options.keep, "what a stream keeps of each subject")->check(CLI::IsMember({"last", "all"}));
  app.add_option("--storage", options.storage)->check(CLI::IsMember({"memory", "file"}));
  app.add_option("--patience", options.patience, "--mode outages: seconds to wait in the end");
  app.add_option("--quiet", options.quiet, "--mode outages: seconds without news after which nothing more is expected");
  app.add_option("--streams", options.streams, "JetStream domains, plant first, comma between them");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  ::prctl(PR_SET_TIMERSLACK, 1);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  return options;
}

std::string topic_of(std::uint64_t point, char separator) {
  std::string topic(kPattern);
  std::ranges::replace(topic, '/', separator);
  set_point(topic.data(), point);
  return topic;
}

void set_point(char* topic, std::uint64_t point) {
  for (std::size_t i = 0; i < kDigits; ++i, point /= 10)
    topic[kTopicSize - 1 - i] = static_cast<char>('0' + point % 10);
}

std::size_t encode(const Change& change, bool json, std::byte* buffer) {
  const double value = change.value + kValueOffset;
  if (json) {
    const int size =
        std::snprintf(reinterpret_cast<char*>(buffer), kMaxPayload,
                      "{\"value\":%.2f,\"status\":0,\"timestamp\":%" PRId64 "}", value, change.source_time);
    return static_cast<std::size_t>(size);
  }
  const std::uint32_t status = 0;
  std::memcpy(buffer, &value, 8);
  std::memcpy(buffer + 8, &status, 4);
  std::memcpy(buffer + 12, &change.source_time, 8);
  return kBinarySize;
}

void Tally::arrived(std::string_view topic, std::span<const std::byte> payload) {
  const auto point = point_of(topic);
  const auto change = decode(payload);
  if (!point || !change || *point > last_.size()) {
    ++wrong;
    return;
  }
  if (*point == last_.size()) {
    probes_.fetch_add(1, std::memory_order_release);
    return;
  }
  if (!(seen_.empty() ? is_news(last_[*point], change->value) : first_time(*point, change->value))) return;
  bytes += payload.size();
  if (recording_.load(std::memory_order_acquire) && latencies.size() < kMaxLatencies)
    latencies.push_back(utc_nanoseconds() - change->source_time);
  received_.fetch_add(1, std::memory_order_release);
}

bool Tally::is_news(std::uint32_t& last, std::uint32_t value) {
  if (value <= last) {
    ++(value == last ? duplicates : backwards);
    return false;
  }
  last = value;
  return true;
}

bool Tally::first_time(std::uint64_t point, std::uint32_t value) {
  backwards += value < last_[point];
  last_[point] = value;
  std::vector<bool>& seen = seen_[point];
  if (value >= seen.size()) seen.resize(value + std::size_t{64});
  const bool again = seen[value];
  duplicates += again;
  seen[value] = true;
  const std::uint64_t place = (value - std::uint64_t{1}) * last_.size() + point + 1;
  if (place > newest_.load(std::memory_order_relaxed)) newest_.store(place, std::memory_order_release);
  return !again;
}

std::uint64_t Tally::not_newest(std::uint64_t sent) const {
  std::uint64_t count = 0;
  for (std::uint64_t point = 0; point < last_.size(); ++point)
    count += last_[point] != sent / last_.size() + (point < sent % last_.size());
  return count;
}

int run_load(const LoadOptions& options, Sender& sender, const Tallies& tallies) {
  Load load(options, sender, tallies);
  load.wait_for_path();
  const auto in = [](double seconds) {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  };
  if (options.mode == "fill") {
    load.fill();
    const bool complete = load.drain();
    print_event("filled", tallies);
    wait_for_end_of_input();
    return complete ? 0 : 1;
  }
  if (options.mode == "outages") return run_outages(options, load, tallies);
  std::uint64_t window = 0;
  if (options.rate > 0)
    load.open_loop(in(options.warm_up));
  else
    window = load.best_window();
  load.drain();
  for (const auto& tally : tallies) tally->record_latency(options.rate > 0);
  if (options.rate <= 0) load.closed_loop(in(0.2), window);  // the pipe is full when measuring begins
  print_event("begin", tallies);
  if (options.rate > 0)
    load.open_loop(in(options.seconds));
  else
    load.closed_loop(in(options.seconds), window);
  print_event("end", tallies);
  load.drain();
  return print_result(load, tallies, window);
}

int run_collect(const LoadOptions& options, const Tally& tally) {
  const auto limit = Clock::now() + std::chrono::seconds(60);
  while (tally.received() < options.points) {
    if (Clock::now() > limit) die("only " + std::to_string(tally.received()) + " points arrived within 60 s");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::printf("{\"event\":\"complete\",\"at\":%.6f}\n", static_cast<double>(utc_nanoseconds()) / 1e9);
  std::fflush(stdout);
  return 0;
}

}  // namespace sallyport::peers
