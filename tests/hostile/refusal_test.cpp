// Promises 9 and 11 against a running node: who is not post-quantum, not known or not even TLS is refused and counted, and
// nothing else is disturbed. Peers: openssl s_client, and raw sockets.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <sstream>

#include "harness.h"
#include "json.h"

namespace sallyport::tests {
namespace {

// A DMZ node under attack while a plant and an office use it.
class Hostile : public testing::Test {
 protected:
  void SetUp() override {
    chain_.start();
    ASSERT_TRUE(chain_.wait_points(20)) << chain_.logs();
    port_ = chain_.port(1);
  }

  void TearDown() override {
    // Nobody who belongs here noticed anything.
    EXPECT_TRUE(dmz().process().running()) << chain_.logs();
    EXPECT_EQ(dmz().link_field("n-1", "state"), "up") << chain_.logs();
    EXPECT_EQ(dmz().link_field("n-3", "state"), "up") << chain_.logs();
    EXPECT_EQ(dmz().link_field("n-1", "connects"), "1");
    EXPECT_EQ(dmz().link_field("n-3", "connects"), "1");
    EXPECT_EQ(chain_.last().points("good"), "20");
    EXPECT_EQ(chain_.last().points("bad"), "0");
  }

  Node& dmz() { return chain_.node(1); }

  std::string listen_field(const std::string& name) { return text_at(dmz().status(), "listen." + name); }
  long failed_handshakes() {
    const std::string text = listen_field("failed_handshake");
    return text.empty() ? -1 : std::atol(text.c_str());
  }

  std::string file(const std::string& name) { return chain_.pki().folder() + "/" + name; }

  // s_client with everything a good peer has, plus or minus what `words` say.
  Finished s_client(std::vector<std::string> words, const std::string& name = "n-1", const std::string& says = {}) {
    std::vector<std::string> command{"openssl", "s_client", "-connect", "127.0.0.1:" + std::to_string(port_), "-CAfile",
                                     file("ca.crt"), "-brief", "-ign_eof"};
    if (!name.empty()) command.insert(command.end(), {"-cert", file(name + ".crt"), "-key", file(name + ".key")});
    command.insert(command.end(), words.begin(), words.end());
    command.insert(command.begin(), {"timeout", "8"});
    return run(command, seconds(15), 0, says);
  }

  static ChainOptions with_rogue() {
    ChainOptions options;
    options.listen_extra = "[[listen.peer]]\nname = \"rogue\"\nreceive = [\"rogue/**\"]\nsend = [\"**\"]\n";
    return options;
  }

