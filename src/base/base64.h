// Base64 with padding (RFC 4648 §4).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace sallyport {

void append_base64(std::string& out, std::span<const std::byte> bytes);
// Strict: whole quartets, padding only at the end, unused bits zero.
Result<Bytes> parse_base64(std::string_view text);

}  // namespace sallyport
