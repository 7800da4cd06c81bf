// [[seal]] and [[verify]]: what is read, what it means for links, and what each wrong setting is told.
#include <gtest/gtest.h>

#include "net/pki.h"
#include "net/receiver_key.h"
#include "node/config.h"
#include "node/test_folder.h"
#include "seal/paths.h"

namespace sallyport::node {
namespace {

class SealSettings : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TestFolder>();
    const std::string pki = folder_->path() + "/pki";
    ASSERT_TRUE(net::make_ca({.folder = pki, .name = "test CA"}));
    for (const char* name : {"plant-1", "office-1"}) {
      net::IssueRequest request;
      request.ca_folder = request.folder = pki;
      request.name = name;
      ASSERT_TRUE(net::issue_certificate(request));
    }
    ASSERT_TRUE(net::make_receiver_key("office-1", pki));
  }
  static void TearDownTestSuite() { folder_.reset(); }

  Config read(const std::string& node, const std::string& rest, bool identity = true) {
    problems_.clear();
    std::string head = "[node]\nname = \"" + node + "\"\ndata_dir = \"data\"\n";
    if (identity) head += "[identity]\ncertificate = \"pki/" + node + ".crt\"\nprivate_key = \"pki/" + node + ".key\"\ntrust = \"pki/ca.crt\"\n";
    return read_config(folder_->write("node.toml", head + rest), connector_types(), problems_);
  }
  std::string all_problems() const {
    std::string out;
    for (const auto& problem : problems_) out += to_string(problem) + "\n";
    return out;
  }
  void expect_problem(const std::string& node, const std::string& text, const std::string& told) {
    read(node, text);
    EXPECT_TRUE(has_errors(problems_)) << text;
    EXPECT_NE(all_problems().find(told), std::string::npos) << text << "\n" << all_problems();
  }
  static std::unique_ptr<TestFolder> folder_;
  Problems problems_;
};
std::unique_ptr<TestFolder> SealSettings::folder_;

const std::string kSends = "[[link]]\nname = \"d\"\npeer = \"dmz-1\"\ndial = \"h:1\"\nsend = [\"acme/**\"]\n";
const std::string kReceives = "[[link]]\nname = \"d\"\npeer = \"dmz-1\"\ndial = \"h:1\"\nreceive = [\"acme/**\", \"other/**\"]\n";
const std::string kSeal = "[[seal]]\nmatch = [\"acme/berlin/**\"]\n";
const std::string kVerify = "[[verify]]\nmatch = [\"acme/berlin/**\"]\norigin = \"plant-1\"\n";

std::string container(const std::string& prefix = "acme/berlin") { return seal::container_path("plant-1", prefix, seal::Kind::values, 4); }

TEST_F(SealSettings, AreReadWithTheirDefaults) {
  const Config config = read("plant-1", kSends + kSeal);
  ASSERT_TRUE(problems_.empty()) << all_problems();
  ASSERT_EQ(config.seals.size(), 1u);
  EXPECT_EQ(config.seals[0].interval, std::chrono::milliseconds(100));
  EXPECT_EQ(config.seals[0].heartbeat, std::chrono::seconds(1));
  EXPECT_EQ(config.seals[0].checkpoint, std::chrono::seconds(5));
  EXPECT_EQ(config.seals[0].points_per_seal, 64u);
  EXPECT_TRUE(config.seals[0].plain);
  const Config office = read("office-1", kReceives + kVerify);
  ASSERT_TRUE(problems_.empty()) << all_problems();
  ASSERT_EQ(office.verifies.size(), 1u);
  EXPECT_EQ(office.verifies[0].timeout, std::chrono::seconds(3));
  EXPECT_EQ(office.verifies[0].max_age, std::chrono::seconds(5));
}

TEST_F(SealSettings, EachLinkCarriesTheSealsOfWhatItCarries) {
  const Config hop = read("office-1", kReceives + "[[link]]\nname = \"on\"\npeer = \"x\"\ndial = \"h:1\"\nsend = [\"acme/berlin/**\"]\n");
  ASSERT_TRUE(problems_.empty()) << all_problems();
  EXPECT_TRUE(hop.links[0].options.receive.matches(container()));
  EXPECT_TRUE(hop.links[1].options.send.matches(container()));
  EXPECT_FALSE(hop.links[1].options.send.matches(container("acme")));
}

