// Nothing comes back over a diode: not one packet, and the sender never looks.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "pair.h"
#include "strait.h"

namespace sallyport::tests {
namespace {

DiodePairOptions over(const Strait& strait, const std::string& port) {
  DiodePairOptions options;
  options.send = std::string("udp://") + Strait::kOfficeAddress + ":" + port;
  options.receive = options.send;
  options.plant_network = strait.plant();
  options.office_network = strait.office();
  return options;
}

std::string text_of(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

TEST(Diode, LetsNoPacketBackWhileTheMirrorIsComplete) {
  Strait strait;
  if (!strait.problem().empty()) GTEST_SKIP() << strait.problem();
  DiodePair pair(over(strait, "4500"));
  ASSERT_EQ(strait.came_back(), 0u);
  // The plant first: what it sends into nowhere must bring nothing back either.
  ASSERT_TRUE(pair.start_plant()) << pair.logs();
  std::this_thread::sleep_for(seconds(1));
  EXPECT_GT(strait.went_over(), 10u);
  ASSERT_TRUE(pair.start_office()) << pair.logs();
  ASSERT_TRUE(pair.complete()) << pair.logs();
  pair.office().process().kill();
  ASSERT_EQ(pair.office().process().wait(seconds(5)), 137);
  ASSERT_TRUE(pair.start_office()) << pair.logs();
  ASSERT_TRUE(pair.complete()) << pair.logs();
  pair.rest();
  EXPECT_TRUE(pair.equal()) << pair.logs();
  EXPECT_EQ(strait.came_back(), 0u);
  RecordProperty("packets_over", std::to_string(strait.went_over()));
  RecordProperty("packets_back", std::to_string(strait.came_back()));
}

TEST(Diode, SenderNeverReadsItsSocketAndListensOnNone) {
  if (run({"strace", "-V"}).code != 0) FAIL() << "strace is missing; scripts/setup installs it";
  DiodePairOptions options;
  options.points = 100;
  options.rate = 100;
  DiodePair pair(std::move(options));
  const std::string trace = pair.folder().path() + "/trace";
  ASSERT_TRUE(pair.start_office()) << pair.logs();
  // -D: the node is our child and strace its grandchild, so that ending the node ends both.
  ASSERT_TRUE(pair.start_plant({"strace", "-D", "-f", "-qq", "-yy", "-o", trace, "-e", "trace=recvfrom,recvmsg,recvmmsg,read,readv,sendmmsg,listen"})) << pair.logs();
  ASSERT_TRUE(pair.complete(seconds(40))) << pair.logs();
  const std::string listening = pair.plant().ask({"doctor"}).output;
  EXPECT_NE(listening.find("no TCP or UDP socket of this node waits for anybody"), std::string::npos) << listening;
  pair.plant().process().signal(15);
  pair.plant().process().wait(seconds(20));
  eventually([&] { return text_of(trace).find("+++ exited") != std::string::npos; }, seconds(5));
  std::istringstream lines(text_of(trace));
  std::size_t sent = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("sendmmsg") != std::string::npos) ++sent;
    else if (line.find("UDP") != std::string::npos || line.find("TCP") != std::string::npos) ADD_FAILURE() << line;
  }
  EXPECT_GT(sent, 10u);
}

TEST(Diode, CarriesSealsThatTheOfficeVerifies) {
  DiodePairOptions options;
  options.points = 100;
  options.plant_more = "[[seal]]\nmatch = [\"acme/**\"]\n";
  options.office_more = "[[verify]]\nmatch = [\"acme/**\"]\norigin = \"plant-1\"\n";
  DiodePair pair(std::move(options));
  ASSERT_TRUE(pair.start()) << pair.logs();
  ASSERT_TRUE(pair.complete()) << pair.logs();
  std::istringstream points(pair.office().ask({"read", "acme/**", "--json"}).output);
  std::size_t verified = 0;
  for (std::string line; std::getline(points, line);) verified += line.find("\"verified\":\"signed") != std::string::npos;
  EXPECT_EQ(verified, 100u);
  pair.office().process().kill();
  pair.office().process().wait(seconds(5));
  ASSERT_TRUE(pair.start_office());
  EXPECT_TRUE(pair.complete()) << pair.logs();
  pair.rest();
  EXPECT_TRUE(pair.equal()) << pair.logs();
}

// As an administrator does it: the new authority is trusted beside the old one, nodes get new certificates, the old one goes.
TEST(Diode, FollowsCertificatesOfANewAuthorityWithoutARestartOfThePlant) {
  DiodePair pair{{}};
  ASSERT_TRUE(pair.start()) << pair.logs();
  ASSERT_TRUE(pair.complete()) << pair.logs();
  const std::string pki = pair.folder().path() + "/pki", fresh = pair.folder().path() + "/fresh";
  ASSERT_EQ(run({sallyport_program(), "keys", "ca", "--out", fresh}).code, 0);
  for (const char* name : {"plant-1", "office-1"}) ASSERT_EQ(run({sallyport_program(), "keys", "issue", "--ca", fresh, "--name", name, "--out", fresh}).code, 0);
  const auto replace = [&](const std::string& name, const std::string& text) {
    std::ofstream(pki + "/next") << text;
    std::filesystem::rename(pki + "/next", pki + "/" + name);
  };
  const auto taken_over = [](Node& node) {
    const std::string log = node.log();
    std::size_t count = 0;
    for (std::size_t at = log.find("taken over"); at != std::string::npos; at = log.find("taken over", at + 1)) ++count;
    return count;
  };
  const std::string old_ca = text_of(pki + "/ca.crt"), new_ca = text_of(fresh + "/ca.crt");
  replace("ca.crt", old_ca + new_ca);
  ASSERT_TRUE(eventually([&] { return taken_over(pair.plant()) == 1 && taken_over(pair.office()) == 1; }, seconds(15))) << pair.logs();
  for (const char* name : {"plant-1", "office-1"}) {
    for (const char* kind : {".key", ".crt", ".sign.key", ".sign.crt"}) std::filesystem::rename(fresh + "/" + name + kind, pki + "/" + name + kind);
  }
  ASSERT_TRUE(eventually([&] { return taken_over(pair.plant()) == 2 && taken_over(pair.office()) == 2; }, seconds(15))) << pair.logs();
  replace("ca.crt", new_ca);
  pair.office().process().kill();
  pair.office().process().wait(seconds(5));
  ASSERT_TRUE(pair.start_office()) << pair.logs();
  EXPECT_TRUE(pair.complete(seconds(20))) << pair.logs();   // the plant announces under the new authority
}

}  // namespace
}  // namespace sallyport::tests
