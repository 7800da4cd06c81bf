// X-Wing: ML-KEM-768 and X25519 as one key encapsulation (KEM 0x647A, draft-connolly-cfrg-xwing-kem), on OpenSSL's EVP.
// Whoever has the public key can make a secret that only the holder of the private one reads; it stays secret as long as
// either of the two holds. A ciphertext that was tampered with decapsulates to another secret, without an error: only what is
// sealed under the secret tells. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"
#include "crypto/secret.h"
#include "crypto/signature.h"

namespace sallyport::crypto {

inline constexpr std::size_t kXWingPublicBytes = 1216;
inline constexpr std::size_t kXWingCiphertextBytes = 1120;
inline constexpr std::size_t kXWingSeedBytes = 32;
using XWingPublic = std::array<std::byte, kXWingPublicBytes>;
using XWingCiphertext = std::array<std::byte, kXWingCiphertextBytes>;
using XWingSeed = Secret<kXWingSeedBytes>;

// The receiver's half. All of it follows from a seed of 32 bytes, which is what is stored.
class XWingPrivate {
 public:
  static Result<XWingPrivate> generate();
  static Result<XWingPrivate> from_seed(std::span<const std::byte, kXWingSeedBytes> seed);

  const XWingPublic& public_key() const { return public_; }
  std::span<const std::byte, kXWingSeedBytes> seed() const { return seed_.bytes(); }
  // refused: not 1,120 bytes, or an X25519 share of low order, with which the secret would not depend on this key.
  Result<Key> decapsulate(std::span<const std::byte> ciphertext) const;

 private:
  XWingPrivate() = default;
  XWingSeed seed_;
  KeyHandle lattice_, curve_;
  XWingPublic public_{};
};

struct Encapsulated {
  XWingCiphertext ciphertext{};
  Key shared;
};
// refused: not 1,216 bytes, or not a key (FIPS 203 §7.2).
Result<Encapsulated> x_wing_encapsulate(std::span<const std::byte> public_key);
// The same with its randomness given. For the draft's test vectors alone: a seed used twice gives the secret away.
Result<Encapsulated> x_wing_encapsulate_with(std::span<const std::byte> public_key, std::span<const std::byte, 64> randomness);

}  // namespace sallyport::crypto
