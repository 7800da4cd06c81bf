// Blobs are checked once, where they come in (check_contents); the readers below still never run past their bytes.
#include "namespace/value.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>

namespace sallyport {
namespace {

constexpr std::array<std::string_view, kTypeCount> kTypeNames = {
    "Null",          "Boolean",    "SByte",      "Byte",    "Int16",          "UInt16",     "Int32",
    "UInt32",        "Int64",      "UInt64",     "Float",   "Double",         "String",     "DateTime",
    "Guid",          "ByteString", "XmlElement", "NodeId",  "ExpandedNodeId", "StatusCode", "QualifiedName",
    "LocalizedText", "Structure",  "DataValue",  "Variant", "DiagnosticInfo"};

constexpr std::uint64_t kMaxRank = 16;
constexpr int kMaxVariantDepth = 4;
constexpr std::size_t kGuidSize = 16;
constexpr std::uint8_t kArrayBit = 0x80;

bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string name_of(Type type, bool array) { return std::string(to_string(type)) + (array ? "[]" : ""); }

std::unexpected<Error> malformed(Type type, bool array, std::string_view what) {
  return fail(ErrorCode::malformed, name_of(type, array) + ": " + std::string(what));
}

// Bits of an inline scalar from its bytes, zero-extended. `bytes` is at least inline_size long.
std::uint64_t bits_from(std::span<const std::byte> bytes, std::size_t size) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, bytes.data(), size);
  return bits;
}

bool valid_booleans(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return std::to_integer<int>(b) <= 1; });
}

// Product of the dimensions; 0 as soon as one is 0. False when it cannot be the count of any value in memory.
bool multiply(std::span<const std::uint32_t> dimensions, std::size_t& count) {
  if (std::ranges::contains(dimensions, 0u)) {
    count = 0;
    return true;
  }
  count = 1;
  for (const std::uint32_t dimension : dimensions) {
    if (count > kMaxValueSize / dimension) return false;
    count *= dimension;
  }
  return true;
}

struct Dimensions {
  std::array<std::uint32_t, kMaxRank> sizes;
  std::size_t rank = 0;
  std::size_t count = 0;
  std::span<const std::uint32_t> span() const { return std::span(sizes).first(rank); }
};

Result<Dimensions> read_dimensions(Type type, ByteReader& reader) {
  Dimensions out{};
  const std::uint64_t rank = reader.varint();
  if (!reader.ok()) return malformed(type, true, "cut off before its rank");
  if (rank == 0 || rank > kMaxRank) {
    return malformed(type, true, "rank " + std::to_string(rank) + " is not 1 to " + std::to_string(kMaxRank));
  }
  out.rank = static_cast<std::size_t>(rank);
  for (std::size_t i = 0; i < out.rank; ++i) {
    const std::uint64_t size = reader.varint();
    if (!reader.ok()) return malformed(type, true, "cut off inside its dimensions");
    if (size > std::numeric_limits<std::uint32_t>::max()) return malformed(type, true, "a dimension exceeds 2^32 - 1");
    out.sizes[i] = static_cast<std::uint32_t>(size);
  }
  if (!multiply(out.span(), out.count))
    return malformed(type, true, "its dimensions multiply to more than a value can hold");
  return out;
}

Result<void> check(Type type, bool array, std::span<const std::byte> bytes, int depth);

// One element of an array of Variant: type byte, varint length, contents.
Result<void> check_variant_element(ByteReader& reader, int depth) {
  const auto type_byte = reader.number<std::uint8_t>();
  const std::uint64_t size = reader.varint();
  if (!reader.ok() || size > reader.remaining()) return malformed(Type::variant, true, "cut off inside an element");
  const auto type = static_cast<std::uint8_t>(type_byte & ~kArrayBit);
  if (type >= kTypeCount) return malformed(Type::variant, true, "element of unknown type " + std::to_string(type));
  return check(static_cast<Type>(type), (type_byte & kArrayBit) != 0, reader.bytes(static_cast<std::size_t>(size)),
               depth + 1);
}

Result<void> check_sized_element(Type type, ByteReader& reader, int depth) {
  const std::uint64_t size = reader.varint();
  if (!reader.ok() || size > reader.remaining()) return malformed(type, true, "cut off inside an element");
  return check(type, false, reader.bytes(static_cast<std::size_t>(size)), depth);
}

Result<void> check_elements(Type type, std::size_t count, ByteReader& reader, int depth) {
  if (count > reader.remaining()) return malformed(type, true, "fewer bytes than elements");
  for (std::size_t i = 0; i < count; ++i) {
    const auto element =
        type == Type::variant ? check_variant_element(reader, depth) : check_sized_element(type, reader, depth);
    if (!element) return element;
  }
  if (!reader.done())
    return malformed(type, true, std::to_string(reader.remaining()) + " bytes after the last element");
  return {};
}

