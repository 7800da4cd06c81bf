#include "history/history.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>

namespace sallyport::history {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class HistoryTest : public testing::Test {
 protected:
  HistoryTest() {
    std::string name = (fs::temp_directory_path() / "history-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    options_.node = "plant-1";
    options_.path = folder_ + "/history.db";
    options_.texts = {"acme/**"};
    options_.match = *Patterns::parse(options_.texts);
    options_.commit = 20ms;
    Meta meta;
    meta.type = Type::float64;
    const Definition definition{"a", &meta, {kNoPoint, status::kGood, start_, Value::from(0.0)}, false};
    EXPECT_EQ(source_.define(std::span(&definition, 1), std::span(&id_, 1)).count, 0u);
    source_.live();
  }
  ~HistoryTest() override {
    history_.reset();
    fs::remove_all(folder_);
  }
  void start() {
    history_ = std::make_unique<History>(options_, clock_);
    const auto started = history_->start(ns_, nullptr);
    ASSERT_TRUE(started) << started.error().message;
  }
  void publish(double value, int milliseconds) {
    Change change{id_, status::kGood, start_ + milliseconds * 1'000'000ll, Value::from(value)};
    source_.publish(std::span(&change, 1));
  }
  Result<Answer> ask(Parameters parameters) {
    auto query = parse_query(parameters, clock_.utc());
    EXPECT_TRUE(query) << query.error().message;
    std::promise<Result<Answer>> answer;
    history_->reads().ask(*query, [&](Result<Answer> got) { answer.set_value(std::move(got)); });
    return answer.get_future().get();
  }
  std::size_t samples() {
    const auto answer = ask({{"match", "**"}, {"from", "-1d"}, {"to", "+1d"}});
    return answer ? answer->count : 0;
  }
  // As of then; empty when there is no answer (yet).
  std::string as_of(const std::string& time) {
    const auto answer = ask({{"match", "**"}, {"at", time}});
    return answer ? answer->samples : std::string();
  }
  bool until(const std::function<bool()>& done, std::chrono::milliseconds limit = 10s) {
    for (const auto end = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < end; std::this_thread::sleep_for(5ms)) {
      if (done()) return true;
    }
    return done();
  }
  bool in_state(ConnectorState state) {
    return until([&] { return history_->status().state == state; });
  }

  std::string folder_;
  SystemClock clock_;
  UtcNanoseconds start_ = clock_.utc() - 10'000'000'000;
  Namespace ns_{clock_};
  Publisher source_{ns_, "plant-1", "line1", "acme", status::kBadNoCommunication};
  PointId id_ = kNoPoint;
  HistoryOptions options_;
  std::unique_ptr<History> history_;
};

TEST_F(HistoryTest, KeepsChangesAndAnswersForThem) {
  start();
  ASSERT_TRUE(until([&] { return samples() == 1; }));
  for (int i = 1; i <= 5; ++i) {
    publish(i, i);
    ASSERT_TRUE(until([&] { return samples() == static_cast<std::size_t>(i) + 1; }));
  }
  struct stat info{};
  ASSERT_EQ(::stat(options_.path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  history_->stop();
  EXPECT_FALSE(fs::exists(options_.path + "-wal"));  // a clean stop leaves one file
}

TEST_F(HistoryTest, AChangeOfQualityAloneDoesNotTurnTheValuesTimeBad) {
  start();
  publish(1, 1);
  ASSERT_TRUE(until([&] { return samples() >= 1; }));
  const UtcNanoseconds before = clock_.utc();
  source_.lost("cable pulled");
  ASSERT_TRUE(until([&] { return as_of("now").find("BadNoCommunication") != std::string::npos; }));
  source_.live();
  publish(1, 1);  // read again: the same value with the same source time
  ASSERT_TRUE(until([&] { return as_of("now").find("\"good\"") != std::string::npos; }));
  const auto earlier = as_of(format_utc(before));
  EXPECT_NE(earlier.find("\"good\""), std::string::npos) << earlier;
}

TEST_F(HistoryTest, WhatAStartTellsAgainIsNotStoredAgainAndTheTimeBetweenIsAGap) {
  start();
  publish(1, 1);
  ASSERT_TRUE(until([&] { return samples() >= 1; }));
  history_->stop();
  std::this_thread::sleep_for(20ms);
  start();
  ASSERT_TRUE(in_state(ConnectorState::up));
  const auto answer = ask({{"match", "**"}, {"from", "-1d"}});
  ASSERT_TRUE(answer);
  EXPECT_NE(answer->gaps.find("\"cause\":\"restart\""), std::string::npos) << answer->gaps;
  const std::size_t count = samples();
  history_->stop();
  start();
  ASSERT_TRUE(in_state(ConnectorState::up));
  EXPECT_EQ(samples(), count);
}

TEST_F(HistoryTest, ALockedDatabaseIsTriedAgainAndTheTimeMissedIsAGap) {
  start();
  ASSERT_TRUE(until([&] { return samples() == 1; }));
  auto other = Database::open(options_.path, Database::Mode::write);
  ASSERT_TRUE(other && other->execute("BEGIN IMMEDIATE"));
  publish(1, 1);
  ASSERT_TRUE(in_state(ConnectorState::down));
  EXPECT_NE(history_->status().reason.find("locked by another process"), std::string::npos) << history_->status().reason;
  EXPECT_EQ(samples(), 1u);  // reading goes on
  publish(2, 2);
  ASSERT_TRUE(other->execute("ROLLBACK"));
  ASSERT_TRUE(in_state(ConnectorState::up));
  EXPECT_TRUE(until([&] { return samples() == 3; }));  // none of it was lost: the one waited, the other was the newest
  const auto answer = ask({{"match", "**"}, {"from", "-1d"}});
  ASSERT_TRUE(answer);
  EXPECT_NE(answer->gaps.find("too_slow"), std::string::npos) << answer->gaps;
}

TEST_F(HistoryTest, AWrongFileIsSaidAndReplacedOnceItIsMovedAway) {
  std::ofstream(options_.path) << std::string(8192, 'x');
  start();
  ASSERT_TRUE(in_state(ConnectorState::down));
  EXPECT_NE(history_->status().reason.find("no SQLite database"), std::string::npos) << history_->status().reason;
  const auto answer = ask({{"match", "**"}});
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("no SQLite database"), std::string::npos) << answer.error().message;
  fs::rename(options_.path, options_.path + ".away");
  ASSERT_TRUE(in_state(ConnectorState::up));
  EXPECT_TRUE(until([&] { return samples() == 1; }));
}

TEST_F(HistoryTest, ADatabaseThatIsMovedAwayIsMadeAnewWithWhatIsKnownAndReadersNoticeToo) {
  start();
  publish(7, 1);
  ASSERT_TRUE(until([&] { return as_of("now").find("\"value\":7,") != std::string::npos; }));
  fs::rename(options_.path, options_.path + ".away");
  for (const char* end : {"-wal", "-shm"}) fs::rename(options_.path + end, options_.path + ".away" + end);
  publish(8, 2);
  ASSERT_TRUE(until([&] { return fs::exists(options_.path) && history_->status().state == ConnectorState::up && samples() > 0; }));
  publish(9, 3);
  EXPECT_TRUE(until([&] { return as_of("now").find("\"value\":9,") != std::string::npos; }));
}

TEST_F(HistoryTest, ForgetsWhileItRuns) {
  options_.max_age = 1s;
  options_.tidy = 20ms;
  start();
  ASSERT_TRUE(until([&] { return history_->status().changes == 1; }));
  for (int i = 1; i <= 20; ++i) {  // all of them ten seconds old
    publish(i, i);
    ASSERT_TRUE(until([&] { return history_->status().changes == static_cast<std::uint64_t>(i) + 1; }));
  }
  EXPECT_TRUE(until([&] { return samples() == 1; }));
  EXPECT_NE(as_of("now").find("\"value\":20,"), std::string::npos) << as_of("now");
}

TEST_F(HistoryTest, TooManyQuestionsAreRefusedNotQueued) {
  start();
  ASSERT_TRUE(until([&] { return samples() == 1; }));
  auto query = parse_query({{"match", "**"}}, clock_.utc());
  // The threads are held by the first answers, so that the others must wait.
  std::promise<void> go;
  const auto gate = go.get_future().share();
  std::atomic<std::size_t> answered = 0, refused = 0;
  const std::size_t asked = Reads::kMaxWaiting + 10;
  for (std::size_t i = 0; i < asked; ++i) {
    history_->reads().ask(*query, [&, gate](const Result<Answer>& answer) {
      if (!answer && answer.error().code == ErrorCode::limit) {
        ++refused;
        return;
      }
      gate.wait();
      ++answered;
    });
  }
  EXPECT_GE(refused, 8u);
  go.set_value();
  EXPECT_TRUE(until([&] { return answered + refused == asked; }));
}

}  // namespace
}  // namespace sallyport::history
