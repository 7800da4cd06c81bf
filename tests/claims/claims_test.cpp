// What the documents say is done here as they say it: the README's commands, each connector's sample, the examples, what
// the service unit relies on, and scripts/setup.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "harness.h"

namespace sallyport::tests {
namespace {

namespace fs = std::filesystem;
const fs::path kRoot = SALLYPORT_SOURCE_DIR;

std::string text_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

struct Block {
  std::string language, text;
};

std::vector<Block> code_blocks(const fs::path& file) {
  std::vector<Block> blocks;
  std::istringstream in(text_of(file));
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) blocks.push_back({line.substr(3), ""});
    } else if (inside) {
      blocks.back().text += line + "\n";
    }
  }
  return blocks;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
}

// Commands that need the repository rather than the program are the demo's test and `make test` itself.
bool is_for_the_program(const Block& block) {
  return block.language == "sh" && block.text.find("make ") == std::string::npos && block.text.find("git clone") == std::string::npos;
}

TEST(Readme, CommandsWorkAsTheyStand) {
  const TempFolder folder;
  std::string script = "set -eu\nexport PATH=\"" + fs::path(sallyport_program()).parent_path().string() + ":$PATH\"\n"
      "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n";
  std::map<std::string, std::string> ports;
  for (const char* port : {"4840", "4433", "8080"}) ports[std::string("127.0.0.1:") + port] = "127.0.0.1:" + std::to_string(free_port());
  int commands = 0;
  for (Block block : code_blocks(kRoot / "README.md")) {
    for (const auto& [from, to] : ports) replace_all(block.text, from, to);
    if (block.language == "toml" && block.text.starts_with("# ")) {
      folder.write(block.text.substr(2, block.text.find('\n') - 2), block.text);
    } else if (is_for_the_program(block)) {
      ++commands;
      script += "echo '>>>'\n" + block.text;
      if (block.text.find(" &\n") != std::string::npos) {  // a person would wait until values are there, too
        script += "for i in $(seq 200); do sallyport status --json -c dmz-1.toml 2>/dev/null | grep -q '\"good\":[1-9]' && break; sleep 0.1; done\n";
      }
    }
  }
  ASSERT_GE(commands, 4);
  const std::string file = folder.write("readme.sh", script);
  const Finished finished = run({"bash", "-c", "cd '" + folder.path() + "' && exec bash -x readme.sh"}, seconds(60));
  EXPECT_EQ(finished.code, 0) << finished.error << finished.output;
  EXPECT_NE(finished.output.find("acme/berlin/line1"), std::string::npos) << finished.output;
}

TEST(Examples, AreAcceptedByCheck) {
  const TempFolder folder;
  for (const auto& example : fs::directory_iterator(kRoot / "examples")) {
    if (!example.is_directory()) continue;
    const fs::path copy = fs::path(folder.path()) / example.path().filename();
    fs::copy(example.path(), copy, fs::copy_options::recursive);
    Pki pki((copy / "pki").string());
    for (const auto& file : fs::directory_iterator(copy)) {
      if (file.path().extension() != ".toml") continue;
      pki.issue(file.path().stem());
      const Finished finished = run({sallyport_program(), "check", "-c", file.path()});
      EXPECT_EQ(finished.code, 0) << file.path() << "\n" << finished.output << finished.error;
    }
  }
}

TEST(Samples, OfEachConnectorAreAcceptedByCheck) {
  const TempFolder folder;
  Pki pki(folder.path() + "/pki");
  pki.issue("sample-1");
  int samples = 0;
  for (const char* kind : {"sources", "sinks"}) {
    for (const auto& connector : fs::directory_iterator(kRoot / "src" / kind)) {
      if (!fs::exists(connector.path() / "sample.toml")) continue;
      ++samples;
      std::string text = text_of(connector.path() / "sample.toml");
      if (text.find("\n[node]") == std::string::npos && !text.starts_with("[node]")) {
        text = "[node]\nname = \"sample-1\"\ndata_dir = \"" + folder.path() + "/data\"\n" + pki.identity_of("sample-1") + text;
      }
      const std::string file = folder.write("sample.toml", text);
      const Finished finished = run({sallyport_program(), "check", "-c", file});
      EXPECT_EQ(finished.code, 0) << connector.path() << "\n" << finished.output << finished.error;
    }
  }
  EXPECT_GE(samples, 5);
}