  Chain chain_{with_rogue()};
  std::uint16_t port_ = 0;
};

TEST_F(Hostile, ClassicalOnlyPeerIsRefused) {
  const long before = failed_handshakes();
  const Finished peer = s_client({"-groups", "X25519:P-256"});
  EXPECT_EQ(peer.error.find("CONNECTION ESTABLISHED"), std::string::npos) << peer.error;
  EXPECT_NE(peer.error.find("alert"), std::string::npos) << peer.error;
  EXPECT_TRUE(eventually([&] { return failed_handshakes() > before; }, seconds(5))) << chain_.logs();
}

TEST_F(Hostile, Tls12PeerIsRefused) {
  const Finished peer = s_client({"-tls1_2"});
  EXPECT_EQ(peer.error.find("CONNECTION ESTABLISHED"), std::string::npos) << peer.error;
  EXPECT_NE(peer.error.find("alert"), std::string::npos) << peer.error;
}

TEST_F(Hostile, PostQuantumPeerWithAGoodCertificateGetsThroughTheHandshake) {
  // Shows that the refusals beside this one are for the reason they claim.
  chain_.pki().issue("stranger");
  const Finished peer = s_client({"-groups", "X25519MLKEM768"}, "stranger");
  EXPECT_NE(peer.error.find("CONNECTION ESTABLISHED"), std::string::npos) << peer.error;
  EXPECT_NE(peer.error.find("X25519MLKEM768"), std::string::npos) << peer.error;
}

TEST_F(Hostile, PeerWithoutACertificateIsRefused) {
  const Finished peer = s_client({"-groups", "X25519MLKEM768"}, "");
  EXPECT_NE(peer.error.find("certificate required"), std::string::npos) << peer.error;
}

TEST_F(Hostile, PeerOfAForeignCaIsRefused) {
  Pki foreign(chain_.folder().path() + "/foreign");
  foreign.issue("n-1");
  const std::string stem = foreign.folder() + "/n-1";
  const long before = failed_handshakes();
  s_client({"-groups", "X25519MLKEM768", "-cert", stem + ".crt", "-key", stem + ".key"}, "");
  EXPECT_TRUE(eventually([&] { return failed_handshakes() > before; }, seconds(5))) << chain_.logs();
}

TEST_F(Hostile, UnknownNodeWithAGoodCertificateIsToldThatItIsUnknown) {
  Node stranger(chain_.folder(), chain_.pki(), "stranger-1",
                "[[link]]\nname = \"dmz\"\ndial = \"127.0.0.1:" + std::to_string(port_) + "\"\npeer = \"n-2\"\nreceive = [\"**\"]\n");
  stranger.start();
  ASSERT_TRUE(stranger.wait_ready()) << stranger.log();
  EXPECT_TRUE(eventually([&] { return stranger.link_field("dmz", "reason").find("stranger-1") != std::string::npos; }, seconds(10)))
      << stranger.link_field("dmz", "reason");
  EXPECT_NE(stranger.link_field("dmz", "state"), "up");
  EXPECT_EQ(stranger.points("good"), "0");
}

TEST_F(Hostile, NodeThatTakesTheDmzForSomebodyElseDoesNotTalkToIt) {
  Node plant(chain_.folder(), chain_.pki(), "plant-9",
             "[[link]]\nname = \"dmz\"\ndial = \"127.0.0.1:" + std::to_string(port_) + "\"\npeer = \"somebody-else\"\nsend = [\"**\"]\n");
  plant.start();
  ASSERT_TRUE(plant.wait_ready()) << plant.log();
  EXPECT_TRUE(eventually([&] { return plant.link_field("dmz", "reason").find("somebody-else") != std::string::npos; }, seconds(10)))
      << plant.link_field("dmz", "reason");
  EXPECT_NE(plant.link_field("dmz", "reason").find("n-2"), std::string::npos) << plant.link_field("dmz", "reason");
}

// --- A known peer that has gone bad: everything after the handshake -------------------------------------------------------

std::string frame(unsigned type, const std::string& body) {
  const auto size = static_cast<std::uint32_t>(body.size() + 1);
  std::string bytes(4, '\0');
  for (unsigned i = 0; i < 4; ++i) bytes[i] = static_cast<char>(size >> (8 * i) & 0xff);
  return bytes + static_cast<char>(type) + body;
}

std::string random_bytes(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (auto& byte : bytes) byte = static_cast<char>(random() & 0xff);
  return bytes;
}

TEST_F(Hostile, AuthenticatedPeerThatTalksNonsenseIsClosed) {
  chain_.pki().issue("rogue");
  std::vector<std::pair<std::string, std::string>> table = {
      {"empty frame", std::string(4, '\0') + "x"},
      {"4 GiB frame", std::string(4, '\xff') + "\x01" + std::string(4000, 'x')},
      {"hello of 1 MiB", frame(1, std::string(1 << 20, 'x'))},
      {"empty hello", frame(1, "")},
      {"unknown frame first", frame(200, "hello")},
      {"changes before hello", frame(5, random_bytes(500, 4))},
      {"definitions before hello", frame(3, random_bytes(500, 5))},
      {"HTTP", "GET / HTTP/1.1\r\n\r\n"},
  };
  for (unsigned seed = 10; seed < 20; ++seed) {
    table.emplace_back("random hello " + std::to_string(seed), frame(1, random_bytes(seed * 20, seed)));
    table.emplace_back("random " + std::to_string(seed), random_bytes(seed * 100, seed));
  }
  for (const auto& [what, bytes] : table) {
    const Finished peer = s_client({"-groups", "X25519MLKEM768", "-quiet"}, "rogue", bytes);
    EXPECT_NE(peer.code, 124) << what << ": was not closed within 8 s";
  }
  EXPECT_NE(dmz().link_field("rogue", "state"), "up");
  EXPECT_NE(dmz().link_field("rogue", "reason").find("frame"), std::string::npos) << dmz().link_field("rogue", "reason");
}

TEST_F(Hostile, AuthenticatedPeerThatSaysNothingIsClosed) {
  chain_.pki().issue("rogue");
  EXPECT_NE(s_client({"-groups", "X25519MLKEM768", "-quiet"}, "rogue", "").code, 124);
}

// --- Not TLS at all ----------------------------------------------------------------------------------------------------

TEST_F(Hostile, WhatIsNotTlsIsClosedAndCounted) {
  const std::string record_header("\x16\x03\x01", 3);
  const std::vector<std::pair<std::string, std::string>> table = {
      {"nothing, then FIN", ""},
      {"one byte, then FIN", std::string(1, '\x16')},
      {"HTTP", "GET / HTTP/1.1\r\nHost: dmz\r\n\r\n"},
      {"SSH", "SSH-2.0-OpenSSH_9.2\r\n"},
      {"zeros", std::string(4096, '\0')},
      {"oversized record", record_header + "\xff\xff" + std::string(70000, 'x')},
      {"empty record", record_header + std::string(2, '\0')},
      {"truncated hello", record_header + std::string("\x02\x00\x01\x00\x01\xfc\x03\x03", 8)},
      {"random 100", random_bytes(100, 1)},
      {"random 100000", random_bytes(100000, 2)},
      {"random in a record", record_header + std::string("\x04\x00", 2) + random_bytes(1024, 3)},
  };
  for (const auto& [what, bytes] : table) {
    const RawReply reply = send_raw(port_, bytes, 8000, true);
    EXPECT_TRUE(reply.connected) << what;
    EXPECT_TRUE(reply.closed) << what;
  }
  EXPECT_GE(failed_handshakes(), 8) << text_at(dmz().status(), "listen");
}

// The ClientHello that openssl sends, as one TLS record, read from its own trace: s_client must get as far as sending it,
// so it dials the node.
std::string client_hello(std::uint16_t port) {
  const Finished finished = run({"timeout", "2", "openssl", "s_client", "-connect", "127.0.0.1:" + std::to_string(port), "-msg",
                                 "-groups", "X25519MLKEM768"},
                                seconds(5));
  // ">>> TLS 1.3, Handshake [length 0590], ClientHello" and then lines of hex.
  std::istringstream in(finished.output);
  std::string hello;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(">>>")) {
      inside = hello.empty() && line.find("ClientHello") != std::string::npos;
    } else if (line.starts_with("    ") && inside) {
      std::istringstream hex(line);
      for (std::string byte; hex >> byte;) hello += static_cast<char>(std::stoi(byte, nullptr, 16));
    } else {
      inside = false;
    }
  }
  std::string record("\x16\x03\x01", 3);
  record += static_cast<char>(hello.size() >> 8);
  record += static_cast<char>(hello.size() & 0xff);
  return record + hello;
}

