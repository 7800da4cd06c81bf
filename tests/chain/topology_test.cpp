// More than a chain: a redundant pair of plant nodes, a node put in the middle, edges that survive conflation.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include <csignal>
#include <set>

#include "harness.h"
#include "json.h"

namespace sallyport::tests {
namespace {

std::string simulator(int points, int rate, const std::string& more = {}) {
  return "[[source.simulator]]\nname = \"sim\"\ninto = \"acme\"\npoints = " + std::to_string(points) + "\nrate = " + std::to_string(rate) +
         "\nseed = 7\nshape = \"ramp\"\n" + more;
}
std::string dials(std::uint16_t port, const std::string& peer, const std::string& traffic) {
  return "[[link]]\nname = \"" + peer + "\"\npeer = \"" + peer + "\"\ndial = \"127.0.0.1:" + std::to_string(port) + "\"\n" + traffic + " = [\"**\"]\n";
}
std::string listens(std::uint16_t port) { return "[listen]\naddress = \"127.0.0.1:" + std::to_string(port) + "\"\n"; }
std::string peer(const std::string& name, const std::string& traffic, const std::string& more = {}) {
  return "[[listen.peer]]\nname = \"" + name + "\"\n" + traffic + " = [\"**\"]\n" + more;
}
std::string serves(std::uint16_t port) { return "[http]\naddress = \"127.0.0.1:" + std::to_string(port) + "\"\n"; }

testing::AssertionResult start(std::vector<Node*> nodes) {
  for (Node* node : nodes) node->start();
  for (Node* node : nodes) {
    if (!node->wait_ready()) return testing::AssertionFailure() << node->log();
  }
  return testing::AssertionSuccess();
}

// No point that goes back; and the origins by which each was seen.
testing::AssertionResult never_backwards(const std::vector<Seen>& all) {
  std::map<std::string, std::string> newest;
  for (const Seen& seen : all) {
    if (seen.path.starts_with("$sys")) continue;
    std::string& last = newest[seen.path];
    if (seen.timestamp < last) return testing::AssertionFailure() << seen.path << " went back from " << last << " to " << seen.timestamp;
    last = seen.timestamp;
  }
  return testing::AssertionSuccess();
}

bool all_from(const Watcher& watcher, const std::string& origin, std::size_t points) {
  const auto latest = watcher.latest();
  std::size_t found = 0;
  for (const auto& [path, seen] : latest) found += seen.origin == origin && seen.quality == "good" ? 1u : 0u;
  return found == points;
}

TEST(RedundantPair, IsOnePointOfThePreferredPlantNodeAsLongAsItLives) {
  constexpr std::size_t kPoints = 30;
  TempFolder folder;
  Pki pki(folder.path() + "/pki");
  const std::uint16_t port = free_port(), http = free_port();
  Node first(folder, pki, "plant-a", simulator(kPoints, 300) + dials(port, "dmz", "send"));
  Node second(folder, pki, "plant-b", simulator(kPoints, 300) + dials(port, "dmz", "send"));
  Node dmz(folder, pki, "dmz", listens(port) + peer("plant-a", "receive") + peer("plant-b", "receive", "rank = 1\n") + peer("ai", "send"));
  Node ai(folder, pki, "ai", dials(port, "dmz", "receive") + serves(http));
  ASSERT_TRUE(start({&dmz, &ai, &second, &first}));
  const auto watcher = Watcher::sse(http, "acme/**");
  ASSERT_TRUE(eventually([&] { return all_from(*watcher, "plant-a", kPoints); }, seconds(20))) << dmz.log();
  EXPECT_EQ(watcher->latest().size(), kPoints);

  first.process().signal(SIGKILL);
  const auto killed = Clock::now();
  ASSERT_TRUE(eventually([&] { return all_from(*watcher, "plant-b", kPoints); }, seconds(10))) << dmz.log();
  const auto taken = Clock::now() - killed;
  EXPECT_LT(taken, seconds(3));
  std::printf("the standby's values were at the last node %.3f s after the kill\n", std::chrono::duration<double>(taken).count());

  first.start();
  ASSERT_TRUE(eventually([&] { return all_from(*watcher, "plant-a", kPoints); }, seconds(20))) << dmz.log();
  EXPECT_EQ(watcher->latest().size(), kPoints);
  EXPECT_TRUE(never_backwards(watcher->all()));
  // To the preferred one and back to it nothing was ever bad but in the moment of the kill.
  for (const Seen& seen : watcher->all()) {
    if (seen.quality == "good" || seen.when < killed) continue;
    EXPECT_LT(seen.when - killed, seconds(3)) << seen.path << " " << seen.status_name;
  }
}

TEST(Inserting, ANodeInTheMiddleChangesOnlyTheNeighboursAddress) {
  constexpr std::size_t kPoints = 20;
  TempFolder folder;
  Pki pki(folder.path() + "/pki");
  const std::uint16_t port = free_port(), middle_port = free_port(), http = free_port();
  Node plant(folder, pki, "plant", simulator(kPoints, 200) + dials(port, "office", "send"));
  Node office(folder, pki, "office", listens(port) + peer("plant", "receive") + peer("dmz", "receive") + serves(http));
  Node dmz(folder, pki, "dmz", listens(middle_port) + peer("plant", "receive") + dials(port, "office", "send"));
  ASSERT_TRUE(start({&office, &plant}));
  const auto watcher = Watcher::sse(http, "acme/**");
  ASSERT_TRUE(watcher->wait_for_all("good", kPoints, seconds(20)));
  ASSERT_TRUE(start({&dmz}));
  plant.rewrite(simulator(kPoints, 200) + dials(middle_port, "dmz", "send"));
  plant.process().signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return dmz.points("good") == std::to_string(kPoints); }, seconds(20))) << plant.log() << dmz.log();
  ASSERT_TRUE(eventually([&] { return plant.digest() == office.digest() || office.points("good") == std::to_string(kPoints); }, seconds(20)));
  ASSERT_TRUE(watcher->wait_for_all("good", kPoints, seconds(20))) << office.log();
  EXPECT_EQ(watcher->latest().size(), kPoints);
  EXPECT_EQ(watcher->latest().begin()->second.origin, "plant");
  EXPECT_TRUE(never_backwards(watcher->all()));
}

