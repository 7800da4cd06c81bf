// The live stream: what a client is told, in which order, and what a slow one costs.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <set>
#include <string>
#include <thread>

#include "sinks/http/http_test_node.h"

namespace sallyport::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class StreamTest : public HttpApiTest {
 protected:
  static std::string request(const std::string& query = "") {
    return "GET /api/v1/stream" + query + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  }
};

std::size_t resident_bytes() {
  unsigned long pages = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  EXPECT_EQ(std::fscanf(file, "%lu %lu", &pages, &resident), 2);
  std::fclose(file);
  return resident * 4096;
}

TEST_F(StreamTest, BeginsWithEveryPointThenSaysReadyThenTellsChanges) {
  define_many(1000);
  const PointId point = define("x", Value::from(1.5));
  source_.live();
  start();
  net::RawClient client(port());
  client.send(request());
  const std::size_t ready = client.read_until("event: ready\ndata: {\"revision\":");
  ASSERT_NE(ready, std::string::npos);
  const std::string before = client.received().substr(0, ready);
  EXPECT_NE(before.find("Content-Type: text/event-stream\r\n"), std::string::npos);
  EXPECT_NE(before.find("data: {\"path\":\"acme/x\",\"value\":1.5,"), std::string::npos);
  std::size_t points = 0;
  for (std::size_t at = 0; (at = before.find("\ndata: {\"path\":", at)) != std::string::npos; ++at) ++points;
  EXPECT_EQ(points, 1001u);
  change(point, Value::from(2.5));
  ASSERT_NE(client.read_until("{\"path\":\"acme/x\",\"value\":2.5,"), std::string::npos);
}

TEST_F(StreamTest, TellsOnlyWhatMatches) {
  const PointId x = define("x", Value::from(1.5)), y = define("y", Value::from(1.5));
  source_.live();
  start();
  net::RawClient client(port());
  client.send(request("?match=acme/y"));
  ASSERT_NE(client.read_until("event: ready"), std::string::npos);
  change(x, Value::from(2.5));
  change(y, Value::from(3.5));
  ASSERT_NE(client.read_until("\"value\":3.5"), std::string::npos);
  EXPECT_EQ(client.received().find("acme/x"), std::string::npos);
}

TEST_F(StreamTest, TellsThatPointsTurnedBadAndWhyAndThatTheyCameBack) {
  define("x", Value::from(1.5));
  source_.live();
  start();
  net::RawClient client(port());
  client.send(request());
  ASSERT_NE(client.read_until("event: ready"), std::string::npos);
  EXPECT_NE(client.received().find("\"quality\":\"good\""), std::string::npos);
  const auto broken = std::chrono::steady_clock::now();
  source_.lost("reset");
  ASSERT_NE(client.read_until("\"quality\":\"bad\",\"status\":\"0x80310000\",\"status_name\":\"BadNoCommunication\""),
            std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - broken, seconds(2));
  ASSERT_NE(client.read_until("\"cause\":{\"node\":\"plant-1\",\"link\":\"line1\",\"since\":"), std::string::npos);
  ASSERT_NE(client.read_until("\"what\":\"reset\"}"), std::string::npos);
  client.received().clear();
  source_.live();
  ASSERT_NE(client.read_until("\"quality\":\"good\""), std::string::npos);
}

TEST_F(StreamTest, BeginsWithNotGoodAfterABreak) {
  define("x", Value::from(1.5));
  source_.live();
  source_.lost("timeout");
  start();
  net::RawClient client(port());
  client.send(request());
  ASSERT_NE(client.read_until("event: ready"), std::string::npos);
  EXPECT_EQ(client.received().find("\"quality\":\"good\""), std::string::npos);
  EXPECT_NE(client.received().find("\"quality\":\"bad\""), std::string::npos);
}

TEST_F(StreamTest, TellsNewAndRemovedPoints) {
  source_.live();
  start();
  net::RawClient client(port());
  client.send(request());
  ASSERT_NE(client.read_until("event: ready"), std::string::npos);
  const PointId point = define("new", Value::text("here \"I\"\nam"));
  ASSERT_NE(client.read_until("data: {\"path\":\"acme/new\",\"value\":\"here \\\"I\\\"\\nam\""), std::string::npos);
  source_.remove(std::span(&point, 1));
  ASSERT_NE(client.read_until("event: removed\ndata: {\"path\":\"acme/new\"}\n\n"), std::string::npos);
}

