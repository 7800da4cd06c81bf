// What a sealed container is read from: the envelope and its proof, then the body of its kind. The first byte chooses, so that
// bodies are reached without an envelope too.
#include <cstddef>
#include <cstdint>

#include "seal/container.h"

namespace {

using namespace sallyport;
using namespace sallyport::seal;

void decode_body(Kind kind, std::span<const std::byte> body) {
  Values values;
  switch (kind) {
    case Kind::announcement: static_cast<void>(decode_announcement(body)); break;
    case Kind::definitions: static_cast<void>(decode_definitions(body)); break;
    case Kind::values: static_cast<void>(decode_values(body, values)); break;
    case Kind::manifest: static_cast<void>(decode_manifest(body)); break;
    case Kind::checkpoint: static_cast<void>(decode_checkpoint(body)); break;
    case Kind::key: static_cast<void>(decode_key_box(body)); break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr std::array kKinds = {Kind::announcement, Kind::definitions, Kind::values, Kind::manifest, Kind::checkpoint, Kind::key};
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  const std::size_t which = data[0] % (kKinds.size() + 1);
  if (which < kKinds.size()) {
    decode_body(kKinds[which], bytes);
    return 0;
  }
  const auto container = decode_container(bytes);
  if (!container) return 0;
  Hasher hasher;
  static_cast<void>(root_of(hasher, hasher.leaf(container->signed_bytes), container->proof.index, container->proof.count, container->proof.path));
  decode_body(container->head.kind, container->body);
  return 0;
}
