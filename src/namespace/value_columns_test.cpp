#include "namespace/value_columns.h"

#include <gtest/gtest.h>

#include <limits>

namespace sallyport {
namespace {

std::string shown(const Value& value) {
  ValueColumns columns;
  to_columns(value, columns);
  std::string out = columns.number ? std::to_string(*columns.number) : "-";
  out += columns.has_text ? " '" + columns.text + "'" : " -";
  out += columns.has_json ? " " + columns.json : " -";
  return out;
}

TEST(ValueColumns, EachTypeHasItsColumn) {
  const Value numbers[] = {Value::from(1.5), Value::from(2.5)};
  EXPECT_EQ(shown(Value()), "- - -");
  EXPECT_EQ(shown(Value::from(true)), "1.000000 - -");
  EXPECT_EQ(shown(Value::from(std::int8_t{-3})), "-3.000000 - -");
  EXPECT_EQ(shown(Value::from(2.5f)), "2.500000 - -");
  EXPECT_EQ(shown(Value::status_code(0x80000000)), "2147483648.000000 - -");
  EXPECT_EQ(shown(Value::text("pump")), "- 'pump' -");
  EXPECT_EQ(shown(Value::text("\xFF!")), "- '\xEF\xBF\xBD!' -");
  EXPECT_EQ(shown(Value::date_time(116444736000000000)), "- '1970-01-01T00:00:00.0000000Z' -");
  EXPECT_EQ(shown(Value::contents(Type::byte_string, false, as_bytes("abc"))), "- 'YWJj' -");
  EXPECT_EQ(shown(Value::localized_text("de", "Pumpe")), R"(- - {"locale":"de","text":"Pumpe"})");
  EXPECT_EQ(shown(make_array(Type::float64, numbers)), "- - [1.5,2.5]");
}

TEST(ValueColumns, IntegersThatADoubleDoesNotHoldAreATextToo) {
  EXPECT_EQ(shown(Value::from(std::int64_t{1} << 53)), "9007199254740992.000000 - -");
  EXPECT_EQ(shown(Value::from((std::int64_t{1} << 53) + 1)), "9007199254740992.000000 '9007199254740993' -");
  EXPECT_EQ(shown(Value::from(std::numeric_limits<std::uint64_t>::max())), "18446744073709551616.000000 '18446744073709551615' -");
}

}  // namespace
}  // namespace sallyport
