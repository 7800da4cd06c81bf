// Records of `every` points over a way that loses frames, between the journals of real files.
#include "link/diode/one_way_lane.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <random>
#include <thread>

#include "link/diode/id_set.h"

namespace sallyport::link::diode {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

struct Keeper {
  Keeper(std::string f, std::string n) : folder(std::move(f)), name(std::move(n)) { open(); }
  void open() {
    journal.reset();
    auto opened = journal::Journal::open({.folder = folder + "/" + name, .node = name}, clock);
    ASSERT_TRUE(opened) << opened.error().message;
    journal = *std::move(opened);
    journal->set_readers({"reader"});
  }
  void put(const std::string& path, int from, int n) {
    const std::uint32_t point = journal->intern_point(journal->own_stream(), path, {});
    std::vector<journal::ChangeRecord> changes(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) {
      auto& change = changes[static_cast<std::size_t>(i)];
      change.point = point;
      change.source_time = from + i;
      change.value = Value::from(static_cast<double>(from + i));
    }
    ASSERT_TRUE(journal->append_own(changes));
    settle();
  }
  void settle() const {
    const JournalPosition head = journal->status().head;
    for (int i = 0; i < 2000 && journal->durable() < head; ++i) std::this_thread::sleep_for(2ms);
  }
  std::pair<std::vector<FeedEntry>, std::vector<FeedGap>> read() const {
    std::pair<std::vector<FeedEntry>, std::vector<FeedGap>> all;
    settle();
    auto feed = journal->open("reader", Patterns::everything(), [] {});
    FeedBatch batch;
    do {
      EXPECT_TRUE((*feed)->read(batch, 1000));
      std::ranges::move(batch.entries, std::back_inserter(all.first));
      std::ranges::move(batch.gaps, std::back_inserter(all.second));
    } while (batch.more);
    return all;
  }
  SystemClock clock;
  std::string folder, name;
  std::unique_ptr<journal::Journal> journal;
};

class OneWayLane : public testing::Test {
 protected:
  OneWayLane() {
    std::string text = (fs::temp_directory_path() / "one-way-lane-XXXXXX").string();
    folder = ::mkdtemp(text.data());
    plant = std::make_unique<Keeper>(folder, "plant-1");
    office = std::make_unique<Keeper>(folder, "office-1");
    start_sender();
    start_receiver();
  }
  ~OneWayLane() override {
    sender.reset();
    receiver.reset();
    plant.reset();
    office.reset();
    fs::remove_all(folder);
  }
  void start_sender() {
    sender.reset();
    auto opened = OneWayLaneSender::open(*plant->journal, {.reader = "reader", .peer = "office-1", .repeat = 3, .spacing = 100ms, .marks = marks},
                                         [](std::string_view path) { return path != "not/this"; }, [] {});
    ASSERT_TRUE(opened);
    sender = *std::move(opened);
  }
  void start_receiver() {
    receiver = std::make_unique<OneWayLaneReceiver>(*office->journal, "office-1", "diode", std::vector<std::string>{"**"}, [](std::string_view) { return true; });
  }
  // Time goes on; what is sent comes, unless `lose` says otherwise.
  void run(Duration time) {
    for (Duration t{0}; t < time; t += 10ms) {
      now += 10ms;
      sender->woken();
      for (Bytes out; sender->fill(out, 2000, now); out.clear()) {
        ++frames;
        std::span<const std::byte> rest = out;
        const auto frame = take_frame(rest);
        ASSERT_TRUE(frame);
        ByteReader in(frame->body);
        const std::uint64_t number = in.varint();
        if (lose && lose(number, in.number<std::uint8_t>())) continue;
        EXPECT_TRUE(receiver->on_records(frame->body, plant->clock.utc()));
      }
      receiver->on_over(sender->over(), plant->clock.utc());
      if (auto state = sender->take_state()) {
        auto decoded = decode_marks(*state);
        ASSERT_TRUE(decoded);
        marks = *std::move(decoded);
        sender->saved();
      }
    }
  }
  void expect(int from, int n, std::size_t gaps) {
    const auto [entries, found] = office->read();
    ASSERT_EQ(entries.size(), static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) EXPECT_EQ(entries[static_cast<std::size_t>(i)].source_time, from + i);
    EXPECT_EQ(found.size(), gaps);
  }
  std::string folder;
  std::unique_ptr<Keeper> plant, office;
  StreamMarks marks;
  std::unique_ptr<OneWayLaneSender> sender;
  std::unique_ptr<OneWayLaneReceiver> receiver;
  std::function<bool(std::uint64_t number, unsigned repeat)> lose;
  MonotonicTime now{1h};
  int frames = 0;
};

TEST_F(OneWayLane, SaysEachFrameAsOftenAsItShallAndThenForgetsIt) {
  plant->put("a/p", 0, 10);
  run(1s);
  EXPECT_EQ(frames, 3);
  expect(0, 10, 0);
  EXPECT_EQ(plant->journal->status().readers.at(0).behind, 0u);
}

TEST_F(OneWayLane, PutsInOrderWhatComesByALaterRepeat) {
  lose = [](std::uint64_t number, unsigned repeat) { return repeat < number * 7 % 3; };
  for (int i = 0; i < 20; ++i) {
    plant->put("a/p", i * 100, 100);
    run(50ms);
  }
  run(1s);
  EXPECT_EQ(receiver->gaps(), 0u);
  expect(0, 2000, 0);
}

TEST_F(OneWayLane, MarksWhatNeverCameWithItsCount) {
  plant->put("a/p", 0, 10);
  run(1s);
  lose = [](std::uint64_t, unsigned) { return true; };
  plant->put("a/p", 10, 7);
  run(1s);
  lose = nullptr;
  plant->put("a/p", 17, 3);
  run(1s);
  const auto [entries, gaps] = office->read();
  EXPECT_EQ(entries.size(), 13u);
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].gap.lost, 7u);
  EXPECT_EQ(gaps[0].gap.cause, GapCause::sequence);
  EXPECT_EQ(gaps[0].gap.where, "diode");
}

