// Owners for open62541's C structures, so that nothing is cleared by hand.
#pragma once

#include <open62541/types.h>
#include <open62541/types_generated.h>

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace sallyport::opcua {

// One structure of a generated type: `Owned<UA_ReadRequest, UA_TYPES_READREQUEST>`. Cleared with its owner; moves leave
// an empty one behind.
template <typename T, std::size_t kType>
class Owned {
 public:
  static const UA_DataType* type() { return &UA_TYPES[kType]; }

  Owned() = default;
  // Takes over what `value` holds.
  explicit Owned(const T& value) : value_(value) {}
  ~Owned() { clear(); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Owned(Owned&& other) noexcept : value_(std::exchange(other.value_, T{})) {}
  Owned& operator=(Owned&& other) noexcept {
    if (this != &other) {
      clear();
      value_ = std::exchange(other.value_, T{});
    }
    return *this;
  }
  static Owned copy_of(const T& value) {
    Owned out;
    UA_copy(&value, &out.value_, type());  // out of memory leaves it empty
    return out;
  }
  Owned copy() const { return copy_of(value_); }

  T* operator->() { return &value_; }
  const T* operator->() const { return &value_; }
  T& operator*() { return value_; }
  const T& operator*() const { return value_; }
  T* get() { return &value_; }
  const T* get() const { return &value_; }
  void clear() { UA_clear(&value_, type()); }

 private:
  T value_{};
};

using NodeId = Owned<UA_NodeId, UA_TYPES_NODEID>;
using Variant = Owned<UA_Variant, UA_TYPES_VARIANT>;
using DataValue = Owned<UA_DataValue, UA_TYPES_DATAVALUE>;
using Endpoint = Owned<UA_EndpointDescription, UA_TYPES_ENDPOINTDESCRIPTION>;

inline std::string_view view(const UA_String& text) { return {reinterpret_cast<const char*>(text.data), text.length}; }
inline std::string text(const UA_String& text) { return std::string(view(text)); }
inline std::span<const std::byte> bytes(const UA_ByteString& text) { return as_bytes(view(text)); }
// Borrowed: valid as long as `text`.
inline UA_String borrow(std::string_view text) {
  return {text.size(), reinterpret_cast<UA_Byte*>(const_cast<char*>(text.data()))};
}
inline UA_String copy_string(std::string_view text) {
  const UA_String borrowed = borrow(text);
  UA_String out{};
  UA_String_copy(&borrowed, &out);
  return out;
}
inline NodeId numeric(std::uint32_t id, std::uint16_t namespace_index = 0) {
  return NodeId(UA_NODEID_NUMERIC(namespace_index, id));
}

}  // namespace sallyport::opcua
