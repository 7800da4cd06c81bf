#include "crypto/x_wing.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <vector>

#include "crypto/test_hex.h"

namespace sallyport::crypto {
namespace {

using testing::from_hex;
using testing::to_hex;

std::vector<std::map<std::string, Bytes>> vectors() {
  std::ifstream in(SALLYPORT_SOURCE_DIR "/src/crypto/testdata/x_wing.txt");
  std::vector<std::map<std::string, Bytes>> all;
  for (std::string name, text; in >> name;) {
    if (name == "#") {
      std::getline(in, text);
      continue;
    }
    in >> text;
    if (name == "seed") all.emplace_back();
    all.back()[name] = from_hex(text);
  }
  return all;
}

XWingPrivate key_of(std::span<const std::byte> seed) {
  auto key = XWingPrivate::from_seed(seed.first<kXWingSeedBytes>());
  EXPECT_TRUE(key) << (key ? "" : key.error().message);
  return *std::move(key);
}

TEST(XWing, AgreesWithTheTestVectorsOfTheDraft) {
  const auto all = vectors();
  ASSERT_EQ(all.size(), 3u);
  for (const auto& vector : all) {
    const XWingPrivate key = key_of(vector.at("seed"));
    EXPECT_EQ(to_hex(key.public_key()), to_hex(vector.at("pk")));
    EXPECT_EQ(to_hex(key.seed()), to_hex(vector.at("seed")));
    const auto made = x_wing_encapsulate_with(vector.at("pk"), std::span(vector.at("eseed")).first<64>());
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(to_hex(made->ciphertext), to_hex(vector.at("ct")));
    EXPECT_EQ(to_hex(made->shared.bytes()), to_hex(vector.at("ss")));
    const auto read = key.decapsulate(vector.at("ct"));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(to_hex(read->bytes()), to_hex(vector.at("ss")));
  }
}

TEST(XWing, GivesBothSidesOneSecretAndAnotherEachTime) {
  const auto key = XWingPrivate::generate();
  ASSERT_TRUE(key);
  const auto first = x_wing_encapsulate(key->public_key());
  const auto second = x_wing_encapsulate(key->public_key());
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(first->shared == second->shared);
  EXPECT_TRUE(*key->decapsulate(first->ciphertext) == first->shared);
  EXPECT_TRUE(*key->decapsulate(second->ciphertext) == second->shared);
}

TEST(XWing, GivesAnotherSecretForACiphertextWithAnyByteChanged) {
  const auto key = XWingPrivate::generate();
  const auto made = x_wing_encapsulate(key->public_key());
  for (std::size_t at = 0; at < kXWingCiphertextBytes; at += at < 1080 ? 31 : 1) {
    XWingCiphertext tampered = made->ciphertext;
    tampered[at] ^= std::byte{1};
    const auto read = key->decapsulate(tampered);
    EXPECT_FALSE(read && *read == made->shared) << "byte " << at;
  }
}

TEST(XWing, GivesAnotherSecretToAnotherKey) {
  const auto key = XWingPrivate::generate();
  const auto other = XWingPrivate::generate();
  const auto made = x_wing_encapsulate(key->public_key());
  const auto read = other->decapsulate(made->ciphertext);
  ASSERT_TRUE(read);
  EXPECT_FALSE(*read == made->shared);
}

TEST(XWing, RefusesWhatIsNeitherKeyNorCiphertext) {
  const auto key = XWingPrivate::generate();
  EXPECT_FALSE(key->decapsulate({}));
  EXPECT_FALSE(key->decapsulate(Bytes(kXWingCiphertextBytes - 1)));
  EXPECT_FALSE(key->decapsulate(Bytes(kXWingCiphertextBytes + 1)));
  EXPECT_FALSE(key->decapsulate(Bytes(kXWingCiphertextBytes))) << "an X25519 share of zero";
  EXPECT_FALSE(x_wing_encapsulate({}));
  EXPECT_FALSE(x_wing_encapsulate(Bytes(kXWingPublicBytes - 1)));
  Bytes too_large(kXWingPublicBytes, std::byte{0xff});  // coefficients of the lattice above q
  EXPECT_FALSE(x_wing_encapsulate(too_large));
  XWingPublic low_order = key->public_key();
  std::ranges::fill(std::span(low_order).last(32), std::byte{0});
  EXPECT_FALSE(x_wing_encapsulate(low_order));
}

}  // namespace
}  // namespace sallyport::crypto