TEST(Documents, SettingsForEventStreamsAreAcceptedByCheck) {
  const TempFolder folder;
  Pki pki(folder.path() + "/pki");
  pki.issue("sample-1");
  folder.write("secrets/event-hubs", "Endpoint=sb://x\n");
  int tables = 0;
  for (const char* page : {"event-hubs.md", "scale.md"}) {
    for (const Block& block : code_blocks(kRoot / "docs" / page)) {
      if (block.language != "toml") continue;
      ++tables;
      const std::string file = folder.write("node.toml", "[node]\nname = \"sample-1\"\ndata_dir = \"" + folder.path() + "/data\"\n" +
                                                             pki.identity_of("sample-1") + block.text);
      const Finished finished = run({sallyport_program(), "check", "-c", file});
      EXPECT_EQ(finished.code, 0) << page << "\n" << block.text << finished.output << finished.error;
    }
  }
  EXPECT_GE(tables, 4);
}

// --- What the service unit relies on -----------------------------------------------------------------------------------

// systemd's end of sd_notify.
class NotifySocket {
 public:
  explicit NotifySocket(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ok_ = ::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~NotifySocket() { ::close(fd_); }
  bool ok() const { return ok_; }
  bool hears(const std::string& what, Clock::duration limit) {
    return eventually(
        [&] {
          char buffer[4096];
          for (ssize_t got; (got = ::recv(fd_, buffer, sizeof buffer, 0)) > 0;) heard_.append(buffer, static_cast<std::size_t>(got)) += '\n';
          return heard_.find(what) != std::string::npos;
        },
        limit);
  }
  void forget() { heard_.clear(); }

 private:
  int fd_;
  bool ok_ = false;
  std::string heard_;
};

TEST(Service, TellsSystemdReadinessLifeAndStopping) {
  const TempFolder folder;
  Pki pki(folder.path() + "/pki");
  NotifySocket systemd(folder.path() + "/notify");
  ASSERT_TRUE(systemd.ok());
  Node node(folder, pki, "plant-1", "");
  node.start({"env", "NOTIFY_SOCKET=" + folder.path() + "/notify", "WATCHDOG_USEC=2000000"});
  EXPECT_TRUE(systemd.hears("READY=1", seconds(15))) << node.log();
  EXPECT_TRUE(systemd.hears("WATCHDOG=1", seconds(5))) << node.log();
  systemd.forget();
  EXPECT_TRUE(systemd.hears("WATCHDOG=1", seconds(5))) << node.log();
  node.process().signal(SIGTERM);
  EXPECT_TRUE(systemd.hears("STOPPING=1", seconds(5))) << node.log();
  EXPECT_EQ(node.process().wait(seconds(10)), 0) << node.log();
}

TEST(Service, UnitRunsTheCommandsThatExist) {
  const std::string unit = text_of(kRoot / "packaging" / "systemd" / "sallyport@.service");
  EXPECT_NE(unit.find("Type=notify"), std::string::npos);
  EXPECT_NE(unit.find("WatchdogSec="), std::string::npos);
  for (const char* command : {"run", "check"}) EXPECT_EQ(run({sallyport_program(), command, "--help"}).code, 0) << command;
}

// --- scripts/setup -----------------------------------------------------------------------------------------------------

TEST(Setup, IsQuickWhenNothingIsMissing) {
  const std::string setup = (kRoot / "scripts" / "setup").string();
  run({setup, "test"}, seconds(100));
  const auto begin = Clock::now();
  const Finished finished = run({setup, "test"}, seconds(10));
  EXPECT_EQ(finished.code, 0) << finished.error;
  EXPECT_EQ(finished.output, "");
  EXPECT_LT(Clock::now() - begin, seconds(3));
}

TEST(Setup, SaysWhichGroupsThereAre) {
  const Finished finished = run({(kRoot / "scripts" / "setup").string(), "nonsense"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.error.find("build, test, lint, bench or all"), std::string::npos) << finished.error;
}

TEST(Program, NamesItsVersion) {
  const Finished finished = run({sallyport_program(), "version"});
  EXPECT_EQ(finished.code, 0);
  EXPECT_NE(finished.output.find("0.1.0"), std::string::npos) << finished.output;
}

}  // namespace
}  // namespace sallyport::tests
