// AES-256-GCM under one key. The caller owns the nonces: the same one twice under one key gives the key away. One thread at
// a time; both directions may be used.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "crypto/secret.h"

struct evp_cipher_ctx_st;

namespace sallyport::crypto {

inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kNonceBytes = 12;
using Nonce = std::array<std::byte, kNonceBytes>;

// Four zero bytes and the counter, little-endian: for keys whose nonces are counted.
Nonce counted_nonce(std::uint64_t counter);

class Aead {
 public:
  static Result<Aead> make(const Key& key);
  Aead(Aead&&) noexcept = default;
  Aead& operator=(Aead&&) noexcept = default;

  // `out` has room for plain.size() + kTagBytes and may begin where `plain` does. False only when OpenSSL fails.
  [[nodiscard]] bool seal(const Nonce& nonce, std::span<const std::byte> associated, std::span<const std::byte> plain,
                          std::span<std::byte> out);
  // `out` has room for sealed.size() - kTagBytes. False: not what was sealed under this key, nonce and associated data;
  // `out` is then all zero.
  [[nodiscard]] bool open(const Nonce& nonce, std::span<const std::byte> associated, std::span<const std::byte> sealed,
                          std::span<std::byte> out);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  using Context = std::unique_ptr<evp_cipher_ctx_st, Free>;
  Aead(Context sealing, Context opening) : sealing_(std::move(sealing)), opening_(std::move(opening)) {}
  Context sealing_, opening_;
};

}  // namespace sallyport::crypto
