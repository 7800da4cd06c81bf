// The InfluxDB sink against a real InfluxDB (1.x) and a real VictoriaMetrics.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <random>
#include <thread>

#include "gate.h"
#include "history.h"
#include "sinks/influxdb/influx_sink.h"

namespace sallyport::tests {
namespace {

const std::string kSmall = "commit = \"5ms\"\nbatch = 200\ntimeout = \"3s\"\n";

const SinkType& type() { return influxdb::sink_type(); }

std::string get(std::uint16_t port, const std::string& path, const std::vector<std::string>& fields = {}) {
  std::vector<std::string> command = {"curl", "-s", "-G", "http://127.0.0.1:" + std::to_string(port) + path};
  for (const std::string& field : fields) command.insert(command.end(), {"--data-urlencode", field});
  return run(command).output;
}

class Influx {
 public:
  explicit Influx(const std::string& http = {}) : port_(free_port()) {
    const std::string at = folder_.path() + "/";
    folder_.write("influxdb.conf", "reporting-disabled = true\nbind-address = \"127.0.0.1:" + std::to_string(free_port()) + "\"\n[meta]\ndir = \"" + at + "meta\"\n[data]\ndir = \"" + at +
                                       "data\"\nwal-dir = \"" + at + "wal\"\n[http]\nlog-enabled = false\nbind-address = \"127.0.0.1:" + std::to_string(port_) + "\"\n" + http);
    start();
  }
  void start() {
    process_ = std::make_unique<Process>(std::vector<std::string>{"influxd", "run", "-config", folder_.path() + "/influxdb.conf"}, ProcessOptions{.output_file = folder_.path() + "/log"});
    EXPECT_TRUE(eventually([&] { return run({"curl", "-sf", "http://127.0.0.1:" + std::to_string(port_) + "/ping"}).code == 0; }, seconds(40))) << "is InfluxDB installed? scripts/setup test";
  }
  void kill() {
    process_->kill();
    process_->wait(seconds(10));
  }
  std::uint16_t port() const { return port_; }
  std::string ask(const std::string& question) const { return get(port_, "/query", {"db=sallyport", "epoch=ns", "q=" + question}); }
  std::string settings(std::uint16_t port = 0) const { return "url = \"http://127.0.0.1:" + std::to_string(port == 0 ? port_ : port) + "\"\n" + kSmall; }

