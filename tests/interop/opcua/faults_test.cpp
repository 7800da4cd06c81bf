// What breaks between a source and its server: noticed in time, said clearly, healed.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "harness.h"
#include "protocol/opcua/discovery.h"

namespace sallyport::opcua {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

class Faults : public ::testing::Test {
 protected:
  bool all_good(const Mirror& mirror) {
    const NamespaceCounts now = mirror.counts();
    return mirror.up() && now.points > 0 && now.good == now.points;
  }
  // The server's certificate in a file, and a client's own.
  std::string secure_settings(const ZooServer& zoo, const std::string& security, const std::string& trust) {
    if (!identity) {
      auto made =
          make_self_signed({.name = "client", .application_uri = "urn:sallyport:interop", .hosts = {}, .days = 10});
      EXPECT_TRUE(made);
      identity = std::make_unique<Identity>(std::move(*made));
      EXPECT_TRUE(save_identity(*identity, folder.file("client.crt"), folder.file("client.key")));
    }
    return zoo_settings(zoo, "security = '" + security + "'\ncertificate = '" + folder.file("client.crt") +
                                 "'\nprivate_key = '" + folder.file("client.key") + "'\ninclude = ['Scalars/**']\n" +
                                 trust);
  }
  std::string save_server_certificate(const ZooServer& zoo) {
    ClientOptions options;
    options.endpoint = zoo.endpoint();
    const auto found = discover(options);
    EXPECT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->certificates.size(), 1u);
    if (found->certificates.empty()) return {};
    fingerprint = found->certificates[0].sha256;
    return folder.write("server.der", found->certificates[0].der);
  }

  TemporaryFolder folder;
  std::unique_ptr<Identity> identity;
  std::string fingerprint;
};

TEST_F(Faults, AKilledServerTurnsEverythingBadAtOnceAndARestartedOneHealsIt) {
  const std::uint16_t port = free_port();
  auto zoo = std::make_unique<ZooServer>(port, folder, R"("tags": 20)");
  const Mirror mirror(zoo_settings(*zoo, "include = ['Tags/**', 'Scalars/**']"));
  ASSERT_TRUE(mirror.comes_up());
  EXPECT_TRUE(all_good(mirror));
  zoo->kill();
  const MonotonicTime begin = SystemClock().monotonic();
  EXPECT_TRUE(eventually([&] { return mirror.counts().good == 0; }, seconds(5)));
  RecordProperty("seconds_to_bad", std::to_string(seconds_since(begin)));
  const PointView point = mirror.at("Scalars/Double");
  EXPECT_EQ(point.status, status::kBadNoCommunication);
  EXPECT_EQ(point.value, Value::from(3.141592653589793));
  EXPECT_NE(mirror.at("Tags/T00020").id, kNoPoint);
  // The same zoo under other namespace indexes, and smaller.
  zoo = std::make_unique<ZooServer>(port, folder, R"("tags": 10, "extraNamespaces": ["urn:one", "urn:two"])");
  EXPECT_TRUE(eventually([&] { return all_good(mirror); }, seconds(60)));
  EXPECT_EQ(mirror.at("Scalars/NodeId").value.text(), "nsu=urn:sallyport:zoo;s=Zoo");
  EXPECT_NE(mirror.at("Tags/T00010").id, kNoPoint);
  EXPECT_EQ(mirror.at("Tags/T00020").id, kNoPoint);
  EXPECT_EQ(mirror.counter("reconnects"), 1u);
}

TEST_F(Faults, AFrozenServerIsNoticedWithinTenSecondsOrSoonerIfWanted) {
  ZooServer zoo(free_port(), folder);
  const Mirror usual(zoo_settings(zoo, "include = ['Scalars/**']"));
  const Mirror quick(zoo_settings(zoo, "include = ['Scalars/**']\nkeepalive = '500ms'"));
  ASSERT_TRUE(usual.comes_up());
  ASSERT_TRUE(quick.comes_up());
  zoo.signal(SIGSTOP);
  const MonotonicTime begin = SystemClock().monotonic();
  EXPECT_TRUE(eventually([&] { return quick.counts().good == 0; }, seconds(15)));
  EXPECT_LE(seconds_since(begin), 5.0);
  EXPECT_TRUE(eventually([&] { return usual.counts().good == 0; }, seconds(15)));
  EXPECT_LE(seconds_since(begin), 10.0);
  RecordProperty("seconds_to_bad", std::to_string(seconds_since(begin)));
  EXPECT_TRUE(eventually([&] { return !usual.up(); }));
  zoo.signal(SIGCONT);
  EXPECT_TRUE(eventually([&] { return all_good(usual) && all_good(quick); }, seconds(60)));
}