TEST_F(SealSettings, WhatIsVerifiedComesFromNoLink) {
  const Config office = read("office-1", kReceives + kVerify);
  const Patterns& receive = office.links[0].options.receive;
  EXPECT_FALSE(receive.matches("acme/berlin/line1/temp"));
  EXPECT_TRUE(receive.matches("acme/paris/temp"));
  EXPECT_TRUE(receive.matches("other/x"));
  EXPECT_TRUE(receive.matches(container()));
}

TEST_F(SealSettings, WhatIsConfidentialLeavesInNoLinkInTheClear) {
  const Config plant = read("plant-1", kSends + kSeal + "readers = [\"pki/office-1.receiver.pub\"]\n");
  ASSERT_TRUE(problems_.empty()) << all_problems();
  EXPECT_EQ(plant.seals[0].readers.size(), 1u);
  EXPECT_FALSE(plant.seals[0].plain);
  const Patterns& send = plant.links[0].options.send;
  EXPECT_FALSE(send.matches("acme/berlin/line1/temp"));
  EXPECT_TRUE(send.matches("acme/paris/temp"));
  EXPECT_TRUE(send.matches(container()));
}

TEST_F(SealSettings, WarnOfWhatWillNotWork) {
  read("plant-1", "[[link]]\nname = \"d\"\npeer = \"dmz-1\"\ndial = \"h:1\"\nsend = [\"acme/berlin/line1/**\"]\n" + kSeal);
  EXPECT_FALSE(has_errors(problems_));
  EXPECT_NE(all_problems().find("but not their seals"), std::string::npos) << all_problems();
  read("plant-1", kSends + "[[delivery]]\nmatch = \"acme/berlin/alarms/**\"\nmode = \"every\"\n" + kSeal);
  EXPECT_NE(all_problems().find("travels by the journal, unsealed"), std::string::npos) << all_problems();
  read("office-1", "[[link]]\nname = \"d\"\npeer = \"dmz-1\"\ndial = \"h:1\"\nreceive = [\"other/**\"]\n" + kVerify);
  EXPECT_NE(all_problems().find("no link of this node receives"), std::string::npos) << all_problems();
}

TEST_F(SealSettings, EachMistakeIsToldWithWhatToDo) {
  expect_problem("plant-1", "[[seal]]\n", "match");
  expect_problem("plant-1", "[[seal]]\nmatch = []\n", "write match = ");
  expect_problem("plant-1", "[[seal]]\nmatch = [\"a//b\"]\n", "empty level");
  expect_problem("plant-1", "[[seal]]\nmatch = [\"$sys/**\"]\n", "belong to the nodes themselves");
  expect_problem("plant-1", kSeal + kSeal, "another [[seal]]");
  expect_problem("plant-1", kSeal + "readers = [\"pki/office-1.receiver.key\"]\n", "office-1.receiver");
  expect_problem("plant-1", kSeal + "readers = [\"pki/none.pub\"]\n", "none.pub");
  expect_problem("plant-1", kSeal + "readers = [\"pki/office-1.receiver.pub\"]\nplain = true\n", "leave `plain` out");
  expect_problem("plant-1", "[[seal]]\nmatch = [\"acme/**\", \"!acme/x/**\"]\nplain = false\n", "without '!'");
  expect_problem("plant-1", kSeal + "points_per_seal = 0\n", "points_per_seal");
  expect_problem("plant-1", kSeal + "intervall = \"1s\"\n", "interval");
  expect_problem("office-1", "[[verify]]\nmatch = [\"acme/**\"]\n", "origin");
  expect_problem("office-1", "[[verify]]\nmatch = [\"acme/**\"]\norigin = \"office-1\"\n", "this node itself");
  expect_problem("office-1", "[[verify]]\nmatch = [\"acme/**\", \"!acme/x/**\"]\norigin = \"plant-1\"\n", "no exclusions");
  expect_problem("office-1", kVerify + kVerify, "already");
  expect_problem("office-1", kVerify + "[[verify]]\nmatch = [\"acme/**\"]\norigin = \"plant-2\"\n", "one origin");
  expect_problem("office-1", kVerify + "key = \"pki/office-1.receiver.pub\"\n", "office-1.receiver");
  read("plant-1", kSeal, false);
  EXPECT_NE(all_problems().find("needs an [identity]"), std::string::npos) << all_problems();
  read("office-1", kVerify, false);
  EXPECT_NE(all_problems().find("needs an [identity]"), std::string::npos) << all_problems();
}

}  // namespace
}  // namespace sallyport::node
