// A consumer that is slow or stopped is nobody else's trouble: the others' latency stays as it was, memory stays flat, and
// when it goes on it is right.
#include <algorithm>
#include <fstream>

#include "json.h"
#include "scene.h"
#include "sinks/recorder/histogram.h"

namespace sallyport::tests {
namespace {

struct Latency {
  double p50_ms = 0, p99_ms = 0;
  std::size_t samples = 0;
};

std::string text_of(const Latency& latency) {
  char text[96];
  std::snprintf(text, sizeof text, "p50 %.1f ms, p99 %.1f ms", latency.p50_ms, latency.p99_ms);
  return text;
}

// "2026-11-23T02:40:17.123456789Z" in milliseconds since 1970.
double milliseconds_of(const std::string& timestamp) {
  std::tm fields{};
  const char* fraction = ::strptime(timestamp.c_str(), "%FT%T", &fields);
  if (fraction == nullptr) return 0;
  return static_cast<double>(::timegm(&fields)) * 1e3 + std::atof(("0" + std::string(fraction)).c_str()) * 1e3;
}

class Others : public Scene {
 protected:
  static constexpr std::size_t kPoints = 1000, kRate = 5000;

  void begin_with_downstream() {
    ChainOptions options;
    options.listen_extra = "[[listen.peer]]\nname = \"n-4\"\nsend = [\"**\"]\n";
    begin(options, kPoints, kRate);
    if (HasFatalFailure()) return;
    // One in ten points is enough to see latency.
    consumer_ = Watcher::sse(chain_->http_port(), "**/p0000*");
    ASSERT_TRUE(consumer_->wait_for_all("good", 99, seconds(10)));
    const std::string port = std::to_string(chain_->port(1));
    downstream_ = std::make_unique<Node>(chain_->folder(), chain_->pki(), "n-4",
                                         "[[link]]\nname = \"n-2\"\ndial = \"127.0.0.1:" + port + "\"\npeer = \"n-2\"\nreceive = [\"**\"]\n");
    downstream_->start();
    ASSERT_TRUE(downstream_->wait_ready()) << downstream_->log();
    ASSERT_TRUE(downstream_->wait_link("n-2", "up", seconds(20))) << downstream_->log();
  }

  // What the well-behaved consumer sees for a while.
  Latency observe() const {
    const auto since = Clock::now();
    std::this_thread::sleep_for(full_length() ? seconds(10) : seconds(3));
    const double offset_ms = std::chrono::duration<double, std::milli>(std::chrono::system_clock::now().time_since_epoch() -
                                                                       Clock::now().time_since_epoch()).count();
    std::vector<double> ages;
    for (const auto& seen : consumer_->all()) {
      if (seen.when < since) continue;
      const double arrived = std::chrono::duration<double, std::milli>(seen.when.time_since_epoch()).count() + offset_ms;
      ages.push_back(arrived - milliseconds_of(seen.timestamp));
    }
    if (ages.empty()) return {};
    std::ranges::sort(ages);
    return {ages[ages.size() / 2], ages[ages.size() * 99 / 100], ages.size()};
  }

  static long rss_kib(Process& process) {
    std::ifstream status("/proc/" + std::to_string(process.pid()) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
    }
    return 0;
  }

  void disturb(const std::string& name, const std::function<void()>& hurt, const std::function<void()>& heal) {
    const Latency before = observe();
    const long dmz_kib = rss_kib(chain_->node(1).process()), last_kib = rss_kib(chain_->last().process());
    const auto hurt_at = Clock::now();
    hurt();
    const Latency during = observe();
    const long dmz_grown = rss_kib(chain_->node(1).process()) - dmz_kib, last_grown = rss_kib(chain_->last().process()) - last_kib;
    const auto all = consumer_->all();
    const auto bad = std::ranges::count_if(all, [&](const Seen& seen) { return seen.when > hurt_at && seen.quality != "good"; });
    heal();
    std::ofstream(rest_file_).put('\n');
    EXPECT_TRUE(digests_become_equal(seconds(15))) << chain_->logs();
    EXPECT_TRUE(eventually([&] { return downstream_->digest() == chain_->first().digest(); }, seconds(20))) << downstream_->log();
    Row row{.table = "load", .fault = name, .bound = "latency of the others as it was", .not_good = {}, .right = {}, .wrong = 0, .stale_good = {},
            .backwards = count_backwards(consumer_->all(), Order::by_value), .note = {}};
    row.note = "others before: " + text_of(before) + "; meanwhile: " + text_of(during) + "; memory of the DMZ node +" +
               std::to_string(std::max(0L, dmz_grown)) + " KiB, of the last node +" + std::to_string(std::max(0L, last_grown)) + " KiB";
    report(row);
    EXPECT_GE(during.samples, before.samples / 2) << "less flows to the others";
    EXPECT_LE(during.p99_ms, 3 * before.p99_ms + 50);
    EXPECT_EQ(bad, 0);
    EXPECT_LT(dmz_grown, 16 * 1024);
    EXPECT_LT(last_grown, 16 * 1024);
    EXPECT_EQ(row.backwards, 0u);
  }