TEST_F(Faults, AServerOrAStartNodeThatComesLaterIsWaitedFor) {
  const std::uint16_t port = free_port();
  const Mirror mirror("endpoint = 'opc.tcp://127.0.0.1:" + std::to_string(port) +
                      "'\nbrowse = ['nsu=urn:sallyport:zoo;s=Zoo', 'nsu=urn:sallyport:zoo;s=Zoo/Live/Lion', 'i=2256']");
  EXPECT_TRUE(eventually([&] { return mirror.status().reason == "connection refused"; }));
  auto zoo = std::make_unique<ZooServer>(port, folder, R"("withoutZoo": true)");
  // ServerStatus (i=2256) is a variable; the others are missing.
  EXPECT_TRUE(eventually(
      [&] { return mirror.at("ServerStatus").status == status::kGood && mirror.at("ServerStatus").id != kNoPoint; }));
  EXPECT_TRUE(eventually([&] { return contains(mirror.status().reason, "s=Zoo' does not exist"); }));
  zoo.reset();
  zoo = std::make_unique<ZooServer>(port, folder);
  EXPECT_TRUE(eventually(
      [&] { return mirror.at("Scalars/Double").status == status::kGood && mirror.at("Scalars/Double").id != kNoPoint; },
      seconds(60)));
  EXPECT_EQ(mirror.at("Lion").id, kNoPoint);
  ASSERT_TRUE(zoo->command("add Lion"));
  EXPECT_TRUE(eventually([&] { return mirror.at("Lion").id != kNoPoint; }, seconds(60)));
}

TEST_F(Faults, EveryPolicyAndModeConnectsToATrustedServerOnly) {
  ZooServer zoo(free_port(), folder, R"("secure": true)");
  const std::string certificate = save_server_certificate(zoo);
  for (const char* policy : {"Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"}) {
    for (const char* mode : {"/Sign", "/SignAndEncrypt"}) {
      const Mirror mirror(
          secure_settings(zoo, std::string(policy) + mode, "server_certificate = '" + certificate + "'"));
      EXPECT_TRUE(mirror.comes_up()) << policy << mode;
      EXPECT_EQ(mirror.detail("security"), std::string(policy) + mode);
      EXPECT_EQ(mirror.at("Scalars/Double").value, Value::from(3.141592653589793));
    }
  }
  const Mirror nothing(secure_settings(zoo, "Basic256Sha256/SignAndEncrypt", ""));
  EXPECT_TRUE(eventually([&] { return contains(nothing.status().reason, fingerprint); })) << nothing.status().reason;
  EXPECT_TRUE(contains(nothing.status().reason, "set server_certificate"));
  const Mirror other(secure_settings(zoo, "Basic256Sha256/SignAndEncrypt",
                                     "server_certificate = '" + folder.file("client.crt") + "'"));
  EXPECT_TRUE(eventually([&] { return contains(other.status().reason, "not the one in server_certificate"); }))
      << other.status().reason;
  const Mirror listed(secure_settings(zoo, "Aes256_Sha256_RsaPss/Sign", "trust_list = ['" + certificate + "']"));
  EXPECT_TRUE(listed.comes_up());
  EXPECT_EQ(nothing.counts().points, 0u);
}

TEST_F(Faults, PasswordsAreChecked) {
  ZooServer zoo(free_port(), folder, R"("secure": true, "users": true)");
  const std::string good = folder.write("good", "bananas\n"), bad = folder.write("bad", "coconuts\n");
  const auto login = [&](const std::string& file) {
    return "include = ['Scalars/**']\nusername = 'keeper'\npassword_file = '" + file + "'";
  };
  const Mirror keeper(zoo_settings(zoo, login(good)));
  EXPECT_TRUE(keeper.comes_up());
  const Mirror thief(zoo_settings(zoo, login(bad)));
  EXPECT_TRUE(eventually([&] { return contains(thief.status().reason, "refuses user name or password"); }))
      << thief.status().reason;
  const Mirror nobody(zoo_settings(zoo));
  EXPECT_TRUE(eventually([&] { return contains(nobody.status().reason, "no anonymous users"); }))
      << nobody.status().reason;
  EXPECT_TRUE(keeper.up());
}

// Something that listens, and answers every connection with these bytes.
class Impostor {
 public:
  explicit Impostor(std::string answer) : answer_(std::move(answer)) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    EXPECT_EQ(::listen(fd_, 10), 0);
    port = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Impostor() {
    stop_ = true;
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }
  std::uint16_t port = 0;

 private:
  void serve() {
    while (!stop_) {
      const int peer = ::accept(fd_, nullptr, nullptr);
      if (peer < 0) continue;
      char ignored[4096];
      (void)!::recv(peer, ignored, sizeof ignored, 0);
      (void)!::send(peer, answer_.data(), answer_.size(), MSG_NOSIGNAL);
      std::this_thread::sleep_for(milliseconds(50));
      ::close(peer);
    }
  }
  std::string answer_;
  int fd_ = -1;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST_F(Faults, WhatIsNoOpcUaServerIsSaidToBeNone) {
  const std::string answers[] = {
      "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
      std::string(1000, '\xff'),
      std::string("ACKF\x1c\x00\x00\x00", 8) + std::string(20, '\0'),   // no buffers at all
      std::string("ACKF\xff\xff\xff\x7f", 8),                           // a chunk of 2 GiB
      std::string("MSGF\x10\x00\x00\x00", 8) + std::string(8, '\x01'),  // out of turn
      "",                                                               // just closes
  };
  for (const std::string& answer : answers) {
    Impostor impostor(answer);
    const Mirror mirror("endpoint = 'opc.tcp://127.0.0.1:" + std::to_string(impostor.port) +
                        "'\nrequest_timeout = '1s'");
    EXPECT_TRUE(
        eventually([&] { return mirror.status().state == ConnectorState::down && !mirror.status().reason.empty(); }));
    SCOPED_TRACE(mirror.status().reason);
    EXPECT_EQ(mirror.counts().points, 0u);
    EXPECT_TRUE(contains(mirror.status().reason, "no OPC UA server"));
  }
}

}  // namespace
}  // namespace sallyport::opcua
