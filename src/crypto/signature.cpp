#include "crypto/signature.h"

#include <openssl/err.h>

#include "crypto/openssl.h"

namespace sallyport::crypto {

std::string_view to_string(SignatureKind kind) { return kind == SignatureKind::ed25519 ? "ED25519" : "ML-DSA-65"; }

void FreeKey::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

bool is_kind(const evp_pkey_st* key, SignatureKind kind) {
  return key != nullptr && EVP_PKEY_is_a(key, to_string(kind).data()) == 1;
}

Result<KeyHandle> generate_signing_key(SignatureKind kind) {
  KeyHandle key(EVP_PKEY_Q_keygen(nullptr, nullptr, to_string(kind).data()));
  if (!key) return fail(ErrorCode::internal, "cannot generate a key: " + take_error());
  return key;
}

Result<Bytes> public_bytes(const evp_pkey_st* key) {
  std::size_t size = 0;
  if (EVP_PKEY_get_raw_public_key(key, nullptr, &size) != 1) return fail(ErrorCode::invalid, take_error());
  Bytes bytes(size);
  if (EVP_PKEY_get_raw_public_key(key, raw(bytes.data()), &size) != 1) return fail(ErrorCode::invalid, take_error());
  return bytes;
}

Result<KeyHandle> verifying_key(SignatureKind kind, std::span<const std::byte> public_bytes) {
  KeyHandle key(EVP_PKEY_new_raw_public_key_ex(nullptr, to_string(kind).data(), nullptr, raw(public_bytes.data()), public_bytes.size()));
  if (!key) return fail(ErrorCode::malformed, "not a public key of " + std::string(to_string(kind)) + ": " + take_error());
  return key;
}

Result<Bytes> sign(evp_pkey_st* key, std::span<const std::byte> message) {
  const DigestPtr context(EVP_MD_CTX_new());
  std::size_t size = 0;
  if (!context || EVP_DigestSignInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, key, nullptr) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, raw(message.data()), message.size()) != 1) {
    return fail(ErrorCode::internal, "cannot sign: " + take_error());
  }
  Bytes signature(size);
  if (EVP_DigestSign(context.get(), raw(signature.data()), &size, raw(message.data()), message.size()) != 1) {
    return fail(ErrorCode::internal, "cannot sign: " + take_error());
  }
  signature.resize(size);
  return signature;
}

bool verify(evp_pkey_st* key, std::span<const std::byte> message, std::span<const std::byte> signature) {
  const DigestPtr context(EVP_MD_CTX_new());
  const bool right = context && EVP_DigestVerifyInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, key, nullptr) == 1 &&
                     EVP_DigestVerify(context.get(), raw(signature.data()), signature.size(), raw(message.data()), message.size()) == 1;
  if (!right) ERR_clear_error();
  return right;
}

}  // namespace sallyport::crypto
