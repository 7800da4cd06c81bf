#include "crypto/x_wing.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "crypto/openssl.h"
#include "crypto/random.h"

namespace sallyport::crypto {
namespace {

constexpr std::size_t kLatticePublicBytes = 1184;  // ML-KEM-768
constexpr std::size_t kLatticeCiphertextBytes = 1088;
constexpr std::size_t kCurveBytes = 32;  // X25519
// The draft's label, which is drawn rather than written: \./ over /^\.
constexpr std::array<unsigned char, 6> kLabel = {0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c};

[[nodiscard]] std::unexpected<Error> broken(std::string_view what) {
  return fail(ErrorCode::internal, "X-Wing: " + std::string(what) + ": " + take_error());
}
[[nodiscard]] std::unexpected<Error> refused(std::string_view what) {
  ERR_clear_error();
  return fail(ErrorCode::refused, "X-Wing: " + std::string(what));
}

bool expand_seed(std::span<const std::byte> seed, Secret<96>& out) {
  const DigestPtr context(EVP_MD_CTX_new());
  return context && EVP_DigestInit_ex2(context.get(), EVP_shake256(), nullptr) == 1 &&
         EVP_DigestUpdate(context.get(), seed.data(), seed.size()) == 1 &&
         EVP_DigestFinalXOF(context.get(), raw(out.data()), out.size()) == 1;
}

KeyHandle lattice_from_seed(std::span<std::byte, 64> seed) {
  const KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, "ML-KEM-768", nullptr));
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_ML_KEM_SEED, seed.data(), seed.size()),
                             OSSL_PARAM_construct_end()};
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, parameters) != 1) {
    return nullptr;
  }
  return KeyHandle(key);
}

KeyHandle public_from(const char* name, std::span<const std::byte> bytes) {
  return KeyHandle(EVP_PKEY_new_raw_public_key_ex(nullptr, name, nullptr, raw(bytes.data()), bytes.size()));
}
KeyHandle curve_from(std::span<const std::byte> bytes) {
  return KeyHandle(EVP_PKEY_new_raw_private_key_ex(nullptr, "X25519", nullptr, raw(bytes.data()), bytes.size()));
}

bool public_bytes(const evp_pkey_st* key, std::span<std::byte> out) {
  std::size_t size = out.size();
  return EVP_PKEY_get_raw_public_key(key, raw(out.data()), &size) == 1 && size == out.size();
}

// False also for a share of low order, whose product is zero with any key.
bool agree(evp_pkey_st* own, evp_pkey_st* other, Key& shared) {
  const KeyContextPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, own, nullptr));
  std::size_t size = shared.size();
  return context && EVP_PKEY_derive_init(context.get()) == 1 && EVP_PKEY_derive_set_peer(context.get(), other) == 1 &&
         EVP_PKEY_derive(context.get(), raw(shared.data()), &size) == 1 && size == shared.size();
}

bool combine(const Key& lattice, const Key& curve, std::span<const std::byte> curve_ciphertext,
             std::span<const std::byte> curve_public, Key& shared) {
  const DigestPtr context(EVP_MD_CTX_new());
  return context && EVP_DigestInit_ex2(context.get(), EVP_sha3_256(), nullptr) == 1 &&
         EVP_DigestUpdate(context.get(), lattice.data(), lattice.size()) == 1 &&
         EVP_DigestUpdate(context.get(), curve.data(), curve.size()) == 1 &&
         EVP_DigestUpdate(context.get(), curve_ciphertext.data(), curve_ciphertext.size()) == 1 &&
         EVP_DigestUpdate(context.get(), curve_public.data(), curve_public.size()) == 1 &&
         EVP_DigestUpdate(context.get(), kLabel.data(), kLabel.size()) == 1 &&
         EVP_DigestFinal_ex(context.get(), raw(shared.data()), nullptr) == 1;
}

bool encapsulate_lattice(evp_pkey_st* key, std::span<const std::byte> randomness, std::span<std::byte> ciphertext, Key& shared) {
  const KeyContextPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_KEM_PARAM_IKME, const_cast<std::byte*>(randomness.data()), randomness.size()),
      OSSL_PARAM_construct_end()};
  std::size_t ciphertext_size = ciphertext.size();
  std::size_t shared_size = shared.size();
  return context && EVP_PKEY_encapsulate_init(context.get(), parameters) == 1 &&
         EVP_PKEY_encapsulate(context.get(), raw(ciphertext.data()), &ciphertext_size, raw(shared.data()), &shared_size) == 1 &&
         ciphertext_size == ciphertext.size() && shared_size == shared.size();
}

