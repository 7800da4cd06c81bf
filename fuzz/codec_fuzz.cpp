// Every decoder of the link's wire format. The first byte chooses the decoder, the rest is the frame's body.
#include <cstddef>
#include <cstdint>

#include "link/change_codec.h"
#include "link/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport;
  using namespace sallyport::link;
  if (size == 0) return 0;
  const std::span<const std::byte> body(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  std::vector<Change> changes;
  DefineFrame define;
  switch (data[0] % 14) {
    case 0: static_cast<void>(decode_hello(body)); break;
    case 1: static_cast<void>(decode_route(body)); break;
    case 2: static_cast<void>(decode_define(body, define)); break;
    case 3: static_cast<void>(decode_remove(body)); break;
    case 4: static_cast<void>(decode_changes(body, changes)); break;
    case 5: static_cast<void>(decode_position(body)); break;
    case 6: static_cast<void>(decode_heartbeat(body)); break;
    case 7: static_cast<void>(decode_hops(body)); break;
    case 8: static_cast<void>(decode_close(body)); break;
    case 9: static_cast<void>(decode_begin(body)); break;
    case 10: static_cast<void>(decode_route_digests(body)); break;
    case 11: static_cast<void>(decode_bucket_digests(body)); break;
    case 12: static_cast<void>(decode_route_buckets(body)); break;
    case 13: static_cast<void>(next_frame(body, 65536)); break;
  }
  return 0;
}
