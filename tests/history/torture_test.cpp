// A process with a journal and a history is killed at random moments. Whatever had been durable in the journal must be in
// the history once, and nothing twice.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "harness.h"
#include "history/history.h"
#include "journal/journal.h"

namespace sallyport::tests {
namespace {

using namespace std::chrono_literals;

constexpr int kLives = 25;
constexpr std::uint64_t kPerLife = 1'000'000;  // values of life n begin at n × this

struct Running {
  explicit Running(const std::string& folder) {
    auto opened = journal::Journal::open({.folder = folder + "/journal", .node = "plant-1", .own = {"acme/**"}}, clock);
    if (!opened) _exit(2);
    journal = *std::move(opened);
    journal->set_readers({history::kReaderName});
    history = std::make_unique<history::History>(
        history::HistoryOptions{.node = "plant-1", .path = folder + "/history.db", .texts = {"acme/**"}, .match = *Patterns::parse({"acme/**"}), .commit = 15ms}, clock);
    if (!history->start(ns, journal.get())) _exit(3);
  }
  ~Running() { history->stop(); }
  SystemClock clock;
  Namespace ns{clock};
  std::unique_ptr<journal::Journal> journal;
  std::unique_ptr<history::History> history;
};

// Until it is killed: appends, and tells the last value once it is durable.
[[noreturn]] void live(const std::string& folder, std::uint64_t life, int tell) {
  Running running(folder);
  Meta meta;
  meta.type = Type::float64;
  meta.every = true;
  const auto point = running.journal->intern_point(running.journal->own_stream(), "acme/a", meta);
  for (std::uint64_t next = life * kPerLife;;) {
    std::vector<journal::ChangeRecord> changes(40);
    for (auto& change : changes) {
      change.point = point;
      change.source_time = running.clock.utc();  // often the same for several
      change.value = Value::from(static_cast<double>(next++));
    }
    if (!running.journal->append_own(changes)) _exit(4);
    const Position head = running.journal->status().head;
    while (running.journal->durable() < head) std::this_thread::sleep_for(200us);
    const std::uint64_t last = next - 1;
    if (::write(tell, &last, sizeof last) != sizeof last) _exit(5);
  }
}

// Lets one live for a moment and kills it; the last value that it told as durable, if any.
std::optional<std::uint64_t> one_life(const std::string& folder, std::uint64_t life, std::chrono::microseconds after) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    live(folder, life, ends[1]);
  }
  ::close(ends[1]);
  pollfd told{ends[0], POLLIN, 0};
  ::poll(&told, 1, 20'000);  // from the first durable value on
  std::this_thread::sleep_for(after);
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself: " << WEXITSTATUS(status);
  std::optional<std::uint64_t> last;
  for (std::uint64_t value = 0; ::read(ends[0], &value, sizeof value) == sizeof value;) last = value;
  ::close(ends[0]);
  return last;
}

TEST(HistoryTorture, KilledAtAnyMomentItHasEachDurableChangeExactlyOnce) {
  const TempFolder folder;
  std::mt19937 random(std::random_device{}());
  std::map<std::uint64_t, std::uint64_t> durable;
  for (std::uint64_t life = 0; life < kLives; ++life) {
    const auto last = one_life(folder.path(), life, std::chrono::microseconds(random() % 120'000));
    if (last) durable[life] = *last;
  }
  ASSERT_GT(durable.size(), kLives / 2u);
  {
    Running running(folder.path());  // takes what the journal still has
    const auto behind = [&] { return running.journal->status().readers.front().behind; };
    for (int i = 0; i < 4000 && behind() > 0; ++i) std::this_thread::sleep_for(5ms);
    ASSERT_EQ(behind(), 0u);
  }
  auto database = history::Database::open(folder.path() + "/history.db", history::Database::Mode::read);
  ASSERT_TRUE(database) << database.error().message;
  EXPECT_EQ(*database->number("SELECT count(*) - count(DISTINCT value) FROM samples"), 0) << "something is there twice";
  std::uint64_t all = 0;
  for (const auto& [life, last] : durable) {
    const auto begin = life * kPerLife;
    const auto count = *database->number(("SELECT count(*) FROM samples WHERE value BETWEEN " + std::to_string(begin) + " AND " + std::to_string(last)).c_str());
    EXPECT_EQ(static_cast<std::uint64_t>(count), last - begin + 1) << "of life " << life << " something is missing";
    all += last - begin + 1;
  }
  // In the order in which they were made: by time, and by seq where the time is the same.
  EXPECT_EQ(*database->number("SELECT count(*) FROM (SELECT value < lag(value) OVER (ORDER BY time, seq) AS back FROM samples) WHERE back"), 0);
  std::printf("%d lives, %llu durable changes\n", kLives, static_cast<unsigned long long>(all));
}

}  // namespace
}  // namespace sallyport::tests