TEST(Delivery, KeepsTheEdgesOfABurstForThePointsThatAskForThem) {
  TempFolder folder;
  Pki pki(folder.path() + "/pki");
  const std::uint16_t port = free_port(), http = free_port();
  // Each tick of 100 ms is one batch with twenty changes of each point.
  Node plant(folder, pki, "plant", "[[delivery]]\nmatch = \"acme/**/p*1\"\nburst = 3\n" + simulator(2, 400, "tick = \"100ms\"\n") + dials(port, "ai", "send"));
  Node ai(folder, pki, "ai", listens(port) + peer("plant", "receive") + serves(http));
  ASSERT_TRUE(start({&ai, &plant}));
  const auto watcher = Watcher::sse(http, "acme/**");
  ASSERT_TRUE(eventually([&] { return watcher->all().size() > 120; }, seconds(20))) << plant.log();
  std::map<std::string, std::vector<double>> values;
  for (const Seen& seen : watcher->all()) values[seen.path].push_back(std::atof(seen.value.c_str()));
  ASSERT_EQ(values.size(), 2u);
  const auto in_a_row = [](const std::vector<double>& list) {
    std::size_t count = 0;
    for (std::size_t i = 1; i < list.size(); ++i) count += list[i] - list[i - 1] == 1.0 ? 1u : 0u;
    return static_cast<double>(count) / static_cast<double>(list.size());
  };
  const auto& asked = values.begin()->first.ends_with("1") ? values.begin()->second : values.rbegin()->second;
  const auto& not_asked = values.begin()->first.ends_with("1") ? values.rbegin()->second : values.begin()->second;
  EXPECT_GT(in_a_row(asked), 0.5) << "two of each three are the successor of what came before";
  EXPECT_GT(asked.size(), not_asked.size());
}

}  // namespace
}  // namespace sallyport::tests
