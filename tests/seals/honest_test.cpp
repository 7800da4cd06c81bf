// Seals through nodes that do as they should: hops need no setting for them, and nothing that happens to a chain costs more
// than it would without.
#include <gtest/gtest.h>

#include <fstream>

#include "office.h"

namespace sallyport::tests {
namespace {

constexpr std::size_t kPoints = 100;

struct Sealed {
  explicit Sealed(int nodes, const std::string& seal = "", bool gated = false, const std::string& last = "") {
    ChainOptions options;
    options.nodes = nodes;
    options.broker = false;
    options.gated = gated;
    options.source = "[[source.simulator]]\nname = \"sim\"\ninto = \"acme/line1\"\npoints = " + std::to_string(kPoints) +
                     "\nrate = 500\nseed = 7\nshape = \"ramp\"\n[[seal]]\nmatch = [\"acme/**\"]\npoints_per_seal = 16\n" + seal;
    options.last_extra = "[[verify]]\nmatch = [\"acme/**\"]\norigin = \"n-1\"\n" + last;
    chain = std::make_unique<Chain>(std::move(options));
  }
  std::map<std::string, Shown> shown() const { return shown_at(chain->http_port()); }
  bool wait_good(std::size_t points = kPoints, Clock::duration limit = seconds(30)) const {
    // Each point changes five times a second: what is good and old is left from before.
    return eventually([&] {
      const auto now = shown();
      return count_good(now) == points && std::ranges::all_of(now, [](const auto& point) { return point.second.age < 2; });
    }, limit);
  }
  std::unique_ptr<Chain> chain;
};

TEST(SealedChain, FourHopsThatKnowNothingOfSealsCarryThem) {
  Sealed sealed(5);
  sealed.chain->start();
  ASSERT_TRUE(sealed.wait_good()) << sealed.chain->logs();
  for (const auto& [path, point] : sealed.shown()) EXPECT_TRUE(point.verified.starts_with("signed")) << path << " " << point.verified;
  EXPECT_EQ(stream_field(sealed.chain->last(), "state"), "live");
  const auto read = sealed.chain->last().ask({"read", "acme/line1/area-1/**"});
  EXPECT_NE(read.output.find("VERIFIED"), std::string::npos) << read.output;
  EXPECT_NE(sealed.chain->last().ask({"status"}).output.find("VERIFIES"), std::string::npos);
  const auto metrics = http_get(sealed.chain->http_port(), "/metrics").body;
  EXPECT_NE(metrics.find("sallyport_verify_live{origin=\"n-1\",prefix=\"acme\"} 1"), std::string::npos) << metrics;
  // A node that verifies nothing says nothing of it.
  EXPECT_EQ(sealed.chain->node(1).ask({"read", "acme/line1/area-1/**", "--json"}).output.find("verified"), std::string::npos);
}

TEST(SealedChain, ALinkThatIsCutIsToldAndHealed) {
  Sealed sealed(3, "", true);
  sealed.chain->start();
  ASSERT_TRUE(sealed.wait_good()) << sealed.chain->logs();
  sealed.chain->gate(0).refuse(true);
  sealed.chain->gate(0).reset();
  ASSERT_TRUE(eventually([&] { return count_good(sealed.shown()) == 0; }, seconds(8)));
  EXPECT_EQ(sealed.shown().size(), kPoints) << "values stay";
  sealed.chain->gate(0).refuse(false);
  EXPECT_TRUE(sealed.wait_good()) << sealed.chain->logs();
}

TEST(SealedChain, PointsThatComeAndGoAtTheOriginDoSoAtTheEnd) {
  Sealed sealed(3);
  const std::string file = sealed.chain->first().config_file();
  sealed.chain->start();
  ASSERT_TRUE(sealed.wait_good()) << sealed.chain->logs();
  std::ifstream in(file);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto at = text.find("into = \"acme/line1\"");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 19, "into = \"acme/line2\"");
  std::ofstream(file, std::ios::trunc) << text;
  sealed.chain->first().process().signal(1);
  EXPECT_TRUE(eventually([&] {
    const auto shown = sealed.shown();
    return count_good(shown) == kPoints && std::ranges::all_of(shown, [](const auto& point) { return point.first.starts_with("acme/line2/"); });
  }, seconds(20)));
}

TEST(SealedChain, ASourceThatIsLostIsSeenAtTheEndAsItsOriginSaysIt) {
  const TempFolder folder;
  Plant plant(folder, {});
  ChainOptions options;
  options.broker = false;
  options.source = "[[source.opcua]]\nname = \"plc\"\ninto = \"acme\"\nendpoint = \"" + plant.endpoint() + "\"\nbrowse = [\"nsu=urn:sallyport:plant;s=Plant\"]\nsecurity = \"none\"\npublishing_interval = \"100ms\"\n[[seal]]\nmatch = [\"acme/**\"]\n";
  options.last_extra = "[[verify]]\nmatch = [\"acme/**\"]\norigin = \"n-1\"\n";
  Chain chain(options);
  chain.start();
  ASSERT_TRUE(eventually([&] { return count_good(shown_at(chain.http_port())) >= 20; }, seconds(30))) << chain.logs();
  const std::size_t points = shown_at(chain.http_port()).size();
  plant.process().kill();
  ASSERT_TRUE(eventually([&] { return count_good(shown_at(chain.http_port())) == 0; }, seconds(15)));
  const auto shown = shown_at(chain.http_port());
  EXPECT_EQ(shown.size(), points);
  for (const auto& [path, point] : shown) {
    EXPECT_EQ(point.status_name, "BadNoCommunication") << path;
    EXPECT_TRUE(point.verified.starts_with("signed")) << path << ": the origin signed that, too";
  }
  EXPECT_EQ(stream_field(chain.last(), "state"), "live");
  plant.start();
  EXPECT_TRUE(eventually([&] { return count_good(shown_at(chain.http_port())) == points; }, seconds(30))) << chain.logs();
}

TEST(SealedChain, ASlowLinkConflatesSealsAndStaysVerified) {
  Sealed sealed(3, "", true);
  sealed.chain->start();
  ASSERT_TRUE(sealed.wait_good()) << sealed.chain->logs();
  sealed.chain->gate(0).trickle(60'000);
  const auto end = Clock::now() + seconds(6);
  double oldest = 0;
  while (Clock::now() < end) {
    for (const auto& [path, point] : sealed.shown()) {
      if (point.quality == "good") oldest = std::max(oldest, point.age);
    }
    std::this_thread::sleep_for(milliseconds(200));
  }
  EXPECT_LT(oldest, 9.0) << "good, but older than max_age and timeout allow";
  sealed.chain->gate(0).trickle(0);
  EXPECT_TRUE(sealed.wait_good());
  EXPECT_EQ(stream_field(sealed.chain->last(), "refused.signature"), "0");
  EXPECT_EQ(stream_field(sealed.chain->last(), "refused.malformed"), "0");
}

TEST(SealedChain, EachNodeMayBeRestarted) {
  Sealed sealed(3);
  sealed.chain->start();
  ASSERT_TRUE(sealed.wait_good()) << sealed.chain->logs();
  for (std::size_t i = 0; i < 3; ++i) {
    for (const bool killed : {false, true}) {
      Node& node = sealed.chain->node(i);
      if (killed) node.process().kill();
      else node.process().signal(15);
      node.process().wait(seconds(10));
      sealed.chain->start_node(i);
      ASSERT_TRUE(sealed.wait_good()) << "node " << i << (killed ? ", killed" : "") << "\n" << sealed.chain->logs();
    }
  }
}

}  // namespace
}  // namespace sallyport::tests
