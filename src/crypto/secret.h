// Bytes that are overwritten when they are no longer needed: keys, seeds, shared secrets. Any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include <openssl/crypto.h>

namespace sallyport::crypto {

// Moved, never copied; what is moved from is overwritten at once.
template <std::size_t kSize>
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::span<const std::byte, kSize> bytes) { std::ranges::copy(bytes, bytes_.begin()); }
  Secret(Secret&& other) noexcept : bytes_(other.bytes_) { other.cleanse(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this == &other) return *this;
    bytes_ = other.bytes_;
    other.cleanse();
    return *this;
  }
  ~Secret() { cleanse(); }

  static constexpr std::size_t size() { return kSize; }
  std::span<const std::byte, kSize> bytes() const { return bytes_; }
  std::span<std::byte, kSize> bytes() { return bytes_; }
  std::byte* data() { return bytes_.data(); }
  const std::byte* data() const { return bytes_.data(); }
  // Takes the same time wherever they differ.
  friend bool operator==(const Secret& a, const Secret& b) {
    return CRYPTO_memcmp(a.bytes_.data(), b.bytes_.data(), kSize) == 0;
  }

 private:
  void cleanse() { OPENSSL_cleanse(bytes_.data(), kSize); }
  std::array<std::byte, kSize> bytes_{};
};

using Key = Secret<32>;

}  // namespace sallyport::crypto
