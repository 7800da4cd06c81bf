// What the load generators of all peers have in common: the changes they publish, the check of every one that arrives
// at the last server, pacing, and the report. One process publishes and consumes, so that it can keep a window of
// changes under way: the next one is published once the last consumer has seen an earlier one, and nothing has to be
// lost.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::peers {

struct LoadOptions {
  // load: publish and check; fill: each point once, then hold; collect: only consume; outages: publish at `rate`
  // whatever happens to the servers in between, and count what became of each change
  std::string mode = "load";
  std::uint16_t publish_port = 0, consume_port = 0;
  std::uint64_t points = 100'000;
  double seconds = 3, warm_up = 1;
  double rate = 0;  // changes per second, open loop; 0: closed loop, as fast as everything arrives
  unsigned consumers = 1;
  std::string payload = "binary";  // or json
  std::string authority, certificate, key;
  // MQTT
  int qos = 0;
  bool retain = false;
  // NATS
  bool jetstream = false;
  std::string streams;             // the domains, plant first: comma between them
  std::string keep = "last";       // of each subject, or all
  std::string storage = "memory";  // or file
  // Mode outages: how long to wait in the end, and for how long nothing may arrive until that is it.
  double patience = 90, quiet = 40;
};

// Parses the command line, complains and ends the process when it is wrong.
LoadOptions parse_options(int argc, char** argv, const std::string& about);

// One value, its quality and its source time, as they travel.
struct Change {
  std::uint32_t value = 0;  // counts the changes of its point, from 1
  std::int64_t source_time = 0;
};

constexpr std::size_t kTopicSize = 40;
// "bench/area1/line1/cell1/value-0000000042"; `separator` is / or .
std::string topic_of(std::uint64_t point, char separator);
// The same into a buffer that holds a topic already.
void set_point(char* topic, std::uint64_t point);

// 20 bytes (double, status, nanoseconds), or JSON. `buffer` holds at least kMaxPayload.
constexpr std::size_t kMaxPayload = 128;
std::size_t encode(const Change& change, bool json, std::byte* buffer);

// Checks what one consumer gets. arrived() on the consumer's thread; the rest any thread.
class Tally {
 public:
  explicit Tally(const LoadOptions& options)
      : last_(options.points), seen_(options.mode == "outages" ? options.points : 0) {}
  void arrived(std::string_view topic, std::span<const std::byte> payload);

  std::uint64_t received() const { return received_.load(std::memory_order_acquire); }  // each change once
  // In mode outages: of all changes of all points in turn, how far into them the newest that arrived is.
  std::uint64_t newest() const { return newest_.load(std::memory_order_acquire); }
  std::uint64_t probes() const { return probes_.load(std::memory_order_acquire); }
  void record_latency(bool on) { recording_.store(on, std::memory_order_release); }

  // Once nothing arrives any more.
  // In mode outages a change that comes again is a duplicate, and whatever is older than what its point had just before
  // is backwards, whether it comes again or not.
  std::uint64_t wrong = 0, backwards = 0, duplicates = 0, bytes = 0;
  std::vector<std::int64_t> latencies;  // ns
  // How many points did not get their newest value last, of `sent` changes of all points in turn.
  std::uint64_t not_newest(std::uint64_t sent) const;

 private:
  bool is_news(std::uint32_t& last, std::uint32_t value);
  bool first_time(std::uint64_t point, std::uint32_t value);

  std::vector<std::uint32_t> last_;      // by point: the newest value; of mode outages the last that arrived
  std::vector<std::vector<bool>> seen_;  // by point and value, in mode outages
  std::atomic<std::uint64_t> received_ = 0, probes_ = 0, newest_ = 0;
  std::atomic<bool> recording_ = false;
};
using Tallies = std::vector<std::unique_ptr<Tally>>;

// How one peer's client publishes. Main thread.
class Sender {
 public:
  virtual ~Sender() = default;
  // `topic` has kTopicSize characters and a final NUL.
  virtual void send(const char* topic, std::span<const std::byte> payload) = 0;
  // Reads acknowledgements and the like, for about this long; returns early when something came.
  virtual void service(std::chrono::microseconds wait) = 0;
  virtual std::uint64_t unacknowledged() const { return 0; }
  virtual char separator() const = 0;
};

std::int64_t utc_nanoseconds();

// Runs mode load or fill: JSON lines "begin" and "end" while measuring, then "result". Returns the exit code.
int run_load(const LoadOptions& options, Sender& sender, const Tallies& tallies);
// Mode collect: waits until the consumer has `points` points, prints when that was.
int run_collect(const LoadOptions& options, const Tally& tally);

[[noreturn]] void die(const std::string& what);

}  // namespace sallyport::peers
