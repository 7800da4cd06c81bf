#include "node/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "net/pki.h"
#include "node/test_folder.h"

namespace sallyport::node {
namespace {

namespace fs = std::filesystem;

class NodeConfig : public testing::Test {
 protected:
  // Keys are made once.
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TestFolder>();
    ASSERT_TRUE(net::make_ca({.folder = folder_->path() + "/pki", .name = "test CA"}));
    for (const char* name : {"plant-1", "dmz-1", "ai-1"}) {
      ASSERT_TRUE(issue("pki", name));
    }
    ASSERT_TRUE(issue("pki", "late-1", 3));
    ASSERT_TRUE(net::make_ca({.folder = folder_->path() + "/foreign", .name = "other CA"}));
    ASSERT_TRUE(issue("foreign", "plant-1"));
  }
  static Result<void> issue(const std::string& ca, const std::string& name, int days_ago = 0) {
    net::IssueRequest request;
    request.ca_folder = request.folder = folder_->path() + "/" + ca;
    request.name = name;
    if (days_ago > 0) {
      request.days = 1;
      request.not_before_days_ago = days_ago;
    }
    return net::issue_certificate(request);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  Config read(const std::string& text) {
    problems_.clear();
    return read_config(folder_->write("node.toml", text), connector_types(), problems_);
  }
  std::string all_problems() const {
    std::string out;
    for (const auto& problem : problems_) out += to_string(problem) + "\n";
    return out;
  }

  static std::unique_ptr<TestFolder> folder_;
  Problems problems_;
};
std::unique_ptr<TestFolder> NodeConfig::folder_;

constexpr const char* kHead = "[node]\nname = \"plant-1\"\ndata_dir = \"data\"\n";
constexpr const char* kIdentity =
    "[identity]\ncertificate = \"pki/plant-1.crt\"\nprivate_key = \"pki/plant-1.key\"\ntrust = \"pki/ca.crt\"\n";
constexpr const char* kSource = "[[source.simulator]]\nname = \"sim\"\ninto = \"acme/sim\"\n";

TEST_F(NodeConfig, ReadsALinkWithItsDefaults) {
  const auto config =
      read(std::string(kHead) + kIdentity +
           "[[link]]\nname = \"dmz\"\ndial = \"localhost:4433\"\npeer = \"dmz-1\"\nsend = [\"acme/**\"]\n");
  ASSERT_FALSE(has_errors(problems_)) << all_problems();
  ASSERT_EQ(config.links.size(), 1u);
  const auto& link = config.links[0].options;
  EXPECT_EQ(link.name, "dmz");
  EXPECT_EQ(link.peer, "dmz-1");
  ASSERT_EQ(link.dial.size(), 1u);
  EXPECT_EQ(link.dial[0].port, 4433);
  EXPECT_EQ(link.heartbeat, std::chrono::seconds(1));
  EXPECT_EQ(link.timeout, std::chrono::seconds(3));
  EXPECT_TRUE(link.send.matches("acme/x"));
  EXPECT_TRUE(link.receive.empty());
  EXPECT_TRUE(config.identity);
  EXPECT_EQ(config.data_dir, folder_->path() + "/data");
}

TEST_F(NodeConfig, LinksRunOnOneThreadUnlessToldOtherwise) {
  EXPECT_EQ(read(kHead).threads, 1u);
  EXPECT_EQ(read(std::string(kHead) + "threads = 3\n").threads, 3u);
  EXPECT_TRUE(problems_.empty()) << all_problems();
  for (const auto* wrong : {"0", "-1", "65", "2.5", "\"all\""}) {
    read(std::string(kHead) + "threads = " + wrong + "\n");
    EXPECT_TRUE(has_errors(problems_)) << wrong;
    EXPECT_NE(all_problems().find(":4:"), std::string::npos) << all_problems();
    EXPECT_NE(all_problems().find("threads"), std::string::npos) << all_problems();
  }
}

TEST_F(NodeConfig, AKeyLogIsTakenWithALoudWarning) {
  std::string identity = kIdentity;
  const auto config = read(std::string(kHead) + identity + "key_log = \"keys.log\"\n");
  EXPECT_FALSE(has_errors(problems_)) << all_problems();
  EXPECT_EQ(config.identity_files.key_log, folder_->path() + "/keys.log");
  ASSERT_TRUE(config.identity);
  EXPECT_NE(all_problems().find("can read everything"), std::string::npos) << all_problems();
  read(std::string(kHead) + identity + "key_log = \"none/keys.log\"\n");
  EXPECT_TRUE(has_errors(problems_));
  EXPECT_NE(all_problems().find("make it first"), std::string::npos) << all_problems();
}

constexpr const char* kProxied =
    "[[link]]\nname = \"dmz\"\ndial = \"dmz.example:4433\"\npeer = \"dmz-1\"\nsend = [\"acme/**\"]\n";

TEST_F(NodeConfig, FindsThePairThatSignsBesideTheCertificateOrWhereItIsNamed) {
  const auto found = read(std::string(kHead) + kIdentity);
  ASSERT_TRUE(problems_.empty()) << all_problems();
  ASSERT_TRUE(found.signer) << found.no_signer;
  EXPECT_EQ(found.signer->name(), "plant-1");
  EXPECT_EQ(found.identity_files.sign_key, folder_->path() + "/pki/plant-1.sign.key");
  fs::create_directories(folder_->path() + "/other");
  for (const char* end : {"crt", "key"})
    fs::copy(folder_->path() + "/pki/plant-1.sign." + end, folder_->path() + "/other/s." + end, fs::copy_options::overwrite_existing);
  const auto named = read(std::string(kHead) + kIdentity + "sign_certificate = \"other/s.crt\"\nsign_key = \"other/s.key\"\n");
  ASSERT_TRUE(problems_.empty()) << all_problems();
  EXPECT_TRUE(named.signer);
}

TEST_F(NodeConfig, WithoutThePairThatSignsANodeStartsAndKnowsWhyItHasNone) {
  const fs::path alone = folder_->path() + "/alone";
  fs::create_directories(alone);
  for (const char* file : {"plant-1.crt", "plant-1.key", "ca.crt"}) fs::copy(folder_->path() + "/pki/" + file, alone / file, fs::copy_options::overwrite_existing);
  const std::string text = std::string(kHead) + "[identity]\ncertificate = \"alone/plant-1.crt\"\nprivate_key = \"alone/plant-1.key\"\ntrust = \"alone/ca.crt\"\n";
  auto config = read(text);
  EXPECT_TRUE(problems_.empty()) << all_problems();
  EXPECT_FALSE(config.signer);
  EXPECT_TRUE(config.no_signer.contains("keys sign")) << config.no_signer;
  for (const char* end : {"crt", "key"}) fs::copy(folder_->path() + "/pki/dmz-1.sign." + end, alone / (std::string("plant-1.sign.") + end));
  config = read(text);
  EXPECT_TRUE(problems_.empty()) << "nobody asked for it: " << all_problems();
  EXPECT_TRUE(config.no_signer.contains("is of 'dmz-1', expected 'plant-1'")) << config.no_signer;
}

TEST_F(NodeConfig, ReadsTheWayToAPeer) {
  folder_->write("proxy.password", "open sesame\n");
  const auto config = read(std::string(kHead) + kIdentity + kProxied +
                           "proxy = \"http://joe@proxy.example:3128\"\nproxy_password_file = \"proxy.password\"\n"
                           "websocket = \"/sallyport\"\nclient_hello = \"hrr\"\n");
  ASSERT_FALSE(has_errors(problems_)) << all_problems();
  const net::Via& via = config.links.at(0).options.via;
  EXPECT_EQ(via.proxy, (net::Proxy{net::ProxyKind::http, {"proxy.example", 3128}, "joe", "open sesame"}));
  EXPECT_EQ(via.websocket, "/sallyport");
  EXPECT_EQ(via.hello, net::ClientHello::hrr);
}

TEST_F(NodeConfig, TheWayToAPeerIsStraightByDefault) {
  const auto config = read(std::string(kHead) + kIdentity + kProxied);
  ASSERT_FALSE(has_errors(problems_)) << all_problems();
  EXPECT_EQ(config.links.at(0).options.via, net::Via{});
  EXPECT_FALSE(config.listen_websocket);
}

TEST_F(NodeConfig, ReadsThatAPortTakesWebSocket) {
  const auto config = read(std::string(kHead) + kIdentity + "[listen]\naddress = \"127.0.0.1:0\"\nwebsocket = true\n" +
                           "[[listen.peer]]\nname = \"dmz-1\"\nreceive = [\"**\"]\n");
  ASSERT_FALSE(has_errors(problems_)) << all_problems();
  EXPECT_TRUE(config.listen_websocket);
}

TEST_F(NodeConfig, SaysWhatIsWrongWithTheWayToAPeer) {
  folder_->write("lines", "two\nlines");
  folder_->write("secret", "geheim");
  const std::pair<const char*, const char*> table[] = {
      {"proxy = \"http://joe:geheim@proxy:3128\"", "node.toml:13:1: proxy '…@proxy:3128': no password in the URL"},
      {"proxy = \"proxy:3128\"", "write \"http://proxy.example:3128\" or \"socks5://"},
      {"proxy = \"http://joe@proxy:3128\"", "user 'joe' has no password; add proxy_password_file"},
      {"proxy = \"http://joe@proxy:3128\"\nproxy_password = \"geheim\"", "no password in the settings"},
      {"proxy = \"http://proxy:3128\"\nproxy_password_file = \"secret\"", "a password without a user"},
      {"proxy_password_file = \"secret\"", "proxy_password_file without a proxy"},
      {"proxy = \"http://joe@proxy:3128\"\nproxy_password_file = \"absent\"", "secret file"},
      {"proxy = \"http://joe@proxy:3128\"\nproxy_password_file = \"lines\"", "not one line of text"},
      {"proxy = \"http://joe@proxy:3128\"\nproxy_password_env = \"SALLYPORT_NOT_SET\"", "is not set or empty"},
      {"websocket = \"sallyport\"", "begins with '/'"},
      {"websocket = true", "node.toml:13:1:"},
      {"client_hello = \"small\"", "must be one of"},
      {"proxi = \"http://proxy:3128\"", "did you mean 'proxy'?"},
  };
  for (const auto& [text, says] : table) {
    read(std::string(kHead) + kIdentity + kProxied + text + "\n");
    EXPECT_TRUE(has_errors(problems_)) << text;
    EXPECT_NE(all_problems().find(says), std::string::npos) << text << "\n" << all_problems();
    EXPECT_EQ(all_problems().find("geheim"), std::string::npos) << all_problems();
  }
}

TEST_F(NodeConfig, EverySampleOfTheNetworksPageIsValid) {
  folder_->write("proxy.password", "open sesame\n");
  std::ostringstream page;
  page << std::ifstream(SALLYPORT_SOURCE_DIR "/docs/networks.md").rdbuf();
  const std::string text = page.str();
  int samples = 0;
  for (std::size_t at = 0; (at = text.find("```toml\n", at)) != std::string::npos; ++samples) {
    at += 8;
    std::string sample = text.substr(at, text.find("```", at) - at);
    if (sample.starts_with("[listen]")) sample += "[[listen.peer]]\nname = \"dmz-1\"\nreceive = [\"**\"]\n";
    read(std::string(kHead) + kIdentity + sample);
    EXPECT_FALSE(has_errors(problems_)) << sample << all_problems();
  }
  EXPECT_EQ(samples, 4);
}

TEST_F(NodeConfig, ALongHeartbeatBringsALongTimeout) {
  const auto config =
      read(std::string(kHead) + kIdentity +
           "[[link]]\nname = \"a\"\ndial = \"h:1\"\npeer = \"p\"\nsend = [\"**\"]\nheartbeat = \"10s\"\n");
  ASSERT_FALSE(has_errors(problems_)) << all_problems();
  EXPECT_EQ(config.links[0].options.timeout, std::chrono::seconds(30));
}

TEST_F(NodeConfig, AShortHeartbeatBringsAShortTimeout) {
  const auto config =
      read(std::string(kHead) + kIdentity +
           "[[link]]\nname = \"a\"\ndial = \"h:1\"\npeer = \"p\"\nsend = [\"**\"]\nheartbeat = \"100ms\"\n");
  ASSERT_FALSE(has_errors(problems_)) << all_problems();
  EXPECT_EQ(config.links[0].options.timeout, std::chrono::milliseconds(300));
}

TEST_F(NodeConfig, ReadsSourcesAndSinksOfEveryTypeByName) {
  const auto config =
      read(std::string(kHead) + kSource +
           "on_loss = \"uncertain\"\n[[sink.file]]\nname = \"out\"\npath = \"out.ndjson\"\npublish = [\"**\"]\n");
  ASSERT_FALSE(has_errors(problems_)) << all_problems();
  ASSERT_EQ(config.sources.size(), 1u);
  EXPECT_EQ(config.sources[0].type, "simulator");
  EXPECT_EQ(config.sources[0].common.into, "acme/sim");
  EXPECT_EQ(config.sources[0].on_loss, status::kUncertainNoCommunicationLastUsableValue);
  EXPECT_TRUE(config.sources[0].source);
  ASSERT_EQ(config.sinks.size(), 1u);
  EXPECT_TRUE(config.sinks[0].sink);
}

TEST_F(NodeConfig, ALayoutChangeIsNoChangeOfASource) {
  const auto one = read(std::string(kHead) + kSource + "points = 5\nrate = 10\n");
  const auto two = read(std::string(kHead) + "# moved\n\n" + kSource + "rate   = 10 # ten\npoints = 5\n");
  const auto three = read(std::string(kHead) + kSource + "points = 6\nrate = 10\n");
  EXPECT_EQ(one.sources.at(0).text, two.sources.at(0).text);
  EXPECT_NE(one.sources.at(0).text, three.sources.at(0).text);
}

TEST_F(NodeConfig, ReportsEveryProblemInOrderOfLines) {
  read("[node]\nname = \"a b\"\ndata_dir = \"d\"\nthread = 3\n[limits]\npoints = 0\n");
  ASSERT_EQ(problems_.size(), 3u) << all_problems();
  EXPECT_EQ(problems_[0].place.line, 2u);
  EXPECT_EQ(problems_[1].place.line, 4u);
  EXPECT_EQ(problems_[2].place.line, 6u);
}

TEST_F(NodeConfig, FindsTheNodeOfAFileWithErrorsElsewhere) {
  const auto file = folder_->write("half.toml", std::string(kHead) + "[[link]]\nname = 3\n");
  const auto place = read_node_place(file);
  ASSERT_TRUE(place) << place.error().message;
  EXPECT_EQ(place->name, "plant-1");
  EXPECT_EQ(place->data_dir, folder_->path() + "/data");
}

// Every example is loaded as it stands; only the keys are looked for where the test has them.
class Example : public NodeConfig, public testing::WithParamInterface<const char*> {};

TEST_P(Example, IsAValidConfiguration) {
  std::ifstream in(std::string(SALLYPORT_SOURCE_DIR) + "/examples/" + GetParam());
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  ASSERT_FALSE(text.empty());
  read(text);
  EXPECT_TRUE(problems_.empty()) << all_problems();
}

INSTANTIATE_TEST_SUITE_P(Examples, Example, testing::Values("plant.toml", "dmz.toml", "ai.toml"), [](const auto& test) {
  return std::string(test.param).substr(0, std::string(test.param).find('.'));
});

// --- The malformed table
// -----------------------------------------------------------------------------------------------

struct Malformed {
  const char* name;
  std::string text;  // "{head}" and "{identity}" are filled in
  unsigned line;
  std::string message;  // a part of it
};

class MalformedConfig : public NodeConfig, public testing::WithParamInterface<Malformed> {};

TEST_P(MalformedConfig, IsRefusedWithPlaceAndHint) {
  read(GetParam().text);
  ASSERT_TRUE(has_errors(problems_)) << "accepted";
  const auto found = std::ranges::find_if(problems_, [](const Problem& problem) {
    return !problem.warning && problem.place.line == GetParam().line && problem.message.contains(GetParam().message);
  });
  EXPECT_NE(found, problems_.end()) << "expected line " << GetParam().line << ": …" << GetParam().message << "…\n"
                                    << all_problems();
}

std::string with_identity(const std::string& rest) {
  return std::string(kHead) + kIdentity + rest;
}  // rest begins in line 8
std::string plain(const std::string& rest) { return std::string(kHead) + rest; }  // rest begins in line 4
std::string identity(const std::string& certificate, const std::string& key, const std::string& trust) {
  return plain("[identity]\ncertificate = \"" + certificate + "\"\nprivate_key = \"" + key + "\"\ntrust = \"" + trust +
               "\"\n");
}
const std::string kLink = "[[link]]\nname = \"a\"\ndial = \"h:1\"\npeer = \"p\"\nsend = [\"**\"]\n";

const std::vector<Malformed> kMalformed = {
    {"Syntax", "[node\nname = 1\n", 1, ""},
    {"NoNodeTable", "[log]\nlevel = \"info\"\n", 1, "[node]"},
    {"NodeNameMissing", "[node]\ndata_dir = \"d\"\n", 1, "name"},
    {"NodeNameWithSpace", "[node]\nname = \"plant 1\"\ndata_dir = \"d\"\n", 2, "is no name"},
    {"NodeNameTooLong", "[node]\nname = \"" + std::string(65, 'x') + "\"\ndata_dir = \"d\"\n", 2, "1 to 64"},
    {"NodeNameWrongType", "[node]\nname = 7\ndata_dir = \"d\"\n", 2, "integer"},
    {"DataDirMissing", "[node]\nname = \"a\"\n", 1, "data_dir"},
    {"UnknownKeyWithSuggestion", "[node]\nname = \"a\"\ndata_dri = \"d\"\n", 3, "data_dir"},
    {"UnknownTable", plain("[lnik]\nname = \"x\"\n"), 4, "link"},
    {"UnknownLogLevel", plain("[log]\nlevel = \"loud\"\n"), 5, "debug"},
    {"LimitOutOfRange", plain("[limits]\npoints = -1\n"), 5, "1"},
    {"CertificateFileMissing", identity("pki/none.crt", "pki/plant-1.key", "pki/ca.crt"), 5, "none.crt"},
    {"KeyFileMissing", identity("pki/plant-1.crt", "pki/none.key", "pki/ca.crt"), 6, "none.key"},
    {"TrustFileMissing", identity("pki/plant-1.crt", "pki/plant-1.key", "pki/none.crt"), 7, "none.crt"},
    {"SignFilesOfAnotherNode", with_identity("sign_certificate = \"pki/dmz-1.sign.crt\"\nsign_key = \"pki/dmz-1.sign.key\"\n"), 8, "expected 'plant-1'"},
    {"SignCertificateWithoutItsKey", with_identity("sign_certificate = \"pki/plant-1.sign.crt\"\n"), 8, "belong together"},
    {"SignKeyMissing", with_identity("sign_certificate = \"pki/plant-1.sign.crt\"\nsign_key = \"pki/none.key\"\n"), 9, "none.key: no such file"},
    {"SignCertificateIsATlsOne", with_identity("sign_certificate = \"pki/plant-1.crt\"\nsign_key = \"pki/plant-1.key\"\n"), 8, "needed is ED25519"},
    {"IdentityIncomplete", plain("[identity]\ncertificate = \"pki/plant-1.crt\"\n"), 4, "private_key"},
    {"CertificateOfAnotherName", identity("pki/dmz-1.crt", "pki/dmz-1.key", "pki/ca.crt"), 5, "dmz-1"},
    {"KeyOfAnotherCertificate", identity("pki/plant-1.crt", "pki/dmz-1.key", "pki/ca.crt"), 6, "dmz-1.key"},
    {"CertificateExpired",
     "[node]\nname = \"late-1\"\ndata_dir = \"d\"\n[identity]\ncertificate = \"pki/late-1.crt\"\nprivate_key = "
     "\"pki/late-1.key\"\ntrust = \"pki/ca.crt\"\n",
     5, "expired"},
    {"CertificateOfAForeignAuthority", identity("foreign/plant-1.crt", "foreign/plant-1.key", "pki/ca.crt"), 5, ""},
    {"CertificateIsNoPem", identity("node.toml", "pki/plant-1.key", "pki/ca.crt"), 5, "node.toml"},
    {"LinkWithoutIdentity", plain(kLink), 4, "[identity]"},
    {"LinkWithoutPeer", with_identity("[[link]]\nname = \"a\"\ndial = \"h:1\"\nsend = [\"**\"]\n"), 8, "peer"},
    {"NoAddressToDial", with_identity("[[link]]\nname = \"a\"\npeer = \"p\"\ndial = []\nsend = [\"**\"]\n"), 11, "names no address"},
    {"SecondAddressWithoutPort", with_identity("[[link]]\nname = \"a\"\npeer = \"p\"\ndial = [\"x:1\", \"y\"]\nsend = [\"**\"]\n"), 11, "y"},
    {"RankBeyondAll", with_identity("[[link]]\nname = \"a\"\npeer = \"p\"\ndial = \"x:1\"\nrank = 256\nsend = [\"**\"]\n"), 12, "rank"},
    {"DeliveryWithoutMatch", "[node]\nname = \"n\"\ndata_dir = \"d\"\n[[delivery]]\nburst = 3\n", 4, "match"},
    {"EveryWithoutAJournal", "[node]\nname = \"n\"\ndata_dir = \"d\"\n[journal]\nenabled = false\n[[delivery]]\nmatch = \"**\"\nmode = \"every\"\n", 8, "journal"},
    {"FsyncThatIsNone", "[node]\nname = \"n\"\ndata_dir = \"d\"\n[journal]\nfsync = \"sometimes\"\n", 5, "100ms"},
    {"JournalTooSmall", "[node]\nname = \"n\"\ndata_dir = \"d\"\n[journal]\nmax_size = \"1MiB\"\n", 5, "max_size"},
    {"JournalLimitThatIsNone", "[node]\nname = \"n\"\ndata_dir = \"d\"\n[journal]\nat_limit = \"explode\"\n", 5, "drop_oldest"},
    {"BurstBeyondAll", "[node]\nname = \"n\"\ndata_dir = \"d\"\n[[delivery]]\nmatch = \"**\"\nburst = 65\n", 6, "burst"},
    {"LinkWithoutDial", with_identity("[[link]]\nname = \"a\"\npeer = \"p\"\nsend = [\"**\"]\n"), 8, "dial"},
    {"DialWithoutPort", with_identity("[[link]]\nname = \"a\"\ndial = \"host\"\npeer = \"p\"\nsend = [\"**\"]\n"), 10,
     "port"},
    {"DialPortZero", with_identity("[[link]]\nname = \"a\"\ndial = \"host:0\"\npeer = \"p\"\nsend = [\"**\"]\n"), 10,
     "port"},
    {"LinkToItself", with_identity("[[link]]\nname = \"a\"\ndial = \"h:1\"\npeer = \"plant-1\"\nsend = [\"**\"]\n"), 11,
     "itself"},
    {"TwoLinksOfOneName", with_identity(kLink + kLink), 14, "line 9"},
    {"TimeoutTooShort", with_identity(kLink + "heartbeat = \"1s\"\ntimeout = \"1500ms\"\n"), 14, "twice"},
    {"HeartbeatWithoutUnit", with_identity(kLink + "heartbeat = \"1\"\n"), 13, ""},
    {"HeartbeatAsNumber", with_identity(kLink + "heartbeat = 1\n"), 13, ""},
    {"OnLossUnknown", with_identity(kLink + "on_loss = \"god\"\n"), 13, "uncertain"},
    {"PatternMalformed", with_identity("[[link]]\nname = \"a\"\ndial = \"h:1\"\npeer = \"p\"\nsend = [\"acme//x\"]\n"),
     12, ""},
    {"PatternsAsString", with_identity("[[link]]\nname = \"a\"\ndial = \"h:1\"\npeer = \"p\"\nsend = \"**\"\n"), 12,
     ""},
    {"ListenWithoutPeers", with_identity("[listen]\naddress = \"127.0.0.1:0\"\n"), 8, "peer"},
    {"ListenWithoutIdentity", plain("[listen]\naddress = \"127.0.0.1:0\"\n[[listen.peer]]\nname = \"x\"\n"), 4,
     "[identity]"},
    {"ListenWithoutAddress", with_identity("[listen]\n[[listen.peer]]\nname = \"x\"\n"), 8, "address"},
    {"ListenAddressWithoutPort", with_identity("[listen]\naddress = \"0.0.0.0\"\n[[listen.peer]]\nname = \"x\"\n"), 9,
     "port"},
    {"TwoPeersOfOneName",
     with_identity(
         "[listen]\naddress = \"127.0.0.1:0\"\n[[listen.peer]]\nname = \"x\"\n[[listen.peer]]\nname = \"x\"\n"),
     13, "line 11"},
    {"PeerNamedAsALink", with_identity(kLink + "[listen]\naddress = \"127.0.0.1:0\"\n[[listen.peer]]\nname = \"a\"\n"),
     16, "rename"},
    {"UnknownSourceType", plain("[[source.opcau]]\nname = \"x\"\ninto = \"a\"\n"), 4, "simulator"},
    {"UnknownSinkType", plain("[[sink.mqqt]]\nname = \"x\"\n"), 4, "did you mean 'mqtt'"},
    {"SourceWithoutInto", plain("[[source.simulator]]\nname = \"x\"\n"), 4, "into"},
    {"SourceIntoNodeItself", plain("[[source.simulator]]\nname = \"x\"\ninto = \"$sys/x\"\n"), 6, "$"},
    {"SourceIntoPattern", plain("[[source.simulator]]\nname = \"x\"\ninto = \"acme/*\"\n"), 6, ""},
    {"SourceInto20Levels",
     plain("[[source.simulator]]\nname = \"x\"\ninto = \"1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20\"\n"), 6,
     "16"},
    {"TwoSourcesOfOneName", plain(std::string(kSource) + kSource), 8, "line 5"},
    {"TwoSinksOfOneName",
     plain("[[sink.file]]\nname = \"x\"\npath = \"a\"\npublish = [\"**\"]\n[[sink.file]]\nname = \"x\"\npath = "
           "\"b\"\npublish = [\"**\"]\n"),
     9, "line 5"},
    {"UnknownKeyOfAConnector", plain(std::string(kSource) + "piont = 3\n"), 7, "points"},
    {"SourceIsOneTable", plain("[source.simulator]\nname = \"x\"\ninto = \"a\"\n"), 4, ""},
    {"HttpBeyondLoopbackWithoutTls", plain("[http]\naddress = \"0.0.0.0:8080\"\n"), 5, "TLS"},
};

INSTANTIATE_TEST_SUITE_P(Table, MalformedConfig, testing::ValuesIn(kMalformed),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_F(NodeConfig, AMissingFileIsSaid) {
  read_config(folder_->path() + "/none.toml", connector_types(), problems_);
  ASSERT_TRUE(has_errors(problems_));
  EXPECT_TRUE(to_string(problems_[0]).contains("none.toml")) << all_problems();
}

TEST_F(NodeConfig, AFileThatIsNotUtf8IsSaid) {
  read("[node]\nname = \"\xff\xfe\"\n");
  EXPECT_TRUE(has_errors(problems_));
}

TEST_F(NodeConfig, AnUnreadableKeyIsSaid) {
  const std::string pki = folder_->path() + "/pki";
  const std::string text =
      "[node]\nname = \"ai-1\"\ndata_dir = \"d\"\n[identity]\ncertificate = \"pki/ai-1.crt\"\n"
      "private_key = \"pki/ai-1.key\"\ntrust = \"pki/ca.crt\"\n";
  read(text);
  ASSERT_FALSE(has_errors(problems_)) << all_problems();
  const bool root = ::geteuid() == 0;  // who reads everything, so be somebody else for a moment
  fs::permissions(folder_->path(), fs::perms(0755));
  fs::permissions(pki, fs::perms(0755));
  fs::permissions(pki + "/ai-1.key", fs::perms::none);
  ASSERT_EQ(root ? ::seteuid(65534) : 0, 0);
  problems_.clear();
  read_config(folder_->path() + "/node.toml", connector_types(), problems_);
  ASSERT_EQ(root ? ::seteuid(0) : 0, 0);
  ASSERT_TRUE(has_errors(problems_));
  EXPECT_TRUE(all_problems().contains("node.toml:6:")) << all_problems();
  EXPECT_TRUE(all_problems().contains("ai-1.key")) << all_problems();
}

TEST_F(NodeConfig, ALinkThatCarriesNothingIsAWarning) {
  read(with_identity("[[link]]\nname = \"a\"\ndial = \"h:1\"\npeer = \"p\"\n"));
  EXPECT_FALSE(has_errors(problems_)) << all_problems();
  ASSERT_EQ(problems_.size(), 1u);
  EXPECT_TRUE(problems_[0].message.contains("carries nothing"));
}

TEST_F(NodeConfig, ALinkThatOnlySendsReadsOnlyAcknowledgements) {
  const std::string dial = "[[link]]\nname = \"a\"\ndial = \"h:1\"\npeer = \"dmz-1\"\n";
  const std::string both = dial + "send = [\"a/**\"]\nreceive = [\"b/**\"]\n";
  EXPECT_EQ(read(with_identity(dial + "send = [\"a/**\"]\n")).links.at(0).options.one_way, link::OneWay::acks);
  EXPECT_EQ(read(with_identity(dial + "receive = [\"a/**\"]\n")).links.at(0).options.one_way, link::OneWay::off);
  EXPECT_EQ(read(with_identity(both)).links.at(0).options.one_way, link::OneWay::off);
  EXPECT_EQ(read(with_identity(dial + "send = [\"a/**\"]\none_way = \"off\"\n")).links.at(0).options.one_way, link::OneWay::off);
  const auto strict = read(with_identity(dial + "send = [\"a/**\"]\none_way = \"strict\"\nrate = \"2 Mbit/s\"\n"));
  EXPECT_EQ(strict.links.at(0).options.one_way, link::OneWay::strict);
  EXPECT_EQ(strict.links.at(0).options.rate, 2'000'000u);
  EXPECT_FALSE(has_errors(problems_)) << all_problems();
  read(with_identity(both + "one_way = \"acks\"\n"));
  EXPECT_TRUE(all_problems().contains("is for a link that only sends")) << all_problems();
  read(with_identity(dial + "send = [\"a/**\"]\nrate = \"2 Mbit/s\"\n"));
  EXPECT_TRUE(all_problems().contains("`rate` is for one_way = \"strict\"")) << all_problems();
  read(with_identity(dial + "send = [\"a/**\"]\none_way = \"strict\"\n[[delivery]]\nmatch = \"a/**\"\nmode = \"every\"\n"));
  EXPECT_TRUE(all_problems().contains("as live values only")) << all_problems();
}

TEST_F(NodeConfig, ReadsTheHistory) {
  const std::string node = "[node]\nname = \"plant-1\"\ndata_dir = \"data\"\n";
  const Config plain = read(node + "[history]\nmatch = [\"acme/**\"]\n");
  EXPECT_EQ(all_problems(), "");
  ASSERT_TRUE(plain.history);
  EXPECT_EQ(plain.history->options.path, plain.data_dir + "/history.db");
  EXPECT_EQ(plain.history->options.max_age, std::chrono::hours(24 * 365));
  EXPECT_EQ(plain.history->options.commit, std::chrono::seconds(1));
  EXPECT_TRUE(plain.history->options.sync_each);
  EXPECT_FALSE(read(node).history);

  const Config full = read(node + "[history]\nmatch = [\"acme/**\", \"!acme/x\"]\npath = \"h.db\"\nmax_age = \"30d\"\nmax_size = \"5GiB\"\ncommit = \"5s\"\nfsync = \"os\"\n");
  EXPECT_EQ(all_problems(), "");
  EXPECT_TRUE(full.history->options.path.ends_with("/h.db"));
  EXPECT_EQ(full.history->options.max_size, 5ull << 30);
  EXPECT_FALSE(full.history->options.sync_each);

  read(node + "[history]\nmatch = []\nmax_size = \"1KiB\"\nfsync = \"never\"\ncomit = \"1s\"\n");
  for (const char* part : {"keeps nothing; add match", "max_size", "fsync", "did you mean 'commit'?"}) {
    EXPECT_NE(all_problems().find(part), std::string::npos) << part << "\n" << all_problems();
  }
  read(node + "[history]\nmatch = [\"**\"]\n[[sink.file]]\nname = \"history\"\npath = \"x\"\npublish = [\"**\"]\n");
  EXPECT_NE(all_problems().find("rename the sink"), std::string::npos) << all_problems();
}

}  // namespace
}  // namespace sallyport::node