TEST_F(Hostile, BitFlippedAndTruncatedHellosAreClosedAndCounted) {
  const std::string hello = client_hello(port_);
  ASSERT_GT(hello.size(), 1200u);
  std::mt19937 random(11);
  for (int i = 0; i < 40; ++i) {
    std::string bytes = hello;
    if (i % 2 == 0) bytes[random() % bytes.size()] ^= static_cast<char>(1u << (random() % 8));
    else bytes.resize(random() % bytes.size());
    const RawReply reply = send_raw(port_, bytes, 8000, true);
    EXPECT_TRUE(reply.connected);
    EXPECT_TRUE(reply.closed) << "case " << i;
  }
}

TEST_F(Hostile, HundredsOfSilentConnectionsAreClosedInTimeWhileValuesFlow) {
  const auto sse = Watcher::sse(chain_.http_port());
  ASSERT_TRUE(sse->wait_for_all("good", 20, seconds(10)));
  std::vector<std::thread> silent;
  std::atomic<int> closed{0};
  for (int i = 0; i < 40; ++i) {
    silent.emplace_back([&] {
      for (int again = 0; again < 5; ++again) {
        if (send_raw(port_, "\x16", 100).closed) ++closed;
      }
      if (send_raw(port_, "\x16", 12000).closed) ++closed;
    });
  }
  for (auto& thread : silent) thread.join();
  EXPECT_GE(closed.load(), 40);
  const std::size_t before = sse->all().size();
  EXPECT_TRUE(eventually([&] { return sse->all().size() > before + 20; }, seconds(5)));
}

