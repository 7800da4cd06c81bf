// packaging/wireshark/sallyport.lua under tshark: the test vectors, and a link that was captured on its way between two
// real nodes and is opened with the key log of one of them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "harness.h"
#include "json.h"

namespace sallyport::tests {
namespace {

const std::string kSource = SALLYPORT_SOURCE_DIR;

// tshark runs no scripts for root, so it becomes somebody else, who must be able to read the files.
std::vector<std::string> tshark(const std::string& home, std::vector<std::string> words) {
  std::error_code ignored;
  std::filesystem::copy_file(kSource + "/packaging/wireshark/sallyport.lua", home + "/sallyport.lua", ignored);
  std::vector<std::string> command;
  if (::geteuid() == 0) command = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};
  command.insert(command.end(), {"env", "HOME=" + home, "tshark", "-n", "-X", "lua_script:" + home + "/sallyport.lua"});
  command.insert(command.end(), words.begin(), words.end());
  return command;
}

// The script reports its own mistakes on the error output or as expert messages of its own protocol.
void expect_no_mistake_in_the_script(const Finished& finished) {
  EXPECT_EQ(finished.code, 0) << finished.error;
  EXPECT_EQ(finished.error.find("Lua"), std::string::npos) << finished.error;
  EXPECT_EQ(finished.output.find("Lua Error"), std::string::npos) << finished.output;
}

std::vector<std::string> split_at(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Each vector as one TCP segment of a connection of its own, from port 10000 on: a capture file of raw IPv4.
class Capture {
 public:
  Capture() { put<std::uint32_t>({0xa1b2c3d4, 0x00040002, 0, 0, 262144, 101}); }
  void add(std::uint16_t port, const std::string& payload) {
    const auto size = static_cast<std::uint32_t>(40 + payload.size());
    put<std::uint32_t>({1, port, size, size});
    put<std::uint8_t>({0x45, 0, high(size), low(size), 0, 0, 0, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1});
    put<std::uint8_t>({high(port), low(port), high(4433), low(4433), 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 32, 0, 0, 0, 0, 0});
    bytes_ += payload;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  static std::uint8_t high(std::uint32_t n) { return static_cast<std::uint8_t>(n >> 8 & 0xff); }
  static std::uint8_t low(std::uint32_t n) { return static_cast<std::uint8_t>(n & 0xff); }
  template <typename T>
  void put(std::initializer_list<T> numbers) {
    for (const T n : numbers) bytes_.append(reinterpret_cast<const char*>(&n), sizeof n);
  }
  std::string bytes_;
};

std::string from_hex(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 3) out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

// What only the other node can know to be wrong.
const std::set<std::string> kNotSeenFromOutside = {
    "other frame before the hello", "second hello", "hello: pattern that is none", "hello: version 0",
    "hello: version 0 with an oldest above it", "hello: version below its own oldest", "hello: another name than the certificate's",
    "begin: resumes what was never held", "begin: a second one", "define before begin", "changes before begin",
    "stale_changes before begin", "route_digests before begin", "ack: of what was never sent", "define: route never told",
    "define: id beyond [limits] points", "journal_ack: of what was never sent", "journal: not asked for"};

TEST(Wireshark, ShowsEveryTestVectorAndMarksWhatIsMalformed) {
  std::ostringstream text;
  text << std::ifstream(kSource + "/tests/protocol/vectors.json").rdbuf();
  const auto vectors = parse_json(text.str()).value();
  Capture capture;
  std::map<std::string, std::pair<std::string, std::string>> sent;  // port → kind, name
  std::uint16_t port = 10000;
  for (const std::string kind : {"messages", "refused"}) {
    for (const auto& vector : vectors.at(kind).as_array()) {
      capture.add(++port, from_hex(text_at(vector, "frame")));
      sent[std::to_string(port)] = {kind, text_at(vector, "name")};
    }
  }
  const TempFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  const std::string file = folder.write("vectors.pcap", capture.bytes());
  const Finished shown = run(tshark(folder.path(), {"-r", file, "-d", "tcp.port==4433,sallyport", "-T", "fields", "-e", "tcp.srcport",
                                                    "-e", "sallyport.type", "-e", "_ws.expert.message"}),
                             seconds(60));
  expect_no_mistake_in_the_script(shown);
  std::size_t seen = 0;
  for (const std::string& line : lines_of(shown.output)) {
    const std::size_t first = line.find('\t'), second = line.find('\t', first + 1);
    const auto& [kind, name] = sent[line.substr(0, first)];
    const std::string complaint = line.substr(second + 1);
    SCOPED_TRACE(name + ": " + line);
    ++seen;
    if (kind == "messages") {
      EXPECT_EQ(complaint, name == "close, with a reason" ? "not_allowed: peer has this node's own name" : "");
      EXPECT_NE(line.substr(first + 1, second - first - 1), "");
    } else {
      EXPECT_EQ(complaint.empty(), kNotSeenFromOutside.contains(name));
    }
  }
  EXPECT_EQ(seen, sent.size());
}

TEST(Wireshark, ReadsALinkBetweenTwoNodesWithTheKeyLogOfOne) {
  const TempFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  Pki pki(folder.path() + "/pki");
  const std::uint16_t port = free_port();
  const std::string keys = folder.path() + "/keys.log", file = folder.path() + "/link.pcapng", said = folder.path() + "/tshark.log";
  // As whoever runs the test: capturing needs privilege, and no script.
  Process capturing({"tshark", "-n", "-i", "lo", "-f", "tcp port " + std::to_string(port), "-w", file},
                    {.network_of = 0, .output_file = said, .output_fd = -1});
  const auto says = [&](const std::string& part) {
    std::ostringstream text;
    text << std::ifstream(said).rdbuf();
    return text.str().find(part) != std::string::npos;
  };
  ASSERT_TRUE(eventually([&] { return says("Capturing on") || !capturing.running(); }, seconds(20)));
  if (!capturing.running()) {
    if (!says("permission") && !says("Operation not permitted")) FAIL() << "tshark cannot capture and does not say that it may not";
    GTEST_SKIP() << "capturing on the loopback interface needs privilege";
  }
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(file) && std::filesystem::file_size(file) > 0; }, seconds(20)));

