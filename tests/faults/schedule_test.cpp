// Faults that need a schedule: many cuts, an absence during which everything changes, clocks that step.
#include <algorithm>
#include <ctime>
#include <fstream>
#include <random>

#include "scene.h"

namespace sallyport::tests {
namespace {

std::size_t update_count(const Watcher& consumer) { return consumer.all().size(); }

class Cycles : public Scene {
 protected:
  struct Plan {
    int cycles;
    milliseconds shortest, longest;
  };
  // In full 200 cycles of 0.2 to 2 s take seven minutes; the short ones stand in the same proportion to the heartbeat.
  static Plan plan() {
    if (full_length()) return {200, milliseconds(200), milliseconds(2000)};
    return {200, milliseconds(20), milliseconds(150)};
  }

  void cut_and_heal(const Plan& plan) {
    std::mt19937 random(20);
    std::uniform_int_distribution<int> pause(static_cast<int>(plan.shortest.count()), static_cast<int>(plan.longest.count()));
    for (int i = 0; i < plan.cycles; ++i) {
      Gate& gate = chain_->gate(random() % 2);
      const bool silent = random() % 2 == 0;
      if (silent) {
        gate.stall(true);
      } else {
        gate.refuse(true);
        gate.reset();
      }
      std::this_thread::sleep_for(milliseconds(pause(random)));
      gate.stall(false);
      gate.refuse(false);
      std::this_thread::sleep_for(milliseconds(pause(random)));
    }
  }
};

TEST_F(Cycles, TwoHundredCutsLaterItForwardsAndItsStateIsTrue) {
  if (!full_length()) times_ = {"100ms", "300ms", milliseconds(300)};
  ChainOptions options;
  options.gated = true;
  options.broker = false;
  begin(options);
  if (HasFatalFailure()) return;
  cut_and_heal(plan());
  const auto healed_at = Clock::now();
  EXPECT_TRUE(consumer_->wait_for_all("good", points_, seconds(20))) << chain_->logs();
  Row row{.table = "chain", .fault = "200 cut/heal cycles of " + std::string(full_length() ? "0.2-2 s" : "20-150 ms") + ", then heal",
          .bound = "-", .not_good = {}, .right = consumer_->until_all_good(healed_at), .wrong = {}, .stale_good = {}, .backwards = {}, .note = {}};
  // Still forwarding, and every node says so.
  const std::size_t before = update_count(*consumer_);
  EXPECT_TRUE(eventually([&] { return update_count(*consumer_) >= before + 100; }, seconds(10))) << "nothing flows";
  EXPECT_EQ(chain_->first().link_field("n-2", "state"), "up");
  EXPECT_EQ(chain_->node(1).link_field("n-1", "state"), "up");
  EXPECT_EQ(chain_->node(1).link_field("n-3", "state"), "up");
  EXPECT_EQ(chain_->last().link_field("n-2", "state"), "up");
  row.wrong = rest_and_count_wrong();
  row.stale_good = 0;
  row.backwards = count_backwards(consumer_->all(), Order::by_value);
  row.note = "still forwarding; `status` of every node says up";
  // And the state is still true: a break is told.
  chain_->gate(0).refuse(true);
  chain_->gate(0).reset();
  const auto cut_at = Clock::now();
  EXPECT_TRUE(consumer_->wait_for_all("!good", points_, seconds(5)));
  row.not_good = consumer_->until_none_good(cut_at);
  report(row);
  EXPECT_EQ(row.wrong, 0u) << chain_->logs();
  EXPECT_EQ(row.backwards, 0u);
}

// The case in which queues betray: what changed during an absence does not change again.
class Absence : public Scene {
 protected:
  void begin_with_one_change_each(std::size_t points) {
    go_file_ = folder_.path() + "/go";
    ChainOptions options;
    options.broker = false;
    options.source = ramp_source(points, points, rest_file_) + "after = " + std::to_string(points) + "\nstart_on = \"" + go_file_ + "\"\n";
    begin(options, points);
  }
  std::string go_file_;
};

TEST_F(Absence, OfTheDmzNodeWhileEveryPointChangesOnceLeavesNothingWrong) {
  const std::size_t points = 10'000;
  begin_with_one_change_each(points);
  if (HasFatalFailure()) return;
  const Clock::duration absence = full_length() ? seconds(10) : seconds(3);
  const auto killed_at = Clock::now();
  chain_->node(1).process().kill();
  std::ofstream(go_file_).put('\n');
  std::this_thread::sleep_for(absence);
  // Every point changed by now, and will not again.
  Row row{.table = "chain", .fault = "DMZ node away for " + seconds_text(absence) + " while each of 10,000 points changes once, then silence",
          .bound = "0 wrong", .not_good = consumer_->until_none_good(killed_at), .right = {}, .wrong = {}, .stale_good = {}, .backwards = {}, .note = {}};
  const auto back_at = Clock::now();
  chain_->start_node(1);
  EXPECT_TRUE(consumer_->wait_for_all("good", points, seconds(30))) << chain_->logs();
  row.right = consumer_->until_all_good(back_at);
  row.wrong = rest_and_count_wrong();
  row.backwards = count_backwards(consumer_->all(), Order::by_value);
  row.stale_good = told_good(consumer_->all(), killed_at + by_reset() + kSlack, back_at);
  const auto latest = consumer_->latest();
  const auto changed = std::ranges::count_if(latest, [](const auto& point) { return point.second.value == "1" || point.second.value == "1.0"; });
  report(row);
  EXPECT_EQ(static_cast<std::size_t>(changed), points) << "the change itself must have arrived, e.g. " << latest.begin()->second.value;
  EXPECT_EQ(row.wrong, 0u);
  EXPECT_EQ(row.stale_good, 0u);
  EXPECT_EQ(row.backwards, 0u);
}

// The wall clock of one node at a time jumps by an hour, forth and back; the monotonic clock does not, as on a real machine.
class ClockSteps : public Scene {
 protected:
  static const char* library() { return "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"; }

