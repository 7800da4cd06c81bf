#include "protocol/opcua/value_codec.h"

#include <algorithm>
#include <limits>

namespace sallyport::opcua {
namespace {

constexpr int kMaxDepth = 4;  // arrays of Variant inside arrays of Variant
constexpr std::string_view kXml = "xml;";
constexpr std::int64_t kFirstYear = -9'214'560'000'000'000'000;  // 1678-01-01
constexpr std::int64_t kLastYear = 9'214'646'399'999'999'999;    // 2261-12-31

std::unexpected<Error> too_large(std::size_t size) {
  return fail(ErrorCode::limit, "value of " + std::to_string(size) + " bytes; at most " +
                                    std::to_string(kMaxValueSize) + " can be carried");
}

class Encoder {
 public:
  explicit Encoder(const NamespaceTable& namespaces) : namespaces_(namespaces) {}

  Result<Value> value(const UA_Variant& variant, int depth);

 private:
  Result<Value> array(const UA_Variant& variant, Type type, int depth);
  Result<void> contents(Bytes& out, const void* item, const UA_DataType& type, int depth);
  Result<void> variant_element(Bytes& out, const UA_Variant& variant, int depth);
  Result<void> extension_object(Bytes& out, const UA_ExtensionObject& object);
  // type id, then the binary encoding of `item`
  Result<void> encoded(Bytes& out, const void* item, const UA_DataType& type, const UA_NodeId& type_id);

  const NamespaceTable& namespaces_;
};

std::uint64_t inline_bits(const void* item, Type type) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, item, inline_size(type));
  return type == Type::boolean ? bits != 0 : bits;
}

Result<Value> Encoder::value(const UA_Variant& variant, int depth) {
  if (variant.type == nullptr) return Value();
  const Type type = type_of(*variant.type);
  if (!UA_Variant_isScalar(&variant)) return array(variant, type, depth);
  if (type == Type::variant) return value(*static_cast<const UA_Variant*>(variant.data), depth);
  if (inline_size(type) != 0) return Value::scalar(type, inline_bits(variant.data, type));
  Bytes out;
  if (auto done = contents(out, variant.data, *variant.type, depth); !done) return std::unexpected(done.error());
  if (out.size() > kMaxValueSize) return too_large(out.size());
  return Value::contents(type, false, out);
}

std::vector<std::uint32_t> dimensions_of(const UA_Variant& variant) {
  std::vector<std::uint32_t> out;
  if (variant.arrayDimensionsSize > 1 && variant.arrayDimensionsSize <= 16) {
    out.assign(variant.arrayDimensions, variant.arrayDimensions + variant.arrayDimensionsSize);
    std::size_t product = 1;
    for (const std::uint32_t size : out) product = product > variant.arrayLength ? product : product * size;
    // Dimensions that contradict the length are no matrix. (OPC 10000-6 §5.2.2.16)
    if (product != variant.arrayLength) out.clear();
  }
  if (out.empty()) out.push_back(static_cast<std::uint32_t>(variant.arrayLength));
  return out;
}

Result<Value> Encoder::array(const UA_Variant& variant, Type type, int depth) {
  const std::size_t size = inline_size(type);
  if (variant.arrayLength > kMaxValueSize / std::max<std::size_t>(size, 1))
    return too_large(variant.arrayLength * std::max<std::size_t>(size, 1));
  if (type == Type::variant && depth > kMaxDepth)
    return fail(ErrorCode::malformed, "arrays of Variant nested too deep");
  Bytes out;
  ByteWriter writer(out);
  const auto dimensions = dimensions_of(variant);
  writer.varint(dimensions.size());
  for (const std::uint32_t dimension : dimensions) writer.varint(dimension);
  const auto* items = static_cast<const std::byte*>(variant.data);
  if (size != 0 && variant.arrayLength != 0) {
    const std::size_t at = out.size();
    writer.bytes(std::span(items, variant.arrayLength * size));
    if (type == Type::boolean) {
      for (std::size_t i = at; i < out.size(); ++i) out[i] = std::byte{out[i] != std::byte{0}};
    }
  } else {
    Bytes element;
    for (std::size_t i = 0; i < variant.arrayLength; ++i) {
      const void* item = items + i * variant.type->memSize;
      if (type == Type::variant) {
        if (auto done = variant_element(out, *static_cast<const UA_Variant*>(item), depth + 1); !done)
          return std::unexpected(done.error());
      } else {
        element.clear();
        if (auto done = contents(element, item, *variant.type, depth); !done) return std::unexpected(done.error());
        writer.text(as_text(element));
      }
      if (out.size() > kMaxValueSize) return too_large(out.size());
    }
  }
  if (out.size() > kMaxValueSize) return too_large(out.size());
  return Value::contents(type, true, out);
}

