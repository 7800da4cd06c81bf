#include "node/admin_server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <thread>

#include "namespace/source.h"
#include "node/data_dir.h"
#include "node/test_folder.h"

namespace sallyport::node {
namespace {

using namespace std::chrono_literals;

// The other end of the socket, as any program could write it.
class Client {
 public:
  explicit Client(const std::string& data_dir) {
    auto fd = connect_admin(data_dir);
    if (fd) fd_ = *std::move(fd);
  }
  void send(std::string_view text) { (void)!::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL); }
  // One line without newline; empty at the end of the stream or after five seconds.
  std::string line() {
    for (;;) {
      const auto newline = buffer_.find('\n');
      if (newline != buffer_.npos) {
        std::string line = buffer_.substr(0, newline);
        buffer_.erase(0, newline + 1);
        return line;
      }
      if (!fill()) return {};
    }
  }
  std::vector<std::string> all_lines() {
    std::vector<std::string> lines;
    for (std::string next = line(); !next.empty(); next = line()) lines.push_back(std::move(next));
    return lines;
  }

 private:
  bool fill() {
    pollfd waiting{fd_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 5000) <= 0) return false;
    std::array<char, 65536> bytes{};
    const auto n = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (n <= 0) return false;
    buffer_.append(bytes.data(), static_cast<std::size_t>(n));
    return true;
  }
  FileDescriptor fd_;
  std::string buffer_;
};

class AdminServerTest : public testing::Test {
 protected:
  AdminServerTest() : ns_(clock_), publisher_(ns_, "plant-1", "sim", "acme/berlin", status::kBadNoCommunication) {
    publisher_.live();
    auto server = AdminServer::start(
        loop_, folder_.path(),
        {ns_, [] { return std::string(R"({"node":"plant-1"})"); }, [] { return std::string("[]"); }});
    EXPECT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~AdminServerTest() override {
    loop_.post([this] {
      server_.reset();
      loop_.stop();
    });
    thread_.join();
  }

  PointId define(const std::string& path, double value, const Meta& meta = {}) {
    Definition definition;
    definition.path = path;
    definition.meta = &meta;
    definition.first.value = Value::from(value);
    definition.first.source_time = 1'700'000'000'000'000'000;
    std::array<PointId, 1> ids{kNoPoint};
    publisher_.define({&definition, 1}, ids);
    return ids[0];
  }
  void publish(PointId point, double value) {
    Change change;
    change.point = point;
    change.value = Value::from(value);
    change.source_time = 1'700'000'001'000'000'000;
    publisher_.publish({&change, 1});
  }
  std::vector<std::string> ask(const std::string& request) {
    Client client(folder_.path());
    client.send(request + "\n");
    return client.all_lines();
  }

  TestFolder folder_;
  SystemClock clock_;
  Namespace ns_;
  Publisher publisher_;
  net::Loop loop_;
  std::unique_ptr<AdminServer> server_;
  std::thread thread_;
};

TEST_F(AdminServerTest, AnswersStatusAndEnds) {
  EXPECT_EQ(ask(R"({"command":"status"})"), (std::vector<std::string>{R"({"node":"plant-1"})", R"({"end":true})"}));
}

TEST_F(AdminServerTest, ReadsPointsByPathAndByPattern) {
  Meta meta;
  meta.type = Type::float64;
  meta.unit = "°C";
  define("line1/temp", 23.5, meta);
  define("line2/temp", 7);
  auto lines = ask(R"({"command":"read","patterns":["acme/berlin/line1/temp"]})");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].starts_with(R"({"path":"acme/berlin/line1/temp","value":23.5,)")) << lines[0];
  EXPECT_TRUE(lines[0].ends_with(R"("meta":{"type":"Double","unit":"°C"}})")) << lines[0];
  lines = ask(R"({"command":"read","patterns":["acme/**"]})");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[2], R"({"end":true,"points":2,"similar":[]})");
}

TEST_F(AdminServerTest, NamesWhatIsNearWhenNothingMatches) {
  define("line1/temp", 1);
  const auto lines = ask(R"({"command":"read","patterns":["acme/berln/**"]})");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0], R"({"end":true,"points":0,"similar":["acme/berlin"]})");
  EXPECT_EQ(ask(R"({"command":"read","patterns":["acme/*/nothing"]})").at(0), R"({"end":true,"points":0,"similar":[]})");
}