  std::unique_ptr<Node> downstream_;
};

TEST_F(Others, DoNotNoticeADownstreamNodeThatIsFrozen) {
  begin_with_downstream();
  if (HasFatalFailure()) return;
  disturb("a second downstream node of the DMZ node is SIGSTOPped", [this] { downstream_->process().freeze(); },
          [this] { downstream_->process().thaw(); });
}

TEST_F(Others, DoNotNoticeABrokerThatStopsReading) {
  begin_with_downstream();
  if (HasFatalFailure()) return;
  disturb("the MQTT broker at the last node is SIGSTOPped", [this] { chain_->broker().process().freeze(); },
          [this] { chain_->broker().process().thaw(); });
}

TEST_F(Others, DoNotNoticeAnHttpReaderThatStopsReading) {
  begin_with_downstream();
  if (HasFatalFailure()) return;
  const auto reader = std::make_unique<LineReader>(
      std::vector<std::string>{"curl", "-sN", "http://127.0.0.1:" + std::to_string(chain_->http_port()) + "/api/v1/stream"},
      [](Clock::time_point, const std::string&) {});
  disturb("a reader of the HTTP stream is SIGSTOPped", [&] { reader->process().freeze(); }, [&] { reader->process().thaw(); });
}

TEST_F(Others, DoNotNoticeAnHttpReaderThatIsTooSlow) {
  begin_with_downstream();
  if (HasFatalFailure()) return;
  std::unique_ptr<LineReader> reader;
  const std::string url = "http://127.0.0.1:" + std::to_string(chain_->http_port()) + "/api/v1/stream";
  disturb("a reader of the HTTP stream takes 4 kB/s of 800 kB/s",
          [&] {
            reader = std::make_unique<LineReader>(std::vector<std::string>{"curl", "-sN", "--limit-rate", "4k", url},
                                                  [](Clock::time_point, const std::string&) {});
          },
          [&] { reader.reset(); });
}

// --- A long way --------------------------------------------------------------------------------------------------------

class FarAway : public Scene {
 protected:
  // Two nodes; the second connects `distance` away from the first once that holds `points`.
  void begin_far(const Distance& distance, std::size_t points, std::size_t rate, bool changes_at_once) {
    go_file_ = folder_.path() + "/go";
    result_file_ = folder_.path() + "/recorder.json";
    if (changes_at_once) std::ofstream(go_file_).put('\n');
    ChainOptions options;
    options.nodes = 2;
    options.gated = true;
    options.broker = false;
    options.source = ramp_source(points, rate, rest_file_) + "start_on = \"" + go_file_ + "\"\n";
    options.last_extra = "[[sink.recorder]]\nname = \"recorder\"\npublish = [\"**\"]\nresult = \"" + result_file_ + "\"\nevery = \"200ms\"\n";
    chain_ = std::make_unique<Chain>(options);
    chain_->gate(0).refuse(true);
    chain_->gate(0).move_away(distance);
    chain_->start();
    points_ = points;
    ASSERT_TRUE(eventually([&] { return chain_->first().points("good") == std::to_string(points); }, seconds(30))) << chain_->logs();
  }

  // From the moment the connection is open, TLS included, until the last node has every point. (Dialling again waits up to
  // 5 s, which is not what is asked here.)
  Clock::duration time_snapshot(Clock::duration limit) {
    const unsigned before = chain_->gate(0).connections();
    chain_->gate(0).refuse(false);
    EXPECT_TRUE(eventually([&] { return chain_->gate(0).connections() > before; }, seconds(10)));
    const auto opened_at = Clock::now();
    EXPECT_TRUE(chain_->wait_points(points_, limit)) << chain_->last().points("good") << " points\n" << chain_->logs();
    return Clock::now() - opened_at;
  }

  boost::json::value recording() const {
    std::ifstream in(result_file_);
    return parse_json(std::string{std::istreambuf_iterator<char>(in), {}}).value_or(nullptr);
  }
  double recorded(const std::string& field) const { return std::atof(text_at(recording(), field).c_str()); }
  // Ages on arrival of all that was recorded so far.
  recorder::Histogram ages() const {
    recorder::Histogram histogram;
    const auto json = recording();
    const auto* buckets = find_json(json, "latency_ns.buckets");
    if (buckets == nullptr) buckets = find_json(json, "buckets");
    if (buckets == nullptr || !buckets->is_array()) return histogram;
    for (const auto& pair : buckets->as_array()) {
      histogram.add_to_bucket(std::strtoull(text_at(pair, "0").c_str(), nullptr, 10), std::strtoull(text_at(pair, "1").c_str(), nullptr, 10));
    }
    return histogram;
  }

