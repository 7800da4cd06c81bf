// Each change is in PostgreSQL once, whatever is killed when.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <random>
#include <thread>

#include "gate.h"
#include "history.h"
#include "postgres_server.h"
#include "sinks/postgres/postgres_sink.h"

namespace sallyport::tests {
namespace {

const std::string kSmall = "commit = \"5ms\"\nbatch = 200\ntimeout = \"3s\"\n";  // many transactions

// Every sequence number of every stream once: a change, or a gap; and the values of each point in order.
void expect_each_once(const PostgresServer& server) {
  EXPECT_EQ(server.sql("SELECT name, count, distinct_count, last FROM (SELECT s.name, count(*), count(DISTINCT sequence) AS distinct_count, max(sequence) AS last"
                       " FROM (SELECT stream, sequence FROM sallyport.changes UNION ALL SELECT stream, sequence FROM sallyport.gaps) c"
                       " JOIN sallyport.streams s USING (stream) GROUP BY s.name) t WHERE count <> last OR distinct_count <> count"),
            "");
  EXPECT_EQ(server.sql("SELECT count(*) FROM (SELECT point, stream, number - lag(number) OVER (PARTITION BY point, stream ORDER BY sequence) AS step"
                       " FROM sallyport.changes) t WHERE step <> 1"),
            "0") << "out of order";
}

// Feeds 200 changes every few milliseconds for as long as `disturb` goes on, and then checks.
template <typename Disturb>
void torture(History& history, const PostgresServer& server, const std::string& settings, Disturb disturb) {
  std::atomic<bool> running = true;
  std::uint64_t put = 0;
  std::thread feeder([&] {
    for (; running; put += 200) {
      history.put("a", put / 2, 100);
      history.put("b", put / 2, 100);
      std::this_thread::sleep_for(milliseconds(4));
    }
  });
  history.start(postgres::sink_type(), settings);
  disturb();
  running = false;
  feeder.join();
  ASSERT_TRUE(eventually([&] { return history.done(); }, seconds(60))) << history.sink->status().reason;
  EXPECT_EQ(server.sql("SELECT count(*) FROM sallyport.changes"), std::to_string(put));
  expect_each_once(server);
}

TEST(PostgresExactlyOnce, ThroughBackendsThatAreKilled) {
  const TempFolder folder;
  PostgresServer server;
  History history(folder.path());
  torture(history, server, server.connection() + kSmall, [&] {
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(eventually([&] { return history.up(); }, seconds(40))) << history.sink->status().reason;
      std::this_thread::sleep_for(milliseconds(10 + i * 37 % 100));
      server.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'sallyport%'");
    }
  });
  EXPECT_GE(history.counter("reconnects"), 3u);
}

TEST(PostgresExactlyOnce, ThroughConnectionsThatAreCutOrStall) {
  const TempFolder folder;
  PostgresServer server;
  Gate gate(server.port());
  History history(folder.path());
  std::minstd_rand random(7);
  torture(history, server, server.connection("postgres", gate.port()) + kSmall, [&] {
    for (int i = 0; i < 25; ++i) {
      if (i % 4 == 0) {
        ASSERT_TRUE(eventually([&] { return history.up(); }, seconds(40))) << history.sink->status().reason;
      }
      std::this_thread::sleep_for(milliseconds(20 + random() % 200));
      gate.reset();
    }
    gate.stall(true);
    std::this_thread::sleep_for(seconds(5));
    gate.stall(false);
    gate.reset();
  });
  EXPECT_GE(history.counter("reconnects"), 5u);
}

TEST(PostgresExactlyOnce, ThroughAServerThatIsKilledAndStartedAgain) {
  const TempFolder folder;
  PostgresServer server;
  History history(folder.path());
  torture(history, server, server.connection() + kSmall, [&] {
    for (int i = 0; i < 4; ++i) {
      std::this_thread::sleep_for(milliseconds(400 + 130 * i));
      server.kill();
      server.start();
      ASSERT_TRUE(eventually([&] { return history.up(); }, seconds(40))) << history.sink->status().reason;
    }
  });
}

TEST(PostgresExactlyOnce, ThroughSinksThatStopAndStartAgain) {
  const TempFolder folder;
  PostgresServer server;
  History history(folder.path());
  std::minstd_rand random(3);
  torture(history, server, server.connection() + kSmall, [&] {
    for (int i = 0; i < 15; ++i) {
      std::this_thread::sleep_for(milliseconds(random() % 200));
      history.stop();
      history.start(postgres::sink_type(), server.connection() + kSmall);
    }
  });
}

// A node in a process of its own, which feeds its journal and its sink until it is killed.
pid_t start_node(const std::string& folder, const std::string& settings) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  History history(folder);
  history.start(postgres::sink_type(), settings);
  for (std::uint64_t put = 0;; put += 50) {
    history.put("a", put, 50);
    history.put("b", put, 50);
    std::this_thread::sleep_for(milliseconds(1));
  }
}

