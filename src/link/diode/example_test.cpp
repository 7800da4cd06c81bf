// The example of docs/diode.md, byte for byte.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "crypto/test_hex.h"
#include "link/diode/datagram.h"
#include "link/diode/epoch.h"
#include "link/diode/fec.h"

namespace sallyport::link::diode {
namespace {

using crypto::testing::from_hex;
using crypto::testing::to_hex;

std::string text_of(const std::string& file) {
  std::ostringstream out;
  out << std::ifstream(std::string(SALLYPORT_SOURCE_DIR) + file).rdbuf();
  return out.str();
}

// Of the first test vector.
Bytes vector_field(const std::string& name) {
  std::istringstream in(text_of("/src/crypto/testdata/x_wing.txt"));
  for (std::string word, value; in >> word;) {
    if (word == name && in >> value) return from_hex(value);
    if (word == "#") std::getline(in, word);
  }
  return {};
}

std::string documented(const std::string& name) {
  const std::string page = text_of("/docs/diode.md");
  const std::size_t at = page.find("\n" + name + " ", page.find("## An example"));
  if (at == std::string::npos) return "not there";
  std::istringstream in(page.substr(at + 1 + name.size()));
  std::string value;
  in >> value;
  return value;
}

TEST(DiodeExample, IsAsDocumented) {
  const Bytes public_key = vector_field("pk"), ciphertext = vector_field("ct"), secret = vector_field("ss");
  EpochCore core{.life = 7, .epoch = 1'700'000'000'000'000'001, .started = 1'700'000'000'000'000'000, .depth = 4,
                 .hold = std::chrono::milliseconds(250), .sender = "plant-1", .receiver = "ai-1", .receiver_key = crypto::sha256(public_key)};
  ASSERT_EQ(ciphertext.size(), core.ciphertext.size());
  std::ranges::copy(ciphertext, core.ciphertext.begin());
  const Bytes core_bytes = encode_core(core);
  EXPECT_EQ(to_hex(crypto::sha256(core_bytes)), documented("core, SHA-256"));
  const auto key = epoch_key(crypto::Key(std::span(secret).first<32>()), core_bytes);
  ASSERT_TRUE(key);
  EXPECT_EQ(to_hex(key->bytes()), documented("key"));

  Bytes payload(kGroupHeaderBytes);
  write_group_header(payload, {.first_segment = 9, .sent = 1'700'000'000'500'000'000, .segments = 1});
  ByteWriter writer(payload);
  writer.number<std::uint32_t>(5);
  writer.bytes(as_bytes("hello"));
  Bytes datagram(kSealedHeaderBytes + kShardHeaderBytes);
  write_sealed_header(datagram, {.epoch = core.epoch, .counter = 5});
  write_shard_header(std::span(datagram).subspan(kSealedHeaderBytes), {.group = 3, .index = 0, .k = 1, .r = 2});
  datagram.insert(datagram.end(), payload.begin(), payload.end());
  const std::size_t plain = datagram.size() - kSealedHeaderBytes;
  datagram.resize(datagram.size() + crypto::kTagBytes);
  const auto body = std::span(datagram).subspan(kSealedHeaderBytes);
  ASSERT_TRUE(crypto::Aead::make(*key)->seal(crypto::counted_nonce(5), std::span(datagram).first(kSealedHeaderBytes), body.first(plain), body));
  EXPECT_EQ(to_hex(datagram), documented("datagram"));
}

// The matrix as docs/diode.md gives it, in the plainest arithmetic.
TEST(DiodeExample, ParityIsThatOfTheDocumentedMatrix) {
  const auto multiply = [](unsigned a, unsigned b) {
    unsigned product = 0;
    for (; b != 0; b >>= 1, a = (a << 1) ^ ((a & 0x80) != 0 ? 0x11d : 0)) product ^= (b & 1) != 0 ? a : 0;
    return product & 0xff;
  };
  const auto inverse = [&](unsigned a) {
    for (unsigned b = 1; b < 256; ++b) {
      if (multiply(a, b) == 1) return b;
    }
    return 0u;
  };
  constexpr unsigned k = 5, r = 3;
  Bytes data, parity(r);
  for (unsigned j = 0; j < k; ++j) data.push_back(static_cast<std::byte>(17 * j + 3));
  Fec().encode(k, r, 1, data, parity);
  for (unsigned i = 0; i < r; ++i) {
    unsigned sum = 0;
    for (unsigned j = 0; j < k; ++j) sum ^= multiply(inverse((k + i) ^ j), std::to_integer<unsigned>(data[j]));
    EXPECT_EQ(std::to_integer<unsigned>(parity[i]), sum) << i;
  }
}

}  // namespace
}  // namespace sallyport::link::diode
