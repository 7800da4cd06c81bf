#include "namespace/value.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <random>

namespace sallyport {
namespace {

Bytes bytes_of(std::initializer_list<int> list) {
  Bytes out;
  for (const int value : list) out.push_back(static_cast<std::byte>(value));
  return out;
}

std::vector<Value> elements_of(const Value& array) {
  std::vector<Value> out;
  const auto view = view_array(array);
  EXPECT_TRUE(view) << (view ? "" : view.error().message);
  if (view) for_each_element(*view, [&](const Value& element) { out.push_back(element); });
  return out;
}

bool well_formed(const Value& value) {
  if (!value.is_blob()) return true;
  const auto result = check_contents(value.type(), value.is_array(), value.contents());
  EXPECT_TRUE(result) << (result ? "" : result.error().message);
  return result.has_value();
}

// One of each kind that there is.
std::vector<Value> zoo() {
  const std::uint32_t two_by_three[] = {2, 3};
  const std::vector<Value> doubles(6, Value::from(1.5));
  const std::vector<Value> mixed = {Value::from(std::int32_t{1}), Value::text("a"), Value(),
                                    make_array(Type::float64, doubles)};
  const Value inner = make_array(Type::variant, mixed);
  return {
      Value(),
      Value::from(true),
      Value::from(std::int8_t{-1}),
      Value::from(std::uint8_t{255}),
      Value::from(std::int16_t{-300}),
      Value::from(std::uint16_t{60000}),
      Value::from(std::int32_t{-70000}),
      Value::from(std::uint32_t{4'000'000'000}),
      Value::from(std::numeric_limits<std::int64_t>::min()),
      Value::from(std::numeric_limits<std::uint64_t>::max()),
      Value::from(0.1f),
      Value::from(-0.0),
      Value::text("水位"),
      Value::text(""),
      Value::date_time(133'000'000'000'000'000),
      Value::contents(Type::guid, false, Bytes(16, std::byte{7})),
      Value::contents(Type::byte_string, false, bytes_of({0, 255})),
      Value::contents(Type::xml_element, false, as_bytes("<a/>")),
      Value::contents(Type::node_id, false, as_bytes("nsu=urn:x;s=P")),
      Value::contents(Type::expanded_node_id, false, as_bytes("i=2258")),
      Value::status_code(0x80310000),
      Value::contents(Type::qualified_name, false, as_bytes("Name")),
      Value::localized_text("de", "Füllstand"),
      Value::opaque(Type::structure, "nsu=urn:x;i=5001", bytes_of({1, 2, 3})),
      Value::opaque(Type::data_value, "", {}),
      Value::opaque(Type::diagnostic_info, "i=25", bytes_of({0})),
      make_array(Type::float64, doubles),
      make_array(Type::float64, doubles, two_by_three),
      make_array(Type::string, {}),
      inner,
      make_array(Type::variant, std::array{inner, inner}),
      make_array(Type::string, std::array{Value::text("a"), Value(), Value::text("long text")}),
      make_array(Type::structure, std::array{Value::opaque(Type::structure, "i=1", {})}),
      make_array(Type::boolean, std::array{Value::from(true), Value::from(false)}),
  };
}

TEST(Value, EveryKindIsWellFormedAndEqualToItself) {
  const auto values = zoo();
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_TRUE(well_formed(values[i])) << i;
    const Value copy = values[i];
    EXPECT_EQ(copy, values[i]);
    for (std::size_t j = 0; j < values.size(); ++j) {
      if (i != j) {
        EXPECT_FALSE(values[i] == values[j]) << i << " and " << j;
      }
    }
    if (!values[i].is_blob()) continue;
    EXPECT_EQ(Value::contents(values[i].type(), values[i].is_array(), values[i].contents()), values[i])
        << "from its bytes";
  }
}

TEST(Value, CopiesShareAndMovesEmpty) {
  Value text = Value::text("shared");
  Value copy = text;
  EXPECT_EQ(copy.contents().data(), text.contents().data());
  Value moved = std::move(text);
  EXPECT_TRUE(text.is_null());  // NOLINT(bugprone-use-after-move): that it is null is the point
  EXPECT_EQ(moved.text(), "shared");
  copy = copy;  // NOLINT
  moved = Value::from(1.0);
  EXPECT_EQ(copy.text(), "shared");
  auto raw = std::move(copy).release_raw();
  const Value shared = Value::share_raw(raw);
  const Value adopted = Value::adopt_raw(raw);
  EXPECT_EQ(shared, adopted);
}

TEST(Value, ComparesBitsNotNumbers) {
  EXPECT_FALSE(Value::from(0.0) == Value::from(-0.0)) << "a mirror keeps the sign";
  EXPECT_EQ(Value::from(std::nan("")), Value::from(std::nan("")));
  EXPECT_FALSE(Value::from(1) == Value::from(1u)) << "other type";
  EXPECT_FALSE(Value::text("a") == Value::contents(Type::byte_string, false, as_bytes("a")));
  EXPECT_FALSE(Value::text("a") == Value::text("b"));
  EXPECT_FALSE(Value::text("a") == Value::text("aa"));
}

TEST(Value, NumbersReadAsDoubles) {
  const std::pair<Value, double> table[] = {
      {Value::from(true), 1},
      {Value::from(std::int8_t{-5}), -5},
      {Value::from(std::uint8_t{250}), 250},
      {Value::from(std::int16_t{-300}), -300},
      {Value::from(std::uint16_t{60000}), 60000},
      {Value::from(std::int32_t{-70000}), -70000},
      {Value::from(std::uint32_t{4'000'000'000}), 4e9},
      {Value::from(std::int64_t{-1}), -1},
      {Value::from(std::uint64_t{1} << 63), 9223372036854775808.0},
      {Value::from(0.5f), 0.5},
      {Value::from(-2.25), -2.25},
  };
  for (const auto& [value, expected] : table) {
    double out = 0;
    EXPECT_TRUE(value.to_double(out));
    EXPECT_EQ(out, expected);
  }
  double out = 0;
  for (const Value& value :
       {Value(), Value::text("5"), Value::date_time(5), Value::status_code(5), make_array(Type::float64, {})}) {
    EXPECT_FALSE(value.to_double(out));
  }
}

TEST(Value, TypesHaveTheirOpcUaNames) {
  for (std::uint8_t i = 0; i < kTypeCount; ++i) {
    const auto type = static_cast<Type>(i);
    EXPECT_EQ(parse_type(to_string(type)), type);
  }
  EXPECT_EQ(to_string(Type::float64), "Double");
  EXPECT_EQ(to_string(Type::float32), "Float");
  EXPECT_EQ(to_string(Type::date_time), "DateTime");
  EXPECT_EQ(to_string(Type::localized_text), "LocalizedText");
  EXPECT_EQ(to_string(Type::diagnostic_info), "DiagnosticInfo");
  EXPECT_EQ(parse_type("double"), Type::float64);
  EXPECT_FALSE(parse_type("Dubble"));
  EXPECT_FALSE(parse_type(""));
  EXPECT_EQ(to_string(static_cast<Type>(99)), "Unknown");
}

TEST(Value, ArraysGiveBackTheirElements) {
  const std::vector<Value> numbers = {Value::from(std::int16_t{-1}), Value::from(std::int16_t{2})};
  EXPECT_EQ(elements_of(make_array(Type::int16, numbers)), numbers);
  const std::vector<Value> texts = {Value::text("a"), Value::text(""), Value::text("°C")};
  EXPECT_EQ(elements_of(make_array(Type::string, texts)), texts);
  const std::vector<Value> mixed = {Value::from(true), Value(), Value::text("x"), make_array(Type::string, texts)};
  EXPECT_EQ(elements_of(make_array(Type::variant, mixed)), mixed);
  EXPECT_TRUE(elements_of(make_array(Type::float64, {})).empty());
}

TEST(Value, MatricesKeepTheirDimensions) {
  const std::uint32_t dimensions[] = {2, 1, 3};
  const std::int32_t packed[] = {1, 2, 3, 4, 5, 6};
  const Value matrix = make_packed_array(Type::int32, std::as_bytes(std::span(packed)), dimensions);
  const auto view = view_array(matrix);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->dimensions, (std::vector<std::uint32_t>{2, 1, 3}));
  EXPECT_EQ(view->count, 6u);
  EXPECT_EQ(elements_of(matrix)[5], Value::from(std::int32_t{6}));
  const std::uint32_t empty[] = {0, 0xffffffff};
  EXPECT_TRUE(well_formed(make_packed_array(Type::int32, {}, empty)));
}

TEST(Value, ArraysThatDoNotFitBecomeNull) {
  const std::uint32_t three[] = {3}, two[] = {2}, huge[] = {0x10000, 0x10000, 0x10000, 0x10000};
  const std::vector<std::uint32_t> deep(17, 1);
  const std::vector<Value> two_doubles(2, Value::from(1.0)), one(1, Value::from(1.0));
  EXPECT_TRUE(make_array(Type::float64, two_doubles, three).is_null());
  EXPECT_FALSE(make_array(Type::float64, two_doubles, two).is_null());
  EXPECT_TRUE(make_array(Type::float64, {}, huge).is_null()) << "the product wraps to 0";
  EXPECT_TRUE(make_array(Type::float64, one, deep).is_null());
  EXPECT_TRUE(make_array(Type::int32, two_doubles).is_null()) << "elements of another type";
  EXPECT_TRUE(make_array(Type::guid, std::array{Value()}).is_null());
  EXPECT_TRUE(make_packed_array(Type::float64, Bytes(7)).is_null());
  EXPECT_TRUE(make_packed_array(Type::string, Bytes(8)).is_null());
  EXPECT_TRUE(Value::contents(Type::string, false, Bytes(kMaxValueSize + 1)).is_null());
  EXPECT_FALSE(Value::contents(Type::string, false, Bytes(kMaxValueSize)).is_null());
}

TEST(Value, OpaqueValuesAndLocalizedTextsComeApart) {
  const Value structure = Value::opaque(Type::structure, "nsu=urn:x;i=5001", bytes_of({9, 8}));
  EXPECT_TRUE(structure.is_opaque());
  EXPECT_EQ(view_opaque(structure.contents()).type_id, "nsu=urn:x;i=5001");
  EXPECT_EQ(view_opaque(structure.contents()).body.size(), 2u);
  const Value text = Value::localized_text("en", "Level");
  EXPECT_EQ(view_localized_text(text.contents()).locale, "en");
  EXPECT_EQ(view_localized_text(text.contents()).text, "Level");
  EXPECT_EQ(view_localized_text(bytes_of({5, 'e'})).text, "") << "malformed reads as empty";
  EXPECT_EQ(view_opaque({}).type_id, "");
}

Bytes nested_variants(int depth) {
  Bytes inner = bytes_of({1, 0});  // rank 1, no elements
  for (int i = 1; i < depth; ++i) {
    Bytes outer = bytes_of({1, 1, 0x80 | static_cast<int>(Type::variant)});
    ByteWriter writer(outer);
    writer.varint(inner.size());
    writer.bytes(inner);
    inner = std::move(outer);
  }
  return inner;
}

TEST(Value, RefusesEveryMalformedContents) {
  const struct {
    std::string_view what;
    Type type;
    bool array;
    Bytes bytes;
  } table[] = {
      {"null with bytes", Type::null, false, bytes_of({0})},
      {"array of null", Type::null, true, bytes_of({1, 0})},
      {"unknown type", static_cast<Type>(26), false, {}},
      {"unknown type, array", static_cast<Type>(127), true, bytes_of({1, 0})},
      {"short double", Type::float64, false, Bytes(7)},
      {"long double", Type::float64, false, Bytes(9)},
      {"empty boolean", Type::boolean, false, {}},
      {"boolean 2", Type::boolean, false, bytes_of({2})},
      {"guid of 15", Type::guid, false, Bytes(15)},
      {"guid of 17", Type::guid, false, Bytes(17)},
      {"scalar variant", Type::variant, false, bytes_of({1, 1, 1})},
      {"locale without length", Type::localized_text, false, {}},
      {"locale longer than all", Type::localized_text, false, bytes_of({3, 'd', 'e'})},
      {"type id longer than all", Type::structure, false, bytes_of({0x80, 0x80, 0x80, 0x80, 0x10, 'x'})},
      {"empty structure", Type::structure, false, {}},
      {"data value cut off", Type::data_value, false, bytes_of({9})},
      {"diagnostic info cut off", Type::diagnostic_info, false, bytes_of({0x80})},
      {"array without rank", Type::int32, true, {}},
      {"rank 0", Type::int32, true, bytes_of({0})},
      {"rank 17", Type::int32, true, bytes_of({17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})},
      {"rank 2^63", Type::int32, true, bytes_of({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01})},
      {"dimension missing", Type::int32, true, bytes_of({2, 1})},
      {"dimension 2^32", Type::byte, true, bytes_of({1, 0x80, 0x80, 0x80, 0x80, 0x10})},
      {"dimension cut off", Type::byte, true, bytes_of({1, 0x80})},
      {"product wraps to 0", Type::byte, true,
       bytes_of({4, 0x80, 0x80, 4, 0x80, 0x80, 4, 0x80, 0x80, 4, 0x80, 0x80, 4})},
      {"product wraps to 1", Type::byte, true,
       bytes_of({2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0xff, 0x0f, 7})},
      {"count × size wraps", Type::float64, true, bytes_of({1, 0x80, 0x80, 0x80, 0x80, 0x02})},
      {"one element short", Type::int16, true, bytes_of({1, 2, 1, 0, 2})},
      {"trailing byte", Type::int16, true, bytes_of({1, 1, 1, 0, 2})},
      {"bytes after an empty array", Type::int16, true, bytes_of({1, 0, 9})},
      {"bytes in an empty matrix", Type::int16, true, bytes_of({2, 0, 5, 9, 9})},
      {"packed boolean 2", Type::boolean, true, bytes_of({1, 2, 1, 2})},
      {"string element cut off", Type::string, true, bytes_of({1, 1, 5, 'a'})},
      {"string element missing", Type::string, true, bytes_of({1, 2, 1, 'a'})},
      {"strings then a trailing byte", Type::string, true, bytes_of({1, 1, 1, 'a', 0})},
      {"string length 2^64 - 1", Type::string, true,
       bytes_of({1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})},
      {"more strings than bytes", Type::string, true, bytes_of({1, 100, 0, 0})},
      {"guid element of 2", Type::guid, true, bytes_of({1, 1, 2, 0, 0})},
      {"structure element without type id", Type::structure, true, bytes_of({1, 1, 0})},
      {"variant of unknown type", Type::variant, true, bytes_of({1, 1, 26, 0})},
      {"variant with a short double", Type::variant, true, bytes_of({1, 1, 11, 1, 0})},
      {"variant with a scalar variant", Type::variant, true, bytes_of({1, 1, 24, 0})},
      {"variant without length", Type::variant, true, bytes_of({1, 1, 11})},
      {"variant null with bytes", Type::variant, true, bytes_of({1, 1, 0, 1, 5})},
      {"variant array of null", Type::variant, true, bytes_of({1, 1, 0x80, 2, 1, 0})},
      {"variant boolean 7", Type::variant, true, bytes_of({1, 1, 1, 1, 7})},
      {"variants nested five deep", Type::variant, true, nested_variants(5)},
      {"variants nested a thousand deep", Type::variant, true, nested_variants(1000)},
  };
  for (const auto& row : table) {
    const auto result = check_contents(row.type, row.array, row.bytes);
    ASSERT_FALSE(result) << row.what;
    EXPECT_EQ(result.error().code, ErrorCode::malformed) << row.what;
    EXPECT_FALSE(result.error().message.empty());
  }
  EXPECT_TRUE(check_contents(Type::variant, true, nested_variants(4)));
}

TEST(Value, RefusesContentsThatAreTooLarge) {
  const auto result = check_contents(Type::byte_string, false, Bytes(kMaxValueSize + 1));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::limit);
  EXPECT_TRUE(result.error().message.contains("16777216")) << result.error().message;
}

// Reads all that can be read. The bytes need not be well-formed.
void walk(const Value& value, int depth, std::size_t& visited) {
  double number = 0;
  (void)value.to_double(number);
  (void)view_opaque(value.contents());
  (void)view_localized_text(value.contents());
  const auto array = view_array(value);
  if (!array || depth > 8) return;
  for_each_element(*array, [&](const Value& element) {
    ++visited;
    walk(element, depth + 1, visited);
  });
}

TEST(Value, NoBytesWhateverBreakTheReaders) {
  std::mt19937 random(1);
  std::size_t visited = 0, good = 0;
  for (int i = 0; i < 30'000; ++i) {
    Bytes bytes(random() % 40);
    for (auto& byte : bytes) byte = static_cast<std::byte>(random() % 3 == 0 ? random() : random() % 4);
    const auto type = static_cast<Type>(random() % (kTypeCount + 2));
    const bool array = random() % 4 != 0;
    good += check_contents(type, array, bytes) ? 1 : 0;
    if (static_cast<std::uint8_t>(type) < kTypeCount) walk(Value::contents(type, array, bytes), 0, visited);
  }
  EXPECT_GT(good, 100u);
  EXPECT_GT(visited, 100u);
}

TEST(Value, DamagedContentsAreRefusedOrReadable) {
  std::mt19937 random(2);
  std::size_t visited = 0;
  for (const Value& value : zoo()) {
    if (!value.is_blob()) continue;
    for (int i = 0; i < 1000; ++i) {
      Bytes bytes(value.contents().begin(), value.contents().end());
      for (auto flips = 1 + random() % 3; flips > 0 && !bytes.empty(); --flips) {
        bytes[random() % bytes.size()] ^= static_cast<std::byte>(1u << random() % 8);
      }
      if (random() % 3 == 0) bytes.resize(random() % (bytes.size() + 2));
      const bool good = check_contents(value.type(), value.is_array(), bytes).has_value();
      const Value damaged = Value::contents(value.type(), value.is_array(), bytes);
      walk(damaged, 0, visited);
      if (!good || !damaged.is_array()) continue;
      std::size_t elements = 0;
      const auto view = view_array(damaged);
      ASSERT_TRUE(view);
      for_each_element(*view, [&](const Value&) { ++elements; });
      EXPECT_EQ(elements, view->count) << "what passed the check reads to its end";
    }
  }
}

}  // namespace
}  // namespace sallyport
