// `sallyport run`: starting, refusing to start, reloading, stopping.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "harness.h"
#include "json.h"

namespace sallyport::tests {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSource = "[[source.simulator]]\nname = \"sim\"\ninto = \"acme/sim\"\npoints = 20\nrate = 0\n";

std::string source(const std::string& name, int points) {
  return "[[source.simulator]]\nname = \"" + name + "\"\ninto = \"acme/" + name +
         "\"\npoints = " + std::to_string(points) + "\nrate = 0\n";
}

class Run : public testing::Test {
 protected:
  Run() : pki_(folder_.path() + "/pki", "ed25519") {}
  Node make(const std::string& name, const std::string& config) { return Node(folder_, pki_, name, config); }
  // Starts what must refuse to, and returns what it says.
  Finished refused(Node& node) { return run({sallyport_program(), "run", "-c", node.config_file()}, seconds(20)); }

  TempFolder folder_;
  Pki pki_;
};

TEST_F(Run, SigtermStopsItWithinFiveSecondsAndWithoutError) {
  auto node = make("plant-1", kSource);
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  node.process().signal(SIGTERM);
  EXPECT_EQ(node.process().wait(seconds(6)), 0) << node.log();
  EXPECT_FALSE(fs::exists(folder_.path() + "/plant-1-data/admin.sock"));
}

TEST_F(Run, StartsAgainAfterItWasKilled) {
  auto node = make("plant-1", kSource);
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  node.process().kill();
  node.process().wait(seconds(5));
  EXPECT_TRUE(fs::exists(folder_.path() + "/plant-1-data/admin.sock"));  // stale
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  EXPECT_EQ(text_at(node.status(), "node"), "plant-1");
}

TEST_F(Run, RefusesADataDirThatAnotherNodeUses) {
  auto node = make("plant-1", kSource);
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  const auto second = refused(node);
  EXPECT_EQ(second.code, 1);
  EXPECT_TRUE(second.error.contains("used by another node (process " + std::to_string(node.process().pid()) + ")"))
      << second.error;
}

TEST_F(Run, RefusesADataDirThatCannotBeWritten) {
  auto node = make("plant-1", "");
  folder_.write("plant-1-data", "a file");
  const auto finished = refused(node);
  EXPECT_EQ(finished.code, 1);
  EXPECT_TRUE(finished.error.contains("not a folder")) << finished.error;
}

TEST_F(Run, RefusesAPortInUseWithItsPlace) {
  const auto port = std::to_string(free_port());
  const std::string listen =
      "[listen]\naddress = \"127.0.0.1:" + port + "\"\n[[listen.peer]]\nname = \"x\"\nreceive = [\"**\"]\n";
  auto first = make("dmz-1", listen);
  auto second = make("dmz-2", listen);
  first.start();
  ASSERT_TRUE(first.wait_ready()) << first.log();
  const auto finished = refused(second);
  EXPECT_EQ(finished.code, 1);
  EXPECT_TRUE(finished.error.contains("dmz-2.toml:")) << finished.error;
  EXPECT_TRUE(finished.error.contains("in use")) << finished.error;
}

TEST_F(Run, RefusesAnHttpPortInUse) {
  const auto port = std::to_string(free_port());
  const std::string http = "[http]\naddress = \"127.0.0.1:" + port + "\"\n";
  auto first = make("a-1", http);
  auto second = make("a-2", http);
  first.start();
  ASSERT_TRUE(first.wait_ready()) << first.log();
  EXPECT_EQ(refused(second).code, 1);
}

TEST_F(Run, RefusesSettingsWithErrorsAndPrintsThemAll) {
  auto node = make("plant-1", "[lnik]\n[log]\nlevel = \"x\"\n");
  const auto finished = refused(node);
  EXPECT_EQ(finished.code, 1);
  EXPECT_TRUE(finished.error.contains("lnik") && finished.error.contains("level")) << finished.error;
  EXPECT_FALSE(finished.error.contains("ready"));
}

TEST_F(Run, TakesADataDirWhoseNameIsLong) {
  const std::string data_dir = folder_.path() + "/" + std::string(150, 'x');
  const auto file = folder_.write("a.toml", "[node]\nname = \"a\"\ndata_dir = \"" + data_dir + "\"\n");
  const Process process({sallyport_program(), "run", "-c", file},
                        {.network_of = 0, .output_file = folder_.path() + "/log", .output_fd = -1});
  EXPECT_TRUE(eventually([&] { return run({sallyport_program(), "status", "-c", file}).code == 0; }, seconds(10)));
}

TEST_F(Run, WarnsOfAPatternThatMatchesNothingAndNamesTheNearest) {
  auto node =
      make("plant-1", std::string(kSource) +
                          "[[sink.file]]\nname = \"out\"\npath = \"out.ndjson\"\npublish = [\"acme/smi/**\"]\n");
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  EXPECT_TRUE(eventually(
      [&] { return node.log().contains("'acme/smi/**' matches no point; did you mean 'acme/sim'?"); }, seconds(20)))
      << node.log();
  EXPECT_TRUE(text_at(node.status(), "hints").contains("acme/smi/**"));
}

// --- Reload
// ------------------------------------------------------------------------------------------------------------

TEST_F(Run, ReloadChangesSourcesOneByOne) {
  auto node = make("plant-1", source("one", 10) + source("two", 10));
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  ASSERT_TRUE(eventually([&] { return node.points("good") == "20"; }, seconds(10)));
  const std::string since = text_at(node.status(), "sources.0.since");
  node.rewrite(source("one", 10) + source("two", 15) + source("three", 5));
  node.process().signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return node.points("good") == "30"; }, seconds(10))) << node.log();
  EXPECT_EQ(text_at(node.status(), "sources.0.name"), "one");
  EXPECT_EQ(text_at(node.status(), "sources.0.since"), since);
  node.rewrite(source("one", 10) + source("two", 7));
  node.process().signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return node.points("good") == "17" && node.points("total") == "17"; }, seconds(10)))
      << node.log();
}

