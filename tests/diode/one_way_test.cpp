// Nothing comes back over a diode: not one packet, and the sender never looks.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace sallyport::tests
