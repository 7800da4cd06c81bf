// Points from messages of a real server.
#include <gtest/gtest.h>

#include "harness.h"
#include "sinks/nats/nats_sink.h"
#include "sources/nats/nats_source.h"

namespace sallyport::tests {
namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

class Inlet {
 public:
  explicit Inlet(std::string settings) : settings_(std::move(settings)) { start(); }
  ~Inlet() { source->stop(); }
  void start() {
    Problems problems;
    const auto settings = Settings::parse(settings_, "source.toml", problems);
    SettingsReader reader(*settings, problems);
    source = nats::source_type().make({.name = "messages", .node = "ai-1", .into = "acme"}, reader);
    reader.finish();
    EXPECT_TRUE(problems.empty()) << to_string(problems.front());
    EXPECT_TRUE(source->start(publisher));
  }
  void restart() {
    source->stop();
    start();
  }
  bool up() const {
    return eventually([&] { return source->status().state == ConnectorState::up; }, seconds(20));
  }
  // "23.5 good", "" when there is no such point.
  std::string shown(const std::string& path) const {
    const auto point = ns.read(path);
    if (!point) return {};
    double number = 0;
    const std::string value = point->value.to_double(number) ? std::to_string(number).substr(0, 4) : std::string(point->value.text());
    return value + " " + std::string(to_string(quality_of(point->status)));
  }
  bool shows(const std::string& path, const std::string& what) const {
    return eventually([&] { return shown(path) == what; }, seconds(20));
  }
  std::uint64_t counter(std::string_view name) const {
    for (const auto& [key, value] : source->status().counters) {
      if (key == name) return value;
    }
    return 0;
  }

  SystemClock clock;
  Namespace ns{clock};
  Publisher publisher{ns, "ai-1", "messages", "acme", status::kBadNoCommunication};
  std::unique_ptr<Source> source;

