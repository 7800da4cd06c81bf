// What consumers of other makers read from the broker.
#include <gtest/gtest.h>

#include <algorithm>

#include "harness.h"

namespace sallyport::interop {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

struct MqttSink : testing::Test {
  void SetUp() override { broker.start(); }
  Broker broker;
};

TEST_F(MqttSink, RetainsEachPointAsJsonUnderItsPath) {
  Mirror mirror(broker.url());
  mirror.set(2, 7.5);
  ASSERT_TRUE(eventually([&] { return mirror.counter("acknowledged") >= 5 && mirror.detail("in flight") == "0"; }));
  const auto values = retained(broker);
  ASSERT_EQ(values.size(), 4u);
  const std::string& payload = values.at("acme/t2");
  EXPECT_TRUE(payload.starts_with(
      R"({"path":"acme/t2","value":7.5,"type":"Double","quality":"good","status":"0x00000000","timestamp":")"))
      << payload;
  EXPECT_TRUE(payload.ends_with(R"(Z","origin":"plant-1"})")) << payload;
}

TEST_F(MqttSink, LiveSubscribersGetEachChange) {
  Mirror mirror(broker.url());
  ASSERT_TRUE(eventually([&] { return mirror.up(); }));
  Subscriber subscriber(broker);
  mirror.set(0, 41);
  ASSERT_TRUE(eventually([&] { return has(subscriber.last("acme/t0"), "\"value\":41,"); }));
  mirror.set(0, 42);
  ASSERT_TRUE(eventually([&] { return has(subscriber.last("acme/t0"), "\"value\":42,"); }));
}

TEST_F(MqttSink, ALostSourceTurnsRetainedValuesBadAndBack) {
  Mirror mirror(broker.url());
  ASSERT_TRUE(eventually([&] { return retained(broker).size() == 4; }));
  mirror.source.lost("connection refused");
  ASSERT_TRUE(eventually([&] {
    const auto values = retained(broker);
    return std::ranges::all_of(values, [](const auto& each) { return has(each.second, "\"quality\":\"bad\""); });
  }));
  const std::string payload = retained(broker).at("acme/t3");
  EXPECT_TRUE(has(payload, R"("status":"0x80310000","status_name":"BadNoCommunication")")) << payload;
  EXPECT_TRUE(has(payload, R"("cause":{"node":"plant-1","link":"line1")")) << payload;
  EXPECT_TRUE(has(payload, R"("what":"connection refused")")) << payload;
  EXPECT_TRUE(has(payload, R"("value":0,)")) << payload;
  mirror.source.live();
  ASSERT_TRUE(eventually([&] {
    const auto values = retained(broker);
    return std::ranges::all_of(values, [](const auto& each) { return has(each.second, "\"quality\":\"good\""); });
  }));
}

TEST_F(MqttSink, ARemovedPointLeavesNoRetainedValue) {
  Mirror mirror(broker.url());
  ASSERT_TRUE(eventually([&] { return retained(broker).size() == 4; }));
  mirror.source.remove({&mirror.ids[1], 1});
  ASSERT_TRUE(eventually([&] { return retained(broker).size() == 3; }));
  EXPECT_FALSE(retained(broker).contains("acme/t1"));
  EXPECT_EQ(mirror.counter("cleared"), 1u);
}

TEST_F(MqttSink, SaysThatItIsOnlineAndWhenItLeaves) {
  {
    Mirror mirror(broker.url());
    ASSERT_TRUE(eventually([&] { return retained(broker, "sallyport/#")["sallyport/ai-1/broker/online"] == "true"; }));
  }
  EXPECT_EQ(retained(broker, "sallyport/#")["sallyport/ai-1/broker/online"], "false");
}

TEST_F(MqttSink, StopPublishesWhatIsStillToBePublished) {
  {
    Mirror mirror(broker.url(), "", 2000);
    ASSERT_TRUE(eventually([&] { return mirror.up(); }));
    mirror.source.lost("stopped");
    mirror.sink->stop();
  }
  const auto values = retained(broker);
  ASSERT_EQ(values.size(), 2000u);
  for (const auto& [topic, payload] : values) ASSERT_TRUE(has(payload, "\"quality\":\"bad\"")) << payload;
}

TEST_F(MqttSink, PrefixAndFormatsAreAsConfigured) {
  Mirror umh(broker.url(), "topic_prefix = \"umh/v1\"\nformat = \"umh\"\nclient_id = \"a\"");
  Mirror value(broker.url(), "topic_prefix = \"raw/\"\nformat = \"value\"\nclient_id = \"b\"\nonline_topic = \"\"");
  umh.set(1, 2.5);
  value.set(1, 3.5);
  ASSERT_TRUE(eventually([&] { return retained(broker, "raw/#")["raw/acme/t1"] == "3.5"; }));
  ASSERT_TRUE(eventually([&] { return has(retained(broker, "umh/#")["umh/v1/acme/t1"], "\"t1\":2.5}"); }));
  EXPECT_EQ(retained(broker, "umh/#")["umh/v1/sallyport/ai-1/broker/online"], "true");
}

TEST_F(MqttSink, WithoutRetainALateSubscriberGetsNothing) {
  Mirror mirror(broker.url(), "retain = false");
  ASSERT_TRUE(eventually([&] { return mirror.counter("acknowledged") >= 4; }));
  EXPECT_EQ(retained(broker).size(), 0u);
}

TEST_F(MqttSink, ValuesTooLargeForTheBrokerAreSkippedAndTheRestGoesOn) {
  Mirror mirror(broker.url(), "max_payload = \"1KiB\"");
  const std::string large(2000, 'x');
  Change change{.point = mirror.ids[0], .status = status::kGood, .source_time = 1, .value = Value::text(large)};
  mirror.source.publish({&change, 1});
  ASSERT_TRUE(eventually([&] { return mirror.counter("skipped") == 1; }));
  EXPECT_EQ(mirror.detail("skipped"), "acme/t0: larger than max_payload");
  mirror.set(1, 5);
  ASSERT_TRUE(eventually([&] { return has(retained(broker)["acme/t1"], "\"value\":5,"); }));
  EXPECT_EQ(mirror.counter("reconnects"), 0u);
}

TEST_F(MqttSink, ABurstOfAHundredThousandPointsArrivesWhole) {
  Mirror mirror(broker.url(), "", 100'000);
  ASSERT_TRUE(eventually([&] { return mirror.counter("acknowledged") >= 100'000; }, seconds(60)));
  for (std::size_t i = 0; i < mirror.ids.size(); ++i) mirror.set(i, 1);
  ASSERT_TRUE(eventually([&] { return mirror.counter("acknowledged") >= 200'000 && mirror.detail("in flight") == "0"; },
                         seconds(60)));
  const auto values = retained(broker);
  ASSERT_EQ(values.size(), 100'000u);
  for (const auto& [topic, payload] : values) ASSERT_TRUE(has(payload, "\"value\":1,")) << topic << " " << payload;
}

struct MqttVersions : testing::TestWithParam<std::tuple<const char*, int>> {};

TEST_P(MqttVersions, PublishWithTheConfiguredQos) {
  const auto [version, qos] = GetParam();
  Broker broker;
  broker.start();
  Subscriber subscriber(broker, "acme/#");
  Mirror mirror(broker.url(), "version = \"" + std::string(version) + "\"\nqos = " + std::to_string(qos));
  ASSERT_TRUE(eventually([&] { return subscriber.latest().size() == 5; }));  // with the marker
  mirror.set(3, 9);
  ASSERT_TRUE(eventually([&] { return has(subscriber.last("acme/t3"), "\"value\":9,"); }));
  EXPECT_EQ(subscriber.latest()["acme/t3"].qos, qos);
  EXPECT_EQ(retained(broker).size(), 4u);
  mirror.source.remove({&mirror.ids[0], 1});
  ASSERT_TRUE(eventually([&] { return retained(broker).size() == 3; }));
}

std::string version_name(const testing::TestParamInfo<std::tuple<const char*, int>>& info) {
  return std::string(std::get<0>(info.param)[0] == '3' ? "V311" : "V5") + "Qos" +
         std::to_string(std::get<1>(info.param));
}
INSTANTIATE_TEST_SUITE_P(Mqtt, MqttVersions, testing::Combine(testing::Values("3.1.1", "5"), testing::Values(0, 1)),
                         version_name);

struct NpmClient : testing::TestWithParam<int> {};

TEST_P(NpmClient, ReadsWhatTheSinkPublishes) {
  Broker broker;
  broker.start();
  Mirror mirror(broker.url(), GetParam() == 5 ? "version = \"5\"" : "");
  ASSERT_TRUE(eventually([&] { return mirror.counter("acknowledged") >= 4; }));
  const std::string folder = SALLYPORT_SOURCE_DIR "/tests/interop/mqtt";
  Process consumer(
      {"node", folder + "/consumer.js", std::to_string(broker.port()), std::to_string(GetParam()), "acme/#"});
  const auto any = [&](std::string_view topic, std::string_view payload, std::string_view tail) {
    return std::ranges::any_of(consumer.lines(), [&](const std::string& line) {
      return has(line, topic) && has(line, payload) && line.ends_with(tail);
    });
  };
  ASSERT_TRUE(eventually([&] { return consumer.lines().size() >= 5; }))
      << "is the npm client installed? (npm ci in tests/interop)";
  EXPECT_TRUE(any("\"topic\":\"acme/t0\"", R"(\"value\":0,\"type\":\"Double\",\"quality\":\"good\")",
                  "\"qos\":1,\"retain\":true}"));
  mirror.set(0, 12.25);
  EXPECT_TRUE(eventually([&] { return any("\"topic\":\"acme/t0\"", R"(\"value\":12.25,)", "\"retain\":false}"); }));
  mirror.source.lost("timeout");
  EXPECT_TRUE(eventually([&] { return any("\"topic\":\"acme/t1\"", R"(\"quality\":\"bad\")", "\"retain\":false}"); }));
  mirror.source.remove({&mirror.ids[2], 1});
  EXPECT_TRUE(eventually([&] { return any("\"topic\":\"acme/t2\"", R"("payload":"")", "\"retain\":false}"); }));
}
INSTANTIATE_TEST_SUITE_P(Mqtt, NpmClient, testing::Values(4, 5),
                         [](const auto& each) { return each.param == 5 ? "V5" : "V311"; });

}  // namespace
}  // namespace sallyport::interop