bool decapsulate_lattice(evp_pkey_st* key, std::span<const std::byte> ciphertext, Key& shared) {
  const KeyContextPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  std::size_t size = shared.size();
  return context && EVP_PKEY_decapsulate_init(context.get(), nullptr) == 1 &&
         EVP_PKEY_decapsulate(context.get(), raw(shared.data()), &size, raw(ciphertext.data()), ciphertext.size()) == 1 &&
         size == shared.size();
}

}  // namespace

Result<XWingPrivate> XWingPrivate::generate() {
  XWingSeed seed;
  if (!fill_random(seed.bytes())) return broken("no randomness");
  return from_seed(std::as_const(seed).bytes());
}

Result<XWingPrivate> XWingPrivate::from_seed(std::span<const std::byte, kXWingSeedBytes> seed) {
  XWingPrivate key;
  key.seed_ = XWingSeed(seed);
  Secret<96> expanded;
  if (!expand_seed(seed, expanded)) return broken("cannot expand the seed");
  key.lattice_ = lattice_from_seed(expanded.bytes().first<64>());
  key.curve_ = curve_from(expanded.bytes().last<kCurveBytes>());
  if (!key.lattice_ || !key.curve_) return broken("cannot make the keys");
  const std::span<std::byte> all(key.public_);
  if (!public_bytes(key.lattice_.get(), all.first(kLatticePublicBytes)) ||
      !public_bytes(key.curve_.get(), all.last(kCurveBytes))) {
    return broken("cannot read the public keys");
  }
  return key;
}

Result<Key> XWingPrivate::decapsulate(std::span<const std::byte> ciphertext) const {
  if (ciphertext.size() != kXWingCiphertextBytes) return refused("a ciphertext has 1,120 bytes");
  const auto curve_ciphertext = ciphertext.last(kCurveBytes);
  Key lattice, curve, shared;
  if (!decapsulate_lattice(lattice_.get(), ciphertext.first(kLatticeCiphertextBytes), lattice)) {
    return refused("the ciphertext does not decapsulate");
  }
  const KeyHandle share = public_from("X25519", curve_ciphertext);
  if (!share || !agree(curve_.get(), share.get(), curve)) return refused("the X25519 share is of low order");
  if (!combine(lattice, curve, curve_ciphertext, std::span(public_).last(kCurveBytes), shared)) {
    return broken("cannot combine the secrets");
  }
  return shared;
}

Result<Encapsulated> x_wing_encapsulate(std::span<const std::byte> public_key) {
  Secret<64> randomness;
  if (!fill_random(randomness.bytes())) return broken("no randomness");
  return x_wing_encapsulate_with(public_key, std::as_const(randomness).bytes());
}

Result<Encapsulated> x_wing_encapsulate_with(std::span<const std::byte> public_key, std::span<const std::byte, 64> randomness) {
  if (public_key.size() != kXWingPublicBytes) return refused("a public key has 1,216 bytes");
  const auto curve_public = public_key.last(kCurveBytes);
  const KeyHandle lattice_key = public_from("ML-KEM-768", public_key.first(kLatticePublicBytes));
  const KeyHandle curve_key = public_from("X25519", curve_public);
  if (!lattice_key || !curve_key) return refused("this is not a public key");
  const KeyHandle ephemeral = curve_from(randomness.last<kCurveBytes>());
  Encapsulated made;
  const std::span<std::byte> ciphertext(made.ciphertext);
  Key lattice, curve;
  if (!ephemeral || !public_bytes(ephemeral.get(), ciphertext.last(kCurveBytes))) return broken("no ephemeral key");
  if (!agree(ephemeral.get(), curve_key.get(), curve)) return refused("the X25519 half of the public key is of low order");
  if (!encapsulate_lattice(lattice_key.get(), randomness.first(32), ciphertext.first(kLatticeCiphertextBytes), lattice) ||
      !combine(lattice, curve, ciphertext.last(kCurveBytes), curve_public, made.shared)) {
    return broken("cannot encapsulate");
  }
  return made;
}

}  // namespace sallyport::crypto
