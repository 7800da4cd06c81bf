// SHA-256 and the keys that are derived with it (HKDF, RFC 5869). Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>

#include "base/result.h"
#include "crypto/secret.h"

namespace sallyport::crypto {

using Digest = std::array<std::byte, 32>;

// Of the parts, one after the other. All zero should OpenSSL fail, which it does only without memory.
Digest sha256(std::initializer_list<std::span<const std::byte>> parts);
inline Digest sha256(std::span<const std::byte> bytes) { return sha256({bytes}); }

// Extract and expand in one: a key for the purpose that `info` names.
Result<Key> hkdf_sha256(std::span<const std::byte> secret, std::span<const std::byte> salt, std::span<const std::byte> info);
// The same for any length up to 8,160 bytes.
[[nodiscard]] bool hkdf_sha256(std::span<const std::byte> secret, std::span<const std::byte> salt,
                               std::span<const std::byte> info, std::span<std::byte> out);

}  // namespace sallyport::crypto