TEST_F(OneWayLane, NeitherRepeatsNorMissesOverARestartOfTheSender) {
  plant->put("a/p", 0, 10);
  run(1s);
  plant->put("a/p", 10, 10);
  run(20ms);   // said once
  start_sender();
  receiver->begin_life();
  run(1s);
  plant->put("a/p", 20, 5);
  run(1s);
  expect(0, 25, 0);
}

TEST_F(OneWayLane, MarksWhatWasLostBeforeARestartOfTheSender) {
  plant->put("a/p", 0, 10);
  run(1s);
  lose = [](std::uint64_t, unsigned) { return true; };
  plant->put("a/p", 10, 10);
  run(1s);
  lose = nullptr;
  start_sender();
  receiver->begin_life();
  plant->put("a/p", 20, 5);
  run(1s);
  EXPECT_EQ(receiver->gaps(), 1u);
  EXPECT_EQ(receiver->lost(), 10u);
}

TEST_F(OneWayLane, MarksWhatWasLostWhileTheReceiverWasAway) {
  plant->put("a/p", 0, 10);
  run(1s);
  receiver.reset();
  office->settle();
  office->open();
  lose = [](std::uint64_t, unsigned) { return true; };
  start_receiver();
  plant->put("a/p", 10, 10);
  run(1s);
  lose = nullptr;
  plant->put("a/p", 20, 5);
  run(1s);
  EXPECT_EQ(receiver->gaps(), 1u);
  EXPECT_EQ(receiver->lost(), 10u);
  EXPECT_EQ(receiver->received(), 5u);
}

TEST_F(OneWayLane, LeavesOutWhatIsNotForThePeerWithoutAGap) {
  for (int i = 0; i < 5; ++i) {
    plant->put("a/p", 2 * i, 1);
    plant->put("not/this", 2 * i + 1, 1);
  }
  run(1s);
  plant->put("not/this", 100, 50);
  run(1s);
  EXPECT_EQ(plant->journal->status().readers.at(0).behind, 0u);
  plant->put("a/p", 200, 1);
  run(1s);
  EXPECT_EQ(office->read().first.size(), 6u);
  EXPECT_EQ(receiver->gaps(), 0u);
}

