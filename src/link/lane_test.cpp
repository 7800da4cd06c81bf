// The back-fill lane between the journals of real files, over the in-memory wire.
#include "link/lane.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "link/test_pair.h"

namespace sallyport::link {
namespace {

namespace fs = std::filesystem;

// A node with a journal in a folder of its own.
struct Keeper {
  Keeper(const std::string& parent, std::string name, ManualClock& c, std::vector<std::string> readers) : clock(c), node(std::move(name), c), wanted(std::move(readers)) {
    options.folder = parent + "/" + node.name;
    options.node = node.name;
    options.segment_bytes = 100'000;
    open();
  }
  void open() {
    auto opened = journal::Journal::open(options, real);
    ASSERT_TRUE(opened) << opened.error().message;
    journal = std::move(*opened);
    journal->set_readers(wanted);
    node.journal = journal.get();
  }
  void put(const std::string& path, std::uint64_t from, std::uint64_t n) {
    const std::uint32_t point = journal->intern_point(journal->own_stream(), path, {});
    std::vector<journal::ChangeRecord> changes(n);
    for (std::uint64_t i = 0; i < n; ++i) {
      changes[i].point = point;
      changes[i].source_time = static_cast<UtcNanoseconds>(from + i);
      changes[i].value = Value::from(static_cast<double>(from + i));
    }
    ASSERT_TRUE(journal->append_own(changes));
    settle();
  }
  void settle() {
    const JournalPosition head = journal->status().head;
    for (int i = 0; i < 2000 && journal->durable() < head; ++i) std::this_thread::sleep_for(2ms);
  }
  struct All {
    std::vector<FeedEntry> entries;
    std::vector<FeedGap> gaps;
    std::vector<std::string> paths, streams;
  };
  All read(const std::string& reader, bool acknowledge = false) {
    All all;
    settle();
    auto feed = journal->open(reader, Patterns::everything(), [] {});
    EXPECT_TRUE(feed);
    FeedBatch batch;
    do {
      EXPECT_TRUE((*feed)->read(batch, 1000));
      for (auto& entry : batch.entries) {
        all.paths.push_back((*feed)->point(entry.point).path);
        all.streams.push_back((*feed)->stream(entry.stream));
        all.entries.push_back(std::move(entry));
      }
      std::ranges::move(batch.gaps, std::back_inserter(all.gaps));
    } while (batch.more);
    if (acknowledge) (*feed)->acknowledge(batch.position);
    return all;
  }
  ManualClock& clock;
  SystemClock real;   // of the journal, whose thread looks at it too
  TestNode node;
  std::vector<std::string> wanted;
  journal::JournalOptions options;
  std::unique_ptr<journal::Journal> journal;
};

class LinkLane : public testing::Test {
 protected:
  LinkLane() {
    std::string name = (fs::temp_directory_path() / "lane-XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~LinkLane() override { fs::remove_all(folder); }
  // Journals write in their own time, so the wire is looked at until all is acknowledged.
  static void flow(TestLink& link, Keeper& from, Keeper& to) {
    for (int i = 0; i < 2000; ++i) {
      link.run(10ms);
      to.settle();
      link.run(10ms);
      const auto readers = from.journal->status().readers;
      const auto reader = std::ranges::find(readers, journal_reader_name("to-" + to.node.name), &journal::JournalStatus::Reader::name);
      if (reader != readers.end() && reader->behind == 0) return;
    }
    FAIL() << "the lane does not come to an end";
  }
  static void expect_counting(const Keeper::All& all, std::uint64_t n) {
    ASSERT_EQ(all.entries.size(), n);
    for (std::uint64_t i = 0; i < n; ++i) {
      ASSERT_EQ(all.entries[i].value.float64(), static_cast<double>(i));
      ASSERT_EQ(all.entries[i].source_time, static_cast<UtcNanoseconds>(i));
    }
  }

  ManualClock clock;
  std::string folder;
};

TEST_F(LinkLane, BringsWhatWasKeptAndThenWhatComes) {
  Keeper plant(folder, "plant-1", clock, {"link/to-dmz-1"});
  Keeper dmz(folder, "dmz-1", clock, {"sink/a"});
  TestLink link(clock, plant.node, dmz.node, {"acme/**"});
  plant.put("acme/a", 0, 5000);
  link.connect();
  flow(link, plant, dmz);
  plant.put("acme/a", 5000, 10);
  flow(link, plant, dmz);
  const auto all = dmz.read("sink/a");
  expect_counting(all, 5010);
  EXPECT_TRUE(all.entries.front().backfill);
  EXPECT_FALSE(all.entries.back().backfill);
  EXPECT_EQ(all.paths.front(), "acme/a");
  EXPECT_EQ(all.streams.front().substr(0, 8), "plant-1/");
}

TEST_F(LinkLane, BringsEachOnceThroughCutsAtAnyMoment) {
  Keeper plant(folder, "plant-1", clock, {"link/to-dmz-1"});
  Keeper dmz(folder, "dmz-1", clock, {"sink/a"});
  TestLink link(clock, plant.node, dmz.node, {"acme/**"});
  for (std::uint64_t round = 0; round < 40; ++round) {
    plant.put("acme/a", round * 300, 300);
    link.connect();
    for (std::uint64_t step = 0; step < round % 9; ++step) link.carry(step % 2 == 0 ? link.a : link.b, step % 2 == 0 ? link.b : link.a);
    link.a.session->lost("cut");
    link.b.session->lost("cut");
    if (round % 7 == 3) {   // and a restart of the one who takes
      link.a.session.reset();
      link.b.session.reset();
      dmz.journal.reset();
      dmz.open();
    }
  }
  link.connect();
  flow(link, plant, dmz);
  expect_counting(dmz.read("sink/a"), 12'000);
}

TEST_F(LinkLane, GoesOnWithTheOtherOfTwoPathsWhereTheFirstStopped) {
  Keeper plant(folder, "plant-1", clock, {"link/to-dmz-1", "link/to-dmz-2"});
  Keeper dmz1(folder, "dmz-1", clock, {"link/to-ai-1"}), dmz2(folder, "dmz-2", clock, {"link/to-ai-1"});
  Keeper ai(folder, "ai-1", clock, {"sink/a"});
  TestLink up1(clock, plant.node, dmz1.node, {"acme/**"}), up2(clock, plant.node, dmz2.node, {"acme/**"});
  TestLink down1(clock, dmz1.node, ai.node, {"acme/**"}), down2(clock, dmz2.node, ai.node, {"acme/**"});
  plant.put("acme/a", 0, 1000);
  up1.connect();
  flow(up1, plant, dmz1);
  up2.connect();
  flow(up2, plant, dmz2);
  down1.connect();
  flow(down1, dmz1, ai);
  plant.put("acme/a", 1000, 500);
  flow(up2, plant, dmz2);
  down1.a.session->lost("gone");
  down1.b.session->lost("gone");
  down2.connect();
  flow(down2, dmz2, ai);
  expect_counting(ai.read("sink/a"), 1500);
}

TEST_F(LinkLane, KeepsForWhomItMayAndWhoAsks) {
  Keeper plant(folder, "plant-1", clock, {"link/to-dmz-1"});
  Keeper dmz(folder, "dmz-1", clock, {});   // keeps nothing for anyone: takes nothing
  TestLink link(clock, plant.node, dmz.node, {"acme/**"});
  plant.put("acme/a", 0, 100);
  plant.put("secret/b", 0, 100);
  link.connect();
  link.run(200ms);
  EXPECT_EQ(dmz.journal->status().appended, 0u);
  dmz.journal->set_readers({"sink/a"});
  link.connect();
  flow(link, plant, dmz);
  expect_counting(dmz.read("sink/a"), 100);
}

TEST_F(LinkLane, CarriesGapsOnceAndInTheirPlace) {
  Keeper plant(folder, "plant-1", clock, {"link/to-dmz-1"});
  Keeper dmz(folder, "dmz-1", clock, {"sink/a"});
  TestLink link(clock, plant.node, dmz.node, {"acme/**"});
  plant.put("acme/a", 0, 10);
  plant.journal->append_gap({.node = "plant-1", .where = "line1", .cause = GapCause::source_down, .start = 5, .end = 6, .match = {"acme/**"}});
  plant.put("acme/a", 10, 10);
  link.connect();
  flow(link, plant, dmz);
  link.a.session->lost("cut");
  link.b.session->lost("cut");
  link.connect();
  flow(link, plant, dmz);
  const auto all = dmz.read("sink/a");
  expect_counting(all, 20);
  ASSERT_EQ(all.gaps.size(), 1u);
  EXPECT_EQ(all.gaps[0].gap.where, "line1");
  EXPECT_GT(all.gaps[0].position, all.entries[9].position);
  EXPECT_LT(all.gaps[0].position, all.entries[10].position);
}

TEST_F(LinkLane, DoesNotGoRoundInARing) {
  Keeper a(folder, "a", clock, {"link/to-b"}), b(folder, "b", clock, {"link/to-a", "link/to-c"}), c(folder, "c", clock, {"link/to-b", "sink/x"});
  TestLink ab(clock, a.node, b.node, {"**"}, {"**"}), bc(clock, b.node, c.node, {"**"}, {"**"});
  a.put("acme/a", 0, 500);
  ab.connect();
  flow(ab, a, b);
  bc.connect();
  flow(bc, b, c);
  flow(ab, a, b);
  expect_counting(c.read("sink/x"), 500);
  EXPECT_EQ(a.journal->status().appended, 500u);
  EXPECT_EQ(b.journal->status().appended, 500u);
}

TEST_F(LinkLane, RefusesFramesThatDoNotFollowTheirFormat) {
  Bytes held;
  encode_journal_held(held, {{"plant-1", 7, 300}, {"b", 1, 2}});
  const auto body = std::span<const std::byte>(held).subspan(kFrameHeader);
  const auto decoded = decode_journal_held(body);
  ASSERT_TRUE(decoded);
  EXPECT_EQ((*decoded)[0].sequence, 300u);
  for (std::size_t size = 0; size < body.size(); ++size) EXPECT_FALSE(decode_journal_held(body.first(size))) << size;
  EXPECT_FALSE(decode_journal_ack({}));

  Keeper dmz(folder, "dmz-1", clock, {"sink/a"});
  const auto refused = [&](auto... records) {
    LaneReceiver lane(*dmz.journal, "dmz-1", [](std::string_view) { return true; }, 1000, [] {});
    Bytes bytes;
    const auto put = [&](journal::RecordKind kind, const auto& record) {
      Bytes one;
      journal::encode(one, record);
      bytes.push_back(static_cast<std::byte>(kind));
      ByteWriter w(bytes);
      w.varint(one.size());
      w.bytes(one);
    };
    (put(records.first, records.second), ...);
    return !lane.on_records(bytes);
  };
  using journal::RecordKind;
  const std::pair stream{RecordKind::stream, journal::StreamRecord{0, "plant-1", 1, 0}};
  const std::pair point{RecordKind::point, journal::PointRecord{0, 0, "acme/a", {}}};
  const std::pair change{RecordKind::change, journal::ChangeRecord{.stream = 0, .sequence = 1, .point = 0, .value = Value::from(1.0)}};
  EXPECT_FALSE(refused(stream, point, change));
  EXPECT_TRUE(refused(change));
  EXPECT_TRUE(refused(stream, change));
  EXPECT_TRUE(refused(point));
  EXPECT_TRUE(refused(std::pair{RecordKind::stream, journal::StreamRecord{1u << 20, "x", 1, 0}}));
  EXPECT_TRUE(refused(stream, std::pair{RecordKind::point, journal::PointRecord{4001, 0, "acme/a", {}}}));
}

}  // namespace
}  // namespace sallyport::link