// --- The other direction: a plant that dials somebody who is not what it should be ------------------------------------------

class RogueListener : public testing::Test {
 protected:
  // A plant node that dials `port`, and what it says of that.
  void expect_reason(std::uint16_t port, const std::string& part) {
    Node plant(folder_, pki_, "plant-1",
               "[[link]]\nname = \"dmz\"\ndial = \"127.0.0.1:" + std::to_string(port) + "\"\npeer = \"dmz-1\"\nsend = [\"**\"]\n");
    plant.start();
    ASSERT_TRUE(plant.wait_ready()) << plant.log();
    std::string reason;
    EXPECT_TRUE(eventually(
        [&] {
          reason = plant.link_field("dmz", "reason");
          return reason.find(part) != std::string::npos;
        },
        seconds(15)))
        << "it says: " << reason;
    EXPECT_NE(plant.link_field("dmz", "state"), "up");
    EXPECT_TRUE(plant.process().running());
  }

  Process s_server(std::uint16_t port, const std::vector<std::string>& more) {
    pki_.issue("dmz-1");
    std::vector<std::string> command{"openssl", "s_server", "-accept", std::to_string(port), "-cert", pki_.folder() + "/dmz-1.crt",
                                     "-key", pki_.folder() + "/dmz-1.key", "-CAfile", pki_.folder() + "/ca.crt", "-quiet"};
    command.insert(command.end(), more.begin(), more.end());
    Process server(command, {.network_of = 0, .output_file = "/dev/null", .output_fd = -1});
    eventually([&] { return send_raw(port, "", 1).connected; }, seconds(5));
    return server;
  }

  TempFolder folder_;
  Pki pki_{folder_.path() + "/pki"};
  std::uint16_t port_ = free_port();
};

TEST_F(RogueListener, ThatOffersNoPostQuantumGroupIsNotTalkedTo) {
  const Process server = s_server(port_, {"-groups", "X25519:P-256", "-Verify", "1"});
  expect_reason(port_, "post-quantum");
}

TEST_F(RogueListener, ThatSpeaksOnlyTls12IsNotTalkedTo) {
  const Process server = s_server(port_, {"-tls1_2"});
  expect_reason(port_, "TLS 1.3");
}

TEST_F(RogueListener, ThatSpeaksAnotherProtocolIsNotTalkedTo) {
  const Broker mosquitto(folder_);
  expect_reason(mosquitto.port(), "handshake");
}

TEST_F(RogueListener, ThatAcceptsAndSaysNothingIsGivenUp) {
  const Broker anybody(folder_);
  Gate deaf(anybody.port());
  deaf.stall(true);
  expect_reason(deaf.port(), "no answer to our TLS hello");
}

TEST_F(RogueListener, WithAnExpiredCertificateIsNamedAsSuch) {
  pki_.issue("dmz-1", {"--days", "1", "--not-before-days-ago", "3"});
  const Process server = s_server(port_, {"-groups", "X25519MLKEM768", "-Verify", "1"});
  expect_reason(port_, "expired");
}

}  // namespace
}  // namespace sallyport::tests
