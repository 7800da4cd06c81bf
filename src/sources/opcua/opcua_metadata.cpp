#include "sources/opcua/opcua_metadata.h"

#include <algorithm>
#include <array>

#include "protocol/opcua/value_codec.h"

namespace sallyport::opcua {
namespace {

constexpr std::size_t kChunk = 2000;    // points at once
constexpr std::size_t kMaxEnum = 1024;  // texts of one enumeration
constexpr int kMaxTypeDepth = 32;
constexpr std::array<std::string_view, 6> kProperties = {"EngineeringUnits", "EURange",    "EnumStrings",
                                                         "EnumValues",       "FalseState", "TrueState"};
constexpr std::array<UA_UInt32, 3> kAttributes = {UA_ATTRIBUTEID_DATATYPE, UA_ATTRIBUTEID_VALUERANK,
                                                  UA_ATTRIBUTEID_DESCRIPTION};

// At most kMaxMetaText bytes, cut between characters.
std::string cut(const UA_String& from) {
  std::string_view out = view(from);
  if (out.size() > kMaxMetaText) {
    out = out.substr(0, kMaxMetaText);
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0) == 0x80) out.remove_suffix(1);
    if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xC0) out.remove_suffix(1);
  }
  return std::string(out);
}

template <typename T>
const T* scalar(const UA_Variant& value, std::size_t type) {
  return UA_Variant_hasScalarType(&value, &UA_TYPES[type]) ? static_cast<const T*>(value.data) : nullptr;
}

template <typename T>
std::span<const T> array(const UA_Variant& value, std::size_t type) {
  if (!UA_Variant_hasArrayType(&value, &UA_TYPES[type]) || value.arrayLength == 0) return {};
  return std::span(static_cast<const T*>(value.data), value.arrayLength);
}

UA_ReadValueId read_id(const UA_NodeId& node, UA_UInt32 attribute) {
  UA_ReadValueId out{};
  out.nodeId = node;
  out.attributeId = attribute;
  return out;
}

void set_enum_string(std::vector<std::string>& texts, std::size_t index, const UA_String& shown) {
  if (index >= kMaxEnum) return;
  if (texts.size() <= index) texts.resize(index + 1);
  texts[index] = cut(shown);
}

std::vector<std::string> enum_strings(const UA_Variant& value) {
  std::vector<std::string> out;
  const auto strings = array<UA_LocalizedText>(value, UA_TYPES_LOCALIZEDTEXT);
  for (std::size_t i = 0; i < strings.size(); ++i) set_enum_string(out, i, strings[i].text);
  for (const UA_EnumValueType& entry : array<UA_EnumValueType>(value, UA_TYPES_ENUMVALUETYPE)) {
    if (entry.value >= 0) set_enum_string(out, static_cast<std::size_t>(entry.value), entry.displayName.text);
  }
  return out;
}

void apply_property(Meta& meta, std::string_view name, const UA_Variant& value) {
  if (name == "EngineeringUnits") {
    if (const auto* unit = scalar<UA_EUInformation>(value, UA_TYPES_EUINFORMATION)) {
      meta.unit = cut(unit->displayName.text.length != 0 ? unit->displayName.text : unit->description.text);
    }
  } else if (name == "EURange") {
    if (const auto* range = scalar<UA_Range>(value, UA_TYPES_RANGE)) {
      meta.range_low = range->low;
      meta.range_high = range->high;
    }
  } else if (name == "FalseState" || name == "TrueState") {
    if (const auto* state = scalar<UA_LocalizedText>(value, UA_TYPES_LOCALIZEDTEXT)) {
      set_enum_string(meta.enum_strings, name == "TrueState" ? 1 : 0, state->text);
    }
  } else if (auto texts = enum_strings(value); !texts.empty()) {
    meta.enum_strings = std::move(texts);
  }
}

}  // namespace

bool is_known_property(const Reference& reference) {
  return reference.property && reference.name_namespace == 0 && std::ranges::contains(kProperties, reference.name);
}

Result<void> MetadataReader::read(std::span<ModelPoint> points, std::span<const PropertyNode> properties) {
  for (std::size_t at = 0; at < points.size(); at += kChunk) {
    if (auto done = read_attributes(points.subspan(at, std::min(kChunk, points.size() - at))); !done) return done;
  }
  for (std::size_t at = 0; at < properties.size(); at += kChunk) {
    if (auto done = read_properties(points, properties.subspan(at, std::min(kChunk, properties.size() - at))); !done)
      return done;
  }
  return {};
}

