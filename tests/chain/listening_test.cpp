// Promise 1: nothing listens on the plant, and a node dials only what it was told to dial. Asked of the kernel, by ss and
// strace, not of the program.
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>

#include "harness.h"

namespace sallyport::tests {
namespace {

// An OPC UA plant on this side of the cable, so that in the plant's network there is the node alone.
std::string opcua_source(const Plant& plant) {
  return "[[source.opcua]]\nname = \"line1\"\nendpoint = \"" + plant.endpoint() +
         "\"\ninto = \"acme/line1\"\nbrowse = [\"nsu=urn:sallyport:plant;s=Plant\"]\nsecurity = \"none\"\npublishing_interval = \"100ms\"\n";
}

class PlantNetwork : public testing::Test {
 protected:
  void SetUp() override {
    if (!cable_.problem().empty()) GTEST_SKIP() << cable_.problem();
    plant_.emplace(folder_, std::vector<std::string>{}, cable_.here_address());
    dmz_port_ = free_port();
    ai_port_ = free_port();
    const std::string here = cable_.here_address() + ":" + std::to_string(dmz_port_);
    node_.emplace(folder_, pki_, "plant-1",
                  opcua_source(*plant_) + "[[link]]\nname = \"dmz\"\ndial = \"" + here + "\"\npeer = \"dmz-1\"\nsend = [\"**\"]\n",
                  cable_.plant());
    dmz_.emplace(folder_, pki_, "dmz-1",
                 "[listen]\naddress = \"" + here + "\"\n[[listen.peer]]\nname = \"plant-1\"\nreceive = [\"**\"]\n"
                 "[http]\naddress = \"127.0.0.1:" + std::to_string(ai_port_) + "\"\n");
    dmz_->start();
    ASSERT_TRUE(dmz_->wait_ready()) << dmz_->log();
  }

  bool flowing() {
    return eventually([this] { return dmz_->points("good") != "0" && !dmz_->points("good").empty(); }, seconds(20));
  }

  TempFolder folder_;
  Pki pki_{folder_.path() + "/pki"};
  Cable cable_;
  std::optional<Plant> plant_;
  std::optional<Node> node_, dmz_;
  std::uint16_t dmz_port_ = 0, ai_port_ = 0;
};

TEST_F(PlantNetwork, HasNoListeningSocketWhileValuesLeaveIt) {
  node_->start();
  ASSERT_TRUE(node_->wait_ready()) << node_->log();
  ASSERT_TRUE(flowing()) << node_->log() << dmz_->log();
  for (const char* kinds : {"-Hlnt", "-Hlnu", "-Hlnw"}) {
    const Finished sockets = run({"ss", kinds}, seconds(10), cable_.plant());
    EXPECT_EQ(sockets.output, "") << kinds;
  }
  // The question is a real one: the same asked on this side shows the DMZ node.
  EXPECT_NE(run({"ss", "-Hlnt"}).output.find(":" + std::to_string(dmz_port_)), std::string::npos);
}

// "connect(12, {sa_family=AF_INET, sin_port=htons(4433), sin_addr=inet_addr("198.18.0.1")}, 16)"
std::set<std::string> addresses_in(const std::string& trace_file) {
  static const std::regex v4(R"re(sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\))re");
  static const std::regex v6(R"re(sin6_port=htons\((\d+)\).*inet_pton\(AF_INET6, "([^"]+)")re");
  std::set<std::string> addresses;
  std::ifstream in(trace_file);
  for (std::string line; std::getline(in, line);) {
    std::smatch match;
    if (std::regex_search(line, match, v4) || std::regex_search(line, match, v6)) {
      addresses.insert(match[2].str() + ":" + match[1].str());
    }
  }
  return addresses;
}

TEST_F(PlantNetwork, IsLeftOnlyTowardsConfiguredAddressesAlsoAfterACut) {
  const std::string trace = folder_.path() + "/trace";
  // -D: the node is our child and strace its grandchild, so that ending the node ends both.
  node_->start({"strace", "-D", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg,bind,listen", "-o", trace});
  ASSERT_TRUE(node_->wait_ready()) << node_->log();
  ASSERT_TRUE(flowing()) << node_->log() << dmz_->log();
  dmz_->process().kill();
  dmz_->process().wait(seconds(5));
  dmz_->start();
  ASSERT_TRUE(dmz_->wait_ready());
  ASSERT_TRUE(flowing()) << node_->log() << dmz_->log();
  node_->process().signal(15);
  EXPECT_EQ(node_->process().wait(seconds(10)), 0) << node_->log();
  const std::string server = plant_->endpoint().substr(std::string("opc.tcp://").size());
  const std::string dmz = cable_.here_address() + ":" + std::to_string(dmz_port_);
  const std::set<std::string> told{server, dmz};
  eventually([&] { return addresses_in(trace) == told; }, seconds(2));
  EXPECT_EQ(addresses_in(trace), told);
}

// What a process listens on, as "address:port".
std::set<std::string> listeners_of(pid_t pid) {
  std::set<std::string> found;
  std::istringstream in(run({"ss", "-Hlntup"}).output);
  for (std::string line; std::getline(in, line);) {
    if (line.find("pid=" + std::to_string(pid) + ",") == std::string::npos) continue;
    std::istringstream columns(line);
    std::string kind, state, received, sent, local;
    columns >> kind >> state >> received >> sent >> local;
    found.insert(local);
  }
  return found;
}

TEST(Listening, IsDoneByEachNodeOnlyWhereItWasToldTo) {
  Chain chain;
  chain.start();
  ASSERT_TRUE(chain.wait_points(20)) << chain.logs();
  EXPECT_EQ(listeners_of(chain.first().process().pid()), std::set<std::string>{});
  EXPECT_EQ(listeners_of(chain.node(1).process().pid()), (std::set{"127.0.0.1:" + std::to_string(chain.port(1))}));
  EXPECT_EQ(listeners_of(chain.last().process().pid()), (std::set{"127.0.0.1:" + std::to_string(chain.http_port())}));
}

}  // namespace
}  // namespace sallyport::tests