Result<void> check_array(Type type, std::span<const std::byte> bytes, int depth) {
  if (type == Type::null) return malformed(type, true, "null has no arrays");
  if (type == Type::variant && depth > kMaxVariantDepth) {
    return malformed(type, true, "nested deeper than " + std::to_string(kMaxVariantDepth));
  }
  ByteReader reader(bytes);
  const auto dimensions = read_dimensions(type, reader);
  if (!dimensions) return std::unexpected(dimensions.error());
  const std::size_t size = inline_size(type);
  if (size == 0) return check_elements(type, dimensions->count, reader, depth);
  if (reader.remaining() != dimensions->count * size) {
    return malformed(type, true,
                     std::to_string(reader.remaining()) + " bytes for " + std::to_string(dimensions->count) +
                         " elements of " + std::to_string(size));
  }
  if (type == Type::boolean && !valid_booleans(reader.bytes(reader.remaining()))) {
    return malformed(type, true, "an element is neither 0 nor 1");
  }
  return {};
}

// LocalizedText, Structure, DataValue, DiagnosticInfo: a sized text, then anything.
Result<void> check_headed(Type type, std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  reader.text(bytes.size());
  if (reader.ok()) return {};
  return malformed(type, false,
                   type == Type::localized_text ? "cut off inside its locale" : "cut off inside its type id");
}

Result<void> check(Type type, bool array, std::span<const std::byte> bytes, int depth) {
  if (static_cast<std::uint8_t>(type) >= kTypeCount) {
    return fail(ErrorCode::malformed, "value of unknown type " + std::to_string(static_cast<unsigned>(type)));
  }
  if (array) return check_array(type, bytes, depth);
  const std::size_t fixed = type == Type::guid ? kGuidSize : inline_size(type);
  if ((fixed != 0 || type == Type::null) && bytes.size() != fixed) {
    return malformed(type, false, std::to_string(bytes.size()) + " bytes instead of " + std::to_string(fixed));
  }
  switch (type) {
    case Type::boolean:
      if (!valid_booleans(bytes)) return malformed(type, false, "neither 0 nor 1");
      return {};
    case Type::localized_text:
    case Type::structure:
    case Type::data_value:
    case Type::diagnostic_info:
      return check_headed(type, bytes);
    // A Variant that holds one value is that value. (OPC 10000-6 §5.1.9)
    case Type::variant:
      return malformed(type, false, "only arrays of Variant exist; a single one is the value inside it");
    default:
      return {};
  }
}

void append_dimensions(Bytes& out, std::span<const std::uint32_t> dimensions, std::size_t count) {
  ByteWriter writer(out);
  if (dimensions.empty()) {
    writer.varint(1);
    writer.varint(count);
    return;
  }
  writer.varint(dimensions.size());
  for (const std::uint32_t dimension : dimensions) writer.varint(dimension);
}

bool dimensions_fit(std::span<const std::uint32_t> dimensions, std::size_t count) {
  std::size_t product = 0;
  if (dimensions.size() > kMaxRank || count > kMaxValueSize) return false;
  return dimensions.empty() || (multiply(dimensions, product) && product == count);
}

// Contents of a scalar, inline or not.
std::span<const std::byte> scalar_bytes(const Value& value, const std::uint64_t& bits) {
  return value.is_blob() ? value.contents() : std::as_bytes(std::span(&bits, 1)).first(inline_size(value.type()));
}

bool fits_array(Type type, const Value& element) {
  if (type == Type::variant) return true;
  if (element.is_null()) return check_contents(type, false, {}).has_value();  // a null string reads as an empty one
  return element.type() == type && !element.is_array();
}

}  // namespace

std::string_view to_string(Type type) {
  const auto index = static_cast<std::uint8_t>(type);
  return index < kTypeCount ? kTypeNames[index] : "Unknown";
}

Result<Type> parse_type(std::string_view name) {
  for (std::size_t i = 0; i < kTypeNames.size(); ++i) {
    if (same_letters(name, kTypeNames[i])) return static_cast<Type>(i);
  }
  return fail(ErrorCode::invalid, "unknown type '" + std::string(name.substr(0, 40)) +
                                      "'; expected an OPC UA built-in type such as Boolean, Int32, Double or String");
}

Value Value::contents(Type type, bool array, std::span<const std::byte> bytes) {
  if (type == Type::null || bytes.size() > kMaxValueSize) return {};
  const std::size_t size = array ? 0 : inline_size(type);
  if (size != 0) return bytes.size() == size ? scalar(type, bits_from(bytes, size)) : Value();
  void* memory = ::operator new(sizeof(Blob) + bytes.size());
  auto* made = new (memory) Blob{1, static_cast<std::uint32_t>(bytes.size())};
  if (!bytes.empty()) std::memcpy(made->bytes(), bytes.data(), bytes.size());
  Value value;
  value.bits_ = std::bit_cast<std::uint64_t>(made);
  value.type_ = type;
  value.array_ = array;
  value.blob_ = true;
  return value;
}

Value Value::localized_text(std::string_view locale, std::string_view text) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.text(locale);
  writer.bytes(as_bytes(text));
  return contents(Type::localized_text, false, bytes);
}