Result<void> Encoder::variant_element(Bytes& out, const UA_Variant& variant, int depth) {
  auto inner = value(variant, depth);
  if (!inner) return std::unexpected(inner.error());
  ByteWriter writer(out);
  writer.number<std::uint8_t>(inner->type_byte());
  if (inner->is_blob()) {
    writer.text(as_text(inner->contents()));
  } else {
    const std::uint64_t bits = inner->bits();
    writer.text(as_text(std::as_bytes(std::span(&bits, 1)).first(inline_size(inner->type()))));
  }
  return {};
}

Result<void> Encoder::encoded(Bytes& out, const void* item, const UA_DataType& type, const UA_NodeId& type_id) {
  UA_ByteString body{};
  const UA_StatusCode done = UA_encodeBinary(item, &type, &body);
  if (done != UA_STATUSCODE_GOOD)
    return fail(ErrorCode::malformed, std::string("cannot encode: ") + UA_StatusCode_name(done));
  ByteWriter writer(out);
  writer.text(format_node_id(type_id, namespaces_));
  writer.bytes(bytes(body));
  UA_ByteString_clear(&body);
  return {};
}

Result<void> Encoder::extension_object(Bytes& out, const UA_ExtensionObject& object) {
  if (object.encoding >= UA_EXTENSIONOBJECT_DECODED) {
    const UA_DataType& type = *object.content.decoded.type;
    return encoded(out, object.content.decoded.data, type, type.binaryEncodingId);
  }
  const std::string type_id = format_node_id(object.content.encoded.typeId, namespaces_);
  ByteWriter writer(out);
  if (object.encoding == UA_EXTENSIONOBJECT_ENCODED_XML) {
    writer.text(std::string(kXml) + type_id);
  } else {
    writer.text(type_id);
  }
  if (object.encoding != UA_EXTENSIONOBJECT_ENCODED_NOBODY) writer.bytes(bytes(object.content.encoded.body));
  return {};
}

Result<void> Encoder::contents(Bytes& out, const void* item, const UA_DataType& type, int) {
  ByteWriter writer(out);
  switch (type.typeKind) {
    case UA_DATATYPEKIND_STRING:
    case UA_DATATYPEKIND_BYTESTRING:
    case UA_DATATYPEKIND_XMLELEMENT:
      writer.bytes(bytes(*static_cast<const UA_String*>(item)));
      return {};
    case UA_DATATYPEKIND_GUID: {
      const auto& guid = *static_cast<const UA_Guid*>(item);
      writer.number<std::uint32_t>(guid.data1);
      writer.number<std::uint16_t>(guid.data2);
      writer.number<std::uint16_t>(guid.data3);
      writer.bytes(std::as_bytes(std::span(guid.data4)));
      return {};
    }
    case UA_DATATYPEKIND_NODEID:
      writer.bytes(as_bytes(format_node_id(*static_cast<const UA_NodeId*>(item), namespaces_)));
      return {};
    case UA_DATATYPEKIND_EXPANDEDNODEID:
      writer.bytes(as_bytes(format_expanded_node_id(*static_cast<const UA_ExpandedNodeId*>(item), namespaces_)));
      return {};
    case UA_DATATYPEKIND_QUALIFIEDNAME:
      writer.bytes(as_bytes(format_qualified_name(*static_cast<const UA_QualifiedName*>(item), namespaces_)));
      return {};
    case UA_DATATYPEKIND_LOCALIZEDTEXT: {
      const auto& localized = *static_cast<const UA_LocalizedText*>(item);
      writer.text(view(localized.locale));
      writer.bytes(bytes(localized.text));
      return {};
    }
    case UA_DATATYPEKIND_EXTENSIONOBJECT:
      return extension_object(out, *static_cast<const UA_ExtensionObject*>(item));
    case UA_DATATYPEKIND_DATAVALUE:
    case UA_DATATYPEKIND_DIAGNOSTICINFO:
      return encoded(out, item, type, type.typeId);
    default:
      return encoded(out, item, type, type.binaryEncodingId);  // a structure that open62541 knows
  }
}

// --- The way back
// ------------------------------------------------------------------------------------------------------

