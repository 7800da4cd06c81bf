// What is in the stream, and what subscribers get.
#include <gtest/gtest.h>

#include "harness.h"
#include "sinks/nats/nats_sink.h"

namespace sallyport::tests {
namespace {

std::string settings(const NatsServer& server, const std::string& more = "stream = \"PLANT\"\ncreate = true\n") {
  return "servers = [\"" + server.url() + "\"]\n" + (more.find("subject_prefix") == std::string::npos ? "subject_prefix = \"plant\"\n" : "") + more;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

struct NatsSink : testing::Test {
  void SetUp() override { server.start(); }
  NatsServer server;
};

TEST_F(NatsSink, StoresEachChangeWithItsLabels) {
  Stage stage(nats::sink_type(), settings(server));
  stage.start();
  stage.put(1, 3);
  ASSERT_TRUE(stage.drained(seconds(30))) << stage.status().reason;
  const auto stored = NatsClient(server.url()).all("PLANT");
  ASSERT_EQ(stored.size(), 3u);
  EXPECT_EQ(stored[2].subject, "plant.acme.p1");
  EXPECT_TRUE(stored[2].payload.starts_with(R"({"path":"acme/p1","value":2,"type":"Double","quality":"good",)")) << stored[2].payload;
  EXPECT_EQ(stored[2].header("Sallyport-Status"), "0x00000000");
  EXPECT_EQ(stored[2].header("Sallyport-Quality"), "good");
  EXPECT_EQ(stored[2].header("Sallyport-Unit"), "bar");
  EXPECT_EQ(stored[2].header("Sallyport-Origin"), "plant-1");
  EXPECT_EQ(stored[2].header("Sallyport-Sequence"), "3");
  EXPECT_EQ(stored[2].header("Nats-Msg-Id"), stored[2].header("Sallyport-Stream") + ":3");
  EXPECT_TRUE(stored[2].header("Sallyport-Stream").starts_with("plant-1/"));
  EXPECT_EQ(stage.counter("behind"), 0u);
  EXPECT_EQ(stage.counter("acknowledged"), 3u);
}

TEST_F(NatsSink, GapsAreMessagesOfTheirOwn) {
  Stage stage(nats::sink_type(), settings(server));
  stage.start();
  stage.put(1, 1);
  stage.put_gap({.node = "plant-1", .where = "line1", .cause = GapCause::source_down, .start = 1'000'000'000, .end = 2'000'000'000,
                 .match = {"acme/**"}, .detail = "connection refused"});
  stage.put(1, 1);
  ASSERT_TRUE(stage.drained(seconds(30))) << stage.status().reason;
  const auto stored = NatsClient(server.url()).all("PLANT");
  ASSERT_EQ(stored.size(), 3u);
  EXPECT_EQ(stored[1].subject, "plant.$gaps");
  EXPECT_EQ(stored[1].payload, R"({"node":"plant-1","where":"line1","cause":"source_down","start":"1970-01-01T00:00:01.000000000Z",)"
                               R"("end":"1970-01-01T00:00:02.000000000Z","lost":null,"match":["acme/**"],"detail":"connection refused"})");
  EXPECT_EQ(what_is_wrong(changes_of(stored), 3), "");
}

TEST_F(NatsSink, PointsThatAreNotKeptArePublishedLiveAndStoredWhenToldSo) {
  for (const bool stored : {false, true}) {
    Stage stage(nats::sink_type(), settings(server, stored ? "stream = \"B\"\ncreate = true\nlatest = \"jetstream\"\nsubject_prefix = \"b\"\n"
                                                           : "stream = \"A\"\ncreate = true\nsubject_prefix = \"a\"\n"),
                R"(["live/**"])");
    NatsClient client(server.url());
    client.subscribe("live.a.>");
    stage.start();
    ASSERT_TRUE(eventually([&] { return stage.status().state == ConnectorState::up; }, seconds(20)));
    Definition definition{.path = "pump.1", .first = {.status = status::kGood, .source_time = 5, .value = Value::from(1.5)}};
    PointId id = kNoPoint;
    stage.live->define({&definition, 1}, {&id, 1});
    stage.live->live();
    if (stored) {
      ASSERT_TRUE(eventually([&] { return !client.all("B").empty(); }, seconds(20)));
      EXPECT_EQ(client.all("B").back().subject, "b.live.pump%2E1");
    } else {
      ASSERT_TRUE(eventually([&] { return !client.received().empty() && has(client.received().back().payload, "\"good\""); }, seconds(20)));
      EXPECT_EQ(client.received().back().subject, "live.a.live.pump%2E1");
      EXPECT_TRUE(client.all("A").empty());
    }
    stage.live->lost("connection refused");
    const auto last = [&] { return stored ? client.all("B").back().payload : client.received().back().payload; };
    EXPECT_TRUE(eventually([&] { return has(last(), "\"quality\":\"bad\""); }, seconds(20))) << last();
  }
}

TEST_F(NatsSink, SaysWhenThereIsNoStreamAndGoesOnOnceThereIs) {
  Stage stage(nats::sink_type(), settings(server, "stream = \"PLANT\"\n"));
  stage.start();
  stage.put(1, 5);
  ASSERT_TRUE(eventually([&] { return has(stage.status().reason, "there is no stream 'PLANT'"); }, seconds(20))) << stage.status().reason;
  EXPECT_TRUE(has(stage.status().reason, "create = true"));
  NatsClient client(server.url());
  client.add_stream("PLANT", "plant.>");
  ASSERT_TRUE(stage.drained(seconds(60))) << stage.status().reason;
  EXPECT_EQ(what_is_wrong(changes_of(client.all("PLANT")), 5), "");
}

TEST_F(NatsSink, AMessageTooLargeForTheStreamIsADeadLetterAndTheRestGoesOn) {
  NatsClient client(server.url());
  client.add_stream("PLANT", "plant.>", 2000);
  Stage stage(nats::sink_type(), settings(server, "stream = \"PLANT\"\n"));
  stage.start();
  stage.put(1, 2);
  stage.put(2, Value::text(std::string(4000, 'x')));     // for the stream
  stage.put(2, Value::text(std::string(2 << 20, 'x')));  // for the server
  stage.put(1, 2);
  ASSERT_TRUE(stage.drained(seconds(60))) << stage.status().reason;
  EXPECT_EQ(client.all("PLANT").size(), 4u);
  EXPECT_EQ(stage.counter("dead_letters"), 2u);
  EXPECT_TRUE(has(stage.detail("dead letter"), "acme/p2: ")) << stage.detail("dead letter");
  EXPECT_EQ(stage.status().dropped, 2u);
}

TEST_F(NatsSink, OthersMayWriteToTheSameStream) {
  Stage stage(nats::sink_type(), settings(server));
  NatsClient client(server.url());
  client.add_stream("PLANT", "plant.>");
  stage.start();
  for (int i = 0; i < 100; ++i) {
    stage.put(1, 20);
    client.publish("plant.other", "hello");
    std::this_thread::sleep_for(milliseconds(5));
  }
  ASSERT_TRUE(stage.drained(seconds(60))) << stage.status().reason;
  EXPECT_EQ(what_is_wrong(changes_of(client.all("PLANT")), 2000), "");
}

TEST(NatsSinkAlone, LogsInAndChecksTheServersCertificate) {
  const TempFolder folder;
  run({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder.path() + "/key.pem", "-out", folder.path() + "/cert.pem", "-days", "2",
       "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"}, seconds(60));
  NatsServer server("tls { cert_file: \"" + folder.path() + "/cert.pem\", key_file: \"" + folder.path() + "/key.pem\" }\n"
                    "authorization { user: plant, password: secret }\n");
  server.start();
  const std::string password = folder.write("password", "secret\n");
  const auto with = [&](const std::string& host, const std::string& file) {
    return "servers = [\"tls://" + host + ":" + std::to_string(server.port()) + "\"]\nca = \"" + folder.path() + "/cert.pem\"\nuser = \"plant\"\n" +
           "password_file = \"" + file + "\"\nstream = \"PLANT\"\ncreate = true\n";
  };
  Stage stage(nats::sink_type(), with("localhost", password));
  stage.start();
  stage.put(1, 3);
  EXPECT_TRUE(stage.drained(seconds(30))) << stage.status().reason;
  Stage elsewhere(nats::sink_type(), with("127.0.0.1", password));
  elsewhere.start();
  EXPECT_TRUE(eventually([&] { return elsewhere.status().state == ConnectorState::down; }, seconds(20)));
  EXPECT_TRUE(has(elsewhere.status().reason, "SSL")) << elsewhere.status().reason;
  Stage stranger(nats::sink_type(), with("localhost", folder.write("wrong", "guess\n")));
  stranger.start();
  EXPECT_TRUE(eventually([&] { return stranger.status().state == ConnectorState::down; }, seconds(20)));
  EXPECT_TRUE(has(stranger.status().reason, "Authorization")) << stranger.status().reason;
}

}  // namespace
}  // namespace sallyport::tests