TEST_F(AdminServerTest, BrowsesOneLevel) {
  define("line1/temp", 1);
  define("line1/pressure", 1);
  define("speed", 1);
  EXPECT_EQ(ask(R"({"command":"browse","path":"acme/berlin"})"),
            (std::vector<std::string>{R"({"name":"line1","is_point":false,"points_below":2})",
                                      R"({"name":"speed","is_point":true,"points_below":0})",
                                      R"({"end":true,"truncated":false,"similar":[]})"}));
}

TEST_F(AdminServerTest, DigestLinesHoldPathTypeValueStatusAndSourceTime) {
  define("line1/temp", 23.5);
  const auto lines = ask(R"({"command":"digest","patterns":["**"]})");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], R"(["acme/berlin/line1/temp","Double",23.5,"0x00000000",1700000000000000000])");
}

TEST_F(AdminServerTest, WatchSendsTheStateAndThenEveryChange) {
  const PointId point = define("line1/temp", 1);
  Client client(folder_.path());
  client.send("{\"command\":\"watch\",\"patterns\":[\"acme/**\"]}\n");
  EXPECT_TRUE(client.line().contains("\"value\":1,"));
  publish(point, 2);
  EXPECT_TRUE(client.line().contains("\"value\":2,"));
  publisher_.lost("connection refused");
  EXPECT_TRUE(client.line().contains("\"what\":\"connection refused\""));
  publisher_.remove({&point, 1});
  EXPECT_EQ(client.line(), R"({"path":"acme/berlin/line1/temp","removed":true})");
}

TEST_F(AdminServerTest, AnswersManyPointsInPieces) {
  constexpr int kPoints = 20'000;
  for (int i = 0; i < kPoints; ++i) define("tags/t" + std::to_string(i), i);
  EXPECT_EQ(ask(R"({"command":"read","patterns":["acme/**"]})").size(), kPoints + 1u);
}

TEST_F(AdminServerTest, OneClientThatReadsNothingDelaysNoOther) {
  for (int i = 0; i < 20'000; ++i) define("tags/t" + std::to_string(i), i);
  Client lazy(folder_.path());
  lazy.send("{\"command\":\"read\",\"patterns\":[\"acme/**\"]}\n");
  EXPECT_EQ(ask(R"({"command":"status"})").size(), 2u);
}

TEST_F(AdminServerTest, RefusesMoreClientsThanItsLimitAndRecovers) {
  {
    std::vector<std::unique_ptr<Client>> clients;
    for (std::size_t i = 0; i < kMaxAdminClients; ++i) {
      clients.push_back(std::make_unique<Client>(folder_.path()));
      clients.back()->send("{\"command\":\"watch\",\"patterns\":[\"none\"]}\n");
    }
    EXPECT_TRUE(Client(folder_.path()).line().contains("too many"));
  }
  const auto limit = std::chrono::steady_clock::now() + 10s;
  while (ask(R"({"command":"status"})").size() != 2 && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(ask(R"({"command":"status"})").size(), 2u);
}

TEST_F(AdminServerTest, MalformedRequestsGetAnErrorAndTheServerGoesOn) {
  const std::pair<std::string, std::string> cases[] = {
      {"nonsense", "one JSON object"},
      {"[1]", "one JSON object"},
      {"{}", "unknown command"},
      {R"({"command":7})", "must be a string"},
      {R"({"command":"stats"})", "unknown command 'stats'"},
      {R"({"command":"status","colour":"red"})", "unknown key 'colour'"},
      {R"({"command":"read"})", "'patterns' is missing"},
      {R"({"command":"read","patterns":"x"})", "must be an array"},
      {R"({"command":"read","patterns":[7]})", "must be a string"},
      {R"({"command":"read","patterns":["a//b"]})", "a//b"},
      {R"({"command":{"a":{"b":{"c":{"d":1}}}}})", "JSON"},
      {std::string("\x00\xff\xfe", 3), "JSON"},
      {std::string(100'000, 'x'), "64 KiB"},
  };
  for (const auto& [request, message] : cases) {
    const auto lines = ask(request);
    ASSERT_EQ(lines.size(), 1u) << request.substr(0, 80);
    EXPECT_TRUE(lines[0].starts_with("{\"error\":")) << lines[0];
    EXPECT_TRUE(lines[0].contains(message)) << lines[0];
  }
  EXPECT_EQ(ask(R"({"command":"status"})").size(), 2u);
}

}  // namespace
}  // namespace sallyport::node