class Decoder {
 public:
  explicit Decoder(const NamespaceTable& namespaces) : namespaces_(namespaces) {}
  Result<Variant> variant(const Value& value, int depth);

 private:
  Result<void> item(const Value& value, void* item, const UA_DataType& type, int depth);
  Result<void> opaque(const Value& value, void* item, const UA_DataType& type);

  const NamespaceTable& namespaces_;
};

const UA_DataType& builtin(Type type) { return UA_TYPES[static_cast<std::size_t>(type) - 1]; }

Result<Variant> Decoder::variant(const Value& value, int depth) {
  Variant out;
  if (value.is_null()) return out;
  const UA_DataType& type = builtin(value.type());
  if (!value.is_array()) {
    void* made = UA_new(&type);
    if (made == nullptr) return fail(ErrorCode::limit, "out of memory");
    UA_Variant_setScalar(out.get(), made, &type);
    if (auto done = item(value, made, type, depth); !done) return std::unexpected(done.error());
    return out;
  }
  auto array = view_array(value);
  if (!array) return std::unexpected(array.error());
  if (depth > kMaxDepth) return fail(ErrorCode::malformed, "arrays of Variant nested too deep");
  void* items = UA_Array_new(array->count, &type);
  if (items == nullptr) return fail(ErrorCode::limit, "out of memory");
  UA_Variant_setArray(out.get(), items, array->count, &type);
  if (array->dimensions.size() > 1) {
    void* copied = nullptr;
    if (UA_Array_copy(array->dimensions.data(), array->dimensions.size(), &copied, &UA_TYPES[UA_TYPES_UINT32]) !=
        UA_STATUSCODE_GOOD) {
      return fail(ErrorCode::limit, "out of memory");
    }
    out->arrayDimensions = static_cast<UA_UInt32*>(copied);
    out->arrayDimensionsSize = array->dimensions.size();
  }
  if (inline_size(value.type()) != 0) {
    if (array->count != 0) std::memcpy(items, array->elements.data(), array->count * inline_size(value.type()));
    return out;
  }
  ElementReader elements(*array);
  std::size_t index = 0;
  for (Value element; elements.next(element); ++index) {
    if (auto done = item(element, static_cast<std::byte*>(items) + index * type.memSize, type, depth); !done)
      return std::unexpected(done.error());
  }
  if (index != array->count) return fail(ErrorCode::malformed, "array is cut off");
  return out;
}

Result<void> Decoder::opaque(const Value& value, void* item, const UA_DataType& type) {
  auto [type_id, body] = view_opaque(value.contents());
  const UA_ByteString borrowed = borrow(as_text(body));
  if (type.typeKind != UA_DATATYPEKIND_EXTENSIONOBJECT) {
    const UA_StatusCode done = UA_decodeBinary(&borrowed, item, &type, nullptr);
    if (done != UA_STATUSCODE_GOOD)
      return fail(ErrorCode::malformed, std::string("cannot decode: ") + UA_StatusCode_name(done));
    return {};
  }
  auto& object = *static_cast<UA_ExtensionObject*>(item);
  const bool xml = type_id.starts_with(kXml);
  auto id = parse_node_id(xml ? type_id.substr(kXml.size()) : type_id, namespaces_);
  if (!id) return std::unexpected(id.error());
  if (UA_NodeId_isNull(id->get()) && body.empty()) return {};
  object.encoding = xml ? UA_EXTENSIONOBJECT_ENCODED_XML : UA_EXTENSIONOBJECT_ENCODED_BYTESTRING;
  object.content.encoded.typeId = std::exchange(**id, UA_NodeId{});
  UA_ByteString_copy(&borrowed, &object.content.encoded.body);
  return {};
}

