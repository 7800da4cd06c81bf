#include "namespace/point_json.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace sallyport {
namespace {

constexpr UtcNanoseconds kTime = 1'795'401'617'123'456'789;

std::string value_json(const Value& value) {
  std::string out;
  JsonWriter json(out);
  append_value_json(json, value);
  return out;
}

std::string type_name(const Value& value) {
  std::string out;
  append_type_name(out, value);
  return out;
}

std::string point_json(const Value& value, Status status, const Cause* cause = nullptr) {
  std::string out;
  append_point_json(out, "acme/berlin/line1/temp", value, status, kTime, "plant-1", cause);
  return out;
}

Bytes bytes_of(std::initializer_list<int> list) {
  Bytes out;
  for (const int value : list) out.push_back(static_cast<std::byte>(value));
  return out;
}

TEST(PointJson, LooksAsTheDocumentationSays) {
  EXPECT_EQ(point_json(Value::from(23.4), status::kGood),
            R"({"path":"acme/berlin/line1/temp","value":23.4,"type":"Double","quality":"good","status":"0x00000000",)"
            R"("timestamp":"2026-11-23T02:40:17.123456789Z","origin":"plant-1"})");
}

TEST(PointJson, NamesTheStatusWhenItIsNotGoodAndTheCauseWhenAHopBroke) {
  const Cause cause{.node = "dmz-1", .link = "plant-1", .since = kTime, .what = "timeout"};
  EXPECT_EQ(point_json(Value::from(23.4), status::kBadNoCommunication, &cause),
            R"({"path":"acme/berlin/line1/temp","value":23.4,"type":"Double","quality":"bad","status":"0x80310000",)"
            R"("status_name":"BadNoCommunication","timestamp":"2026-11-23T02:40:17.123456789Z","origin":"plant-1",)"
            R"("cause":{"node":"dmz-1","link":"plant-1","since":"2026-11-23T02:40:17.123456789Z","what":"timeout"}})");
}

TEST(PointJson, LeavesOutTheNameOfAStatusThatHasNone) {
  const std::string json = point_json(Value(), 0x9FFF0000);
  EXPECT_TRUE(json.contains(R"("quality":"bad","status":"0x9FFF0000","timestamp")")) << json;
  EXPECT_TRUE(json.contains(R"("value":null,"type":"Null")")) << json;
}

TEST(PointJson, KeepsTheFlagBitsOfTheStatus) {
  EXPECT_TRUE(point_json(Value::from(1), 0x00000480)
                  .contains(R"("quality":"good","status":"0x00000480","status_name":"Good")"));
}

TEST(PointJson, WritesEveryScalar) {
  const std::pair<Value, std::string_view> table[] = {
      {Value(), "null"},
      {Value::from(true), "true"},
      {Value::from(std::int8_t{-5}), "-5"},
      {Value::from(std::uint8_t{200}), "200"},
      {Value::from(std::int16_t{-300}), "-300"},
      {Value::from(std::uint16_t{60000}), "60000"},
      {Value::from(std::int32_t{-70000}), "-70000"},
      {Value::from(std::uint32_t{4'000'000'000}), "4000000000"},
      {Value::from(std::int64_t{-5}), "-5"},
      {Value::from(std::int64_t{9007199254740993}), "\"9007199254740993\""},
      {Value::from(std::numeric_limits<std::uint64_t>::max()), "\"18446744073709551615\""},
      {Value::from(0.1f), "0.1"},
      {Value::from(HUGE_VALF), "\"Infinity\""},
      {Value::from(-HUGE_VAL), "\"-Infinity\""},
      {Value::from(std::nan("")), "\"NaN\""},
      {Value::text("Pump \"1\"\xB0"), "\"Pump \\\"1\\\"\xEF\xBF\xBD\""},
      {Value::contents(Type::byte_string, false, as_bytes("foob")), "\"Zm9vYg==\""},
      {Value::contents(Type::xml_element, false, as_bytes("<a/>")), "\"<a/>\""},
      {Value::contents(Type::node_id, false, as_bytes("nsu=urn:x;s=P")), "\"nsu=urn:x;s=P\""},
      {Value::contents(Type::expanded_node_id, false, as_bytes("i=2258")), "\"i=2258\""},
      {Value::contents(Type::qualified_name, false, as_bytes("nsu=urn:x;N")), "\"nsu=urn:x;N\""},
      {Value::status_code(0x80310000), "\"0x80310000\""},
      {Value::localized_text("de", "Füllstand"), R"({"locale":"de","text":"Füllstand"})"},
      {Value::localized_text("", "Level"), R"({"locale":"","text":"Level"})"},
      {Value::opaque(Type::structure, "nsu=urn:x;i=5001", bytes_of({1, 2, 3})),
       R"({"type_id":"nsu=urn:x;i=5001","body":"AQID"})"},
      {Value::opaque(Type::data_value, "", {}), R"({"type_id":"","body":""})"},
      {Value::contents(
           Type::guid, false,
           bytes_of({0x91, 0x2B, 0x96, 0x72, 0x75, 0xFA, 0xE6, 0x4A, 0x8D, 0x28, 0xB4, 0x04, 0xDC, 0x7D, 0xAF, 0x63})),
       "\"72962b91-fa75-4ae6-8d28-b404dc7daf63\""},  // the example of OPC 10000-6 §5.2.2.6
  };
  for (const auto& [value, expected] : table) EXPECT_EQ(value_json(value), expected);
}

TEST(PointJson, WritesDateTimesWithTheirHundredNanoseconds) {
  const std::pair<std::int64_t, std::string_view> table[] = {
      {116'444'736'000'000'000, "1970-01-01T00:00:00.0000000Z"},
      {116'444'736'000'000'001, "1970-01-01T00:00:00.0000001Z"},
      {134'398'752'171'234'567, "2026-11-23T02:40:17.1234567Z"},
      {1, "1601-01-01T00:00:00.0000001Z"},
      {0, "0001-01-01T00:00:00.0000000Z"},
      {-5, "0001-01-01T00:00:00.0000000Z"},
      {2'650'467'743'999'999'999, "9999-12-31T23:59:59.9999999Z"},
      {std::numeric_limits<std::int64_t>::max(), "9999-12-31T23:59:59.9999999Z"},
  };
  for (const auto& [ticks, expected] : table)
    EXPECT_EQ(value_json(Value::date_time(ticks)), '"' + std::string(expected) + '"');
}

TEST(PointJson, WritesArraysAndMatricesNested) {
  const std::uint32_t two_by_three[] = {2, 3}, cube[] = {2, 1, 2};
  const std::vector<Value> six = {Value::from(1.0),          Value::from(2.5), Value::from(3.0),
                                  Value::from(std::nan("")), Value::from(5.0), Value::from(6.0)};
  const Value matrix = make_array(Type::float64, six, two_by_three);
  EXPECT_EQ(value_json(make_array(Type::float64, six)), R"([1,2.5,3,"NaN",5,6])");
  EXPECT_EQ(value_json(matrix), R"([[1,2.5,3],["NaN",5,6]])");
  EXPECT_EQ(type_name(matrix), "Double[][]");
  const std::vector<Value> four = {Value::from(true), Value::from(false), Value::from(true), Value::from(true)};
  EXPECT_EQ(value_json(make_array(Type::boolean, four, cube)), "[[[true,false]],[[true,true]]]");
  EXPECT_EQ(type_name(make_array(Type::boolean, four, cube)), "Boolean[][][]");
  EXPECT_EQ(type_name(make_array(Type::boolean, four)), "Boolean[]");
  EXPECT_EQ(value_json(make_array(Type::string, std::array{Value::text("a"), Value::text("")})), R"(["a",""])");
}

TEST(PointJson, WritesArraysOfVariantsAsWhatTheyHold) {
  const std::vector<Value> inner = {Value::from(1.0), Value::from(2.0)};
  const std::vector<Value> mixed = {Value::from(std::int32_t{1}), Value::text("a"), Value(),
                                    make_array(Type::float64, inner)};
  EXPECT_EQ(value_json(make_array(Type::variant, mixed)), R"([1,"a",null,[1,2]])");
  EXPECT_EQ(type_name(make_array(Type::variant, mixed)), "Variant[]");
}

TEST(PointJson, AnEmptyMatrixIsAnEmptyListHoweverLargeItsOtherDimensions) {
  const std::uint32_t hostile[] = {0xffffffff, 0xffffffff, 0};
  const Value matrix = make_packed_array(Type::float64, {}, hostile);
  EXPECT_EQ(value_json(matrix), "[]");
  EXPECT_EQ(type_name(matrix), "Double[][][]");
}

TEST(PointJson, ValuesThatSlippedThroughDamagedAreNull) {
  EXPECT_EQ(value_json(Value::contents(Type::float64, true, bytes_of({1, 9, 0}))), "null");
  EXPECT_EQ(value_json(Value::contents(Type::string, true, bytes_of({1, 2, 1, 'a', 9}))), R"(["a",null])");
}

TEST(PointJson, APointOfTheNamespaceCarriesItsOriginAndCause) {
  ManualClock clock;
  Namespace ns(clock);
  const auto route = ns.add_route({.origin = "plant-1", .source = "line1", .hops = {"plant-1"}});
  ASSERT_TRUE(route);
  const Meta meta;
  const Definition definition{.path = "a/b", .meta = &meta, .first = {.source_time = kTime, .value = Value::from(1.0)}};
  PointId id = kNoPoint;
  ASSERT_EQ(ns.define(*route, {&definition, 1}, {&id, 1}).count, 0u);
  std::string good;
  append_point_json(good, *ns.read("a/b"));
  EXPECT_EQ(good, R"({"path":"a/b","value":1,"type":"Double","quality":"good","status":"0x00000000",)"
                  R"("timestamp":"2026-11-23T02:40:17.123456789Z","origin":"plant-1"})");
  ns.cover(*route, status::kBadNoCommunication, {.node = "dmz-1", .link = "plant-1", .since = 0, .what = "reset"});
  std::string bad;
  append_point_json(bad, *ns.read("a/b"));
  EXPECT_TRUE(bad.contains(R"("status_name":"BadNoCommunication")")) << bad;
  EXPECT_TRUE(bad.ends_with(
      R"("cause":{"node":"dmz-1","link":"plant-1","since":"1970-01-01T00:00:00.000000000Z","what":"reset"}})"))
      << bad;
}

TEST(RouteCache, TellsOriginAndCauseAndForgetsWhenTold) {
  ManualClock clock;
  Namespace ns(clock);
  const auto route = ns.add_route({.origin = "plant-1", .source = "line1", .hops = {"plant-1"}});
  RouteCache cache(ns);
  EXPECT_EQ(cache.at(*route, false).origin, "plant-1");
  EXPECT_EQ(cache.at(*route, false).cause, Cause{});
  ns.cover(*route, status::kBadNoCommunication, {.node = "n", .link = "l", .since = 1, .what = "timeout"});
  EXPECT_EQ(cache.at(*route, true).cause.what, "timeout");
  ns.cover(*route, status::kBadNoCommunication, {.node = "n", .link = "l", .since = 1, .what = "reset"});
  EXPECT_EQ(cache.at(*route, true).cause.what, "timeout");
  cache.refresh();
  EXPECT_EQ(cache.at(*route, true).cause.what, "reset");
  EXPECT_EQ(cache.at(kNoRoute, true).origin, "");
}

}  // namespace
}  // namespace sallyport