  Node dmz(folder, pki, "dmz-1",
           "[listen]\naddress = \"127.0.0.1:" + std::to_string(port) + "\"\n[[listen.peer]]\nname = \"plant-1\"\nreceive = [\"**\"]\n");
  Node plant(folder, pki, "plant-1",
             "key_log = \"" + keys + "\"\n[[source.simulator]]\nname = \"sim\"\ninto = \"acme/line1\"\npoints = 20\nrate = 100\nseed = 7\n"
             "shape = \"ramp\"\n[[link]]\nname = \"dmz\"\ndial = \"127.0.0.1:" + std::to_string(port) +
             "\"\npeer = \"dmz-1\"\nsend = [\"**\"]\n");
  dmz.start();
  plant.start();
  ASSERT_TRUE(dmz.wait_ready() && plant.wait_ready()) << dmz.log() << plant.log();
  ASSERT_TRUE(eventually([&] { return dmz.points("good") == "20"; }, seconds(20))) << dmz.log();
  EXPECT_NE(plant.log().find("can read everything"), std::string::npos) << plant.log();
  std::this_thread::sleep_for(seconds(3));  // two heartbeats at least
  plant.process().signal(SIGTERM);
  plant.process().wait(seconds(10));
  std::this_thread::sleep_for(milliseconds(500));
  capturing.signal(SIGINT);
  EXPECT_EQ(capturing.wait(seconds(20)), 0);
  std::filesystem::permissions(file, std::filesystem::perms(0644));
  std::filesystem::permissions(keys, std::filesystem::perms(0644));  // this copy of the secrets dies with the test

  const std::string fields = "-T fields -e tcp.dstport -e sallyport.type -e sallyport.point.path -e sallyport.point.value -e sallyport.node "
                             "-e _ws.expert.message -E occurrence=a -E aggregator=|";
  std::vector<std::string> words{"-r", file, "-o", "tls.keylog_file:" + keys, "-Y", "sallyport"};
  std::istringstream split(fields);
  for (std::string word; split >> word;) words.push_back(word);
  const Finished shown = run(tshark(folder.path(), words), seconds(60));
  expect_no_mistake_in_the_script(shown);
  std::map<std::string, unsigned> types;          // by direction and type
  std::map<std::string, std::string> last_value;  // by path
  std::set<std::string> nodes;
  for (const std::string& line : lines_of(shown.output)) {
    EXPECT_TRUE(line.ends_with('\t')) << "marked: " << line;
    const auto columns = split_at(line, '\t');
    ASSERT_GE(columns.size(), 2u) << line;
    const bool from_plant = columns[0] == std::to_string(port);
    for (const std::string& kind : split_at(columns[1], '|')) ++types[(from_plant ? "up " : "down ") + kind];
    if (columns.size() < 4) continue;
    const auto paths = split_at(columns[2], '|'), values = split_at(columns[3], '|');
    ASSERT_EQ(paths.size(), values.size()) << line;
    for (std::size_t i = 0; i < paths.size(); ++i) last_value[paths[i]] = values[i];
    if (columns.size() > 4) nodes.insert(columns[4]);
  }
  // hello, begin, route, define, changes, position, heartbeat, close one way; hello, heartbeat, ack the other.
  for (const char* kind : {"up 1", "up 13", "up 2", "up 3", "up 5", "up 6", "up 7", "up 10", "down 1", "down 7", "down 9"}) {
    EXPECT_GE(types[kind], 1u) << kind << " was not shown";
  }
  EXPECT_EQ(types["up 1"], 1u);
  EXPECT_EQ(types["down 1"], 1u);
  EXPECT_GE(types["up 5"], 20u);
  EXPECT_TRUE(nodes.contains("plant-1"));
  EXPECT_TRUE(nodes.contains("dmz-1"));
  // What was shown last of each point is what the DMZ holds.
  const Finished dump = dmz.ask({"dump"});
  unsigned points = 0;
  for (const std::string& line : lines_of(dump.output)) {
    const auto point = parse_json(line);
    if (!point) continue;
    ++points;
    const std::string& shown_value = last_value[text_at(*point, "path")];
    EXPECT_DOUBLE_EQ(std::strtod(shown_value.c_str(), nullptr), std::strtod(text_at(*point, "value").c_str(), nullptr)) << line << " shown: " << shown_value;
  }
  EXPECT_EQ(points, 20u) << dump.output;
}

}  // namespace
}  // namespace sallyport::tests
