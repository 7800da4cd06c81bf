#include "journal/journal.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>

#include <gtest/gtest.h>

namespace sallyport::journal {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    std::string name = (fs::temp_directory_path() / "journal-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    options.folder = folder + "/journal";
    options.node = "plant-1";
  }
  ~JournalTest() override { fs::remove_all(folder); }

  std::unique_ptr<Journal> open() {
    auto opened = Journal::open(options, clock);
    EXPECT_TRUE(opened) << opened.error().message;
    (*opened)->set_readers({"sink/a"});
    return std::move(*opened);
  }
  // n changes of the point, with values that count up.
  void put(Journal& journal, const std::string& path, std::uint64_t from, std::uint64_t n) {
    const std::uint32_t point = journal.intern_point(journal.own_stream(), path, {});
    std::vector<ChangeRecord> changes(n);
    for (std::uint64_t i = 0; i < n; ++i) {
      changes[i].point = point;
      changes[i].source_time = static_cast<UtcNanoseconds>(1000 + from + i);
      changes[i].value = Value::from(static_cast<double>(from + i));
    }
    ASSERT_TRUE(journal.append_own(changes));
  }
  void until_durable(Journal& journal) {
    const Position head = journal.status().head;
    for (int i = 0; i < 2000 && journal.durable() < head; ++i) std::this_thread::sleep_for(5ms);
    ASSERT_GE(journal.durable(), head);
  }
  // Everything there is, read to the end.
  struct All {
    std::vector<FeedEntry> entries;
    std::vector<FeedGap> gaps;
    Position position = 0;
  };
  All read_all(Feed& feed) {
    All all;
    FeedBatch batch;
    do {
      const auto ok = feed.read(batch, 1000);
      EXPECT_TRUE(ok) << (ok ? "" : ok.error().message);
      if (!ok) break;
      std::ranges::move(batch.entries, std::back_inserter(all.entries));
      std::ranges::move(batch.gaps, std::back_inserter(all.gaps));
      all.position = batch.position;
    } while (batch.more);
    return all;
  }
  All read_all(Journal& journal, bool acknowledge = true) {
    auto feed = journal.open("sink/a", *Patterns::parse({"**"}), [] {});
    EXPECT_TRUE(feed);
    All all = read_all(**feed);
    if (acknowledge) (*feed)->acknowledge(all.position);
    return all;
  }
  std::vector<fs::path> segments() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(options.folder)) {
      if (entry.path().extension() == ".seg") found.push_back(entry.path());
    }
    std::ranges::sort(found);
    return found;
  }
  static void flip(const fs::path& file, std::uint64_t at) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(stream.get() ^ 0x10);
    stream.seekp(static_cast<std::streamoff>(at));
    stream.put(byte);
  }

  SystemClock clock;
  std::string folder;
  JournalOptions options;
};

TEST_F(JournalTest, GivesBackWhatWasPutInInOrder) {
  const auto journal = open();
  put(*journal, "acme/a", 0, 1000);
  put(*journal, "acme/b", 5000, 10);
  until_durable(*journal);
  const All all = read_all(*journal);
  ASSERT_EQ(all.entries.size(), 1010u);
  for (std::uint64_t i = 0; i < 1010; ++i) {
    EXPECT_EQ(all.entries[i].sequence, i + 1);
    EXPECT_EQ(all.entries[i].value.float64(), static_cast<double>(i < 1000 ? i : 4000 + i));
  }
}

