// The commands, each as a user types it.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <sstream>

#include "harness.h"
#include "json.h"

namespace sallyport::tests {
namespace {

namespace fs = std::filesystem;

Finished sallyport(std::vector<std::string> words, Clock::duration limit = seconds(20)) {
  words.insert(words.begin(), sallyport_program());
  return run(words, limit);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// --- Without a node
// ----------------------------------------------------------------------------------------------------

TEST(Commands, WithoutOneTheUsageIsShownAndTheExitCodeIsTwo) {
  EXPECT_EQ(sallyport({}).code, 2);
  EXPECT_EQ(sallyport({"fly"}).code, 2);
  EXPECT_EQ(sallyport({"status", "--colour"}).code, 2);
}

TEST(Commands, HelpNamesEveryCommand) {
  const auto help = sallyport({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* command : {"run", "check", "status", "browse", "read", "watch", "dump", "keys", "discover", "doctor",
                              "simulate", "version"}) {
    EXPECT_TRUE(help.output.contains(command)) << command;
    EXPECT_EQ(sallyport({command, "--help"}).code, 0) << command;
  }
}

TEST(Commands, VersionNamesTheLibraries) {
  const auto json = parse_json(sallyport({"version", "--json"}).output);
  ASSERT_TRUE(json);
  EXPECT_NE(text_at(*json, "version"), "");
  EXPECT_TRUE(text_at(*json, "openssl").starts_with("3."));
  EXPECT_NE(text_at(*json, "open62541"), "");
}

TEST(Check, PrintsEveryProblemWithItsPlaceAndFails) {
  const TempFolder folder;
  const auto file = folder.write("a.toml", "[node]\nname = \"a\"\ndata_dri = \"d\"\n[log]\nlevel = 3\n");
  const auto checked = sallyport({"check", "-c", file});
  EXPECT_EQ(checked.code, 1);
  EXPECT_TRUE(checked.output.contains("a.toml:3:1: ")) << checked.output;
  EXPECT_TRUE(checked.output.contains("data_dir")) << checked.output;
  EXPECT_TRUE(checked.output.contains("a.toml:5:")) << checked.output;
  const auto json = parse_json(sallyport({"check", "-c", file, "--json"}).output);
  ASSERT_TRUE(json);
  EXPECT_EQ(text_at(*json, "ok"), "false");
  EXPECT_EQ(text_at(*json, "problems.0.severity"), "error");
}

TEST(Check, PassesAGoodFile) {
  const TempFolder folder;
  const auto checked = sallyport({"check", "-c", folder.write("a.toml", "[node]\nname = \"a\"\ndata_dir = \"d\"\n")});
  EXPECT_EQ(checked.code, 0) << checked.output;
  EXPECT_TRUE(checked.output.contains("ok"));
}

TEST(Commands, SayHowToStartTheNodeThatDoesNotRun) {
  const TempFolder folder;
  const auto file = folder.write("a.toml", "[node]\nname = \"a\"\ndata_dir = \"d\"\n");
  const std::vector<std::vector<std::string>> commands = {{"status"},      {"browse"}, {"read", "**"},
                                                          {"watch", "**"}, {"dump"},   {"dump", "--digest"}};
  for (auto words : commands) {
    words.insert(words.end(), {"-c", file});
    const auto finished = sallyport(words);
    EXPECT_EQ(finished.code, 1) << words[0];
    EXPECT_TRUE(
        finished.error.contains("no node is running with " + file + ": start it with `sallyport run -c " + file + "`"))
        << finished.error;
    EXPECT_EQ(finished.output, "");
  }
}

TEST(Commands, SayThatTheSettingsFileIsMissing) {
  const auto finished = sallyport({"status", "-c", "/nowhere/x.toml"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_TRUE(finished.error.contains("/nowhere/x.toml")) << finished.error;
}

TEST(Keys, MakeIssueAndShowCertificates) {
  const TempFolder folder;
  const std::string pki = folder.path() + "/pki";
  ASSERT_EQ(sallyport({"keys", "ca", "--out", pki, "--name", "Plant CA"}).code, 0);
  EXPECT_TRUE(fs::exists(pki + "/ca.crt"));
  EXPECT_EQ(fs::status(pki + "/ca.key").permissions() & fs::perms::all, fs::perms::owner_read | fs::perms::owner_write);
  ASSERT_EQ(sallyport({"keys", "issue", "--ca", pki, "--name", "plant-1", "--out", pki}).code, 0);
  const auto shown = parse_json(sallyport({"keys", "show", pki + "/plant-1.crt", "--json"}).output);
  ASSERT_TRUE(shown);
  EXPECT_EQ(text_at(*shown, "name"), "plant-1");
  EXPECT_EQ(text_at(*shown, "algorithm"), "ML-DSA-65");
  EXPECT_TRUE(text_at(*shown, "issuer").contains("Plant CA"));
}

TEST(Keys, IssueMakesThePairThatSignsAndSignAddsIt) {
  const TempFolder folder;
  const std::string pki = folder.path() + "/pki";
  ASSERT_EQ(sallyport({"keys", "ca", "--out", pki}).code, 0);
  ASSERT_EQ(sallyport({"keys", "issue", "--ca", pki, "--name", "plant-1", "--out", pki}).code, 0);
  EXPECT_EQ(fs::status(pki + "/plant-1.sign.key").permissions() & fs::perms::all, fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(text_at(*parse_json(sallyport({"keys", "show", pki + "/plant-1.sign.crt", "--json"}).output), "algorithm"), "ED25519");
  const auto again = sallyport({"keys", "sign", "--ca", pki, "--name", "plant-1", "--out", pki});
  EXPECT_EQ(again.code, 1);
  EXPECT_TRUE(again.error.contains("exists already")) << again.error;
  fs::remove(pki + "/plant-1.sign.crt");
  fs::remove(pki + "/plant-1.sign.key");
  EXPECT_EQ(sallyport({"keys", "sign", "--ca", pki, "--name", "plant-1", "--out", pki}).code, 0);
  EXPECT_TRUE(fs::exists(pki + "/plant-1.sign.crt"));
}

TEST(Keys, MakeAndShowTheKeyOfAReceiver) {
  const TempFolder folder;
  ASSERT_EQ(sallyport({"keys", "receiver", "--name", "ai-1", "--out", folder.path()}).code, 0);
  const auto shown = parse_json(sallyport({"keys", "show", folder.path() + "/ai-1.receiver.pub", "--json"}).output);
  const auto secret = parse_json(sallyport({"keys", "show", folder.path() + "/ai-1.receiver.key", "--json"}).output);
  ASSERT_TRUE(shown && secret);
  EXPECT_EQ(text_at(*shown, "name"), "ai-1");
  EXPECT_EQ(text_at(*shown, "algorithm"), "X-Wing");
  EXPECT_EQ(text_at(*secret, "algorithm"), "X-Wing private");
  EXPECT_EQ(text_at(*shown, "sha256"), text_at(*secret, "sha256"));
  EXPECT_EQ(sallyport({"keys", "receiver", "--name", "ai-1", "--out", folder.path()}).code, 1);
}

TEST(Keys, ACertificateIsRenewedBesideThePairThatSigns) {
  const TempFolder folder;
  const std::string stem = folder.path() + "/plant-1";
  ASSERT_EQ(sallyport({"keys", "ca", "--out", folder.path()}).code, 0);
  const std::vector<std::string> issue{"keys", "issue", "--ca", folder.path(), "--name", "plant-1", "--out", folder.path()};
  ASSERT_EQ(sallyport(issue).code, 0);
  for (const char* kind : {".crt", ".key"}) std::filesystem::remove(stem + kind);
  const auto again = sallyport(issue);
  EXPECT_EQ(again.code, 0) << again.error;
  EXPECT_TRUE(again.output.contains("kept " + stem + ".sign.crt")) << again.output;
  EXPECT_TRUE(std::filesystem::exists(stem + ".crt"));
}

TEST(Keys, NeverOverwriteAndSaySo) {
  const TempFolder folder;
  ASSERT_EQ(sallyport({"keys", "ca", "--out", folder.path(), "--algorithm", "ed25519"}).code, 0);
  const auto again = sallyport({"keys", "ca", "--out", folder.path()});
  EXPECT_EQ(again.code, 1);
  EXPECT_TRUE(again.error.contains("ca.")) << again.error;
}

TEST(Keys, WrongUseIsExplained) {
  const TempFolder folder;
  EXPECT_EQ(sallyport({"keys"}).code, 2);
  EXPECT_EQ(sallyport({"keys", "ca", "--out", folder.path(), "--algorithm", "rsa"}).code, 2);
  EXPECT_EQ(sallyport({"keys", "show", folder.path() + "/none.crt"}).code, 1);
  EXPECT_EQ(sallyport({"keys", "issue", "--ca", folder.path(), "--name", "x", "--out", folder.path()}).code, 1);
}

// --- With a node
// -------------------------------------------------------------------------------------------------------

class RunningNode : public testing::Test {
 protected:
  RunningNode() : pki_(folder_.path() + "/pki", "ed25519") {}
  void SetUp() override { start("[[source.simulator]]\nname = \"sim\"\ninto = \"acme/sim\"\npoints = 50\nrate = 0\n"); }
  void start(const std::string& config) {
    node_ = std::make_unique<Node>(folder_, pki_, "plant-1", config);
    node_->start();
    ASSERT_TRUE(node_->wait_ready()) << node_->log();
    ASSERT_TRUE(eventually([this] { return node_->points("good") == "50"; }, seconds(10))) << node_->log();
  }

  TempFolder folder_;
  Pki pki_;
  std::unique_ptr<Node> node_;
};

TEST_F(RunningNode, StatusHasTheFieldsThatScriptsLeanOn) {
  const auto status = node_->status();
  EXPECT_EQ(text_at(status, "node"), "plant-1");
  EXPECT_EQ(text_at(status, "points.good"), "50");
  EXPECT_EQ(text_at(status, "points.uncertain"), "0");
  EXPECT_EQ(text_at(status, "points.bad"), "0");
  EXPECT_EQ(text_at(status, "links"), "[]");
  EXPECT_EQ(text_at(status, "sources.0.name"), "sim");
  EXPECT_EQ(text_at(status, "sources.0.state"), "up");
  EXPECT_EQ(text_at(status, "sinks"), "[]");
  const auto human = node_->ask({"status"});
  EXPECT_EQ(human.code, 0);
  EXPECT_TRUE(human.output.contains("plant-1") && human.output.contains("50 good")) << human.output;
  EXPECT_FALSE(human.output.contains('\x1b')) << "colours without a terminal";
}

TEST_F(RunningNode, BrowseGoesDownLevelByLevel) {
  EXPECT_TRUE(node_->ask({"browse"}).output.contains("acme"));
  const auto below = node_->ask({"browse", "acme", "--json"});
  EXPECT_EQ(below.code, 0);
  EXPECT_EQ(below.output, "{\"name\":\"sim\",\"is_point\":false,\"points_below\":50}\n");
  EXPECT_EQ(node_->ask({"browse", "acme/none"}).code, 1);
}

TEST_F(RunningNode, ReadPrintsPointsAndFailsWhenNothingMatches) {
  const auto all = node_->ask({"read", "acme/**", "--json"});
  EXPECT_EQ(all.code, 0);
  const auto lines = lines_of(all.output);
  ASSERT_EQ(lines.size(), 50u);
  const auto point = parse_json(lines[0]);
  ASSERT_TRUE(point);
  const std::string path = text_at(*point, "path");
  EXPECT_EQ(text_at(*point, "quality"), "good");
  EXPECT_EQ(text_at(*point, "origin"), "plant-1");
  const auto one = node_->ask({"read", path});
  EXPECT_EQ(one.code, 0);
  EXPECT_TRUE(one.output.contains(path)) << one.output;
  const auto none = node_->ask({"read", "acme/smi/**"});
  EXPECT_EQ(none.code, 1);
  EXPECT_TRUE(none.error.contains("did you mean 'acme/sim'?")) << none.error;
}

TEST_F(RunningNode, WatchBeginsWithTheStateAndStopsWhenTold) {
  const auto watched = node_->ask({"watch", "acme/**", "--json", "--count", "50"});
  EXPECT_EQ(watched.code, 0) << watched.error;
  EXPECT_EQ(lines_of(watched.output).size(), 50u);
  const auto briefly = node_->ask({"watch", "acme/**", "--seconds", "0.3"});
  EXPECT_EQ(briefly.code, 0) << briefly.error;
  EXPECT_EQ(lines_of(briefly.output).size(), 50u);
}

TEST_F(RunningNode, DumpIsSortedAndLeavesOutTheNodesOwnPoints) {
  const auto dumped = node_->ask({"dump"});
  EXPECT_EQ(dumped.code, 0);
  const auto lines = lines_of(dumped.output);
  EXPECT_EQ(lines.size(), 50u);
  EXPECT_TRUE(std::ranges::is_sorted(lines));
  EXPECT_FALSE(dumped.output.contains("$sys"));
}

TEST_F(RunningNode, NothingCanBeWritten) {
  const std::string before = node_->digest();
  const std::string path = text_at(*parse_json(lines_of(node_->ask({"read", "acme/**", "--json"}).output).at(0)), "path");
  const Finished refused = node_->ask({"write", path, "1"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.error.find(path + " cannot be written: it comes from "), std::string::npos) << refused.error;
  EXPECT_EQ(node_->ask({"write", "no/such/point", "1"}).code, 1);
  EXPECT_EQ(node_->digest(), before);
}

TEST_F(RunningNode, DigestIsAStableSha256) {
  const auto digest = node_->ask({"dump", "--digest"});
  EXPECT_EQ(digest.code, 0);
  EXPECT_EQ(digest.output.size(), 65u);
  EXPECT_EQ(node_->ask({"dump", "--digest"}).output, digest.output);
  EXPECT_NE(node_->ask({"dump", "--digest", "acme/none/**"}).output, digest.output);
}

TEST_F(RunningNode, ShowsItselfAsPointsUnderSys) {
  // Told once a second: the first time may be before the source has begun.
  EXPECT_TRUE(eventually([this] { return node_->ask({"read", "$sys/plant-1/sources/sim/state", "--json"}).output.contains("\"value\":\"up\""); }, seconds(5)))
      << node_->ask({"read", "$sys/plant-1/sources/sim/state", "--json"}).output;
  EXPECT_TRUE(eventually(
      [this] {
        return node_->ask({"read", "$sys/plant-1/points/good", "--json"}).output.contains("\"value\":\"50\"") ||
               node_->ask({"read", "$sys/plant-1/points/good", "--json"}).output.contains("\"value\":50,");
      },
      seconds(5)));
}

TEST_F(RunningNode, DoctorFindsNoSocketThatListens) {
  const auto finished = node_->ask({"doctor", "--json"});
  EXPECT_EQ(finished.code, 0) << finished.output;
  const auto findings = parse_json(finished.output);
  ASSERT_TRUE(findings);
  EXPECT_TRUE(finished.output.contains("nothing: no TCP or UDP socket")) << finished.output;
  for (const char* about : {"certificate", "clock", "disk", "openssl", "open62541", "limits"}) {
    EXPECT_TRUE(finished.output.contains("\"about\":\"" + std::string(about) + "\"")) << about;
  }
  node_->process().signal(SIGTERM);
  node_->process().wait(seconds(10));
  EXPECT_TRUE(node_->ask({"doctor"}).output.contains("not running"));
}

TEST_F(RunningNode, ThatIsFrozenIsSaidToBe) {
  node_->process().freeze();
  const auto status = node_->ask({"status"});
  node_->process().thaw();
  EXPECT_EQ(status.code, 1);
  EXPECT_TRUE(status.error.contains("does not answer")) << status.error;
}

TEST(Simulate, IsAPlantThatDiscoverFinds) {
  const TempFolder folder;
  Plant plant(folder, {"--tags", "20"});
  const auto found = sallyport({"discover", plant.endpoint()});
  EXPECT_EQ(found.code, 0) << found.error;
  EXPECT_TRUE(found.output.contains("[[source.opcua]]")) << found.output;
  EXPECT_TRUE(found.output.contains("nsu=urn:sallyport:plant;s=Plant")) << found.output;
  const auto json = parse_json(sallyport({"discover", plant.endpoint(), "--json"}).output);
  ASSERT_TRUE(json);
  EXPECT_EQ(text_at(*json, "endpoints.0.security"), "none");
  plant.process().signal(SIGTERM);
  EXPECT_EQ(plant.process().wait(seconds(10)), 0);
}

TEST(Simulate, SaysWhenItsPortIsTaken) {
  const TempFolder folder;
  Plant plant(folder, {});
  const std::string address = plant.endpoint().substr(std::string("opc.tcp://").size());
  const auto second = sallyport({"simulate", "--listen", address});
  EXPECT_EQ(second.code, 1);
  EXPECT_TRUE(second.error.contains("error: ")) << second.error;
}

TEST(Discover, SaysWhenNobodyIsThere) {
  const auto finished = sallyport({"discover", "opc.tcp://127.0.0.1:" + std::to_string(free_port())}, seconds(60));
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.error, "");
  EXPECT_EQ(sallyport({"discover", "http://127.0.0.1:1"}).code, 1);
}

}  // namespace
}  // namespace sallyport::tests
