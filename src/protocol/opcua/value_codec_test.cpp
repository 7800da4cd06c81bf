#include "protocol/opcua/value_codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace sallyport::opcua {
namespace {

NamespaceTable zoo() { return NamespaceTable({"", "urn:server", "urn:zoo;50%"}); }

template <typename T>
Variant scalar(T value, std::size_t type) {
  Variant out;
  UA_Variant_setScalarCopy(out.get(), &value, &UA_TYPES[type]);
  return out;
}
template <typename T>
Variant array(std::vector<T> values, std::size_t type, std::vector<UA_UInt32> dimensions = {}) {
  Variant out;
  UA_Variant_setArrayCopy(out.get(), values.data(), values.size(), &UA_TYPES[type]);
  if (values.empty()) out->data = UA_EMPTY_ARRAY_SENTINEL;  // empty, not null
  if (!dimensions.empty()) {
    out->arrayDimensionsSize = dimensions.size();
    void* copied = nullptr;
    EXPECT_EQ(UA_Array_copy(dimensions.data(), dimensions.size(), &copied, &UA_TYPES[UA_TYPES_UINT32]),
              UA_STATUSCODE_GOOD);
    out->arrayDimensions = static_cast<UA_UInt32*>(copied);
  }
  return out;
}

std::string encoded(const Variant& variant) {
  UA_ByteString out{};
  UA_encodeBinary(variant.get(), Variant::type(), &out);
  std::string copy = text(out);
  UA_ByteString_clear(&out);
  return copy;
}

// To a Value, checked, and back: the same bytes as on the wire.
Value round_trip(const Variant& variant) {
  const auto value = to_value(*variant, zoo());
  EXPECT_TRUE(value.has_value()) << (value ? "" : value.error().message);
  if (!value) return {};
  if (value->is_blob()) {
    const auto checked = check_contents(value->type(), value->is_array(), value->contents());
    EXPECT_TRUE(checked.has_value()) << checked.error().message;
  }
  const auto back = to_variant(*value, zoo());
  EXPECT_TRUE(back.has_value()) << (back ? "" : back.error().message);
  if (back) {
    EXPECT_EQ(encoded(*back), encoded(variant));
  }
  return *value;
}

UA_Guid guid() { return {0x09087e75, 0x8e5e, 0x499b, {0x95, 0x4f, 0xf2, 0xa9, 0x60, 0x3d, 0xb2, 0x8a}}; }

TEST(OpcUaValue, NumbersKeepTypeAndBits) {
  EXPECT_EQ(round_trip(scalar(true, UA_TYPES_BOOLEAN)), Value::from(true));
  EXPECT_EQ(round_trip(scalar(UA_SByte{-128}, UA_TYPES_SBYTE)), Value::from(std::int8_t{-128}));
  EXPECT_EQ(round_trip(scalar(UA_Byte{255}, UA_TYPES_BYTE)), Value::from(std::uint8_t{255}));
  EXPECT_EQ(round_trip(scalar(UA_Int16{-32768}, UA_TYPES_INT16)), Value::from(std::int16_t{-32768}));
  EXPECT_EQ(round_trip(scalar(UA_UInt16{65535}, UA_TYPES_UINT16)), Value::from(std::uint16_t{65535}));
  EXPECT_EQ(round_trip(scalar(UA_Int32{-7}, UA_TYPES_INT32)), Value::from(std::int32_t{-7}));
  EXPECT_EQ(round_trip(scalar(UA_UInt32{4294967295}, UA_TYPES_UINT32)), Value::from(std::uint32_t{4294967295}));
  EXPECT_EQ(round_trip(scalar(UA_INT64_MIN, UA_TYPES_INT64)), Value::from(std::numeric_limits<std::int64_t>::min()));
  EXPECT_EQ(round_trip(scalar(UA_UINT64_MAX, UA_TYPES_UINT64)), Value::from(std::numeric_limits<std::uint64_t>::max()));
  EXPECT_EQ(round_trip(scalar(1.5f, UA_TYPES_FLOAT)), Value::from(1.5f));
  EXPECT_EQ(round_trip(scalar(-0.0, UA_TYPES_DOUBLE)), Value::from(-0.0));
  EXPECT_TRUE(std::isnan(round_trip(scalar(std::numeric_limits<double>::quiet_NaN(), UA_TYPES_DOUBLE)).float64()));
  EXPECT_EQ(round_trip(scalar(UA_DateTime{133'000'000'000'000'001}, UA_TYPES_DATETIME)),
            Value::date_time(133'000'000'000'000'001));
  EXPECT_EQ(round_trip(scalar(UA_StatusCode{0x80340000}, UA_TYPES_STATUSCODE)), Value::status_code(0x80340000));
}

TEST(OpcUaValue, TextsAndNamesKeepTheirNamespaceByUri) {
  EXPECT_EQ(round_trip(scalar(borrow("Grüße"), UA_TYPES_STRING)), Value::text("Grüße"));
  EXPECT_EQ(round_trip(scalar(borrow("\x01\xff"), UA_TYPES_BYTESTRING)).text(), "\x01\xff");
  EXPECT_EQ(round_trip(scalar(borrow("<a/>"), UA_TYPES_XMLELEMENT)).type(), Type::xml_element);
  EXPECT_EQ(round_trip(scalar(guid(), UA_TYPES_GUID)).contents().size(), 16u);
  EXPECT_EQ(round_trip(scalar(UA_LocalizedText{borrow("de"), borrow("Drehzahl")}, UA_TYPES_LOCALIZEDTEXT)),
            Value::localized_text("de", "Drehzahl"));
  EXPECT_EQ(round_trip(scalar(UA_QualifiedName{2, borrow("Pump")}, UA_TYPES_QUALIFIEDNAME)).text(),
            "nsu=urn:zoo%3B50%25;Pump");
  EXPECT_EQ(round_trip(scalar(UA_QualifiedName{0, borrow("nsu=;")}, UA_TYPES_QUALIFIEDNAME)).text(),
            "nsu=http://opcfoundation.org/UA/;nsu=;");
  UA_NodeId id = UA_NODEID_NUMERIC(0, 2258);
  EXPECT_EQ(round_trip(scalar(id, UA_TYPES_NODEID)).text(), "i=2258");
  id.namespaceIndex = 2;
  id.identifierType = UA_NODEIDTYPE_STRING;
  id.identifier.string = borrow("a;b=c");
  EXPECT_EQ(round_trip(scalar(id, UA_TYPES_NODEID)).text(), "nsu=urn:zoo%3B50%25;s=a;b=c");
  EXPECT_EQ(round_trip(scalar(UA_ExpandedNodeId{id, {}, 0}, UA_TYPES_EXPANDEDNODEID)).text(),
            "nsu=urn:zoo%3B50%25;s=a;b=c");
  id.namespaceIndex = 0;
  EXPECT_EQ(round_trip(scalar(UA_ExpandedNodeId{id, borrow("urn:other"), 3}, UA_TYPES_EXPANDEDNODEID)).text(),
            "svr=3;nsu=urn:other;s=a;b=c");
  id.identifierType = UA_NODEIDTYPE_GUID;
  id.identifier.guid = guid();
  EXPECT_EQ(round_trip(scalar(id, UA_TYPES_NODEID)).text(), "g=09087e75-8e5e-499b-954f-f2a9603db28a");
  id.identifierType = UA_NODEIDTYPE_BYTESTRING;
  id.identifier.byteString = borrow("open62541!");
  EXPECT_EQ(round_trip(scalar(id, UA_TYPES_NODEID)).text(), "b=b3BlbjYyNTQxIQ==");
  id = UA_NODEID_NUMERIC(9, 1);  // the server never announced this index
  EXPECT_EQ(round_trip(scalar(id, UA_TYPES_NODEID)).text(), "nsu=urn:sallyport:unknown-namespace:9;i=1");
}

TEST(OpcUaValue, ArraysAndMatricesKeepTheirShape) {
  const Value doubles = round_trip(array<UA_Double>({1, 2, 3}, UA_TYPES_DOUBLE));
  EXPECT_EQ(doubles, make_array(Type::float64, std::vector{Value::from(1.0), Value::from(2.0), Value::from(3.0)}));
  const Value matrix = round_trip(array<UA_Int32>({1, 2, 3, 4, 5, 6}, UA_TYPES_INT32, {2, 3}));
  EXPECT_EQ(view_array(matrix)->dimensions, (std::vector<std::uint32_t>{2, 3}));
  const Value texts = round_trip(array<UA_String>({borrow("a"), borrow(""), borrow("ccc")}, UA_TYPES_STRING));
  EXPECT_EQ(texts, make_array(Type::string, std::vector{Value::text("a"), Value::text(""), Value::text("ccc")}));
  EXPECT_EQ(view_array(round_trip(array<UA_Byte>({}, UA_TYPES_BOOLEAN)))->count, 0u);
  EXPECT_EQ(view_array(round_trip(array<UA_Guid>({guid(), guid()}, UA_TYPES_GUID)))->count, 2u);
}

TEST(OpcUaValue, DimensionsThatContradictTheLengthAreAPlainArray) {
  const auto value = to_value(*array<UA_Int32>({1, 2, 3}, UA_TYPES_INT32, {2, 3}), zoo());
  ASSERT_TRUE(value);
  EXPECT_EQ(view_array(*value)->dimensions, (std::vector<std::uint32_t>{3}));
}

TEST(OpcUaValue, ArraysOfVariantHoldAnything) {
  UA_Double number = 2.5;
  UA_String name = borrow("x");
  std::vector<UA_Int16> few{1, 2};
  std::vector<UA_Variant> variants(4);
  UA_Variant_setScalar(&variants[0], &number, &UA_TYPES[UA_TYPES_DOUBLE]);
  UA_Variant_setScalar(&variants[1], &name, &UA_TYPES[UA_TYPES_STRING]);
  UA_Variant_setArray(&variants[2], few.data(), few.size(), &UA_TYPES[UA_TYPES_INT16]);
  const Value value = round_trip(array(variants, UA_TYPES_VARIANT));
  std::vector<Value> elements;
  for_each_element(*view_array(value), [&](const Value& element) { elements.push_back(element); });
  ASSERT_EQ(elements.size(), 4u);
  EXPECT_EQ(elements[0], Value::from(2.5));
  EXPECT_EQ(elements[1], Value::text("x"));
  EXPECT_TRUE(elements[2].is_array());
  EXPECT_TRUE(elements[3].is_null());
}

TEST(OpcUaValue, StructuresStayAsTheSourceEncodedThem) {
  UA_ExtensionObject object{};
  object.encoding = UA_EXTENSIONOBJECT_ENCODED_BYTESTRING;
  object.content.encoded.typeId = UA_NODEID_NUMERIC(2, 5001);
  object.content.encoded.body = borrow("body");
  const Value unknown = round_trip(scalar(object, UA_TYPES_EXTENSIONOBJECT));
  EXPECT_EQ(unknown.type(), Type::structure);
  EXPECT_EQ(view_opaque(unknown.contents()).type_id, "nsu=urn:zoo%3B50%25;i=5001");
  EXPECT_EQ(as_text(view_opaque(unknown.contents()).body), "body");
  EXPECT_EQ(view_array(round_trip(array<UA_ExtensionObject>({object, object}, UA_TYPES_EXTENSIONOBJECT)))->count, 2u);

  object.encoding = UA_EXTENSIONOBJECT_ENCODED_XML;
  EXPECT_EQ(view_opaque(round_trip(scalar(object, UA_TYPES_EXTENSIONOBJECT)).contents()).type_id,
            "xml;nsu=urn:zoo%3B50%25;i=5001");
  round_trip(scalar(UA_ExtensionObject{}, UA_TYPES_EXTENSIONOBJECT));

  // One that the library decodes on its way in.
  const Variant known = scalar(UA_Range{-1, 7}, UA_TYPES_RANGE);
  const Value range = round_trip(known);
  EXPECT_EQ(view_opaque(range.contents()).type_id, "i=886");
  EXPECT_EQ(view_opaque(range.contents()).body.size(), 16u);
  EXPECT_EQ(view_array(round_trip(array<UA_Range>({{0, 1}, {2, 3}}, UA_TYPES_RANGE)))->count, 2u);
}

TEST(OpcUaValue, DataValuesAndDiagnosticsAreOpaque) {
  UA_DataValue data{};
  data.hasStatus = true;
  data.status = UA_STATUSCODE_BADNODATA;
  EXPECT_EQ(round_trip(scalar(data, UA_TYPES_DATAVALUE)).type(), Type::data_value);
  UA_DiagnosticInfo diagnostics{};
  diagnostics.hasAdditionalInfo = true;
  diagnostics.additionalInfo = borrow("why");
  EXPECT_EQ(round_trip(scalar(diagnostics, UA_TYPES_DIAGNOSTICINFO)).type(), Type::diagnostic_info);
  EXPECT_TRUE(round_trip(Variant()).is_null());
}

TEST(OpcUaValue, TooLargeIsAnErrorAndABadStatus) {
  const std::string large(kMaxValueSize + 1, 'x');
  const Variant variant = scalar(borrow(large), UA_TYPES_BYTESTRING);
  EXPECT_EQ(to_value(*variant, zoo()).error().code, ErrorCode::limit);
  UA_DataValue data{};
  data.hasValue = true;
  data.value = *variant;
  Change change;
  to_change(data, zoo(), 5, change);
  EXPECT_EQ(change.status, UA_STATUSCODE_BADENCODINGLIMITSEXCEEDED);
  EXPECT_TRUE(change.value.is_null());
}

TEST(OpcUaTime, TicksBecomeNanosecondsAndClamp) {
  EXPECT_EQ(to_utc(UA_DATETIME_UNIX_EPOCH), 0);
  EXPECT_EQ(to_utc(UA_DATETIME_UNIX_EPOCH + 1, 9900), 199);
  EXPECT_EQ(format_utc(to_utc(UA_INT64_MAX)), "2261-12-31T23:59:59.999999999Z");
  EXPECT_EQ(format_utc(to_utc(1)), "1678-01-01T00:00:00.000000000Z");
  EXPECT_EQ(format_utc(to_utc(UA_INT64_MIN)), "1678-01-01T00:00:00.000000000Z");
  for (const std::int64_t time : {std::int64_t{0}, std::int64_t{-100}, std::int64_t{1'700'000'000'123'456'700}})
    EXPECT_EQ(to_utc(to_ticks(time)), time);
}

TEST(OpcUaTime, SourceTimeFallsBackToServerTimeThenToNow) {
  UA_DataValue data{};
  Change change;
  to_change(data, zoo(), 42, change);
  EXPECT_EQ(change.source_time, 42);
  EXPECT_EQ(change.status, status::kGood);
  data.hasServerTimestamp = true;
  data.serverTimestamp = UA_DATETIME_UNIX_EPOCH + 10;
  to_change(data, zoo(), 42, change);
  EXPECT_EQ(change.source_time, 1000);
  data.hasSourceTimestamp = true;  // 1601: no time
  to_change(data, zoo(), 42, change);
  EXPECT_EQ(change.source_time, 1000);
  data.sourceTimestamp = UA_DATETIME_UNIX_EPOCH + 20;
  data.hasStatus = true;
  data.status = 0x40A40100;
  to_change(data, zoo(), 42, change);
  EXPECT_EQ(change.source_time, 2000);
  EXPECT_EQ(change.status, 0x40A40100u);
}

TEST(OpcUaNodeId, BadTextSaysWhatToWrite) {
  const struct {
    std::string_view text, message;
  } table[] = {
      {"", "expected i=, s=, g= or b="},
      {"Plant", "expected i=, s=, g= or b="},
      {"ns=2;s=Plant", "by URI"},
      {"nsu=urn:x", "nothing follows"},
      {"nsu=;i=1", "URI is empty"},
      {"nsu=urn:x;ns=2;i=1", "by URI"},
      {"i=-1", "number"},
      {"i=4294967296", "number"},
      {"i=", "number"},
      {"g=123", "GUID"},
      {"x=1", "expected i="},
  };
  for (const auto& row : table) {
    const auto checked = check_node_id_text(row.text);
    ASSERT_FALSE(checked) << row.text;
    EXPECT_NE(checked.error().message.find(row.message), std::string::npos) << checked.error().message;
  }
  EXPECT_TRUE(check_node_id_text("nsu=urn:acme:line1;s=Plant"));
  EXPECT_TRUE(check_node_id_text("i=85"));
}

TEST(OpcUaNodeId, UnknownNamespaceNamesThoseThatExist) {
  const auto id = parse_node_id("nsu=urn:acme;s=Plant", zoo());
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, ErrorCode::not_found);
  EXPECT_NE(id.error().message.find("urn:server"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::opcua