TEST_F(OneWayLane, RefusesFramesThatFollowNoFormat) {
  plant->put("a/p", 0, 3);
  Bytes out;
  ASSERT_TRUE(sender->fill(out, 2000, now));
  const std::span<const std::byte> body = std::span(out).subspan(kFrameHeader);
  std::size_t taken = 0;   // between two records it may end
  for (std::size_t cut = 0; cut < body.size(); ++cut) {
    if (OneWayLaneReceiver(*office->journal, "office-1", "diode", {}, [](std::string_view) { return false; }).on_records(body.first(cut), 1)) ++taken;
  }
  EXPECT_EQ(taken, 4u) << "before each of four records";
  std::mt19937 random(1);
  for (int i = 0; i < 5000; ++i) {   // whatever it is: no crash, no more than what was sent
    Bytes damaged(body.begin(), body.end());
    damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    (void)OneWayLaneReceiver(*office->journal, "office-1", "diode", {}, [](std::string_view) { return false; }).on_records(damaged, 1);
  }
}

TEST(IdSet, IsWholeOnceEveryIdWasTold) {
  IdSet set(99);
  set.add(50, 99);
  EXPECT_FALSE(set.whole());
  set.add(0, 20);
  set.add(30, 49);
  EXPECT_FALSE(set.whole());
  set.add(10, 35);
  EXPECT_TRUE(set.whole());
  set.clear();
  EXPECT_FALSE(set.whole());
  set.add(0, 99);
  EXPECT_TRUE(set.whole());
}

TEST(Segment, RefusesWhatFollowsNoFormat) {
  Bytes good;
  encode(good, SegmentHead{.news = true, .definitions = true, .life = 7, .sent_ns = 5, .news_count = 300, .definition_count = 2});
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    ByteReader in{std::span<const std::byte>(good).first(cut)};
    EXPECT_FALSE(decode_head(in)) << cut;
  }
  ByteReader whole(good);
  EXPECT_EQ(decode_head(whole)->news_count, 300u);
  const auto with = [&](std::size_t at, int byte) {
    Bytes bad = good;
    bad[at] = static_cast<std::byte>(byte);
    ByteReader in(bad);
    return decode_head(in).has_value();
  };
  EXPECT_FALSE(with(0, 2)) << "another version";
  EXPECT_FALSE(with(1, 2)) << "definitions that are no news";
  EXPECT_FALSE(with(1, 8)) << "unknown flag";
  EXPECT_FALSE(with(2, 0)) << "life 0";
  EXPECT_FALSE(with(17, 0xff)) << "time out of range";
  Bytes beat;
  encode(beat, Beat{.utc = 1, .heartbeat = 1s, .timeout = 3s, .max_staleness = 10s, .round = 1ms, .records_over = 9});
  const std::span<const std::byte> body = std::span(beat).subspan(kFrameHeader);
  EXPECT_TRUE(decode_beat(body));
  for (std::size_t cut = 0; cut < body.size(); ++cut) EXPECT_FALSE(decode_beat(body.first(cut)));
  const auto frame_of = [](std::initializer_list<int> bytes) {
    Bytes out;
    for (const int byte : bytes) out.push_back(static_cast<std::byte>(byte));
    return out;
  };
  EXPECT_FALSE(decode_points(frame_of({1, 0, 0, 0, 1, 0, 0, 0}))) << "an empty range";
  EXPECT_FALSE(decode_points(frame_of({0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2}))) << "no definitions";
  EXPECT_TRUE(decode_points(frame_of({0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 3})));
  EXPECT_FALSE(decode_points(frame_of({0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 3}))) << "cut short";
  EXPECT_FALSE(decode_routes(frame_of({2, 0, 1, 0}))) << "an empty range";
  EXPECT_FALSE(decode_routes(frame_of({0, 0, 1, 0, 1, 0, 0, 0, 3}))) << "no route";
  EXPECT_FALSE(decode_fragment(frame_of({1, 5, 5, 0}))) << "beyond the end";
  EXPECT_FALSE(decode_fragment(frame_of({1, 5, 0}))) << "nothing in it";
  EXPECT_TRUE(decode_fragment(frame_of({1, 5, 4, 0})));
}

}  // namespace
}  // namespace sallyport::link::diode
