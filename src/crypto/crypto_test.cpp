// Hashes, derived keys, sealing, signatures and the replay window; known answers are those of the standards.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/replay_window.h"
#include "crypto/signature.h"
#include "crypto/test_hex.h"

namespace sallyport::crypto {
namespace {

using testing::from_hex;
using testing::to_hex;

TEST(Hash, IsSha256OfThePartsOneAfterTheOther) {
  EXPECT_EQ(to_hex(sha256(as_bytes("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256({as_bytes("a"), as_bytes(""), as_bytes("bc")}), sha256(as_bytes("abc")));
}

TEST(Hkdf, AgreesWithRfc5869) {  // test case 1
  Bytes out(42);
  ASSERT_TRUE(hkdf_sha256(Bytes(22, std::byte{0x0b}), from_hex("000102030405060708090a0b0c"), from_hex("f0f1f2f3f4f5f6f7f8f9"), out));
  EXPECT_EQ(to_hex(out), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

TEST(Hkdf, GivesAnotherKeyForEachPurpose) {
  const Bytes secret(32, std::byte{7});
  EXPECT_TRUE(*hkdf_sha256(secret, {}, as_bytes("a")) == *hkdf_sha256(secret, {}, as_bytes("a")));
  EXPECT_FALSE(*hkdf_sha256(secret, {}, as_bytes("a")) == *hkdf_sha256(secret, {}, as_bytes("b")));
  EXPECT_FALSE(*hkdf_sha256(secret, as_bytes("salt"), as_bytes("a")) == *hkdf_sha256(secret, {}, as_bytes("a")));
}

TEST(Aead, AgreesWithTheGcmSpecification) {  // test case 14
  auto aead = Aead::make(Key());
  Bytes sealed(32);
  ASSERT_TRUE(aead->seal(Nonce{}, {}, Bytes(16), sealed));
  EXPECT_EQ(to_hex(sealed), "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
}

class Sealed : public ::testing::Test {
 protected:
  Sealed() { EXPECT_TRUE(aead_.seal(counted_nonce(5), as_bytes("header"), as_bytes("forty-two point zero"), sealed_)); }
  bool opens(std::uint64_t counter, std::string_view associated, const Bytes& sealed) {
    std::ranges::fill(out_, std::byte{0xee});
    return aead_.open(counted_nonce(counter), as_bytes(associated), sealed, out_);
  }
  Aead aead_ = *Aead::make(*hkdf_sha256(as_bytes("secret"), {}, {}));
  Bytes sealed_ = Bytes(20 + kTagBytes);
  Bytes out_ = Bytes(20);
};

TEST_F(Sealed, OpensAsItWas) {
  ASSERT_TRUE(opens(5, "header", sealed_));
  EXPECT_EQ(as_text(out_), "forty-two point zero");
  ASSERT_TRUE(opens(5, "header", sealed_)) << "and again: the object is used for many";
}

TEST_F(Sealed, DoesNotOpenWithAnyBitChangedAndLeavesNothingBehind) {
  for (std::size_t bit = 0; bit < sealed_.size() * 8; ++bit) {
    Bytes tampered = sealed_;
    tampered[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_FALSE(opens(5, "header", tampered)) << "bit " << bit;
    EXPECT_EQ(out_, Bytes(20));
  }
  EXPECT_FALSE(opens(6, "header", sealed_));
  EXPECT_FALSE(opens(5, "heades", sealed_));
  EXPECT_FALSE(opens(5, "", sealed_));
  EXPECT_FALSE(opens(5, "header", Bytes(sealed_.begin(), sealed_.end() - 1)));
  EXPECT_FALSE(opens(5, "header", Bytes(kTagBytes - 1)));
  EXPECT_FALSE(opens(5, "header", {}));
}

TEST(Signature, Ed25519AgreesWithRfc8032) {  // test 1
  const auto key = verifying_key(SignatureKind::ed25519, from_hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"));
  ASSERT_TRUE(key);
  EXPECT_TRUE(verify(key->get(), {}, from_hex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3970"
                                              "1cf9b46bd25bf5f0595bbe24655141438e7a100b")));
}

TEST(Signature, VerifiesWhatWasSignedAndNothingElse) {
  for (const auto kind : {SignatureKind::ed25519, SignatureKind::ml_dsa_65}) {
    const auto key = generate_signing_key(kind);
    ASSERT_TRUE(key);
    EXPECT_TRUE(is_kind(key->get(), kind));
    const auto signature = sign(key->get(), as_bytes("value 42"));
    ASSERT_TRUE(signature);
    EXPECT_EQ(signature->size(), kind == SignatureKind::ed25519 ? kFastSignatureBytes : kPqSignatureBytes);
    const auto public_half = verifying_key(kind, *public_bytes(key->get()));
    ASSERT_TRUE(public_half);
    EXPECT_TRUE(verify(public_half->get(), as_bytes("value 42"), *signature));
    EXPECT_FALSE(verify(public_half->get(), as_bytes("value 43"), *signature));
    EXPECT_FALSE(verify(public_half->get(), as_bytes("value 42"), {}));
    for (std::size_t at = 0; at < signature->size(); at += kind == SignatureKind::ed25519 ? 1 : 101) {
      Bytes tampered = *signature;
      tampered[at] ^= std::byte{1};
      EXPECT_FALSE(verify(public_half->get(), as_bytes("value 42"), tampered)) << "byte " << at;
    }
    EXPECT_FALSE(verify(generate_signing_key(kind)->get(), as_bytes("value 42"), *signature));
    EXPECT_FALSE(sign(public_half->get(), as_bytes("value 42"))) << "has no private half";
  }
  EXPECT_FALSE(verifying_key(SignatureKind::ml_dsa_65, Bytes(32)));
}

TEST(ReplayWindow, TakesEachCounterOnce) {
  ReplayWindow window(128);
  for (const std::uint64_t counter : {0, 5, 3, 100, 1}) EXPECT_TRUE(window.take(counter));
  for (const std::uint64_t counter : {0, 5, 3, 100, 1}) EXPECT_FALSE(window.take(counter));
  EXPECT_TRUE(window.take(4));
  EXPECT_EQ(window.next(), 101u);
}

TEST(ReplayWindow, RefusesWhatFellOutBelow) {
  ReplayWindow window(128);
  EXPECT_TRUE(window.take(1000));
  EXPECT_FALSE(window.take(1001 - 129));
  EXPECT_TRUE(window.take(1001 - 128));
  EXPECT_TRUE(window.take(~std::uint64_t{0} - 1)) << "as far as counters go";
  EXPECT_FALSE(window.take(1000));
  EXPECT_FALSE(window.take(1002));
}

TEST(ReplayWindow, RefusesEverythingBelowAMark) {
  ReplayWindow window(128);
  window.refuse_below(50);
  EXPECT_FALSE(window.take(49));
  EXPECT_TRUE(window.take(50));
}

TEST(ReplayWindow, AgreesWithASetOfAllCountersWhateverTheOrder) {
  constexpr std::uint64_t kWidth = 256;
  ReplayWindow window(kWidth);
  std::set<std::uint64_t> taken;
  std::mt19937_64 random(7);
  std::uint64_t next = 0;
  for (int i = 0; i < 50'000; ++i) {
    const std::uint64_t base = next > 400 ? next - 400 : 0;
    const std::uint64_t counter = random() % 200 == 0 ? next + random() % 1000 : base + random() % 420;
    const bool in_window = counter >= next || next - counter <= kWidth;
    EXPECT_EQ(window.take(counter), in_window && !taken.contains(counter)) << counter << " of " << next;
    if (in_window) taken.insert(counter);
    if (in_window && counter >= next) next = counter + 1;
  }
}

}  // namespace
}  // namespace sallyport::crypto
