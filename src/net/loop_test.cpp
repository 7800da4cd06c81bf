#include "net/loop.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace sallyport::net {
namespace {

using namespace std::chrono_literals;

TEST(Loop, RunsPostedTasksInOrder) {
  Loop loop;
  std::vector<int> order;
  for (int i = 0; i < 3; ++i) loop.post([&order, i] { order.push_back(i); });
  loop.post([&loop] { loop.stop(); });
  loop.run();
  EXPECT_EQ(order, (std::vector{0, 1, 2}));
}

TEST(Loop, TakesTasksFromOtherThreadsAndRunsThemOnItsOwn) {
  Loop loop;
  bool on_loop = false;
  bool off_loop = true;
  std::thread other([&] {
    loop.post([&] {
      on_loop = loop.on_loop_thread();
      loop.post([&loop] { loop.stop(); });
    });
  });
  loop.post([&] { std::thread([&] { off_loop = loop.on_loop_thread(); }).join(); });
  loop.run();
  other.join();
  EXPECT_TRUE(on_loop);
  EXPECT_FALSE(off_loop);
  EXPECT_TRUE(loop.on_loop_thread());
}

TEST(Loop, RemembersAStopThatCameBeforeRun) {
  Loop loop;
  loop.stop();
  loop.run();
  bool ran = false;
  loop.post([&] {
    ran = true;
    loop.stop();
  });
  loop.run();
  EXPECT_TRUE(ran);
}

TEST(Timer, FiresOnceAfterItsDelay) {
  Loop loop;
  Timer timer(loop);
  Timer end(loop);
  int fired = 0;
  timer.after(5ms, [&] { ++fired; });
  end.after(60ms, [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(fired, 1);
}

TEST(Timer, IsReplacedByASecondStart) {
  Loop loop;
  Timer timer(loop);
  std::vector<int> fired;
  timer.after(1ms, [&] { fired.push_back(1); });
  timer.after(10ms, [&] {
    fired.push_back(2);
    loop.stop();
  });
  loop.run();
  EXPECT_EQ(fired, std::vector{2});
}

// Both waits complete in the same turn of the loop; the first callback destroys the second timer, whose completion is
// already queued.
TEST(Timer, NeverFiresAfterItsDestructionEvenWhenAlreadyDue) {
  Loop loop;
  Timer first(loop);
  std::optional<Timer> second(std::in_place, loop);
  Timer end(loop);
  bool fired = false;
  first.after(1ms, [&] { second.reset(); });
  second->after(1ms, [&] { fired = true; });
  end.after(40ms, [&] { loop.stop(); });
  loop.post([] { std::this_thread::sleep_for(10ms); });
  loop.run();
  EXPECT_FALSE(fired);
}

TEST(Timer, MayBeDestroyedOrRestartedInItsOwnCallback) {
  Loop loop;
  auto timer = std::make_unique<Timer>(loop);
  int fired = 0;
  timer->after(1ms, [&] {
    ++fired;
    timer->after(1ms, [&] {
      ++fired;
      timer.reset();
      loop.stop();
    });
  });
  loop.run();
  EXPECT_EQ(fired, 2);
}

}  // namespace
}  // namespace sallyport::net
