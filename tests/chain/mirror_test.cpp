// Promise 2: a mirror is a mirror, over one hop as over four: once the source rests, every node holds the same.
#include <gtest/gtest.h>

#include <csignal>

#include "harness.h"

namespace sallyport::tests {
namespace {

std::string simulator(int points, int rate, const std::string& shape = "random-walk") {
  return "[[source.simulator]]\nname = \"sim\"\ninto = \"acme/line1\"\npoints = " + std::to_string(points) +
         "\nrate = " + std::to_string(rate) + "\nseed = 7\nshape = \"" + shape + "\"\n";
}

bool all_equal(const std::vector<std::string>& digests) {
  for (const auto& digest : digests) {
    if (digest.empty() || digest != digests.front()) return false;
  }
  return true;
}

testing::AssertionResult digests_agree(Chain& chain, Clock::duration limit = seconds(15)) {
  std::vector<std::string> digests;
  if (eventually([&] { return all_equal(digests = chain.digests()); }, limit)) return testing::AssertionSuccess();
  auto result = testing::AssertionFailure();
  for (const auto& digest : digests) result << "\n" << digest;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    result << "\n" << chain.node(i).name() << ": " << chain.node(i).ask({"dump"}).output.substr(0, 600);
  }
  return result << "\n" << chain.logs();
}

// The source of an OPC UA plant that rests when told to.
struct OpcUaChain {
  TempFolder folder;
  Plant plant{folder, {}};
  Chain chain;
  explicit OpcUaChain(int nodes) : chain(options(plant, nodes)) {}
  static ChainOptions options(const Plant& plant, int nodes) {
    ChainOptions options;
    options.nodes = nodes;
    options.source = "[[source.opcua]]\nname = \"line1\"\nendpoint = \"" + plant.endpoint() +
                     "\"\ninto = \"acme/line1\"\nbrowse = [\"nsu=urn:sallyport:plant;s=Plant\"]\nsecurity = \"none\"\npublishing_interval = \"100ms\"\n";
    return options;
  }
};

TEST(Mirror, HoldsTheSameOnThreeNodesOnceTheOpcUaServerRests) {
  OpcUaChain setup(3);
  setup.chain.start();
  ASSERT_TRUE(eventually([&] { return std::atoi(setup.chain.last().points("good").c_str()) > 0; }, seconds(30))) << setup.chain.logs();
  setup.plant.process().signal(SIGUSR1);
  EXPECT_TRUE(digests_agree(setup.chain));
  // The digest is no empty word: the dump itself is the same, line by line.
  const std::string dump = setup.chain.first().ask({"dump"}).output;
  EXPECT_FALSE(dump.empty());
  EXPECT_EQ(dump, setup.chain.last().ask({"dump"}).output);
}

class MirrorOver : public testing::TestWithParam<int> {};

TEST_P(MirrorOver, NodesHoldsTheSameOnceTheSourceRests) {
  ChainOptions options;
  options.nodes = GetParam();
  options.source = simulator(500, 0);
  Chain chain(options);
  chain.start();
  ASSERT_TRUE(chain.wait_points(500)) << chain.logs();
  EXPECT_TRUE(digests_agree(chain));
}
INSTANTIATE_TEST_SUITE_P(Chain, MirrorOver, testing::Values(2, 3, 4, 5), testing::PrintToStringParamName());

TEST(Mirror, HoldsTheSameOnFourNodesWhoseLinksRunOnThreeThreadsEach) {
  ChainOptions options;
  options.nodes = 4;
  options.threads = 3;
  options.source = simulator(500, 0);
  Chain chain(options);
  chain.start();
  ASSERT_TRUE(chain.wait_points(500)) << chain.logs();
  EXPECT_TRUE(digests_agree(chain));
  EXPECT_NE(chain.node(1).link_field("n-1", "loop"), chain.node(1).link_field("n-3", "loop"));
  // The hops behind a link on one thread are told over a link on another.
  const auto told = [&] { return chain.last().ask({"status", "--json"}).output; };
  EXPECT_TRUE(eventually([&] { return told().contains("\"n-2\""); }, seconds(5))) << told();
  chain.node(1).process().kill();
  chain.node(1).process().wait(seconds(5));
  ASSERT_TRUE(eventually([&] { return chain.last().points("bad") != "0"; }, seconds(10)));
  chain.start_node(1);
  EXPECT_TRUE(chain.wait_points(500)) << chain.logs();
  EXPECT_TRUE(digests_agree(chain));
  // A clean stop, with links on every thread.
  chain.node(2).process().signal(SIGTERM);
  EXPECT_EQ(chain.node(2).process().wait(seconds(10)), 0) << chain.node(2).log();
}

TEST(Mirror, IsRightAgainAfterTheMiddleWasKilledWhileValuesChanged) {
  OpcUaChain setup(3);
  Chain& chain = setup.chain;
  chain.start();
  ASSERT_TRUE(eventually([&] { return std::atoi(chain.last().points("good").c_str()) > 0; }, seconds(30))) << chain.logs();
  chain.node(1).process().kill();
  chain.node(1).process().wait(seconds(5));
  std::this_thread::sleep_for(seconds(1));
  setup.plant.process().signal(SIGUSR1);  // rests while the middle is away
  chain.start_node(1);
  EXPECT_TRUE(digests_agree(chain, seconds(30)));
  EXPECT_EQ(chain.last().points("bad"), "0");
}

TEST(Mirror, LosesAtEveryNodeThePointsThatVanishAtTheSource) {
  ChainOptions options;
  options.source = simulator(50, 50);
  Chain chain(options);
  chain.start();
  ASSERT_TRUE(chain.wait_points(50)) << chain.logs();
  const auto mqtt = Watcher::mqtt(chain.broker().port());
  ASSERT_TRUE(mqtt->wait_for_all("good", 50, seconds(10)));
  // The plant node comes back with fewer points, as after a change of its configuration.
  chain.first().process().signal(SIGTERM);
  ASSERT_EQ(chain.first().process().wait(seconds(10)), 0) << chain.first().log();
  const std::string config = [&] {
    std::string text;
    text = simulator(30, 0) + "[[link]]\nname = \"n-2\"\ndial = \"127.0.0.1:" + std::to_string(chain.port(1)) +
           "\"\npeer = \"n-2\"\nsend = [\"**\"]\n";
    return text;
  }();
  chain.first().rewrite(config);
  chain.start_node(0);
  EXPECT_TRUE(chain.wait_points(30, seconds(20))) << chain.logs();
  EXPECT_EQ(chain.last().points("bad"), "0");
  EXPECT_TRUE(digests_agree(chain));
  EXPECT_TRUE(eventually([&] { return mqtt->latest().size() == 30; }, seconds(5))) << "retained messages stayed";
}

TEST(Mirror, ShowsTheNegotiatedGroupOfEachLink) {
  Chain chain;
  chain.start();
  ASSERT_TRUE(chain.wait_points(20)) << chain.logs();
  EXPECT_EQ(chain.first().link_field("n-2", "group"), "X25519MLKEM768");
  EXPECT_EQ(chain.last().link_field("n-2", "group"), "X25519MLKEM768");
  EXPECT_EQ(chain.node(1).link_field("n-1", "state"), "up");
  EXPECT_EQ(chain.node(1).link_field("n-3", "peer"), "n-3");
}

TEST(Mirror, CarriesValueTypeQualitySourceTimeAndOriginUnchangedToHttpAndMqtt) {
  ChainOptions options;
  options.source = simulator(5, 0);
  Chain chain(options);
  chain.start();
  ASSERT_TRUE(chain.wait_points(5)) << chain.logs();
  const auto mqtt = Watcher::mqtt(chain.broker().port());
  const auto sse = Watcher::sse(chain.http_port());
  ASSERT_TRUE(mqtt->wait_for_all("good", 5, seconds(10)));
  ASSERT_TRUE(sse->wait_for_all("good", 5, seconds(10)));
  std::istringstream dump(chain.first().ask({"dump"}).output);
  int points = 0;
  for (std::string line; std::getline(dump, line); ++points) {
    const auto at_plant = parse_point(line);
    ASSERT_TRUE(at_plant) << line;
    for (const auto& latest : {mqtt->latest(), sse->latest()}) {
      ASSERT_TRUE(latest.contains(at_plant->path)) << line;
      const Seen& seen = latest.at(at_plant->path);
      EXPECT_EQ(seen.value, at_plant->value);
      EXPECT_EQ(seen.status, at_plant->status);
      EXPECT_EQ(seen.timestamp, at_plant->timestamp);
      EXPECT_EQ(seen.origin, "n-1");
    }
  }
  EXPECT_EQ(points, 5);
}

}  // namespace
}  // namespace sallyport::tests