  void measure_far(milliseconds round_trip, double loss) {
    const std::size_t points = 100'000, rate = 10'000;
    begin_far({round_trip, loss, 0}, points, rate, false);
    if (HasFatalFailure()) return;
    // Handshake, hello, and a window that doubles once per round trip. Where it is so wide that a
    // segment is lost in each round trip, the delay looks like a queue and it stays at about a hundred segments, each of the
    // 2,800 waiting up to two round trips: some fifty. A round trip for each page of a thousand would be a hundred.
    const Clock::duration bound = 80 * round_trip + seconds(4);
    Row row{.table = "load", .fault = std::to_string(round_trip.count()) + " ms round trip, " + (loss > 0 ? "1 %" : "no") + " loss: 100,000 points, then 10,000 changes/s",
            .bound = "snapshot " + seconds_text(bound), .not_good = {}, .right = time_snapshot(bound + seconds(20)), .wrong = {}, .stale_good = {},
            .backwards = {}, .note = {}};
    // What the snapshot brought is old by nature.
    EXPECT_TRUE(eventually([&] { return recorded("changes") >= static_cast<double>(points); }, seconds(5)));
    const auto before = ages();
    std::ofstream(go_file_).put('\n');
    const auto length = full_length() ? seconds(20) : seconds(5);
    std::this_thread::sleep_for(length);
    const auto live = ages().since(before);
    const double p50_ms = static_cast<double>(live.quantile(0.5)) / 1e6, p99_ms = static_cast<double>(live.quantile(0.99)) / 1e6;
    std::ofstream(rest_file_).put('\n');
    EXPECT_TRUE(digests_become_equal(seconds(20))) << chain_->logs();
    std::this_thread::sleep_for(milliseconds(500));
    const double changes = recorded("changes") - static_cast<double>(points);
    row.backwards = static_cast<std::size_t>(recorded("backwards"));
    row.stale_good = static_cast<std::size_t>(recorded("wrong"));
    row.wrong = 0;
    char text[200];
    std::snprintf(text, sizeof text, "snapshot is \"right again\"; %.0f changes arrived in %lld s; latency p50 %.0f ms, p99 %.0f ms", changes,
                  static_cast<long long>(length.count()), p50_ms, p99_ms);
    row.note = text;
    report(row);
    const double round_trip_ms = static_cast<double>(round_trip.count());
    EXPECT_LE(*row.right, bound + kSlack);
    EXPECT_GE(changes, 0.9 * static_cast<double>(rate) * static_cast<double>(length.count()) * 0.9);
    EXPECT_LE(p50_ms, 2.5 * round_trip_ms + 100);
    EXPECT_LE(p99_ms, 5 * round_trip_ms + 1000);
    EXPECT_EQ(recorded("not_good"), 0);
    EXPECT_EQ(row.backwards, 0u);
  }

  std::string go_file_, result_file_;
};

// What the loss costs shows against this.
TEST_F(FarAway, By300MsNothingCollapses) { measure_far(milliseconds(300), 0); }
TEST_F(FarAway, By20MsWithLossNothingCollapses) { measure_far(milliseconds(20), 0.01); }
TEST_F(FarAway, By100MsWithLossNothingCollapses) { measure_far(milliseconds(100), 0.01); }
TEST_F(FarAway, By300MsWithLossNothingCollapses) { measure_far(milliseconds(300), 0.01); }

TEST_F(FarAway, OverASlowLineAStreamOfChangesDoesNotStarveASnapshot) {
  const Distance slow{milliseconds(20), 0, 125'000};
  begin_far(slow, 10'000, 50'000, true);
  if (HasFatalFailure()) return;
  // Some 40 bytes a point are 3.2 s of the whole line; the changes, twenty times what it carries, take half of it.
  const Clock::duration bound = seconds(15);
  Row row{.table = "load", .fault = "50,000 changes/s into 1 Mbit/s while a new node connects: its snapshot of 10,000 points",
          .bound = seconds_text(bound), .not_good = {}, .right = time_snapshot(bound + seconds(30)), .wrong = {}, .stale_good = {}, .backwards = {}, .note = {}};
  const double during = recorded("changes");
  row.note = std::to_string(static_cast<long long>(during)) + " changes arrived meanwhile";
  std::ofstream(rest_file_).put('\n');
  EXPECT_TRUE(digests_become_equal(seconds(30))) << chain_->logs();
  row.wrong = 0;
  std::this_thread::sleep_for(milliseconds(400));
  row.backwards = static_cast<std::size_t>(recorded("backwards"));
  report(row);
  EXPECT_LE(*row.right, bound);
  EXPECT_EQ(row.backwards, 0u);
}

}  // namespace
}  // namespace sallyport::tests