  void step(const std::string& offset) const {
    const std::string file = folder_.path() + "/faketime";
    std::ofstream(file + ".new", std::ios::trunc) << offset << "\n";
    std::rename((file + ".new").c_str(), file.c_str());
  }

  void begin_with_stepping_clock(std::size_t node) {
    ASSERT_TRUE(std::ifstream(library()).good()) << library() << " is missing; run scripts/setup test";  // else nothing would step
    step("+0");
    ChainOptions options;
    options.broker = false;
    options.gated = true;
    begin(options);
    if (HasFatalFailure()) return;
    chain_->node(node).process().kill();
    chain_->node(node).process().wait(seconds(5));
    chain_->node(node).start({"env", std::string("LD_PRELOAD=") + library(), "FAKETIME_TIMESTAMP_FILE=" + folder_.path() + "/faketime",
                              "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"});
    ASSERT_TRUE(chain_->node(node).wait_ready()) << chain_->node(node).log();
    consumer_ = Watcher::sse(chain_->http_port());
    ASSERT_TRUE(consumer_->wait_for_all("good", points_, seconds(20))) << chain_->logs();
    consumer_ = Watcher::sse(chain_->http_port());  // without the values of the ramp that ended with the first node
    ASSERT_TRUE(consumer_->wait_for_all("good", points_, seconds(20))) << chain_->logs();
  }

  std::size_t not_good_since(Clock::time_point since) const {
    const auto all = consumer_->all();
    return static_cast<std::size_t>(std::ranges::count_if(all, [&](const Seen& seen) { return seen.when > since && seen.quality != "good"; }));
  }

  static std::string utc_text(seconds from_now) {
    const std::time_t when = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() + from_now);
    std::tm fields{};
    ::gmtime_r(&when, &fields);
    char text[32] = {};
    return {text, std::strftime(text, sizeof text, "%FT%T", &fields)};
  }

  // Source times are the plant's: they follow its clock when that steps, and nobody else's.
  void expect_source_times(Clock::time_point since, bool plant_steps) const {
    const std::string late = utc_text(seconds(1800)), early = utc_text(seconds(-1800));
    bool ahead = false, behind = false;
    for (const auto& seen : consumer_->all()) {
      if (seen.when < since) continue;
      ahead = ahead || seen.timestamp > late;
      behind = behind || seen.timestamp < early;
    }
    EXPECT_EQ(ahead, plant_steps);
    EXPECT_EQ(behind, plant_steps);
  }

  void suffer_steps(std::size_t node, const std::string& name) {
    begin_with_stepping_clock(node);
    if (HasFatalFailure()) return;
    Row row{.table = "chain", .fault = "wall clock steps +1 h, back, -1 h, back; " + name, .bound = "no effect", .not_good = {}, .right = {},
            .wrong = {}, .stale_good = {}, .backwards = {}, .note = {}};
    const auto began = Clock::now();
    for (const char* offset : {"+3600", "+0", "-3600", "+0"}) {
      step(offset);
      const std::size_t before = update_count(*consumer_);
      std::this_thread::sleep_for(2 * times_.limit);
      EXPECT_GE(update_count(*consumer_), before + points_) << offset << ": nothing flows";
    }
    const std::size_t false_bad = not_good_since(began);
    expect_source_times(began, node == 0);
    // A break in wrong time is told as always.
    step("-3600");
    chain_->gate(0).stall(true);
    const auto hurt_at = Clock::now();
    EXPECT_TRUE(consumer_->wait_for_all("!good", points_, by_timeout() + seconds(5)));
    row.not_good = consumer_->until_none_good(hurt_at);
    EXPECT_LE(row.not_good.value_or(Clock::duration{}), by_timeout() + kSlack);
    std::this_thread::sleep_until(hurt_at + by_timeout());
    row.stale_good = late_good();
    const auto heal_at = Clock::now();
    chain_->gate(0).stall(false);
    EXPECT_TRUE(consumer_->wait_for_all("good", points_, seconds(20))) << chain_->logs();
    row.right = consumer_->until_all_good(heal_at);
    step("+0");
    row.wrong = rest_and_count_wrong();
    std::string example;
    row.backwards = count_backwards(consumer_->all(), Order::by_value, &example);
    row.note = std::to_string(false_bad) + " updates falsely not good; then hop 1 stalls while the clock is 1 h behind";
    report(row);
    EXPECT_EQ(false_bad, 0u);
    EXPECT_EQ(row.stale_good, 0u);
    EXPECT_EQ(row.wrong, 0u) << chain_->logs();
    EXPECT_EQ(row.backwards, 0u) << example;
  }
};

TEST_F(ClockSteps, AtThePlantNodeChangeNothingButItsOwnTimeStamps) { suffer_steps(0, "plant node"); }
TEST_F(ClockSteps, AtTheDmzNodeChangeNothing) { suffer_steps(1, "DMZ node"); }
TEST_F(ClockSteps, AtTheLastNodeChangeNothing) { suffer_steps(2, "last node"); }

}  // namespace
}  // namespace sallyport::tests