TEST_F(JournalTest, KeepsValuesOfEveryKind) {
  const auto journal = open();
  const std::uint32_t point = journal->intern_point(journal->own_stream(), "acme/x", {});
  std::vector<Value> values = {Value(), Value::from(true), Value::from(std::int64_t{-5}), Value::text("ünïcode"), Value::text(std::string(300'000, 'x'))};
  std::vector<ChangeRecord> changes;
  for (const Value& value : values) changes.push_back({.point = point, .status = 0x80050000, .source_time = -7, .value = value});
  ASSERT_TRUE(journal->append_own(changes));
  until_durable(*journal);
  const All all = read_all(*journal);
  ASSERT_EQ(all.entries.size(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(all.entries[i].value, values[i]);
  EXPECT_EQ(all.entries[0].status, 0x80050000u);
  EXPECT_EQ(all.entries[0].source_time, -7);
}

TEST_F(JournalTest, GoesOnWhereTheReaderStoodAfterARestartAndSaysThatThereWasOne) {
  options.own = {"acme/**"};
  {
    const auto journal = open();
    put(*journal, "acme/a", 0, 100);
    until_durable(*journal);
    EXPECT_EQ(read_all(*journal).entries.size(), 100u);
    put(*journal, "acme/a", 100, 50);
  }
  const auto journal = open();
  put(*journal, "acme/a", 150, 5);
  until_durable(*journal);
  const All all = read_all(*journal);
  ASSERT_EQ(all.entries.size(), 55u);
  EXPECT_EQ(all.entries.front().value.float64(), 100);
  EXPECT_EQ(all.entries.back().value.float64(), 154);
  ASSERT_EQ(all.gaps.size(), 1u);
  EXPECT_EQ(all.gaps[0].gap.cause, GapCause::restart);
  EXPECT_EQ(all.gaps[0].gap.match, std::vector<std::string>{"acme/**"});
  EXPECT_LE(all.gaps[0].gap.start, all.gaps[0].gap.end);
  ASSERT_EQ(journal->recent_gaps().size(), 1u);
}

TEST_F(JournalTest, GoesOnWhereTheSinkSaysItIs) {
  const auto journal = open();
  put(*journal, "acme/a", 0, 100);
  until_durable(*journal);
  auto feed = journal->open("sink/a", *Patterns::parse({"**"}), [] {});
  ASSERT_TRUE(feed);
  const All all = read_all(**feed);
  (*feed)->resume(all.entries[39].position);
  const All rest = read_all(**feed);
  ASSERT_EQ(rest.entries.size(), 60u);
  EXPECT_EQ(rest.entries[0].value.float64(), 40);
}

TEST_F(JournalTest, WakesAReaderThatWaits) {
  const auto journal = open();
  std::atomic<int> woken = 0;
  auto feed = journal->open("sink/a", *Patterns::parse({"**"}), [&] { ++woken; });
  ASSERT_TRUE(feed);
  for (int round = 1; round <= 20; ++round) {
    EXPECT_TRUE(read_all(**feed).entries.size() == (round == 1 ? 0u : 3u));
    const int before = woken;
    put(*journal, "acme/a", static_cast<std::uint64_t>(round), 3);
    for (int i = 0; i < 2000 && woken == before; ++i) std::this_thread::sleep_for(2ms);
    ASSERT_GT(woken, before);
    until_durable(*journal);
  }
}

TEST_F(JournalTest, DeletesWhatAllHaveReadAndKeepsWhatOneHasNot) {
  options.segment_bytes = 20'000;
  const auto journal = open();
  journal->set_readers({"sink/a", "sink/slow"});
  for (std::uint64_t i = 0; i < 50; ++i) {
    put(*journal, "acme/a", i * 100, 100);
    until_durable(*journal);
  }
  const std::size_t before = segments().size();
  EXPECT_GT(before, 5u);
  EXPECT_EQ(read_all(*journal).entries.size(), 5000u);
  put(*journal, "acme/a", 5000, 1);
  until_durable(*journal);
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(segments().size(), before);
  journal->set_readers({"sink/a"});
  for (int i = 0; i < 400 && segments().size() > 1; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(segments().size(), 1u);
}

TEST_F(JournalTest, WhatIsUnderWayIsKeptThoughWhatFollowsDoesNotConcernTheReader) {
  const auto journal = open();
  const auto feed_of_a = [&] { return journal->open("sink/a", *Patterns::parse({"acme/a"}), [] {}); };
  put(*journal, "acme/a", 0, 10);
  until_durable(*journal);
  {
    auto feed = feed_of_a();
    ASSERT_TRUE(feed);
    EXPECT_EQ(read_all(**feed).entries.size(), 10u);   // not acknowledged
    put(*journal, "acme/b", 0, 10);
    until_durable(*journal);
    EXPECT_EQ(read_all(**feed).entries.size(), 0u);
  }
  {
    auto feed = feed_of_a();
    const All all = read_all(**feed);
    ASSERT_EQ(all.entries.size(), 10u);
    (*feed)->acknowledge(all.entries[3].position);
  }
  auto feed = feed_of_a();
  const All rest = read_all(**feed);
  ASSERT_EQ(rest.entries.size(), 6u);
  (*feed)->acknowledge(rest.entries.back().position);
  EXPECT_EQ((*feed)->status().behind, 0u) << "what does not concern it need not be acknowledged";
  put(*journal, "acme/b", 10, 10);
  until_durable(*journal);
  EXPECT_EQ(read_all(**feed).entries.size(), 0u);
  EXPECT_EQ((*feed)->status().behind, 0u);
}

TEST_F(JournalTest, DeletesNothingBeforeItIsToldWhoReads) {
  options.own = {"acme/**"};   // so that a start writes something by itself
  {
    const auto journal = open();
    put(*journal, "acme/a", 0, 100);
  }
  auto opened = Journal::open(options, clock);
  ASSERT_TRUE(opened);
  until_durable(**opened);
  std::this_thread::sleep_for(50ms);
  (*opened)->set_readers({"sink/a"});
  EXPECT_EQ(read_all(**opened).entries.size(), 100u);
}

TEST_F(JournalTest, PassesOverWhatAnotherPathBroughtAlready) {
  const auto journal = open();
  const std::uint32_t stream = journal->intern_stream("plant-9", 7);
  const std::uint32_t point = journal->intern_point(stream, "acme/z", {});
  std::vector<ChangeRecord> changes(10);
  for (std::uint64_t i = 0; i < 10; ++i) changes[i] = {.stream = stream, .sequence = 10 * i + 5, .point = point, .source_time = 1, .value = Value::from(static_cast<double>(i))};
  journal->append_foreign(std::span(changes).first(7));
  journal->append_foreign(changes);
  until_durable(*journal);
  EXPECT_EQ(read_all(*journal).entries.size(), 10u);
  EXPECT_EQ(journal->status().duplicates, 7u);
  ASSERT_EQ(journal->held().size(), 1u);
  EXPECT_EQ(journal->held()[0].sequence, 95u);
}

// --- Damage --------------------------------------------------------------------------------------------------------------

TEST_F(JournalTest, LosesOneRecordToOneFlippedBitWhereverItIs) {
  {
    const auto journal = open();
    for (std::uint64_t i = 0; i < 20; ++i) {
      put(*journal, "acme/a", i * 50, 50);
      until_durable(*journal);
    }
  }
  const fs::path file = segments().at(0);
  const auto size = fs::file_size(file);
  const fs::path kept = folder + "/kept.seg";
  fs::copy_file(file, kept);
  std::minstd_rand random(7);
  int one = 0;
  for (int round = 0; round < 60; ++round) {
    fs::copy_file(kept, file, fs::copy_options::overwrite_existing);
    for (const auto& other : segments()) {
      if (other != file) fs::remove(other);
    }
    fs::remove(options.folder + "/state");
    fs::remove(options.folder + "/gaps");
    // Behind the first block: that tells the names, without which nothing can be said of the rest.
    flip(file, 2500 + random() % (size - 2500));
    const auto journal = open();
    const All all = read_all(*journal);
    ASSERT_GE(all.entries.size(), 950u - 50) << round;    // at worst a block
    ASSERT_LE(all.entries.size(), 1000u);
    std::uint64_t last = 0;
    for (const FeedEntry& entry : all.entries) {
      ASSERT_GT(entry.sequence, last);
      last = entry.sequence;
      ASSERT_EQ(entry.value.float64(), static_cast<double>(entry.sequence - 1));
    }
    const std::uint64_t lost = 1000 - all.entries.size();
    if (lost == 1) ++one;
    if (lost > 0 && last == 1000) {
      EXPECT_GE(journal->status().damaged, lost);
      until_durable(*journal);
      bool told = false;
      for (const Gap& gap : journal->recent_gaps()) told = told || gap.cause == GapCause::damaged;
      EXPECT_TRUE(told);
    }
  }
  EXPECT_GE(one, 30) << "most flips hit a record's body";
}

TEST_F(JournalTest, StartsFromAnyTruncation) {
  {
    const auto journal = open();
    for (std::uint64_t i = 0; i < 10; ++i) {
      put(*journal, "acme/a", i * 50, 50);
      until_durable(*journal);
    }
  }
  const fs::path file = segments().at(0);
  const auto size = fs::file_size(file);
  const fs::path kept = folder + "/kept.seg";
  fs::copy_file(file, kept);
  for (std::uint64_t cut = 0; cut <= size; cut += cut < 200 ? 1 : 379) {
    for (const auto& other : segments()) fs::remove(other);
    fs::copy_file(kept, file);
    fs::resize_file(file, cut);
    fs::remove(options.folder + "/state");
    const auto journal = open();
    put(*journal, "acme/a", 7'000'000, 1);
    until_durable(*journal);
    const All all = read_all(*journal);
    ASSERT_GE(all.entries.size(), 1u) << cut;
    EXPECT_EQ(all.entries.back().value.float64(), 7'000'000) << cut;
    for (std::size_t i = 0; i + 1 < all.entries.size(); ++i) ASSERT_EQ(all.entries[i].value.float64(), static_cast<double>(i));
  }
}

TEST_F(JournalTest, StartsAmongFilesThatAreNone) {
  { const auto journal = open(); put(*journal, "acme/a", 0, 5); }
  std::ofstream(options.folder + "/0000000000f00000.seg") << "no segment at all";
  std::ofstream(options.folder + "/state") << "reader x y z\nreader 99999999999999999999 q\nclean maybe";
  std::ofstream(options.folder + "/gaps") << "junk";
  const auto journal = open();
  put(*journal, "acme/a", 5, 5);
  until_durable(*journal);
  EXPECT_EQ(read_all(*journal).entries.size(), 10u);
}

// --- kill -9 ---------------------------------------------------------------------------------------------------------------

// A child appends and says on a pipe how far it is durable; it is killed; what it said must be there.
TEST_F(JournalTest, HasAfterKillNineWhatItSaidWasDurable) {
  options.segment_bytes = 200'000;
  for (const SyncPolicy policy : {SyncPolicy::batch, SyncPolicy::every_100ms, SyncPolicy::os}) {
    fs::remove_all(options.folder);
    options.sync = policy;
    std::uint64_t said = 0, next = 0;
    for (int round = 0; round < 6; ++round) {
      int pipe_ends[2];
      ASSERT_EQ(::pipe(pipe_ends), 0);
      const pid_t child = ::fork();
      if (child == 0) {
        auto journal = Journal::open(options, clock);
        if (!journal) ::_exit(1);
        (*journal)->set_readers({"sink/a"});
        for (std::uint64_t at = next;; at += 100) {
          put(**journal, "acme/a", at, 100);
          const Position head = (*journal)->status().head;
          while (at % 1000 == 0 && (*journal)->durable() < head) ::usleep(100);
          const std::uint64_t sure = at + 100;
          if (at % 1000 == 0 && ::write(pipe_ends[1], &sure, sizeof sure) < 0) ::_exit(1);
        }
      }
      ::close(pipe_ends[1]);
      std::this_thread::sleep_for(std::chrono::milliseconds(60 + 37 * round));
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
      std::uint64_t sure = 0;
      while (::read(pipe_ends[0], &sure, sizeof sure) == sizeof sure) said = sure;
      ::close(pipe_ends[0]);
      const auto journal = open();
      const All all = read_all(*journal, false);
      std::vector<bool> there;
      for (const FeedEntry& entry : all.entries) {
        const auto n = static_cast<std::size_t>(entry.value.float64());
        if (n >= there.size()) there.resize(n + 1);
        EXPECT_FALSE(there[n]) << "twice";
        there[n] = true;
      }
      ASSERT_GE(there.size(), said) << to_string(policy) << " " << round;
      EXPECT_TRUE(std::ranges::all_of(there.begin(), there.begin() + static_cast<std::ptrdiff_t>(said), [](bool b) { return b; }));
      next = there.size() / 1000 * 1000 + 1000;
      // What lies between was never said to be durable: fill it, so that the next round can count.
      if (next > there.size()) put(*journal, "acme/a", there.size(), next - there.size());
    }
    EXPECT_GT(said, 0u);
  }
}

// --- Limits ----------------------------------------------------------------------------------------------------------------

TEST_F(JournalTest, MakesRoomAtItsLimitAndTellsTheLaggingReaderWhatIsGone) {
  options.segment_bytes = 50'000;
  options.max_bytes = 300'000;
  const auto journal = open();
  for (std::uint64_t i = 0; i < 200; ++i) {
    put(*journal, i % 2 == 0 ? "acme/a" : "acme/b", i * 100, 100);
    until_durable(*journal);
  }
  EXPECT_LE(journal->status().bytes, options.max_bytes + 2 * options.segment_bytes);
  const All all = read_all(*journal);
  std::uint64_t lost = 0;
  for (const FeedGap& gap : all.gaps) {
    EXPECT_EQ(gap.gap.cause, GapCause::limit);
    EXPECT_EQ(gap.gap.match, (std::vector<std::string>{"acme/a", "acme/b"}));
    lost += gap.gap.lost;
  }
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(lost + all.entries.size(), 20'000u);
  EXPECT_EQ(all.entries.back().value.float64(), 19'999);
  EXPECT_EQ(journal->status().dropped, lost);
}

TEST_F(JournalTest, StopsAtItsLimitWhenToldToKeepTheOld) {
  options.segment_bytes = 50'000;
  options.max_bytes = 200'000;
  options.at_limit = AtLimit::stop;
  const auto journal = open();
  const std::uint32_t point = journal->intern_point(journal->own_stream(), "acme/a", {});
  std::uint64_t taken = 0, refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::vector<ChangeRecord> changes(100);
    for (auto& change : changes) change.point = point;
    (journal->append_own(changes) ? taken : refused) += 100;
    if (i % 10 == 0) until_durable(*journal);
  }
  until_durable(*journal);
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(read_all(*journal).entries.size(), taken);
  EXPECT_EQ(journal->status().dropped, refused);
}

TEST_F(JournalTest, WaitsWhileTheDiskIsFullAndLosesNothing) {
  const auto journal = open();
  put(*journal, "acme/a", 0, 10);
  until_durable(*journal);
  // A limit on the size of files stands for the full disk: the write fails in the middle just so.
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{fs::file_size(segments().back()) + 300, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  put(*journal, "acme/a", 10, 1000);
  for (int i = 0; i < 400 && journal->status().failure.empty(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_NE(journal->status().failure, "");
  EXPECT_EQ(read_all(*journal).entries.size(), 10u);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  until_durable(*journal);
  EXPECT_EQ(journal->status().failure, "");
  EXPECT_EQ(read_all(*journal).entries.size(), 1000u);
}

// A disk of its own, as long as it lives.
class SmallDisk {
 public:
  explicit SmallDisk(std::string at) : at_(std::move(at)) {
    fs::create_directories(at_);
    mounted_ = ::mount("tmpfs", at_.c_str(), "tmpfs", 0, "size=1m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  bool make_read_only() { return ::mount("tmpfs", at_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0; }

 private:
  const std::string at_;
  bool mounted_ = false;
};

TEST_F(JournalTest, OnADiskThatOthersFilledWaitsAndGoesOnOnceThereIsRoom) {
  const SmallDisk disk(folder + "/disk");
  if (!disk.mounted()) GTEST_SKIP() << "no privilege to mount";
  options.folder = folder + "/disk/journal";
  const auto journal = open();
  put(*journal, "acme/a", 0, 10);
  until_durable(*journal);
  {
    std::ofstream filler(folder + "/disk/filler");
    filler << std::string(2u << 20, 'x') << std::flush;
  }
  put(*journal, "acme/a", 10, 5000);
  for (int i = 0; i < 400 && journal->status().failure.empty(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(journal->status().failure.contains("No space left")) << journal->status().failure;
  fs::remove(folder + "/disk/filler");
  until_durable(*journal);
  EXPECT_EQ(journal->status().failure, "");
  EXPECT_EQ(read_all(*journal).entries.size(), 5010u);
}

TEST_F(JournalTest, OnADiskThatIsReadOnlySaysSoAtOnceAndTouchesNothing) {
  SmallDisk disk(folder + "/disk");
  if (!disk.mounted()) GTEST_SKIP() << "no privilege to mount";
  options.folder = folder + "/disk/journal";
  {
    const auto journal = open();
    put(*journal, "acme/a", 0, 10);
    until_durable(*journal);
  }
  ASSERT_TRUE(disk.make_read_only());
  const auto refused = Journal::open(options, clock);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.contains("Read-only")) << refused.error().message;
  EXPECT_TRUE(refused.error().message.contains(options.folder)) << refused.error().message;
}

TEST_F(JournalTest, DoesNotMindAClockThatWentBack) {
  options.own = {"acme/**"};
  ManualClock turned;
  {
    auto journal = Journal::open(options, turned);
    ASSERT_TRUE(journal);
    (*journal)->set_readers({"sink/a"});
    put(**journal, "acme/a", 0, 10);
    until_durable(**journal);
  }
  turned.set_utc_offset(1'600'000'000'000'000'000);   // three years earlier
  auto journal = Journal::open(options, turned);
  ASSERT_TRUE(journal);
  (*journal)->set_readers({"sink/a"});
  put(**journal, "acme/a", 10, 10);
  until_durable(**journal);
  const All all = read_all(**journal);
  ASSERT_EQ(all.entries.size(), 20u);
  EXPECT_NE(all.entries.front().stream, all.entries.back().stream);
  ASSERT_EQ(all.gaps.size(), 1u);
  EXPECT_LE(all.gaps[0].gap.start, all.gaps[0].gap.end);
}

TEST_F(JournalTest, SaysWhichFolderItCannotUse) {
  std::ofstream(folder + "/file") << "x";
  options.folder = folder + "/file";
  const auto opened = Journal::open(options, clock);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find(options.folder), std::string::npos);
}

// --- Records ---------------------------------------------------------------------------------------------------------------

TEST(JournalRecord, RefusesWhatDoesNotFollowItsFormat) {
  Bytes change;
  encode(change, ChangeRecord{.stream = 1, .sequence = 2, .point = 3, .source_time = 4, .value = Value::from(1.5)});
  ASSERT_TRUE(decode(3, change));
  for (std::size_t size = 0; size < change.size(); ++size) EXPECT_FALSE(decode(3, std::span(change).first(size))) << size;
  Bytes longer = change;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode(3, longer));
  Bytes gap;
  encode(gap, GapRecord{.stream = 1, .sequence = 2, .gap = {.node = "n", .where = "w", .cause = GapCause::limit, .match = {"a/**"}}, .readers = {"x"}});
  ASSERT_TRUE(decode(4, gap));
  for (std::size_t size = 0; size < gap.size(); ++size) EXPECT_FALSE(decode(4, std::span(gap).first(size))) << size;
  EXPECT_FALSE(decode(0, change));
  EXPECT_FALSE(decode(99, change));
  Bytes point;
  encode(point, PointRecord{.id = 1, .stream = 0, .path = "a//b", .meta = {}});
  EXPECT_FALSE(decode(2, point)) << "a path that is none";
}

}  // namespace
}  // namespace sallyport::journal
