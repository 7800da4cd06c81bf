#include <gtest/gtest.h>

#include <fstream>

#include "base/backoff.h"
#include "sinks/mqtt/mqtt_settings.h"
#include "sinks/mqtt/mqtt_sink.h"
#include "sinks/mqtt/payload.h"

namespace sallyport::mqtt {
namespace {

struct Read {
  Options options;
  std::string problems;
};

Read read(const std::string& text) {
  Problems problems;
  Read read;
  auto settings = Settings::parse(text, "sink.toml", problems);
  if (settings) {
    SettingsReader reader(*settings, problems);
    read.options = read_options({.name = "broker", .node = "ai-1", .publish = Patterns::everything()}, reader);
    reader.finish();
  }
  for (const Problem& problem : problems) read.problems += to_string(problem) + "\n";
  return read;
}

TEST(MqttSettings, DefaultsSuitAnyBroker) {
  const Read r = read("broker = \"mqtt://broker.example\"");
  EXPECT_EQ(r.problems, "");
  EXPECT_EQ(r.options.host, "broker.example");
  EXPECT_EQ(r.options.port, 1883);
  EXPECT_FALSE(r.options.version5);
  EXPECT_EQ(r.options.qos, 1);
  EXPECT_TRUE(r.options.retain);
  EXPECT_EQ(r.options.client_id, "sallyport-ai-1-broker");
  EXPECT_EQ(r.options.online_topic, "sallyport/ai-1/broker/online");
}

TEST(MqttSettings, ThePrefixStandsBeforeEveryTopicOnce) {
  const Read r = read("broker = \"mqtt://b\"\ntopic_prefix = \"umh/v1//\"");
  EXPECT_EQ(r.problems, "");
  EXPECT_EQ(r.options.topic_prefix, "umh/v1/");
  EXPECT_EQ(r.options.online_topic, "umh/v1/sallyport/ai-1/broker/online");
  EXPECT_EQ(read("broker = \"mqtt://b\"\nonline_topic = \"\"").options.online_topic, "");
}

TEST(MqttSettings, BrokerAddressesAreRead) {
  struct Case {
    const char* text;
    const char* host;
    int port;
    bool tls;
  };
  for (const Case& c :
       {Case{"mqtt://10.0.0.1", "10.0.0.1", 1883, false}, Case{"mqtts://b.example", "b.example", 8883, true},
        Case{"mqtt://b:1884/", "b", 1884, false}, Case{"mqtts://[2001:db8::1]:9", "2001:db8::1", 9, true},
        Case{"mqtt://[::1]", "::1", 1883, false}}) {
    const auto address = parse_broker(c.text);
    ASSERT_TRUE(address) << c.text;
    EXPECT_EQ(address->host, c.host);
    EXPECT_EQ(address->port, c.port);
    EXPECT_EQ(address->tls, c.tls);
  }
}

TEST(MqttSettings, WrongBrokerAddressesSayWhatIsWrong) {
  for (const char* text : {"", "b:1883", "tcp://b", "mqtt://", "mqtt://:1883", "mqtt://b:", "mqtt://b:0",
                           "mqtt://b:65536", "mqtt://b:x", "mqtt://b:1x", "mqtt://::1:1883", "mqtt://[::1",
                           "mqtt://[::1]1883", "mqtt://u:p@b", "mqtt://b/topic", "mqtt://b c"}) {
    const auto address = parse_broker(text);
    ASSERT_FALSE(address) << text;
    EXPECT_NE(address.error().message.find("mqtt://host:1883"), std::string::npos);
  }
}

TEST(MqttSettings, EachMistakeIsReportedAtItsPlace) {
  struct Case {
    const char* text;
    const char* problem;
  };
  for (const Case& c : {
           Case{"qos = 1", "broker"},
           Case{"broker = \"mqtt://b\"\nqos = 2", "sink.toml:2"},
           Case{"broker = \"mqtt://b\"\nformat = \"xml\"", "json"},
           Case{"broker = \"mqtt://b\"\nversion = \"4\"", "3.1.1"},
           Case{"broker = \"mqtt://b\"\nretian = true", "retain"},
           Case{"broker = \"mqtt://b\"\nkeepalive = \"1s\"", "sink.toml:2"},
           Case{"broker = \"mqtt://b\"\ntopic_prefix = \"a/#\"", "topic"},
           Case{"broker = \"mqtt://b\"\nca = \"ca.crt\"", "mqtts://"},
           Case{"broker = \"mqtts://b\"\nca = \"/nonexistent/ca.crt\"", "/nonexistent/ca.crt"},
           Case{"broker = \"mqtts://b\"\ncertificate = \"x.crt\"", "go together"},
           Case{"broker = \"mqtt://b\"\nclient_id = \"\"", "client_id"},
       }) {
    EXPECT_NE(read(c.text).problems.find(c.problem), std::string::npos) << c.text << "\n→ " << read(c.text).problems;
  }
}

TEST(MqttSettings, TheSampleIsValid) {
  Problems problems;
  const auto settings = Settings::load(SALLYPORT_SOURCE_DIR "/src/sinks/mqtt/sample.toml", problems);
  ASSERT_TRUE(settings);
  SettingsReader file(*settings, problems);
  SettingsReader sinks(*file.table("sink"), problems);
  const auto tables = sinks.tables("mqtt");
  ASSERT_EQ(tables.size(), 1u);
  SettingsReader reader(tables[0], problems);
  const SinkCommon common{
      .name = reader.required_string("name"), .node = "n", .publish = *Patterns::parse(reader.strings("publish", {}))};
  EXPECT_NE(sink_type().make(common, reader), nullptr);
  reader.finish();
  for (const Problem& problem : problems) ADD_FAILURE() << to_string(problem);
}

std::string payload(Format format, Value value, Status status = status::kGood) {
  Update update;
  update.value = std::move(value);
  update.status = status;
  update.source_time = 1'700'000'000'123'456'789;
  std::string out;
  append_payload(out, format, "acme/line1/temp", update, {.origin = "plant-1", .cause = {}});
  return out;
}

TEST(MqttPayload, ValueIsTheBareText) {
  EXPECT_EQ(payload(Format::value, Value::from(23.5)), "23.5");
  EXPECT_EQ(payload(Format::value, Value::from(true)), "true");
  EXPECT_EQ(payload(Format::value, Value::text("say \"hi\"")), "say \"hi\"");
}

TEST(MqttPayload, UmhHasMillisecondsAndTheTag) {
  EXPECT_EQ(payload(Format::umh, Value::from(23.5)), R"({"timestamp_ms":1700000000123,"temp":23.5})");
  EXPECT_EQ(payload(Format::umh, Value::text("a")), R"({"timestamp_ms":1700000000123,"temp":"a"})");
}

TEST(MqttPayload, AFormatWithoutQualityNeverShowsABadValue) {
  EXPECT_EQ(payload(Format::value, Value::from(23.5), status::kBadNoCommunication), "null");
  EXPECT_EQ(payload(Format::umh, Value::from(23.5), status::kBadNoCommunication),
            R"({"timestamp_ms":1700000000123,"temp":null})");
  EXPECT_EQ(payload(Format::value, Value::from(23.5), status::kUncertain), "23.5");
}

TEST(MqttPayload, JsonIsThePointAsEverywhere) {
  EXPECT_EQ(payload(Format::json, Value::from(23.5)),
            R"({"path":"acme/line1/temp","value":23.5,"type":"Double","quality":"good","status":"0x00000000",)"
            R"("timestamp":"2023-11-14T22:13:20.123456789Z","origin":"plant-1"})");
}

TEST(MqttBackoff, DoublesUpToItsLimitWithJitter) {
  using std::chrono::milliseconds;
  Backoff backoff(milliseconds(200), std::chrono::seconds(30), 1);
  Duration step = milliseconds(200);
  for (int i = 0; i < 20; ++i) {
    const Duration wait = backoff.next();
    EXPECT_GE(wait, step / 2);
    EXPECT_LE(wait, step);
    step = std::min<Duration>(2 * step, std::chrono::seconds(30));
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), milliseconds(200));
}

}  // namespace
}  // namespace sallyport::mqtt
