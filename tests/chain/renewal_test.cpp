// Long life: keys and connections are renewed, addresses and certificates change, and no consumer sees any of it.
#include <gtest/gtest.h>

#include <csignal>

#include <boost/json.hpp>

#include <filesystem>

#include "harness.h"
#include "json.h"

namespace sallyport::tests {
namespace {

constexpr std::size_t kPoints = 50;

// A plant that dials, through what `dial` says, an office that listens and serves HTTP.
struct Two {
  TempFolder folder;
  Pki pki{folder.path() + "/pki"};
  std::uint16_t port = free_port(), http = free_port();
  Node plant, office;
  std::unique_ptr<Watcher> watcher;

  explicit Two(const std::string& link_keys, const std::string& dial = {})
      : plant(folder, pki, "plant",
              "[[source.simulator]]\nname = \"sim\"\ninto = \"acme\"\npoints = " + std::to_string(kPoints) + "\nrate = 500\nseed = 7\nshape = \"ramp\"\n" +
                  "[[link]]\nname = \"office\"\npeer = \"office\"\nsend = [\"**\"]\ndial = " + (dial.empty() ? "\"127.0.0.1:" + std::to_string(port) + "\"" : dial) +
                  "\n" + link_keys),
        office(folder, pki, "office",
               "[listen]\naddress = \"127.0.0.1:" + std::to_string(port) + "\"\n[[listen.peer]]\nname = \"plant\"\nreceive = [\"**\"]\n" +
                   "[http]\naddress = \"127.0.0.1:" + std::to_string(http) + "\"\n") {}
  testing::AssertionResult start() {
    office.start();
    if (!office.wait_ready()) return testing::AssertionFailure() << office.log();
    plant.start();
    if (!plant.wait_ready()) return testing::AssertionFailure() << plant.log();
    watcher = Watcher::sse(http);
    if (!watcher->wait_for_all("good", kPoints, seconds(20))) return testing::AssertionFailure() << plant.log() << office.log();
    begin = watcher->all().size();
    return testing::AssertionSuccess();
  }
  std::int64_t count(Node& node, const std::string& link, const std::string& field) { return std::atoll(node.link_field(link, field).c_str()); }
  // Nothing since all were good was anything else, nor older than what came before it.
  testing::AssertionResult unbroken() {
    std::map<std::string, std::string> newest;
    const auto all = watcher->all();
    for (std::size_t i = begin; i < all.size(); ++i) {
      if (all[i].path.starts_with("$sys")) continue;
      if (all[i].quality != "good") return testing::AssertionFailure() << all[i].path << " was " << all[i].status_name << ": " << all[i].cause_what << "\n" << plant.log() << office.log();
      std::string& last = newest[all[i].path];
      if (all[i].timestamp < last) return testing::AssertionFailure() << all[i].path << " went back from " << last << " to " << all[i].timestamp;
      last = all[i].timestamp;
    }
    if (newest.size() < kPoints) return testing::AssertionFailure() << "only " << newest.size() << " points changed";
    return testing::AssertionSuccess();
  }
  // As an administrator does it: issued elsewhere, then moved over the old files.
  void reissue(const std::string& name) {
    const std::string out = folder.path() + "/new";
    run({sallyport_program(), "keys", "issue", "--ca", pki.folder(), "--name", name, "--out", out});
    for (const char* kind : {".key", ".crt"}) std::filesystem::rename(out + "/" + name + kind, pki.folder() + "/" + name + kind);
  }
  std::size_t begin = 0;
};

TEST(Renewal, OfKeysIsSeenByNobody) {
  Two two("key_update = \"1s\"\n");
  ASSERT_TRUE(two.start());
  ASSERT_TRUE(eventually([&] { return two.count(two.plant, "office", "key_updates") >= 3; }, seconds(30))) << two.plant.log();
  EXPECT_EQ(two.count(two.plant, "office", "renewals"), 0);
  EXPECT_EQ(two.count(two.office, "plant", "connects"), 1);
  EXPECT_TRUE(two.unbroken());
}

TEST(Renewal, OfConnectionsIsSeenByNobody) {
  Two two("reconnect = \"1s\"\n");
  ASSERT_TRUE(two.start());
  ASSERT_TRUE(eventually([&] { return two.count(two.plant, "office", "renewals") >= 6; }, seconds(40))) << two.plant.log();
  EXPECT_GE(two.count(two.office, "plant", "renewals"), 5);
  EXPECT_EQ(two.count(two.office, "plant", "connects"), 1);
  EXPECT_EQ(two.count(two.office, "plant", "full_resends"), 1);
  EXPECT_TRUE(two.unbroken());
}

TEST(Renewal, FollowsCertificatesThatChangeOnDiskOnEitherSide) {
  Two two("one_way = \"off\"\n");   // a plant that reads acknowledgements only is not asked
  ASSERT_TRUE(two.start());
  const auto fingerprint = [](Node& node) { return text_at(node.status(), "certificate.sha256"); };
  const std::string plant_before = fingerprint(two.plant), office_before = fingerprint(two.office);
  two.reissue("plant");
  ASSERT_TRUE(eventually([&] { return two.count(two.plant, "office", "renewals") == 1; }, seconds(30))) << two.plant.log();
  EXPECT_NE(fingerprint(two.plant), plant_before);
  // The listening side cannot dial; it asks.
  two.reissue("office");
  ASSERT_TRUE(eventually([&] { return two.count(two.plant, "office", "renewals") == 2; }, seconds(30))) << two.plant.log() << two.office.log();
  EXPECT_NE(fingerprint(two.office), office_before);
  EXPECT_TRUE(two.unbroken());
}

TEST(Renewal, GoesOnWithTheOldCertificateWhenTheNewOneIsNoUse) {
  Two two("");
  ASSERT_TRUE(two.start());
  two.folder.write("pki/plant.crt", "no certificate\n");
  ASSERT_TRUE(eventually([&] { return two.plant.log().find("not taken over") != std::string::npos; }, seconds(30))) << two.plant.log();
  EXPECT_EQ(two.count(two.plant, "office", "renewals"), 0);
  EXPECT_EQ(two.plant.link_field("office", "state"), "up");
}

void restart(Node& node) {
  node.process().signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return !node.process().running(); }, seconds(20))) << node.log();
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
}

