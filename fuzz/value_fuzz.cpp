// Contents of values: what check_contents() lets in must be readable without a step outside.
#include <cstddef>
#include <cstdint>

#include "namespace/point_json.h"
#include "namespace/value.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport;
  if (size < 2) return 0;
  const Type type = static_cast<Type>(data[0] % kTypeCount);
  const bool array = data[1] & 1;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data + 2), size - 2);
  if (type == Type::null || (!array && inline_size(type) > 0) || !check_contents(type, array, bytes)) return 0;
  const Value value = Value::contents(type, array, bytes);
  std::string json;
  append_point_json(json, "p", value, 0, 0, "o", nullptr);
  return 0;
}