Value Value::opaque(Type type, std::string_view type_id, std::span<const std::byte> body) {
  Bytes bytes;
  bytes.reserve(type_id.size() + body.size() + 4);
  ByteWriter writer(bytes);
  writer.text(type_id);
  writer.bytes(body);
  return contents(type, false, bytes);
}

bool Value::to_double(double& out) const {
  if (array_) return false;
  switch (type_) {
    case Type::boolean:
      out = bits_ != 0 ? 1 : 0;
      return true;
    case Type::sbyte:
      out = static_cast<std::int8_t>(bits_);
      return true;
    case Type::int16:
      out = static_cast<std::int16_t>(bits_);
      return true;
    case Type::int32:
      out = static_cast<std::int32_t>(bits_);
      return true;
    case Type::int64:
      out = static_cast<double>(static_cast<std::int64_t>(bits_));
      return true;
    case Type::byte:
    case Type::uint16:
    case Type::uint32:
    case Type::uint64:
      out = static_cast<double>(bits_);
      return true;
    case Type::float32:
      out = static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits_)));
      return true;
    case Type::float64:
      out = float64();
      return true;
    default:
      return false;
  }
}

bool operator==(const Value& a, const Value& b) {
  if (a.type_ != b.type_ || a.array_ != b.array_ || a.blob_ != b.blob_) return false;
  if (a.bits_ == b.bits_) return true;
  return a.blob_ && std::ranges::equal(a.contents(), b.contents());
}

Result<void> check_contents(Type type, bool array, std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxValueSize) {
    return fail(ErrorCode::limit, "value of " + std::to_string(bytes.size()) + " bytes; at most " +
                                      std::to_string(kMaxValueSize) + " can be carried");
  }
  return check(type, array, bytes, 1);
}

Result<ArrayView> view_array(const Value& value) {
  if (!value.is_array()) return fail(ErrorCode::invalid, name_of(value.type(), false) + " is no array");
  ByteReader reader(value.contents());
  const auto dimensions = read_dimensions(value.type(), reader);
  if (!dimensions) return std::unexpected(dimensions.error());
  const auto sizes = dimensions->span();
  ArrayView view{value.type(), {sizes.begin(), sizes.end()}, dimensions->count, reader.bytes(reader.remaining())};
  const std::size_t least = std::max<std::size_t>(inline_size(view.type), 1) * view.count;
  if (view.elements.size() < least) return malformed(view.type, true, "fewer bytes than elements");
  return view;
}

Value make_array(Type type, std::span<const Value> elements, std::span<const std::uint32_t> dimensions) {
  if (!dimensions_fit(dimensions, elements.size())) return {};
  Bytes bytes;
  append_dimensions(bytes, dimensions, elements.size());
  ByteWriter writer(bytes);
  for (const Value& element : elements) {
    if (!fits_array(type, element)) return {};
    const std::uint64_t bits = element.is_blob() ? 0 : element.bits();
    const auto contents = scalar_bytes(element, bits);
    if (type == Type::variant) writer.number<std::uint8_t>(element.type_byte());
    if (inline_size(type) == 0) writer.varint(contents.size());
    writer.bytes(contents);
  }
  return Value::contents(type, true, bytes);
}

Value make_packed_array(Type type, std::span<const std::byte> packed, std::span<const std::uint32_t> dimensions) {
  const std::size_t size = inline_size(type);
  if (size == 0 || packed.size() % size != 0 || !dimensions_fit(dimensions, packed.size() / size)) return {};
  Bytes bytes;
  bytes.reserve(packed.size() + 16);
  append_dimensions(bytes, dimensions, packed.size() / size);
  ByteWriter(bytes).bytes(packed);
  return Value::contents(type, true, bytes);
}

bool ElementReader::next(Value& out) {
  if (left_ == 0 || !reader_.ok()) return false;
  --left_;
  Type type = type_;
  bool array = false;
  std::uint64_t size = inline_size(type_);
  if (type_ == Type::variant) {
    const auto type_byte = reader_.number<std::uint8_t>();
    type = static_cast<Type>(type_byte & ~kArrayBit);
    array = (type_byte & kArrayBit) != 0;
  }
  if (size == 0) size = reader_.varint();
  if (!reader_.ok() || size > reader_.remaining() || static_cast<std::uint8_t>(type) >= kTypeCount) return false;
  out = Value::contents(type, array, reader_.bytes(static_cast<std::size_t>(size)));
  return true;
}

LocalizedTextView view_localized_text(std::span<const std::byte> contents) {
  ByteReader reader(contents);
  const std::string_view locale = reader.text(contents.size());
  if (!reader.ok()) return {};
  return {locale, as_text(reader.bytes(reader.remaining()))};
}

OpaqueView view_opaque(std::span<const std::byte> contents) {
  ByteReader reader(contents);
  const std::string_view type_id = reader.text(contents.size());
  if (!reader.ok()) return {};
  return {type_id, reader.bytes(reader.remaining())};
}

}  // namespace sallyport