Result<void> Decoder::item(const Value& value, void* item, const UA_DataType& type, int depth) {
  const auto move_in = [item]<typename T>(Result<T> made) -> Result<void> {
    if (!made) return std::unexpected(made.error());
    *static_cast<T*>(item) = *made;
    return {};
  };
  switch (type.typeKind) {
    case UA_DATATYPEKIND_STRING:
    case UA_DATATYPEKIND_BYTESTRING:
    case UA_DATATYPEKIND_XMLELEMENT:
      *static_cast<UA_String*>(item) = copy_string(value.text());
      return {};
    case UA_DATATYPEKIND_GUID: {
      ByteReader reader(value.contents());
      auto& guid = *static_cast<UA_Guid*>(item);
      guid.data1 = reader.number<std::uint32_t>();
      guid.data2 = reader.number<std::uint16_t>();
      guid.data3 = reader.number<std::uint16_t>();
      const auto rest = reader.bytes(sizeof guid.data4);
      if (!reader.ok()) return fail(ErrorCode::malformed, "a Guid has 16 bytes");
      std::memcpy(guid.data4, rest.data(), sizeof guid.data4);
      return {};
    }
    case UA_DATATYPEKIND_NODEID: {
      auto id = parse_node_id(value.text(), namespaces_);
      if (!id) return std::unexpected(id.error());
      *static_cast<UA_NodeId*>(item) = std::exchange(**id, UA_NodeId{});
      return {};
    }
    case UA_DATATYPEKIND_EXPANDEDNODEID:
      return move_in(parse_expanded_node_id(value.text(), namespaces_));
    case UA_DATATYPEKIND_QUALIFIEDNAME:
      return move_in(parse_qualified_name(value.text(), namespaces_));
    case UA_DATATYPEKIND_LOCALIZEDTEXT: {
      const auto [locale, localized] = view_localized_text(value.contents());
      *static_cast<UA_LocalizedText*>(item) = {copy_string(locale), copy_string(localized)};
      return {};
    }
    case UA_DATATYPEKIND_VARIANT: {
      auto inner = variant(value, depth + 1);
      if (!inner) return std::unexpected(inner.error());
      *static_cast<UA_Variant*>(item) = std::exchange(**inner, UA_Variant{});
      return {};
    }
    case UA_DATATYPEKIND_EXTENSIONOBJECT:
    case UA_DATATYPEKIND_DATAVALUE:
    case UA_DATATYPEKIND_DIAGNOSTICINFO:
      return opaque(value, item, type);
    default: {
      const std::uint64_t bits = value.bits();
      std::memcpy(item, &bits, inline_size(value.type()));
      return {};
    }
  }
}

}  // namespace

Type type_of(const UA_DataType& type) {
  if (type.typeKind <= UA_DATATYPEKIND_DIAGNOSTICINFO) return static_cast<Type>(type.typeKind + 1);
  return type.typeKind == UA_DATATYPEKIND_ENUM ? Type::int32 : Type::structure;
}

Result<Value> to_value(const UA_Variant& variant, const NamespaceTable& namespaces) {
  return Encoder(namespaces).value(variant, 1);
}

Result<Variant> to_variant(const Value& value, const NamespaceTable& namespaces) {
  return Decoder(namespaces).variant(value, 1);
}

UtcNanoseconds to_utc(UA_DateTime ticks, std::uint16_t picoseconds) {
  constexpr std::int64_t first = kFirstYear / 100 + UA_DATETIME_UNIX_EPOCH;
  constexpr std::int64_t last = kLastYear / 100 + UA_DATETIME_UNIX_EPOCH;
  if (ticks < first) return kFirstYear;
  if (ticks > last) return kLastYear;
  // The field counts 10 ps, up to 9999. (OPC 10000-4 §7.11)
  const std::int64_t time = (ticks - UA_DATETIME_UNIX_EPOCH) * 100 + std::min<std::int64_t>(picoseconds, 9999) / 100;
  return std::min(time, kLastYear);
}

UA_DateTime to_ticks(UtcNanoseconds time) {
  const std::int64_t ticks = time / 100 - (time % 100 < 0 ? 1 : 0);
  return ticks + UA_DATETIME_UNIX_EPOCH;
}

void to_change(const UA_DataValue& data, const NamespaceTable& namespaces, UtcNanoseconds received, Change& change) {
  change.status = data.hasStatus ? data.status : status::kGood;
  // 1601 means "no time". (OPC 10000-6 §5.2.2.5)
  if (data.hasSourceTimestamp && data.sourceTimestamp > 0) {
    change.source_time =
        to_utc(data.sourceTimestamp, data.hasSourcePicoseconds ? data.sourcePicoseconds : std::uint16_t{0});
  } else if (data.hasServerTimestamp && data.serverTimestamp > 0) {
    change.source_time =
        to_utc(data.serverTimestamp, data.hasServerPicoseconds ? data.serverPicoseconds : std::uint16_t{0});
  } else {
    change.source_time = received;
  }
  if (!data.hasValue) {
    change.value = Value();
    return;
  }
  auto value = to_value(data.value, namespaces);
  if (value) {
    change.value = std::move(*value);
    return;
  }
  change.value = Value();
  if (quality_of(change.status) != Quality::bad) change.status = UA_STATUSCODE_BADENCODINGLIMITSEXCEEDED;
}

}  // namespace sallyport::opcua
