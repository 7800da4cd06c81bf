#include "journal/every_recorder.h"

#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

namespace sallyport::journal {
namespace {

namespace fs = std::filesystem;

constexpr Status kOverflow = 0x00000480;   // OPC 10000-4: InfoType DataValue, Overflow
constexpr std::int64_t kSecond = 1'000'000'000;

class EveryRecorderTest : public testing::Test {
 protected:
  EveryRecorderTest() {
    std::string name = (fs::temp_directory_path() / "every-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    auto opened = Journal::open({.folder = folder_ + "/journal", .node = "plant-1", .max_bytes = 1u << 20, .at_limit = AtLimit::stop, .segment_bytes = 100'000,
                                 .own = {"acme/**"}}, clock_);
    journal_ = *std::move(opened);
    journal_->set_readers({"sink/a"});
  }
  ~EveryRecorderTest() override {
    journal_.reset();
    fs::remove_all(folder_);
  }
  void change(EveryRecorder& recorder, std::uint32_t point, std::int64_t time, Status status = status::kGood) {
    const EveryChange one{point, status, time, Value::from(1.0)};
    recorder.append({&one, 1});
  }

  SystemClock clock_;
  std::string folder_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(EveryRecorderTest, TellsOfAQueueThatRanOverOnceAndFromWhenToWhen) {
  EveryRecorder recorder(*journal_, clock_);
  const std::uint32_t point = recorder.point("acme/a", {});
  change(recorder, point, 100 * kSecond);
  for (int i = 1; i <= 5; ++i) change(recorder, point, (100 + i) * kSecond, kOverflow);
  change(recorder, point, 106 * kSecond);
  const auto gaps = journal_->recent_gaps();
  ASSERT_EQ(gaps.size(), 2u);   // the first at once, the others together when it was over
  EXPECT_EQ(gaps[0].start, 100 * kSecond);
  EXPECT_EQ(gaps[0].end, 101 * kSecond);
  EXPECT_EQ(gaps[1].start, 101 * kSecond);
  EXPECT_EQ(gaps[1].end, 105 * kSecond);
  EXPECT_EQ(gaps[1].cause, GapCause::overflow);
  EXPECT_EQ(gaps[1].match, std::vector<std::string>{"acme/a"});
}

TEST_F(EveryRecorderTest, CountsWhatCannotBeKeptAndTellsItAsOneGapWhenThereIsRoomAgain) {
  EveryRecorder recorder(*journal_, clock_);
  const std::uint32_t point = recorder.point("acme/a", {});
  const std::vector<EveryChange> many(1000, {point, status::kGood, 1, Value::text(std::string(100, 'x'))});
  std::uint64_t given = 0;
  for (int i = 0; i < 400 && journal_->status().dropped == 0; ++i) {
    recorder.append(many);
    given += many.size();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  const std::uint64_t lost = journal_->status().dropped;
  ASSERT_GT(lost, 0u);
  EXPECT_TRUE(journal_->recent_gaps().empty());
  journal_->set_readers({});   // nobody needs it any longer: room
  for (int i = 0; i < 1000 && journal_->status().bytes > 300'000; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  change(recorder, point, 2);
  const auto gaps = journal_->recent_gaps();
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].cause, GapCause::limit);
  EXPECT_EQ(gaps[0].lost, lost);
  EXPECT_EQ(gaps[0].match, std::vector<std::string>{"acme/**"});
  EXPECT_EQ(journal_->status().appended, given - lost + 1);
}

}  // namespace
}  // namespace sallyport::journal