TEST_F(Run, ReloadOfAFileWithErrorsChangesNothingAndSaysSo) {
  auto node = make("plant-1", kSource);
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  node.rewrite("[lnik]\n");
  node.process().signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return node.log().contains("not reloaded"); }, seconds(10)));
  EXPECT_TRUE(node.log().contains("lnik")) << node.log();
  EXPECT_EQ(text_at(node.status(), "sources.0.name"), "sim");
  EXPECT_EQ(node.points("good"), "20");
}

TEST_F(Run, ReloadSaysWhatOnlyARestartTakesOver) {
  auto node = make("plant-1", kSource);
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  node.rewrite(std::string(kSource) + "[limits]\npoints = 1000\n");
  node.process().signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return node.log().contains("[limits]"); }, seconds(10))) << node.log();
}

// --- Two nodes
// ---------------------------------------------------------------------------------------------------------

class TwoNodes : public Run {
 protected:
  TwoNodes() : port_(free_port()) {}
  std::string dmz_config(const std::string& more = {}) {
    return "[listen]\naddress = \"127.0.0.1:" + std::to_string(port_) +
           "\"\n[[listen.peer]]\nname = \"plant-1\"\nreceive = [\"acme/**\"]\n" + more;
  }
  std::string plant_config(const std::string& more = {}) {
    return std::string(kSource) + "[[link]]\nname = \"dmz\"\ndial = \"127.0.0.1:" + std::to_string(port_) +
           "\"\npeer = \"dmz-1\"\nsend = [\"acme/**\"]\n" + more;
  }
  std::uint16_t port_;
};

TEST_F(TwoNodes, MirrorEachOtherOverAPostQuantumLink) {
  auto dmz = make("dmz-1", dmz_config());
  auto plant = make("plant-1", plant_config());
  dmz.start();
  plant.start();
  ASSERT_TRUE(dmz.wait_ready() && plant.wait_ready()) << dmz.log() << plant.log();
  ASSERT_TRUE(plant.wait_link("dmz", "up", seconds(15))) << plant.log();
  ASSERT_TRUE(eventually([&] { return dmz.points("good") == "20"; }, seconds(15))) << dmz.log();
  EXPECT_EQ(plant.link_field("dmz", "group"), "X25519MLKEM768");
  EXPECT_EQ(dmz.link_field("plant-1", "group"), "X25519MLKEM768");
  const std::string digest = plant.digest();
  EXPECT_EQ(digest.size(), 64u);
  EXPECT_TRUE(eventually([&] { return dmz.digest() == digest; }, seconds(5)));
  EXPECT_TRUE(dmz.ask({"doctor"}).output.contains("127.0.0.1:" + std::to_string(port_)));
  EXPECT_TRUE(dmz.ask({"status"}).output.contains("X25519MLKEM768"));
}