TEST_F(StreamTest, IsNeverSilentForLong) {
  start();
  net::RawClient client(port());
  client.send(request());
  ASSERT_NE(client.read_until("event: ready"), std::string::npos);
  for (int i = 0; i < 2; ++i) {
    client.received().clear();
    ASSERT_NE(client.read_until(": heartbeat\n\n", seconds(3)), std::string::npos);
  }
}

TEST_F(StreamTest, ServesCurl) {
  define("x", Value::from(1.5));
  start();
  const std::string text = net::curl("-N --max-time 1 '" + url_ + "/api/v1/stream?match=**'").output;
  EXPECT_NE(text.find("data: {\"path\":\"acme/x\""), std::string::npos) << text;
  EXPECT_NE(text.find("event: ready"), std::string::npos) << text;
}

// Changes far faster than the slow client reads, for two seconds: memory stays flat, the fast client is not held up,
// and what the slow one is told in the end is the newest.
TEST_F(StreamTest, CostsNothingForASlowReaderAndTellsItTheNewestInTheEnd) {
  constexpr std::size_t kPoints = 500;
  const auto points = define_many(kPoints);
  const PointId last = define("last", Value::from(0));
  source_.live();
  start();
  net::RawClient slow(port(), 4096), fast(port());
  slow.send(request());
  ASSERT_NE(slow.read_until("\r\n\r\n"), std::string::npos);
  fast.send(request("?match=acme/last"));
  ASSERT_NE(fast.read_until("event: ready"), std::string::npos);

  std::atomic<bool> running{true};
  std::uint64_t written = 0;
  const std::string filler(200, 'f');
  std::thread writer([&] {
    std::vector<Change> batch;
    for (int round = 0; running; ++round) {
      batch.clear();
      for (const PointId point : points)
        batch.push_back({point, status::kGood, clock_.utc(), Value::text(filler + std::to_string(round))});
      written += batch.size();
      source_.publish(batch);
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
  std::this_thread::sleep_for(milliseconds(500));
  [[maybe_unused]] const std::size_t before = resident_bytes();
  long slowest = 0;
  for (int i = 1; i <= 100; ++i) {
    const auto asked = std::chrono::steady_clock::now();
    change(last, Value::from(i));
    ASSERT_NE(fast.read_until("\"path\":\"acme/last\",\"value\":" + std::to_string(i) + ","), std::string::npos);
    slowest = std::max(slowest, static_cast<long>((std::chrono::steady_clock::now() - asked) / milliseconds(1)));
    slow.read_some(512, milliseconds(1));
    std::this_thread::sleep_for(milliseconds(10));
  }
  [[maybe_unused]] const std::size_t after = resident_bytes();
  running = false;
  writer.join();
  RecordProperty("slowest_milliseconds_of_the_fast_client", std::to_string(slowest));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they keep what was freed for a while
  EXPECT_LT(after, before + 8 * 1024 * 1024);
#endif
  EXPECT_LT(slowest, 1000);

  for (const PointId point : points) change(point, Value::text("the end"));
  change(last, Value::text("the very end"));
  ASSERT_NE(slow.read_until("the very end", seconds(20)), std::string::npos);
  // In any order, and perhaps twice: a reader that fell far behind is told by place in the table, not by age.
  const auto ended = [&] {
    std::set<std::string> paths;
    constexpr std::string_view begin = "{\"path\":\"", end = "\",\"value\":\"the end\"";
    for (std::size_t at = 0; (at = slow.received().find(end, at)) != std::string::npos; ++at) {
      const std::size_t from = slow.received().rfind(begin, at) + begin.size();
      paths.insert(slow.received().substr(from, at - from));
    }
    return paths.size();
  };
  const auto deadline = std::chrono::steady_clock::now() + seconds(20);
  while (ended() < kPoints && std::chrono::steady_clock::now() < deadline) slow.read_some();
  EXPECT_EQ(ended(), kPoints);
  std::size_t told = 0;
  for (std::size_t at = 0; (at = slow.received().find("\"path\":", at)) != std::string::npos; ++at) ++told;
  EXPECT_LT(told, written / 4);
}

}  // namespace
}  // namespace sallyport::http
