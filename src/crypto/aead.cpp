#include "crypto/aead.h"

#include <cstring>
#include <limits>

#include <openssl/crypto.h>

#include "crypto/openssl.h"

namespace sallyport::crypto {
namespace {

constexpr std::size_t kMaxBytes = std::numeric_limits<int>::max() / 2;

}  // namespace

Nonce counted_nonce(std::uint64_t counter) {
  Nonce nonce{};
  std::memcpy(nonce.data() + 4, &counter, sizeof counter);
  return nonce;
}

void Aead::Free::operator()(evp_cipher_ctx_st* context) const { EVP_CIPHER_CTX_free(context); }

Result<Aead> Aead::make(const Key& key) {
  Context sealing(EVP_CIPHER_CTX_new());
  Context opening(EVP_CIPHER_CTX_new());
  if (!sealing || !opening ||
      EVP_EncryptInit_ex2(sealing.get(), EVP_aes_256_gcm(), raw(key.data()), nullptr, nullptr) != 1 ||
      EVP_DecryptInit_ex2(opening.get(), EVP_aes_256_gcm(), raw(key.data()), nullptr, nullptr) != 1) {
    return fail(ErrorCode::internal, "cannot set up AES-256-GCM: " + take_error());
  }
  return Aead(std::move(sealing), std::move(opening));
}

bool Aead::seal(const Nonce& nonce, std::span<const std::byte> associated, std::span<const std::byte> plain,
                std::span<std::byte> out) {
  if (out.size() < plain.size() + kTagBytes || plain.size() > kMaxBytes || associated.size() > kMaxBytes) return false;
  int size = 0;
  EVP_CIPHER_CTX* context = sealing_.get();
  return EVP_EncryptInit_ex2(context, nullptr, nullptr, raw(nonce.data()), nullptr) == 1 &&
         EVP_EncryptUpdate(context, nullptr, &size, raw(associated.data()), static_cast<int>(associated.size())) == 1 &&
         EVP_EncryptUpdate(context, raw(out.data()), &size, raw(plain.data()), static_cast<int>(plain.size())) == 1 &&
         EVP_EncryptFinal_ex(context, raw(out.data()) + plain.size(), &size) == 1 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, out.data() + plain.size()) == 1;
}

bool Aead::open(const Nonce& nonce, std::span<const std::byte> associated, std::span<const std::byte> sealed,
                std::span<std::byte> out) {
  if (sealed.size() < kTagBytes || sealed.size() > kMaxBytes || associated.size() > kMaxBytes) return false;
  const std::size_t plain_size = sealed.size() - kTagBytes;
  if (out.size() < plain_size) return false;
  std::array<std::byte, kTagBytes> tag;
  std::memcpy(tag.data(), sealed.data() + plain_size, kTagBytes);
  int size = 0;
  EVP_CIPHER_CTX* context = opening_.get();
  const bool right =
      EVP_DecryptInit_ex2(context, nullptr, nullptr, raw(nonce.data()), nullptr) == 1 &&
      EVP_DecryptUpdate(context, nullptr, &size, raw(associated.data()), static_cast<int>(associated.size())) == 1 &&
      EVP_DecryptUpdate(context, raw(out.data()), &size, raw(sealed.data()), static_cast<int>(plain_size)) == 1 &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(context, raw(out.data()) + plain_size, &size) == 1;
  if (!right) OPENSSL_cleanse(out.data(), plain_size);
  return right;
}

}  // namespace sallyport::crypto
