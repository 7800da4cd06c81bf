#include "sources/nats/payload.h"

#include <gtest/gtest.h>

#include "namespace/point_json.h"

namespace sallyport::nats {
namespace {

std::string json_of(const Value& value) {
  std::string out;
  JsonWriter json(out);
  append_value_json(json, value);
  return out;
}

TEST(NatsPayload, PointsAreReadAsTheyAreWritten) {
  const Value texts[] = {Value::text("a"), Value::text("ü")};
  const Value numbers[] = {Value::from(1.5), Value::from(-2.0)};
  for (const Value& value : {Value(), Value::from(true), Value::from(23.4), Value::from(std::int64_t{1} << 62), Value::from(std::uint8_t{7}), Value::text("x \"y\""),
                             Value::from(std::numeric_limits<double>::infinity()), Value::localized_text("de", "Füllstand"), Value::status_code(0x80310000),
                             make_array(Type::string, texts), make_array(Type::float64, numbers)}) {
    std::string payload;
    append_point_json(payload, "acme/temp", value, 0x80310480, 1'234'567'890'123'456'789, "plant-1", nullptr);
    const auto change = parse_point(payload, 5);
    ASSERT_TRUE(change) << payload << ": " << change.error().message;
    EXPECT_EQ(change->value, value) << payload << " " << json_of(change->value);
    EXPECT_EQ(change->status, 0x80310480u);
    EXPECT_EQ(change->source_time, 1'234'567'890'123'456'789);
  }
}

TEST(NatsPayload, WhatIsNotSaidIsFilledIn) {
  const auto number = parse_point(R"({"value":7,"more":[1,2]})", 42);
  ASSERT_TRUE(number);
  EXPECT_EQ(number->value, Value::from(7.0));
  EXPECT_EQ(number->status, status::kGood);
  EXPECT_EQ(number->source_time, 42);
  EXPECT_EQ(parse_point(R"({"value":"on","quality":"bad"})", 1)->status, status::kBad);
  EXPECT_EQ(parse_point(R"({"value":true,"quality":"uncertain"})", 1)->value, Value::from(true));
}

TEST(NatsPayload, MalformedOnesAreRefused) {
  for (const char* payload : {"", "7", "[]", "{", "{}", R"({"value":{}})", R"({"value":[1]})", R"({"value":1,"type":7})", R"({"value":1,"type":"Dbl"})",
                              R"({"value":"x","type":"Double"})", R"({"value":1,"type":"Double[]"})", R"({"value":[1],"type":"Double"})",
                              R"({"value":300,"type":"Byte"})", R"({"value":7,"type":"String"})", R"({"value":["a",1],"type":"String[]"})",
                              R"({"value":{"x":1},"type":"LocalizedText"})", R"({"value":{"type_id":"i=1","body":""},"type":"Structure"})",
                              R"({"value":1,"status":"bad"})", R"({"value":1,"status":0})", R"({"value":1,"status":"0x1ffffffff"})",
                              R"({"value":1,"quality":"fine"})", R"({"value":1,"timestamp":"today"})", R"({"value":1,"timestamp":17})",
                              R"({"value":[[[[[[[[[[1]]]]]]]]]],"type":"Double[]"})", R"({"value":1} x)"}) {
    const auto change = parse_point(payload, 1);
    EXPECT_FALSE(change) << payload;
    if (!change) { EXPECT_FALSE(change.error().message.empty()); }
  }
}

TEST(NatsPayload, BareValuesAreNumbersTruthOrText) {
  EXPECT_EQ(parse_bare("23.5", {}, 1)->value, Value::from(23.5));
  EXPECT_EQ(parse_bare("true", {}, 1)->value, Value::from(true));
  EXPECT_EQ(parse_bare("23 bar", {}, 1)->value, Value::text("23 bar"));
  EXPECT_EQ(parse_bare("", {}, 1)->value, Value::text(""));
  EXPECT_EQ(parse_bare("7", Type::int32, 9)->value, Value::from(std::int32_t{7}));
  EXPECT_EQ(parse_bare("7", Type::int32, 9)->source_time, 9);
  EXPECT_FALSE(parse_bare("7.5", Type::int32, 1));
  EXPECT_FALSE(parse_bare("\xff", {}, 1));
}

}  // namespace
}  // namespace sallyport::nats
