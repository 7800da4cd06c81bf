// Value: one of the OPC UA built-in types (OPC 10000-6 §5.1.2), an array or matrix of one, or null. 16 bytes; scalars up to
// 8 bytes lie inline, everything else in an immutable, shared, reference-counted blob.
//
// Blob contents (the same bytes in memory and on the wire; all little-endian):
//   String, ByteString, XmlElement   the bytes
//   Guid                             16 bytes as in OPC 10000-6 §5.2.2.6
//   NodeId, ExpandedNodeId           text with the namespace as URI, never an index: "nsu=urn:x;s=Plant", "i=2258"
//   QualifiedName                    text "nsu=urn:x;Name", or "Name" in namespace 0
//   LocalizedText                    varint length, locale, then the text
//   Structure (ExtensionObject)      varint length, type id as NodeId text, then the body exactly as the source encoded it
//   DataValue, DiagnosticInfo        opaque: varint length, type id text, body; like Structure
//   arrays                           varint rank n (1 = plain array), n varint dimensions, then the elements in row-major
//                                    order: fixed-size scalars packed (Boolean 1 byte), others as varint length + contents;
//                                    elements of a Variant array as type byte (Value::type_byte) + varint length + contents
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace sallyport {

// Numbers are the OPC UA built-in type ids.
enum class Type : std::uint8_t {
  null = 0, boolean = 1, sbyte = 2, byte = 3, int16 = 4, uint16 = 5, int32 = 6, uint32 = 7, int64 = 8, uint64 = 9,
  float32 = 10, float64 = 11, string = 12, date_time = 13, guid = 14, byte_string = 15, xml_element = 16, node_id = 17,
  expanded_node_id = 18, status_code = 19, qualified_name = 20, localized_text = 21, structure = 22, data_value = 23,
  variant = 24, diagnostic_info = 25,
};
inline constexpr std::uint8_t kTypeCount = 26;
std::string_view to_string(Type type);                 // "Double", "String", … the OPC UA names
Result<Type> parse_type(std::string_view name);
// Bytes of a scalar that lies inline, 0 for blob types and null.
constexpr std::size_t inline_size(Type type) {
  constexpr std::uint8_t sizes[kTypeCount] = {0, 1, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 0, 8, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0};
  return sizes[static_cast<std::uint8_t>(type)];
}

inline constexpr std::size_t kMaxValueSize = 16 * 1024 * 1024;  // bytes of one blob; larger is refused with a clear error

class Value {
 public:
  Value() = default;  // null
  ~Value() { release(); }
  Value(const Value& other) : bits_(other.bits_), type_(other.type_), array_(other.array_), blob_(other.blob_) {
    if (blob_) blob()->references.fetch_add(1, std::memory_order_relaxed);
  }
  Value(Value&& other) noexcept : bits_(other.bits_), type_(other.type_), array_(other.array_), blob_(other.blob_) {
    other.blob_ = false;
    other.type_ = Type::null;
    other.array_ = false;
    other.bits_ = 0;
  }
  Value& operator=(const Value& other) {
    if (this != &other) *this = Value(other);
    return *this;
  }
  Value& operator=(Value&& other) noexcept {
    if (this != &other) {
      release();
      bits_ = std::exchange(other.bits_, 0);
      type_ = std::exchange(other.type_, Type::null);
      array_ = std::exchange(other.array_, false);
      blob_ = std::exchange(other.blob_, false);
    }
    return *this;
  }

  // Scalars by kind. `bits` holds the value zero-extended (integers two's complement of their own width).
  static Value scalar(Type type, std::uint64_t bits) {  // type must have inline_size(type) != 0
    Value v;
    v.type_ = type;
    v.bits_ = bits;
    return v;
  }
  static Value from(bool v) { return scalar(Type::boolean, v ? 1 : 0); }
  static Value from(std::int8_t v) { return scalar(Type::sbyte, static_cast<std::uint8_t>(v)); }
  static Value from(std::uint8_t v) { return scalar(Type::byte, v); }
  static Value from(std::int16_t v) { return scalar(Type::int16, static_cast<std::uint16_t>(v)); }
  static Value from(std::uint16_t v) { return scalar(Type::uint16, v); }
  static Value from(std::int32_t v) { return scalar(Type::int32, static_cast<std::uint32_t>(v)); }
  static Value from(std::uint32_t v) { return scalar(Type::uint32, v); }
  static Value from(std::int64_t v) { return scalar(Type::int64, static_cast<std::uint64_t>(v)); }
  static Value from(std::uint64_t v) { return scalar(Type::uint64, v); }
  static Value from(float v) { return scalar(Type::float32, std::bit_cast<std::uint32_t>(v)); }
  static Value from(double v) { return scalar(Type::float64, std::bit_cast<std::uint64_t>(v)); }
  static Value text(std::string_view v) { return contents(Type::string, false, as_bytes(v)); }
  // Contents as described above, also of an inline scalar; checked by check_contents() where they come from outside. Null
  // when larger than kMaxValueSize.
  static Value contents(Type type, bool array, std::span<const std::byte> bytes);
  static Value localized_text(std::string_view locale, std::string_view text);
  // OPC UA ticks: 100 ns since 1601-01-01 UTC, as OPC 10000-6 §5.2.2.5.
  static Value date_time(std::int64_t ticks) { return scalar(Type::date_time, static_cast<std::uint64_t>(ticks)); }
  static Value status_code(std::uint32_t code) { return scalar(Type::status_code, code); }
  // type_id: NodeId text of the data type or encoding, e.g. "nsu=urn:x;i=5001"
  static Value opaque(Type type, std::string_view type_id, std::span<const std::byte> body);

  Type type() const { return type_; }
  bool is_null() const { return type_ == Type::null; }
  bool is_array() const { return array_; }  // array or matrix
  bool is_blob() const { return blob_; }
  bool is_opaque() const { return type_ == Type::structure || type_ == Type::data_value || type_ == Type::diagnostic_info; }
  std::uint64_t bits() const { return bits_; }  // only when !is_blob()
  std::span<const std::byte> contents() const { return blob_ ? std::span(blob()->bytes(), blob()->size) : std::span<const std::byte>(); }
  std::string_view text() const { return as_text(contents()); }
  double float64() const { return std::bit_cast<double>(bits_); }
  // Numeric scalar as double, booleans as 0/1; false when it is no number.
  bool to_double(double& out) const;
  // Type id with bit 7 set for arrays; what the wire writes before a value.
  std::uint8_t type_byte() const { return static_cast<std::uint8_t>(static_cast<std::uint8_t>(type_) | (array_ ? 0x80 : 0)); }

  friend bool operator==(const Value& a, const Value& b);

  // For the table and the codec only: moves the 8 payload bytes out and in without touching the reference count.
  struct Raw {
    std::uint64_t bits;
    Type type;
    bool array;
    bool blob;
  };
  Raw release_raw() && {
    Raw raw{bits_, type_, array_, blob_};
    blob_ = false;
    type_ = Type::null;
    array_ = false;
    bits_ = 0;
    return raw;
  }
  static Value adopt_raw(const Raw& raw) {
    Value v;
    v.bits_ = raw.bits;
    v.type_ = raw.type;
    v.array_ = raw.array;
    v.blob_ = raw.blob;
    return v;
  }
  static Value share_raw(const Raw& raw) {
    Value v = adopt_raw(raw);
    if (v.blob_) v.blob()->references.fetch_add(1, std::memory_order_relaxed);
    return v;
  }

 private:
  struct Blob {
    std::atomic<std::uint32_t> references;
    std::uint32_t size;
    const std::byte* bytes() const { return reinterpret_cast<const std::byte*>(this + 1); }
    std::byte* bytes() { return reinterpret_cast<std::byte*>(this + 1); }
  };
  Blob* blob() const { return std::bit_cast<Blob*>(bits_); }
  void release() {
    if (blob_ && blob()->references.fetch_sub(1, std::memory_order_acq_rel) == 1) ::operator delete(blob());
  }

  std::uint64_t bits_ = 0;
  Type type_ = Type::null;
  bool array_ = false;
  bool blob_ = false;
};
static_assert(sizeof(Value) == 16);

// Whether these bytes are well-formed contents for that type. Every blob from a socket or a file passes here. Error
// message says what is wrong.
Result<void> check_contents(Type type, bool array, std::span<const std::byte> bytes);

// Reading and building arrays.
struct ArrayView {
  Type type;
  std::vector<std::uint32_t> dimensions;  // one entry: plain array
  std::size_t count = 0;                  // product of dimensions
  std::span<const std::byte> elements;
};
Result<ArrayView> view_array(const Value& value);
// Element i as a scalar Value (linear for fixed-size types, a scan for others: use for_each_element for loops).
template <typename Visit>
void for_each_element(const ArrayView& array, Visit&& visit);  // visit(const Value&)
// Null when an element is of another type, when the dimensions do not multiply to the count, or when it would be too large.
Value make_array(Type type, std::span<const Value> elements, std::span<const std::uint32_t> dimensions = {});
// Packed fixed-size scalars: `packed` is count × inline_size(type) bytes.
Value make_packed_array(Type type, std::span<const std::byte> packed, std::span<const std::uint32_t> dimensions = {});

// One element at a time; used by for_each_element.
class ElementReader {
 public:
  explicit ElementReader(const ArrayView& array) : type_(array.type), left_(array.count), reader_(array.elements) {}
  bool next(Value& out);

 private:
  Type type_;
  std::size_t left_;
  ByteReader reader_;
};
template <typename Visit>
void for_each_element(const ArrayView& array, Visit&& visit) {
  ElementReader reader(array);
  for (Value element; reader.next(element);) visit(std::as_const(element));
}

// LocalizedText and opaque values taken apart.
struct LocalizedTextView { std::string_view locale, text; };
LocalizedTextView view_localized_text(std::span<const std::byte> contents);
struct OpaqueView { std::string_view type_id; std::span<const std::byte> body; };
OpaqueView view_opaque(std::span<const std::byte> contents);

}  // namespace sallyport