TEST(Restart, OfEitherSideSendsOnlyWhatChanged) {
  TempFolder folder;
  Pki pki(folder.path() + "/pki");
  const std::uint16_t port = free_port();
  Node plant(folder, pki, "plant",
             "[[source.simulator]]\nname = \"sim\"\ninto = \"acme\"\npoints = 20000\nrate = 0\n[[link]]\nname = \"office\"\npeer = \"office\"\nsend = [\"**\"]\ndial = \"127.0.0.1:" + std::to_string(port) + "\"\n");
  Node office(folder, pki, "office", "[listen]\naddress = \"127.0.0.1:" + std::to_string(port) + "\"\n[[listen.peer]]\nname = \"plant\"\nreceive = [\"**\"]\n");
  office.start();
  ASSERT_TRUE(office.wait_ready()) << office.log();
  plant.start();
  ASSERT_TRUE(plant.wait_ready()) << plant.log();
  const auto all_good = [&] { return office.points("good") == "20000" && plant.digest() == office.digest(); };
  ASSERT_TRUE(eventually(all_good, seconds(20))) << office.log();
  const auto count = [](Node& node, const char* link, const char* field) { return std::atoll(node.link_field(link, field).c_str()); };
  const std::int64_t everything = count(office, "plant", "receive.bytes");
  EXPECT_GT(everything, 20000 * 10);

  restart(office);
  EXPECT_EQ(office.points("total"), "20000") << "the last values are there at once";
  ASSERT_TRUE(eventually(all_good, seconds(20))) << office.log();
  EXPECT_EQ(count(office, "plant", "full_resends"), 0);
  EXPECT_LT(count(office, "plant", "receive.bytes"), everything / 10);

  restart(plant);
  ASSERT_TRUE(eventually(all_good, seconds(20))) << office.log();
  EXPECT_EQ(count(office, "plant", "full_resends"), 0);
  EXPECT_EQ(count(office, "plant", "resumes"), 2);

  // A crash keeps nothing that could be wrong: everything is sent again.
  plant.process().signal(SIGKILL);
  ASSERT_TRUE(eventually([&] { return !plant.process().running(); }, seconds(10)));
  plant.start();
  ASSERT_TRUE(plant.wait_ready());
  ASSERT_TRUE(eventually(all_good, seconds(20))) << office.log();
  EXPECT_EQ(count(office, "plant", "full_resends"), 1);
  EXPECT_EQ(count(office, "plant", "digest_mismatches"), 0);
}

TEST(Restart, WithADamagedFileStartsAnewAndSaysSo) {
  Two two("");
  ASSERT_TRUE(two.start());
  two.office.process().signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return !two.office.process().running(); }, seconds(20)));
  const auto mirror = std::filesystem::path(two.folder.path() + "/office-data") / "mirror";
  ASSERT_TRUE(std::filesystem::exists(mirror)) << two.office.log();
  std::filesystem::resize_file(mirror, std::filesystem::file_size(mirror) - 1);
  two.office.start();
  ASSERT_TRUE(two.office.wait_ready());
  EXPECT_NE(two.office.log().find("what was kept at the last stop is not used"), std::string::npos) << two.office.log();
  EXPECT_FALSE(std::filesystem::exists(mirror));
  EXPECT_TRUE(eventually([&] { return std::atoi(two.office.points("good").c_str()) == static_cast<int>(kPoints); }, seconds(20)));
}

TEST(Addresses, AreTriedInOrderAndTheFirstIsTakenAgainWithoutABreak) {
  const std::uint16_t port = free_port();
  Gate primary(port);
  primary.refuse(true);
  Two two("reconnect = \"2s\"\n", "[\"127.0.0.1:" + std::to_string(primary.port()) + "\", \"127.0.0.1:" + std::to_string(port) + "\"]");
  two.port = port;
  two.office.rewrite("[listen]\naddress = \"127.0.0.1:" + std::to_string(port) + "\"\n[[listen.peer]]\nname = \"plant\"\nreceive = [\"**\"]\n" +
                     "[http]\naddress = \"127.0.0.1:" + std::to_string(two.http) + "\"\n");
  ASSERT_TRUE(two.start());
  EXPECT_EQ(two.plant.link_field("office", "secondary"), "true");
  primary.refuse(false);
  ASSERT_TRUE(eventually([&] { return two.plant.link_field("office", "secondary") == "false"; }, seconds(30))) << two.plant.log();
  EXPECT_TRUE(two.unbroken());
  // And back, when the first breaks.
  primary.refuse(true);
  primary.reset();
  ASSERT_TRUE(eventually([&] { return two.plant.link_field("office", "secondary") == "true"; }, seconds(30))) << two.plant.log();
  EXPECT_TRUE(two.watcher->wait_for_all("good", kPoints, seconds(20)));
}

}  // namespace
}  // namespace sallyport::tests
