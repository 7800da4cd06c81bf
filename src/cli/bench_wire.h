// What the kernel says of a TCP connection between two nodes of this machine: bytes as they are on the wire, TLS
// included, IP and TCP headers not.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace sallyport::cli::bench {

struct WireBytes {
  std::uint64_t sent = 0, received = 0;  // by the end that listens; sent and acknowledged
};
// `listening` is the port of the end that listens, `remote` the address it sees: "127.0.0.1:41234".
Result<WireBytes> wire_bytes(std::uint16_t listening, const std::string& remote);

}  // namespace sallyport::cli::bench