TEST_F(TwoNodes, AStoppedPlantLeavesNothingGoodBehind) {
  auto dmz = make("dmz-1", dmz_config());
  auto plant = make("plant-1", plant_config());
  dmz.start();
  plant.start();
  ASSERT_TRUE(dmz.wait_ready() && plant.wait_ready()) << dmz.log() << plant.log();
  ASSERT_TRUE(eventually([&] { return dmz.points("good") == "20"; }, seconds(15))) << dmz.log();
  plant.process().signal(SIGTERM);
  EXPECT_EQ(plant.process().wait(seconds(6)), 0);
  EXPECT_TRUE(eventually([&] { return dmz.points("good") == "0" && dmz.points("bad") == "20"; }, seconds(4)))
      << dmz.log();
}

TEST_F(TwoNodes, AStoppedMiddleTellsItsOwnSinksThatNothingIsGood) {
  const std::string record = folder_.path() + "/record.ndjson";
  auto dmz = make("dmz-1",
                  dmz_config("[[sink.file]]\nname = \"record\"\npath = \"" + record + "\"\npublish = [\"acme/**\"]\n"));
  auto plant = make("plant-1", plant_config());
  dmz.start();
  plant.start();
  ASSERT_TRUE(dmz.wait_ready() && plant.wait_ready()) << dmz.log() << plant.log();
  ASSERT_TRUE(eventually([&] { return dmz.points("good") == "20"; }, seconds(15))) << dmz.log();
  dmz.process().signal(SIGTERM);
  EXPECT_EQ(dmz.process().wait(seconds(6)), 0) << dmz.log();
  std::map<std::string, std::string> last;  // quality by path
  std::ifstream in(record);
  for (std::string line; std::getline(in, line);) {
    const auto point = parse_json(line);
    ASSERT_TRUE(point) << line;
    last[text_at(*point, "path")] = text_at(*point, "quality");
  }
  EXPECT_EQ(last.size(), 20u);
  for (const auto& [path, quality] : last) EXPECT_EQ(quality, "bad") << path;
}

TEST_F(TwoNodes, AReloadLeavesAnUnchangedLinkUp) {
  auto dmz = make("dmz-1", dmz_config());
  auto plant = make("plant-1", plant_config());
  dmz.start();
  plant.start();
  ASSERT_TRUE(dmz.wait_ready() && plant.wait_ready()) << dmz.log() << plant.log();
  ASSERT_TRUE(plant.wait_link("dmz", "up", seconds(15))) << plant.log();
  const std::string since = plant.link_field("dmz", "since");
  plant.rewrite(plant_config() + source("more", 5));
  plant.process().signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return dmz.points("good") == "25"; }, seconds(15))) << plant.log() << dmz.log();
  EXPECT_EQ(plant.link_field("dmz", "since"), since);
  EXPECT_EQ(plant.link_field("dmz", "connects"), "1");
  dmz.rewrite(dmz_config("[[listen.peer]]\nname = \"ai-1\"\nsend = [\"acme/**\"]\n"));
  dmz.process().signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return text_at(dmz.status(), "links").contains("ai-1"); }, seconds(10))) << dmz.log();
  EXPECT_EQ(plant.link_field("dmz", "since"), since);
}

// --- systemd
// -----------------------------------------------------------------------------------------------------------

// Stands in for systemd: the socket that $NOTIFY_SOCKET names.
class NotifySocket {
 public:
  explicit NotifySocket(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) ADD_FAILURE() << "bind";
  }
  ~NotifySocket() { ::close(fd_); }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;
  // Whether a message with this line comes within the limit.
  bool hears(const std::string& line, Clock::duration limit = seconds(10)) {
    return eventually(
        [&] {
          pollfd waiting{fd_, POLLIN, 0};
          if (::poll(&waiting, 1, 10) <= 0) return false;
          std::array<char, 4096> bytes{};
          const auto n = ::recv(fd_, bytes.data(), bytes.size(), 0);
          return n > 0 && std::string(bytes.data(), static_cast<std::size_t>(n)).contains(line);
        },
        limit);
  }

 private:
  int fd_;
};

TEST_F(Run, TellsSystemdThatItIsReadyAliveReloadingAndStopping) {
  const std::string path = folder_.path() + "/notify";
  NotifySocket systemd(path);
  auto node = make("plant-1", kSource);
  node.start({"env", "NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=600000"});
  EXPECT_TRUE(systemd.hears("READY=1")) << node.log();
  EXPECT_TRUE(systemd.hears("WATCHDOG=1"));
  EXPECT_TRUE(systemd.hears("WATCHDOG=1"));
  node.process().signal(SIGHUP);
  EXPECT_TRUE(systemd.hears("RELOADING=1"));
  EXPECT_TRUE(systemd.hears("READY=1"));
  node.process().signal(SIGTERM);
  EXPECT_TRUE(systemd.hears("STOPPING=1"));
}

}  // namespace
}  // namespace sallyport::tests