 private:
  TempFolder folder_;
  std::uint16_t port_;
  std::unique_ptr<Process> process_;
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(InfluxHistory, MakesItsDatabaseAndStoresEachChangeWithItsTime) {
  const TempFolder folder;
  Influx influx;
  History history(folder.path());
  history.put("a b", 0, 1000);
  history.put("t", Value::text("say \"hi\", \\ you\nthere"), kStart + 7, 0x80050000);
  history.put("tie", Value::from(1.0), kStart);
  history.put("tie", Value::from(2.0), kStart);
  history.journal->append_gap({.node = "plant-1", .where = "line 1", .cause = GapCause::overflow, .start = kStart, .end = kStart + 5, .lost = 3, .match = {"acme/**"}, .detail = "x"});
  history.live("speed", Value::from(41.5), kStart);
  history.start(type(), influx.settings());
  ASSERT_TRUE(eventually([&] { return history.done() && history.counter("lines") == 1005; }, seconds(60))) << history.sink->status().reason;
  EXPECT_TRUE(has(influx.ask("SELECT count(value), max(value), sum(value) FROM sallyport WHERE path = 'acme/a b'"), ",1000,999,499500]"))
      << influx.ask("SELECT count(value), max(value), sum(value) FROM sallyport WHERE path = 'acme/a b'");
  EXPECT_TRUE(has(influx.ask("SELECT quality, status, text FROM sallyport WHERE path = 'acme/t'"),
                  "[" + std::to_string(kStart + 7) + R"(,"bad",2147811328,"say \"hi\", \\ you\nthere"])"))
      << influx.ask("SELECT quality, status, text FROM sallyport WHERE path = 'acme/t'");
  EXPECT_TRUE(has(influx.ask("SELECT value FROM sallyport WHERE path = 'acme/tie'"), "[" + std::to_string(kStart) + ",1],[" + std::to_string(kStart + 1) + ",2]"));
  EXPECT_TRUE(has(influx.ask("SELECT value FROM sallyport WHERE path = 'acme/speed'"), ",41.5]"));
  EXPECT_TRUE(has(influx.ask("SELECT cause, lost, match FROM sallyport_gaps"), R"("overflow",3,"acme/**")")) << influx.ask("SELECT * FROM sallyport_gaps");
}

TEST(InfluxHistory, LinesThatTheServerNeverTakesAreCountedAndKeptAndHoldUpNothing) {
  const TempFolder folder;
  Influx influx;
  get(influx.port(), "/query", {"q=SHOW DATABASES"});
  run({"curl", "-s", "-XPOST", "http://127.0.0.1:" + std::to_string(influx.port()) + "/query", "--data-urlencode", "q=CREATE DATABASE sallyport"});
  // Of another type than ours: our texts of this week are refused from now on.
  run({"curl", "-s", "-XPOST", "http://127.0.0.1:" + std::to_string(influx.port()) + "/write?db=sallyport", "--data-binary", "sallyport,path=x text=5 " + std::to_string(kStart)});
  History history(folder.path());
  history.put("a", 0, 50);
  history.put("t", Value::text("refused"), kStart);
  history.put("b", 50, 50);
  history.start(type(), influx.settings() + "dead_letters = \"" + folder.path() + "/refused.txt\"\n");
  ASSERT_TRUE(eventually([&] { return history.done() && history.counter("lines") == 100; }, seconds(60))) << history.sink->status().reason;
  EXPECT_EQ(history.counter("dead_letters"), 1u);
  EXPECT_TRUE(has(influx.ask("SELECT count(value) FROM sallyport"), ",100]"));
  EXPECT_GT(std::filesystem::file_size(folder.path() + "/refused.txt"), 20u);
}

TEST(InfluxExactlyOnce, ThroughServersKilledConnectionsCutAndSinksStopped) {
  const TempFolder folder;
  Influx influx;
  Gate gate(influx.port());
  History history(folder.path());
  std::atomic<bool> running = true;
  std::uint64_t put = 0;
  std::thread feeder([&] {
    for (; running; put += 100) {
      history.put("a", put, 100);
      std::this_thread::sleep_for(milliseconds(5));
    }
  });
  history.start(type(), influx.settings(gate.port()));
  std::minstd_rand random(5);
  for (int i = 0; i < 12; ++i) {
    std::this_thread::sleep_for(milliseconds(30 + random() % 200));
    gate.reset();
    if (i % 4 == 1) {
      history.stop();
      history.start(type(), influx.settings(gate.port()));
    }
    if (i % 4 == 3) {
      influx.kill();
      std::this_thread::sleep_for(milliseconds(500));
      EXPECT_TRUE(eventually([&] { return history.sink->status().state == ConnectorState::down; }, seconds(20)));
      influx.start();
    }
  }
  running = false;
  feeder.join();
  ASSERT_TRUE(eventually([&] { return history.done(); }, seconds(90))) << history.sink->status().reason;
  const std::string n = std::to_string(put), question = "SELECT count(value), max(value), count(distinct(sequence)), max(sequence) FROM sallyport";
  EXPECT_TRUE(has(influx.ask(question), "," + n + "," + std::to_string(put - 1) + "," + n + "," + n + "]")) << n << " " << influx.ask(question);
}

TEST(InfluxHistory, VictoriaMetricsTakesTheSameByBothVersionsOfTheProtocol) {
  const std::uint16_t port = free_port();
  const TempFolder folder;
  const Process server({"victoria-metrics", "-storageDataPath=" + folder.path() + "/data", "-httpListenAddr=127.0.0.1:" + std::to_string(port), "-retentionPeriod=100y", "-search.latencyOffset=0s"},
                       {.output_file = folder.path() + "/log"});
  ASSERT_TRUE(eventually([&] { return run({"curl", "-sf", "http://127.0.0.1:" + std::to_string(port) + "/health"}).code == 0; }, seconds(40))) << "is VictoriaMetrics installed? scripts/setup test";
  for (const std::string version : {"1", "2"}) {
    const TempFolder own;
    History history(own.path());
    history.put("v" + version, 0, 500);
    history.start(type(), "url = \"http://127.0.0.1:" + std::to_string(port) + "\"\nversion = \"" + version + "\"\n" + (version == "2" ? "org = \"o\"\nbucket = \"b\"\n" : "") + kSmall);
    ASSERT_TRUE(eventually([&] { return history.done() && history.counter("lines") == 500; }, seconds(60))) << history.sink->status().reason;
    std::string answer;
    EXPECT_TRUE(eventually(
        [&] {
          get(port, "/internal/force_flush");
          answer = get(port, "/api/v1/export", {"match[]={__name__=\"sallyport_value\",path=\"acme/v" + version + "\"}"});
          return std::ranges::count(answer.substr(0, answer.find("\"timestamps\"")), ',') >= 499;
        },
        seconds(30)))
        << answer.substr(0, 300);
  }
}

TEST(InfluxHistory, AServerThatSaysLaterIsLeftAloneForThatLong) {
  const TempFolder folder;
  Influx influx;
  const std::uint16_t port = free_port();
  folder.write("haproxy.cfg", "defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\nfrontend f\n bind 127.0.0.1:" + std::to_string(port) +
                                  "\n http-request return status 503 hdr Retry-After 3 if { path_beg /write } { always_true }\n");
  const Process proxy({"haproxy", "-db", "-f", folder.path() + "/haproxy.cfg"}, {.output_file = folder.path() + "/log"});
  ASSERT_TRUE(eventually([&] { return !get(port, "/").empty(); }, seconds(20)));
  History history(folder.path());
  history.put("a", 0, 10);
  history.start(type(), influx.settings(port));
  ASSERT_TRUE(eventually([&] { return history.counter("retries") == 1; }, seconds(30))) << history.sink->status().reason;
  EXPECT_TRUE(has(history.sink->status().reason, "503"));
  std::this_thread::sleep_for(seconds(2));
  EXPECT_EQ(history.counter("retries"), 1u);
  EXPECT_GE(history.counter("behind"), 10u);
  EXPECT_TRUE(eventually([&] { return history.counter("retries") >= 2; }, seconds(30)));
}

}  // namespace
}  // namespace sallyport::tests