TEST(PostgresExactlyOnce, ThroughNodesThatAreKilled) {
  const TempFolder folder;
  PostgresServer server;
  std::minstd_rand random(11);
  for (int life = 0; life < 10; ++life) {
    const pid_t node = start_node(folder.path(), server.connection() + kSmall);
    std::this_thread::sleep_for(milliseconds(300 + random() % 500));
    ::kill(node, SIGKILL);
    ::waitpid(node, nullptr, 0);
  }
  History history(folder.path());
  history.put("a", 0, 10);
  history.start(postgres::sink_type(), server.connection() + kSmall);
  ASSERT_TRUE(eventually([&] { return history.done(); }, seconds(60))) << history.sink->status().reason;
  expect_each_once(server);
  EXPECT_GE(std::stoi(server.sql("SELECT count(*) FROM sallyport.streams")), 8);
  EXPECT_GE(std::stoi(server.sql("SELECT count(*) FROM sallyport.changes")), 10'000);
}

TEST(PostgresHistory, AServerThatIsAwayIsWaitedForAndStatusSaysHowMuchWaits) {
  const TempFolder folder;
  PostgresServer server;
  History history(folder.path());
  history.put("a", 0, 1000);
  history.start(postgres::sink_type(), server.connection() + kSmall);
  ASSERT_TRUE(eventually([&] { return history.done(); }, seconds(60)));
  server.kill();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    history.put("a", i * 1000, 1000);
    std::this_thread::sleep_for(milliseconds(100));
  }
  history.until_durable();
  const ConnectorStatus status = history.sink->status();
  EXPECT_EQ(status.state, ConnectorState::down);
  EXPECT_NE(status.reason.find("refused"), std::string::npos) << status.reason;
  EXPECT_GE(history.counter("behind"), 19'000u);
  EXPECT_GE(history.counter("retries"), 1u);
  EXPECT_LE(history.counter("waiting"), 200u);
  server.start();
  ASSERT_TRUE(eventually([&] { return history.done(); }, seconds(90))) << history.sink->status().reason;
  EXPECT_EQ(server.sql("SELECT count(*), count(DISTINCT sequence) FROM sallyport.changes"), "21000|21000");
}

TEST(PostgresHistory, ASinkStopsInTimeWhateverTheServerDoes) {
  const TempFolder folder;
  PostgresServer server;
  History history(folder.path());
  history.put("a", 0, 1000);
  history.start(postgres::sink_type(), server.connection() + kSmall);
  ASSERT_TRUE(eventually([&] { return history.done(); }, seconds(60)));
  server.freeze();
  history.put("a", 1000, 1000);
  std::this_thread::sleep_for(milliseconds(300));
  const auto begin = Clock::now();
  history.stop();
  EXPECT_LT(Clock::now() - begin, seconds(8));
  server.thaw();
  history.start(postgres::sink_type(), server.connection() + kSmall);
  ASSERT_TRUE(eventually([&] { return history.done(); }, seconds(60))) << history.sink->status().reason;
  expect_each_once(server);
}

TEST(PostgresHistory, ADatabaseThatWasSetBackIsFilledAgainAsFarAsTheJournalGoes) {
  const TempFolder folder;
  PostgresServer server;
  History history(folder.path());
  history.put("a", 0, 1000);
  history.start(postgres::sink_type(), server.connection() + kSmall);
  ASSERT_TRUE(eventually([&] { return history.done(); }, seconds(60)));
  server.sql("DELETE FROM sallyport.changes WHERE sequence > 500; UPDATE sallyport.positions SET position = 500");
  server.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'sallyport%'");
  history.put("a", 1000, 10);
  EXPECT_TRUE(eventually([&] { return server.sql("SELECT count(*), count(DISTINCT sequence) FROM sallyport.changes") == "1010|1010"; }, seconds(40)))
      << server.sql("SELECT count(*), count(DISTINCT sequence) FROM sallyport.changes");
}

}  // namespace
}  // namespace sallyport::tests