Result<void> MetadataReader::read_attributes(std::span<ModelPoint> points) {
  std::vector<UA_ReadValueId> what;
  for (const ModelPoint& point : points) {
    for (const UA_UInt32 attribute : kAttributes) what.push_back(read_id(*point.node, attribute));
  }
  const auto values = client_.read(what);
  if (!values) return std::unexpected(values.error());
  for (std::size_t i = 0; i < points.size(); ++i) {
    Meta& meta = points[i].meta;
    const DataValue* attributes = &(*values)[i * kAttributes.size()];
    if (const auto* rank = scalar<UA_Int32>(attributes[1]->value, UA_TYPES_INT32)) meta.array = *rank >= 0;
    if (const auto* shown = scalar<UA_LocalizedText>(attributes[2]->value, UA_TYPES_LOCALIZEDTEXT))
      meta.description = cut(shown->text);
    const auto* id = scalar<UA_NodeId>(attributes[0]->value, UA_TYPES_NODEID);
    if (id == nullptr) continue;
    const auto info = data_type(*id);
    if (!info) return std::unexpected(info.error());
    meta.type = (*info)->type;
    meta.enum_strings = (*info)->enum_strings;
  }
  return {};
}

Result<void> MetadataReader::read_properties(std::span<ModelPoint> points, std::span<const PropertyNode> properties) {
  std::vector<UA_ReadValueId> what;
  for (const PropertyNode& property : properties) what.push_back(read_id(*property.node, UA_ATTRIBUTEID_VALUE));
  const auto values = client_.read(what);
  if (!values) return std::unexpected(values.error());
  for (std::size_t i = 0; i < properties.size(); ++i)
    apply_property(points[properties[i].point].meta, properties[i].name, (*values)[i]->value);
  return {};
}

Result<const MetadataReader::DataTypeInfo*> MetadataReader::data_type(const UA_NodeId& id) {
  const std::string key = format_node_id(id, client_.namespaces());
  const auto known = types_.find(key);
  if (known != types_.end()) return &known->second;
  auto found = find_data_type(id);
  if (!found) return std::unexpected(found.error());
  return &types_.emplace(key, std::move(*found)).first->second;
}

// A type of the server's own is what its nearest standard supertype is.
Result<MetadataReader::DataTypeInfo> MetadataReader::find_data_type(const UA_NodeId& id) {
  DataTypeInfo out;
  NodeId at = NodeId::copy_of(id);
  for (int depth = 0; depth < kMaxTypeDepth; ++depth) {
    const bool standard = at->namespaceIndex == 0 && at->identifierType == UA_NODEIDTYPE_NUMERIC;
    if (standard && at->identifier.numeric >= UA_NS0ID_BASEDATATYPE && at->identifier.numeric <= UA_NS0ID_UINTEGER)
      return out;  // abstract
    if (standard && at->identifier.numeric == UA_NS0ID_ENUMERATION) {
      out.type = Type::int32;
      break;
    }
    const UA_DataType* type = UA_findDataType(at.get());
    if (type != nullptr) {
      out.type = type_of(*type);
      if (type->typeKind != UA_DATATYPEKIND_ENUM) return out;
      break;
    }
    auto up = browse(client_, std::span(at.get(), 1),
                     {UA_NS0ID_HASSUBTYPE, UA_BROWSEDIRECTION_INVERSE, UA_NODECLASS_DATATYPE});
    if (!up) return std::unexpected(up.error());
    if (up->front().references.empty()) return out;
    at = std::move(up->front().references.front().node);
  }
  if (out.type != Type::int32) return out;
  auto texts = enumeration(id);
  if (!texts) return std::unexpected(texts.error());
  out.enum_strings = std::move(*texts);
  return out;
}

// The texts of an enumeration stand at its data type. (OPC 10000-3 §8.14)
Result<std::vector<std::string>> MetadataReader::enumeration(const UA_NodeId& id) {
  const auto below =
      browse(client_, std::span(&id, 1), {UA_NS0ID_HASPROPERTY, UA_BROWSEDIRECTION_FORWARD, UA_NODECLASS_VARIABLE});
  if (!below) return std::unexpected(below.error());
  for (const Reference& reference : below->front().references) {
    if (!is_known_property(reference)) continue;
    const UA_ReadValueId what = read_id(*reference.node, UA_ATTRIBUTEID_VALUE);
    const auto value = client_.read(std::span(&what, 1));
    if (!value) return std::unexpected(value.error());
    return enum_strings(value->front()->value);
  }
  return std::vector<std::string>{};
}

}  // namespace sallyport::opcua
