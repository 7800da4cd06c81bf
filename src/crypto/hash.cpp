#include "crypto/hash.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "crypto/openssl.h"

namespace sallyport::crypto {
namespace {

using KdfPtr = std::unique_ptr<EVP_KDF, OpenSslFree<EVP_KDF_free>>;
using KdfContextPtr = std::unique_ptr<EVP_KDF_CTX, OpenSslFree<EVP_KDF_CTX_free>>;

OSSL_PARAM octets(const char* name, std::span<const std::byte> bytes) {
  // OpenSSL reads, but its signature does not say so.
  static constexpr std::byte kNothing{};  // a null pointer is refused, even for no bytes
  const std::byte* data = bytes.empty() ? &kNothing : bytes.data();
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::byte*>(data), bytes.size());
}

}  // namespace

Digest sha256(std::initializer_list<std::span<const std::byte>> parts) {
  Digest digest{};
  const DigestPtr context(EVP_MD_CTX_new());
  if (!context || EVP_DigestInit_ex2(context.get(), EVP_sha256(), nullptr) != 1) return {};
  for (const auto part : parts) {
    if (EVP_DigestUpdate(context.get(), part.data(), part.size()) != 1) return {};
  }
  if (EVP_DigestFinal_ex(context.get(), raw(digest.data()), nullptr) != 1) return {};
  return digest;
}

bool hkdf_sha256(std::span<const std::byte> secret, std::span<const std::byte> salt, std::span<const std::byte> info,
                 std::span<std::byte> out) {
  const KdfPtr kdf(EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_HKDF, nullptr));
  const KdfContextPtr context(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  if (!context) return false;
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                                   octets(OSSL_KDF_PARAM_KEY, secret), octets(OSSL_KDF_PARAM_SALT, salt),
                                   octets(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
  return EVP_KDF_derive(context.get(), raw(out.data()), out.size(), parameters) == 1;
}

Result<Key> hkdf_sha256(std::span<const std::byte> secret, std::span<const std::byte> salt,
                        std::span<const std::byte> info) {
  Key key;
  if (!hkdf_sha256(secret, salt, info, key.bytes())) {
    return fail(ErrorCode::internal, "cannot derive a key: " + take_error());
  }
  return key;
}

}  // namespace sallyport::crypto
