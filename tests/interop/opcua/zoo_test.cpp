// What the zoo shows arrives as it is: types, statuses, times, metadata, names; also through narrow limits.
#include "harness.h"

namespace sallyport::opcua {
namespace {

using std::chrono::seconds;

const UtcNanoseconds kSourceTime = *parse_utc("2026-01-02T03:04:05.678Z");

class Zoo : public ::testing::Test {
 protected:
  TemporaryFolder folder;
};

void expect_scalars(const Mirror& mirror) {
  const auto value = [&](const std::string& name) {
    const PointView point = mirror.at("Scalars/" + name);
    EXPECT_NE(point.id, kNoPoint) << name;
    EXPECT_EQ(point.status, status::kGood) << name;
    EXPECT_EQ(point.source_time, kSourceTime) << name << " " << format_utc(point.source_time);
    if (point.meta && name != "Structure") {
      EXPECT_EQ(point.meta->type, point.value.type()) << name;
    }
    return point.value;
  };
  EXPECT_EQ(value("Boolean"), Value::from(true));
  EXPECT_EQ(value("SByte"), Value::from(std::int8_t{-128}));
  EXPECT_EQ(value("Byte"), Value::from(std::uint8_t{255}));
  EXPECT_EQ(value("Int16"), Value::from(std::int16_t{-32768}));
  EXPECT_EQ(value("UInt16"), Value::from(std::uint16_t{65535}));
  EXPECT_EQ(value("Int32"), Value::from(std::int32_t{-2147483647 - 1}));
  EXPECT_EQ(value("UInt32"), Value::from(std::uint32_t{4294967295}));
  EXPECT_EQ(value("Int64"), Value::from(std::numeric_limits<std::int64_t>::min()));
  EXPECT_EQ(value("UInt64"), Value::from(std::numeric_limits<std::uint64_t>::max()));
  EXPECT_EQ(value("Float"), Value::from(1.5f));
  EXPECT_EQ(value("Double"), Value::from(3.141592653589793));
  EXPECT_EQ(value("String"), Value::text("Grüße aus dem Zoo"));
  EXPECT_EQ(value("DateTime"),
            Value::date_time(116'444'736'000'000'000 + *parse_utc("2026-11-23T02:40:17.123Z") / 100));
  EXPECT_EQ(value("Guid").contents().size(), 16u);
  EXPECT_EQ(std::to_integer<int>(value("Guid").contents()[0]), 0x75);  // little-endian first field
  EXPECT_EQ(value("ByteString").text(), std::string_view("\x00\x01\xfe\xff", 4));
  EXPECT_EQ(value("ByteString").type(), Type::byte_string);
  EXPECT_EQ(value("XmlElement").text(), "<zoo/>");
  EXPECT_EQ(value("StatusCode"), Value::status_code(0x80340000));
  EXPECT_EQ(value("LocalizedText"), Value::localized_text("de", "Affe"));
  EXPECT_EQ(value("NodeId").text(), "nsu=urn:sallyport:zoo;s=Zoo");
  EXPECT_EQ(value("ExpandedNodeId").text(), "i=85");
  EXPECT_EQ(value("QualifiedName").text(), "nsu=urn:sallyport:zoo;Monkey");
  const Value structure = value("Structure");
  EXPECT_EQ(structure.type(), Type::structure);
  EXPECT_EQ(view_opaque(structure.contents()).type_id, "i=886");
  double range[2] = {};
  ASSERT_EQ(view_opaque(structure.contents()).body.size(), sizeof range);
  std::memcpy(range, view_opaque(structure.contents()).body.data(), sizeof range);
  EXPECT_EQ(range[0], -1);
  EXPECT_EQ(range[1], 7);
}

void expect_arrays(const Mirror& mirror) {
  const auto value = [&](const std::string& name) { return mirror.at("Arrays/" + name).value; };
  EXPECT_EQ(value("Doubles"),
            make_array(Type::float64, std::vector{Value::from(1.5), Value::from(2.5), Value::from(3.5)}));
  EXPECT_TRUE(mirror.at("Arrays/Doubles").meta->array);
  EXPECT_EQ(value("Strings"),
            make_array(Type::string, std::vector{Value::text("ape"), Value::text(""), Value::text("Bär")}));
  EXPECT_EQ(value("Empty"), make_array(Type::int32, {}));
  std::vector<Value> numbers;
  for (std::int32_t i = 1; i <= 6; ++i) numbers.push_back(Value::from(i));
  EXPECT_EQ(value("Matrix"), make_array(Type::int32, numbers, std::vector<std::uint32_t>{2, 3}));
  EXPECT_EQ(value("Variants"), make_array(Type::variant, std::vector{Value::from(1.25), Value::text("v")}));
}

void expect_statuses_and_times(const Mirror& mirror) {
  const struct {
    std::string name;
    Status status;
  } table[] = {{"Good", 0},
               {"GoodLocalOverride", 0x00960000},
               {"UncertainLastUsable", 0x40900000},
               {"UncertainHighLimited", 0x40940200},
               {"BadSensorFailure", 0x808C0000},
               {"BadNotConnected", 0x808A0000}};
  for (const auto& row : table) {
    const PointView point = mirror.at("Statuses/" + row.name);
    EXPECT_EQ(point.status & 0xFFFF0300, row.status) << row.name << std::hex << " " << point.status;
    EXPECT_EQ(point.source_time, kSourceTime) << row.name;
  }
  EXPECT_EQ(mirror.at("Statuses/UncertainLastUsable").value, Value::from(42.0));
  EXPECT_EQ(mirror.at("Times/Picoseconds").source_time, kSourceTime + 12);
  EXPECT_EQ(format_utc(mirror.at("Times/Ancient").source_time), "1678-01-01T00:00:00.000000000Z");
  EXPECT_EQ(quality_of(mirror.at("Live/Unreadable").status), Quality::bad);
}

void expect_metadata(const Mirror& mirror) {
  const PointView temperature = mirror.at("Items/Temperature");
  ASSERT_TRUE(temperature.meta);
  EXPECT_EQ(temperature.meta->description, "of the monkey house");
  EXPECT_EQ(temperature.meta->unit, "°C");
  EXPECT_EQ(temperature.meta->range_low, -50);
  EXPECT_EQ(temperature.meta->range_high, 50);
  using Texts = std::vector<std::string>;
  EXPECT_EQ(mirror.at("Items/Mode").meta->enum_strings, (Texts{"Open", "Feeding", "Closed"}));
  EXPECT_EQ(mirror.at("Items/Level").meta->enum_strings, (Texts{"", "Low", "", "High"}));
  EXPECT_EQ(mirror.at("Items/Gate").meta->enum_strings, (Texts{"shut", "open"}));
  EXPECT_EQ(mirror.at("Items/State").meta->type, Type::int32);
  ASSERT_GE(mirror.at("Items/State").meta->enum_strings.size(), 2u);
  EXPECT_EQ(mirror.at("Items/State").meta->enum_strings[1], "Failed");
}

void expect_names(const Mirror& mirror) {
  const std::pair<const char*, int> table[] = {{"a%2Fb", 0},     {"100%25", 1}, {"Ünïcödé 机", 2}, {"a%2Bb%23c%2Ad", 3},
                                               {"%24dollar", 4}, {" ", 5},      {"%252F", 6},      {"with.dot", 7},
                                               {"x~2", 8},       {"x", 10},     {"x~3", 9}};
  for (const auto& [name, value] : table)
    EXPECT_EQ(mirror.at(std::string("Names/") + name).value, Value::from(std::int32_t{value})) << name;
  EXPECT_EQ(mirror.at("Loop/Zoo/Scalars/Double").id, kNoPoint);  // a cycle ends where it began
  EXPECT_EQ(mirror.at("Deep/L0/L1").id, kNoPoint);
}

TEST_F(Zoo, EverythingArrivesAsItIs) {
  ZooServer zoo(free_port(), folder);
  const Mirror mirror(zoo_settings(zoo));
  ASSERT_TRUE(mirror.comes_up());
  expect_scalars(mirror);
  expect_arrays(mirror);
  expect_statuses_and_times(mirror);
  expect_metadata(mirror);
  expect_names(mirror);
  EXPECT_EQ(mirror.detail("server"), "zoo");
  EXPECT_EQ(mirror.detail("security"), "none");
}

TEST_F(Zoo, EverythingArrivesThroughNarrowLimits) {
  ZooServer zoo(free_port(), folder, R"("limits": true, "tags": 40)");
  const Mirror mirror(zoo_settings(zoo));
  ASSERT_TRUE(mirror.comes_up());
  expect_scalars(mirror);
  expect_arrays(mirror);
  expect_metadata(mirror);
  expect_names(mirror);
  EXPECT_EQ(mirror.at("Tags/T00040").value, Value::from(40.5));
}

TEST_F(Zoo, TenThousandTagsArrive) {
  ZooServer zoo(free_port(), folder, R"("tags": 10000)");
  const Mirror mirror(zoo_settings(zoo, "include = ['Tags/**']"));
  ASSERT_TRUE(mirror.comes_up(seconds(120)));
  EXPECT_EQ(mirror.counts().points, 10'000u);
  EXPECT_EQ(mirror.counts().good, 10'000u);
  for (const int i : {1, 5000, 10000}) {
    char name[16];
    std::snprintf(name, sizeof name, "Tags/T%05d", i);
    EXPECT_EQ(mirror.at(name).value, Value::from(i + 0.5));
    EXPECT_EQ(mirror.at(name).source_time, kSourceTime);
  }
}

TEST_F(Zoo, TheLastValueOfABurstArrivesAndOverflowIsCounted) {
  ZooServer zoo(free_port(), folder);
  const Mirror mirror(
      zoo_settings(zoo, "include = ['Live/**']\nqueue = 2\nsampling_interval = '50ms'\npublishing_interval = '1s'"));
  ASSERT_TRUE(mirror.comes_up());
  ASSERT_TRUE(zoo.command("count 100 10"));
  EXPECT_TRUE(eventually([&] { return mirror.at("Live/Counter").value == Value::from(std::uint32_t{100}); }));
  EXPECT_TRUE(eventually([&] { return mirror.counter("overflows") > 0; }));
  EXPECT_EQ(mirror.counter("sequence_gaps"), 0u);
}

TEST_F(Zoo, NodesThatComeAndGoAreFoundByBrowsingAgain) {
  ZooServer zoo(free_port(), folder);
  const Mirror mirror(zoo_settings(zoo, "include = ['Live/**']\nrebrowse = '1s'"));
  ASSERT_TRUE(mirror.comes_up());
  const std::uint32_t before = mirror.counts().points;
  ASSERT_TRUE(zoo.command("add Lion"));
  EXPECT_TRUE(eventually(
      [&] { return mirror.at("Live/Lion").status == status::kGood && mirror.at("Live/Lion").id != kNoPoint; }));
  ASSERT_TRUE(zoo.command("set Lion 7"));
  EXPECT_TRUE(eventually([&] { return mirror.at("Live/Lion").value == Value::from(7.0); }));
  ASSERT_TRUE(zoo.command("delete Lion"));
  EXPECT_TRUE(eventually([&] { return mirror.counts().points == before; }));
  EXPECT_EQ(mirror.counter("reconnects"), 0u);
}

}  // namespace
}  // namespace sallyport::opcua