 private:
  std::string settings_;
};

struct NatsSource : testing::Test {
  void SetUp() override { server.start(); }
  std::string settings(const std::string& more) const { return "servers = [\"" + server.url() + "\"]\nsubjects = [\"plant.>\"]\nstrip = \"plant\"\n" + more; }
  NatsServer server;
};

TEST_F(NatsSource, TakesWhatIsPublished) {
  Inlet inlet(settings(""));
  ASSERT_TRUE(inlet.up());
  NatsClient client(server.url());
  client.publish("plant.line1.temp", R"({"value":23.5,"timestamp":"2026-11-23T02:40:17Z"})");
  client.publish("plant.line1.state%2E1", R"({"value":"on","type":"String","status":"0x40920000"})");
  EXPECT_TRUE(inlet.shows("acme/line1/temp", "23.5 good")) << inlet.shown("acme/line1/temp");
  EXPECT_TRUE(inlet.shows("acme/line1/state.1", "on uncertain")) << inlet.shown("acme/line1/state.1");
  EXPECT_EQ(format_utc(inlet.ns.read("acme/line1/temp")->source_time), "2026-11-23T02:40:17.000000000Z");
  client.publish("plant.line1.temp", R"({"value":24.5})");
  EXPECT_TRUE(inlet.shows("acme/line1/temp", "24.5 good"));
}

TEST_F(NatsSource, CountsAndShowsWhatItCannotRead) {
  Inlet inlet(settings(""));
  ASSERT_TRUE(inlet.up());
  NatsClient client(server.url());
  client.publish("plant.a", "hello");
  client.publish("plant.b", R"({"value":1,"type":"Dbl"})");
  client.publish("plant.1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17", R"({"value":1})");
  client.publish("plant.c", R"({"value":1})");
  ASSERT_TRUE(inlet.shows("acme/c", "1.00 good")) << inlet.shown("acme/c");
  EXPECT_EQ(inlet.counter("bad_messages"), 3u);
  EXPECT_EQ(inlet.source->status().dropped, 3u);
  bool shown = false;
  for (const auto& [key, value] : inlet.source->status().details) shown = shown || (key == "bad message" && has(value, "plant.1.2"));
  EXPECT_TRUE(shown);
}

TEST_F(NatsSource, WithoutAServerNothingIsGoodAndWithItEachPointIsAgainWithItsNextMessage) {
  Inlet inlet(settings("format = \"value\"\n"));
  ASSERT_TRUE(inlet.up());
  {
    NatsClient client(server.url());
    client.publish("plant.a", "1.5");
    client.publish("plant.b", "2.5");
    ASSERT_TRUE(inlet.shows("acme/a", "1.50 good") && inlet.shows("acme/b", "2.50 good"));
  }
  server.kill();
  EXPECT_TRUE(inlet.shows("acme/a", "1.50 bad")) << inlet.shown("acme/a");
  server.start();
  ASSERT_TRUE(inlet.up());
  NatsClient client(server.url());
  client.publish("plant.a", "1.5");
  EXPECT_TRUE(inlet.shows("acme/a", "1.50 good")) << inlet.shown("acme/a");
  EXPECT_EQ(inlet.shown("acme/b"), "2.50 bad");
  // A server that froze says nothing: it is noticed all the same.
  server.freeze();
  const auto frozen = Clock::now();
  EXPECT_TRUE(inlet.shows("acme/a", "1.50 bad")) << inlet.shown("acme/a");
  EXPECT_LT(Clock::now() - frozen, seconds(10));
  server.thaw();
}

TEST_F(NatsSource, OfAStreamItReadsTheLastOfEachSubjectAndIsThenComplete) {
  NatsClient client(server.url());
  client.add_stream("PLANT", "plant.>");
  for (int i = 0; i < 1000; ++i) client.publish("plant.p" + std::to_string(i % 50), std::to_string(i), true);
  Inlet inlet(settings("format = \"value\"\nstream = \"PLANT\"\n"));
  ASSERT_TRUE(inlet.shows("acme/p49", "999. good")) << inlet.shown("acme/p49");
  ASSERT_TRUE(eventually([&] { return inlet.ns.counts(Patterns::everything()).good == 50; }, seconds(20)));
  server.kill();
  EXPECT_TRUE(inlet.shows("acme/p1", "951. bad")) << inlet.shown("acme/p1");
  server.start();
  EXPECT_TRUE(eventually([&] { return inlet.ns.counts(Patterns::everything()).good == 50; }, seconds(30)));
  NatsClient again(server.url());
  again.publish("plant.p1", "7", true);
  EXPECT_TRUE(inlet.shows("acme/p1", "7.00 good")) << inlet.shown("acme/p1");
}

TEST_F(NatsSource, ADurableConsumerTakesEachMessageOnceAlsoThoseOfItsAbsence) {
  NatsClient client(server.url());
  client.add_stream("PLANT", "plant.>");
  std::uint64_t changes = 0;
  {
    Inlet inlet(settings("format = \"value\"\nstream = \"PLANT\"\ndurable = \"ai\"\n"));
    for (int i = 0; i < 500; ++i) client.publish("plant.a", std::to_string(i), true);
    ASSERT_TRUE(inlet.shows("acme/a", "499. good"));
    changes += inlet.source->status().changes;
  }
  for (int i = 500; i < 800; ++i) client.publish("plant.a", std::to_string(i), true);
  Inlet inlet(settings("format = \"value\"\nstream = \"PLANT\"\ndurable = \"ai\"\n"));
  ASSERT_TRUE(inlet.shows("acme/a", "799. good"));
  changes += inlet.source->status().changes;
  EXPECT_EQ(changes, 800u);
}

TEST_F(NatsSource, WhatTheSinkWroteComesBackUnderItsPath) {
  Stage stage(nats::sink_type(), "servers = [\"" + server.url() + "\"]\nsubject_prefix = \"plant\"\nstream = \"PLANT\"\ncreate = true\n");
  stage.start();
  stage.put(3, 10);
  ASSERT_TRUE(stage.drained(seconds(30)));
  Inlet inlet("servers = [\"" + server.url() + "\"]\nsubjects = [\"plant.acme.>\"]\nstrip = \"plant.acme\"\nstream = \"PLANT\"\n");
  EXPECT_TRUE(inlet.shows("acme/p3", "9.00 good")) << inlet.shown("acme/p3");
}

TEST(NatsSourceAlone, SaysWhyItIsDown) {
  NatsServer server;
  server.start();
  Inlet inlet("servers = [\"" + server.url() + "\"]\nsubjects = [\"a\"]\nstream = \"NONE\"\n");
  EXPECT_TRUE(eventually([&] { return has(inlet.source->status().reason, "there is no such stream"); }, seconds(20))) << inlet.source->status().reason;
}

}  // namespace
}  // namespace sallyport::tests
