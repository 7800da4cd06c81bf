// Raw signatures: Ed25519, which is fast and which a quantum computer could forge one day, and ML-DSA-65 (FIPS 204). Where
// both are asked for, both must verify. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

struct evp_pkey_st;

namespace sallyport::crypto {

inline constexpr std::size_t kFastSignatureBytes = 64;     // Ed25519
inline constexpr std::size_t kPqSignatureBytes = 3309;     // ML-DSA-65
using FastSignature = std::array<std::byte, kFastSignatureBytes>;

enum class SignatureKind : std::uint8_t { ed25519, ml_dsa_65 };
std::string_view to_string(SignatureKind kind);

// A key of OpenSSL's with one owner.
struct FreeKey {
  void operator()(evp_pkey_st* key) const;
};
using KeyHandle = std::unique_ptr<evp_pkey_st, FreeKey>;

bool is_kind(const evp_pkey_st* key, SignatureKind kind);
// For tests and first use; nodes' keys come from files (net/signer.h).
Result<KeyHandle> generate_signing_key(SignatureKind kind);
// The public half, as bytes and back: 32 for Ed25519, 1,952 for ML-DSA-65.
Result<Bytes> public_bytes(const evp_pkey_st* key);
Result<KeyHandle> verifying_key(SignatureKind kind, std::span<const std::byte> public_bytes);

// The message is hashed by the algorithm itself. Fails only when the key has no private half, or without memory.
Result<Bytes> sign(evp_pkey_st* key, std::span<const std::byte> message);
bool verify(evp_pkey_st* key, std::span<const std::byte> message, std::span<const std::byte> signature);

}  // namespace sallyport::crypto
