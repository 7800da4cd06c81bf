// `diode = { … }`: what is read, and what each wrong combination is told.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "net/pki.h"
#include "net/receiver_key.h"
#include "node/config.h"
#include "node/test_folder.h"

namespace sallyport::node {
namespace {

class DiodeSettings : public testing::Test {
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
    ASSERT_TRUE(net::make_receiver_key("ai-1", pki));
  }
  static void TearDownTestSuite() { folder_.reset(); }

  Config read(const std::string& node, const std::string& rest) {
    problems_.clear();
    const std::string head = "[node]\nname = \"" + node + "\"\ndata_dir = \"data\"\n[identity]\ncertificate = \"pki/" + node + ".crt\"\nprivate_key = \"pki/" + node +
                             ".key\"\ntrust = \"pki/ca.crt\"\n";
    return read_config(folder_->write("node.toml", head + rest), connector_types(), problems_);
  }
  std::string all_problems() const {
    std::string out;
    for (const auto& problem : problems_) out += to_string(problem) + "\n";
    return out;
  }
  static std::unique_ptr<TestFolder> folder_;
  Problems problems_;
};
std::unique_ptr<TestFolder> DiodeSettings::folder_;

const std::string kPlant = "[[link]]\nname = \"d\"\npeer = \"office-1\"\nsend = [\"a/**\"]\n";
const std::string kOffice = "[[link]]\nname = \"d\"\npeer = \"plant-1\"\nreceive = [\"a/**\"]\n";
const std::string kReceiver = "receiver = \"pki/office-1.receiver.pub\"";
const std::string kKey = "key = \"pki/office-1.receiver.key\"";

TEST_F(DiodeSettings, OfBothEndsAreRead) {
  const Config plant = read("plant-1", kPlant + "diode = { send = \"udp://10.9.0.2:4500\", rate = \"100 Mbit/s\", " + kReceiver + ", max_staleness = \"5s\", redundancy = 0.5, repeat = 2, datagram_bytes = 1200 }\n");
  ASSERT_TRUE(problems_.empty()) << all_problems();
  ASSERT_TRUE(plant.links.at(0).options.diode);
  const auto& sends = *plant.links[0].options.diode;
  EXPECT_TRUE(sends.sends);
  EXPECT_EQ(to_string(sends.address), "udp://10.9.0.2:4500");
  EXPECT_EQ(sends.bits_per_second, 100'000'000u);
  EXPECT_EQ(sends.max_staleness, std::chrono::seconds(5));
  EXPECT_EQ(sends.redundancy, 0.5);
  EXPECT_EQ(sends.repeat, 2u);
  EXPECT_EQ(sends.datagram_bytes, 1200u);
  EXPECT_EQ(sends.keys.receiver->name, "office-1");
  EXPECT_TRUE(sends.keys.signer);
  EXPECT_EQ(sends.state_folder, folder_->path() + "/data/diode");
  const Config office = read("office-1", kOffice + "diode = { receive = \"tcp://[::]:4500\", " + kKey + " }\n");
  ASSERT_TRUE(problems_.empty()) << all_problems();
  const auto& receives = *office.links.at(0).options.diode;
  EXPECT_FALSE(receives.sends);
  EXPECT_EQ(receives.address.carrier, link::diode::Carrier::tcp);
  EXPECT_TRUE(receives.keys.key && receives.keys.trust);
}

TEST_F(DiodeSettings, OfTheSameTextAreTheSameLink) {
  const std::string text = kPlant + "diode = { send = \"udp://10.9.0.2:4500\", rate = \"100 Mbit/s\", " + kReceiver + " }\n";
  const Config one = read("plant-1", text), two = read("plant-1", text + "# moved\n");
  EXPECT_EQ(one.links.at(0).options, two.links.at(0).options);
}

TEST_F(DiodeSettings, OfTheExamplesAreRight) {
  for (const char* name : {"diode-plant.toml", "diode-office.toml"}) {
    std::ifstream in(std::string(SALLYPORT_SOURCE_DIR) + "/examples/" + name);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    ASSERT_FALSE(text.empty()) << name;
    problems_.clear();
    read_config(folder_->write("example.toml", text), connector_types(), problems_);
    EXPECT_TRUE(problems_.empty()) << name << "\n" << all_problems();
  }
}

TEST_F(DiodeSettings, ThatAreWrongAreToldWhatToDo) {
  struct Row {
    const char* node;
    std::string text, message;
  };
  const std::string to = "send = \"udp://10.9.0.2:4500\"", rate = "rate = \"100 Mbit/s\"", at = "receive = \"udp://0.0.0.0:4500\"";
  const Row rows[] = {
      {"plant-1", kPlant + "dial = \"x:1\"\ndiode = { " + to + ", " + rate + ", " + kReceiver + " }\n", "dial is for a connection"},
      {"plant-1", kPlant + "rate = \"1 Mbit/s\"\ndiode = { " + to + ", " + rate + ", " + kReceiver + " }\n", "it goes into diode"},
      {"plant-1", kPlant + "one_way = \"acks\"\ndiode = { " + to + ", " + rate + ", " + kReceiver + " }\n", "one_way is for a connection"},
      {"plant-1", kPlant + "receive = [\"b/**\"]\ndiode = { " + to + ", " + rate + ", " + kReceiver + " }\n", "leave out `receive` of the link"},
      {"plant-1", "[[link]]\nname = \"d\"\npeer = \"office-1\"\ndiode = { " + to + ", " + rate + ", " + kReceiver + " }\n", "carries nothing; add send"},
      {"plant-1", kPlant + "diode = { " + to + ", " + at + ", " + rate + ", " + kReceiver + " }\n", "leave out `send` or `receive` of the two"},
      {"plant-1", kPlant + "diode = { " + rate + ", " + kReceiver + " }\n", "where data goes in"},
      {"plant-1", kPlant + "diode = { send = \"10.9.0.2:4500\", " + rate + ", " + kReceiver + " }\n", "write udp://ADDRESS:PORT"},
      {"plant-1", kPlant + "diode = { send = \"udp://diode.example:4500\", " + rate + ", " + kReceiver + " }\n", "is no IP address"},
      {"plant-1", kPlant + "diode = { send = \"udp://10.9.0.2\", " + rate + ", " + kReceiver + " }\n", "the port is missing"},
      {"plant-1", kPlant + "diode = { send = \"udp://10.9.0.2:0\", " + rate + ", " + kReceiver + " }\n", "cannot send to port 0"},
      {"plant-1", kPlant + "diode = { " + to + ", " + kReceiver + " }\n", "rate is missing"},
      {"plant-1", kPlant + "diode = { " + to + ", rate = \"100 kbit/s\", " + kReceiver + " }\n", "heartbeats alone need"},
      {"plant-1", kPlant + "diode = { " + to + ", " + rate + " }\n", "keys receiver --name office-1"},
      {"plant-1", kPlant + "diode = { " + to + ", " + rate + ", receiver = \"pki/ai-1.receiver.pub\" }\n", "is the key of 'ai-1'"},
      {"plant-1", kPlant + "diode = { " + to + ", " + rate + ", receiver = \"pki/none.pub\" }\n", "none.pub"},
      {"plant-1", kPlant + "diode = { " + to + ", " + rate + ", receiver = \"pki/office-1.receiver.key\" }\n", "office-1.receiver.key"},
      {"plant-1", kPlant + "diode = { " + to + ", " + rate + ", " + kReceiver + ", " + kKey + " }\n", "private key stays where it receives"},
      {"plant-1", kPlant + "diode = { " + to + ", " + rate + ", " + kReceiver + ", max_staleness = \"3s\" }\n", "at least four times the heartbeat"},
      {"plant-1", kPlant + "diode = { " + to + ", " + rate + ", " + kReceiver + ", redundency = 1 }\n", "did you mean 'redundancy'"},
      {"office-1", kOffice + "diode = { " + at + " }\n", "keys receiver --name office-1"},
      {"office-1", kOffice + "diode = { " + at + ", key = \"pki/ai-1.receiver.key\" }\n", "is the key of 'ai-1'"},
      {"office-1", kOffice + "diode = { " + at + ", " + kKey + ", rate = \"1 Mbit/s\" }\n", "belongs to the end that sends"},
      {"office-1", kOffice + "send = [\"b/**\"]\ndiode = { " + at + ", " + kKey + " }\n", "leave out `send` of the link"},
      {"office-1", "[[link]]\nname = \"d\"\nreceive = [\"a/**\"]\ndiode = { " + at + ", " + kKey + " }\n", "peer"},
  };
  for (const Row& row : rows) {
    read(row.node, row.text);
    EXPECT_TRUE(std::ranges::any_of(problems_, [&](const Problem& p) { return !p.warning && p.message.contains(row.message); }))
        << "expected …" << row.message << "… of\n" << row.text << "got\n" << all_problems();
  }
}

TEST_F(DiodeSettings, OfASenderNeedKeysThatSign) {
  net::IssueRequest request;
  request.ca_folder = folder_->path() + "/pki";
  request.folder = folder_->path() + "/other";
  request.name = "plant-2";
  request.algorithm = net::KeyAlgorithm::ed25519;
  ASSERT_TRUE(net::issue_certificate(request));
  problems_.clear();
  read_config(folder_->write("node.toml", "[node]\nname = \"plant-2\"\ndata_dir = \"data\"\n[identity]\ncertificate = \"other/plant-2.crt\"\nprivate_key = \"other/plant-2.key\"\ntrust = \"pki/ca.crt\"\n" +
                                              kPlant + "diode = { send = \"udp://10.9.0.2:4500\", rate = \"100 Mbit/s\", " + kReceiver + " }\n"),
              connector_types(), problems_);
  EXPECT_NE(all_problems().find("signs what it announces"), std::string::npos) << all_problems();
}

}  // namespace
}  // namespace sallyport::node
