#include "namespace/value_parse.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "namespace/point_json.h"

namespace sallyport {
namespace {

TEST(ValueParse, ReadsScalars) {
  const struct {
    Type type;
    std::string_view text;
    Value expected;
  } table[] = {
      {Type::null, "null", Value()},
      {Type::boolean, "true", Value::from(true)},
      {Type::boolean, "0", Value::from(false)},
      {Type::sbyte, "-128", Value::from(std::int8_t{-128})},
      {Type::byte, "255", Value::from(std::uint8_t{255})},
      {Type::int16, "-300", Value::from(std::int16_t{-300})},
      {Type::uint16, "65535", Value::from(std::uint16_t{65535})},
      {Type::int32, "-70000", Value::from(std::int32_t{-70000})},
      {Type::uint32, "4000000000", Value::from(std::uint32_t{4'000'000'000})},
      {Type::int64, "-9223372036854775808", Value::from(std::numeric_limits<std::int64_t>::min())},
      {Type::uint64, "18446744073709551615", Value::from(std::numeric_limits<std::uint64_t>::max())},
      {Type::float32, "0.1", Value::from(0.1f)},
      {Type::float64, "-1e300", Value::from(-1e300)},
      {Type::float64, "-Infinity", Value::from(-HUGE_VAL)},
      {Type::string, " as is ", Value::text(" as is ")},
      {Type::string, "", Value::text("")},
      {Type::date_time, "1970-01-01T00:00:00.0000001Z", Value::date_time(116'444'736'000'000'001)},
      {Type::date_time, "1969-12-31T23:59:59.9999999Z", Value::date_time(116'444'735'999'999'999)},
      {Type::status_code, "0x80310000", Value::status_code(0x80310000)},
      {Type::status_code, "0", Value::status_code(0)},
      {Type::byte_string, "Zm9v", Value::contents(Type::byte_string, false, as_bytes("foo"))},
      {Type::node_id, "i=85", Value::contents(Type::node_id, false, as_bytes("i=85"))},
      {Type::localized_text, "Level", Value::localized_text("", "Level")},
  };
  for (const auto& row : table) {
    const auto value = parse_value(row.type, false, row.text);
    ASSERT_TRUE(value) << row.text << ": " << value.error().message;
    EXPECT_EQ(*value, row.expected) << row.text;
  }
  EXPECT_TRUE(std::isnan(parse_value(Type::float64, false, "NaN")->float64()));
}

TEST(ValueParse, ReadsGuidsAsTheyAreWritten) {
  const auto value = parse_value(Type::guid, false, "72962B91-FA75-4ae6-8d28-b404dc7daf63");
  ASSERT_TRUE(value);
  std::string json;
  JsonWriter writer(json);
  append_value_json(writer, *value);
  EXPECT_EQ(json, "\"72962b91-fa75-4ae6-8d28-b404dc7daf63\"");
}

TEST(ValueParse, ReadsListsOfFixedSizeElements) {
  const std::array numbers = {Value::from(std::int32_t{1}), Value::from(std::int32_t{-2}),
                              Value::from(std::int32_t{3})};
  EXPECT_EQ(*parse_value(Type::int32, true, " [1, -2,3 ] "), make_array(Type::int32, numbers));
  EXPECT_EQ(*parse_value(Type::int32, true, "[]"), make_array(Type::int32, {}));
}

TEST(ValueParse, RefusesWhatDoesNotFitAndSaysWhatWould) {
  const struct {
    Type type;
    bool array;
    std::string_view text, says;
  } table[] = {
      {Type::boolean, false, "yes", "expected true or false"},
      {Type::sbyte, false, "128", "an integer from -128 to 127"},
      {Type::byte, false, "-1", "an integer from 0 to 255"},
      {Type::int32, false, "1.5", "an integer from"},
      {Type::int32, false, "", "an integer from"},
      {Type::int32, false, "1 ", "an integer from"},
      {Type::uint64, false, "18446744073709551616", "an integer from"},
      {Type::float64, false, "fast", "a number such as"},
      {Type::float64, false, "1.5x", "a number such as"},
      {Type::date_time, false, "today", "2026-11-23"},
      {Type::status_code, false, "0x", "0x80310000"},
      {Type::status_code, false, "Bad", "0x80310000"},
      {Type::guid, false, "72962B91-FA75-4ae6-8d28-b404dc7daf6", "32 hex digits"},
      {Type::guid, false, "72962B91xFA75-4ae6-8d28-b404dc7daf63", "32 hex digits"},
      {Type::guid, false, "72962B9g-FA75-4ae6-8d28-b404dc7daf63", "32 hex digits"},
      {Type::byte_string, false, "Zm9", "base64"},
      {Type::null, false, "0", "expected null"},
      {Type::structure, false, "x", "cannot be written as text"},
      {Type::variant, false, "1", "cannot be written as text"},
      {Type::int32, true, "1, 2", "a list such as"},
      {Type::int32, true, "[1, 2", "a list such as"},
      {Type::int32, true, "[1, x]", "element 2"},
      {Type::int32, true, "[1,]", "element 2"},
      {Type::string, true, "[a]", "arrays of String cannot"},
  };
  for (const auto& row : table) {
    const auto value = parse_value(row.type, row.array, row.text);
    ASSERT_FALSE(value) << row.text;
    EXPECT_TRUE(value.error().message.contains(row.says)) << value.error().message;
  }
}

}  // namespace
}  // namespace sallyport
