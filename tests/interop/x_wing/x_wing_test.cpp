// X-Wing and ML-DSA-65 against an implementation that is not built on OpenSSL.
#include <gtest/gtest.h>

#include <iterator>
#include <sstream>

#include "crypto/signature.h"
#include "crypto/test_hex.h"
#include "crypto/x_wing.h"
#include "net/test_support.h"

namespace sallyport::crypto {
namespace {

using testing::from_hex;
using testing::to_hex;

std::vector<std::string> ask(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"node", std::string(SALLYPORT_SOURCE_DIR) + "/tests/interop/x_wing/peer.mjs"});
  net::testing::Process process(std::move(arguments));
  for (int i = 0; i < 6000 && !process.ended(); ++i) ::usleep(5000);
  const std::string output = process.output();
  EXPECT_EQ(output.find("rror"), std::string::npos) << output << "\n`scripts/setup test` installs the peer (npm ci in tests/interop)";
  std::istringstream in(output);
  return {std::istream_iterator<std::string>(in), {}};
}

TEST(XWingInterop, TheOtherSideOpensWhatWeSealed) {
  for (int i = 0; i < 3; ++i) {
    const auto key = XWingPrivate::generate();
    const auto made = x_wing_encapsulate(key->public_key());
    const auto answer = ask({"open", to_hex(key->seed()), to_hex(made->ciphertext)});
    ASSERT_EQ(answer.size(), 2u);
    EXPECT_EQ(answer[0], to_hex(key->public_key()));
    EXPECT_EQ(answer[1], to_hex(made->shared.bytes()));
  }
}

TEST(XWingInterop, WeOpenWhatTheOtherSideSealed) {
  for (int i = 0; i < 3; ++i) {
    const auto key = XWingPrivate::generate();
    const auto answer = ask({"seal", to_hex(key->public_key())});
    ASSERT_EQ(answer.size(), 2u);
    const auto read = key->decapsulate(from_hex(answer[0]));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(to_hex(read->bytes()), answer[1]);
  }
}

TEST(MlDsaInterop, TheOtherSideVerifiesWhatWeSigned) {
  const auto key = generate_signing_key(SignatureKind::ml_dsa_65);
  const auto signature = sign(key->get(), as_bytes("value 42"));
  const std::string shown = to_hex(*public_bytes(key->get()));
  EXPECT_EQ(ask({"verify", shown, to_hex(as_bytes("value 42")), to_hex(*signature)}), std::vector<std::string>{"true"});
  EXPECT_EQ(ask({"verify", shown, to_hex(as_bytes("value 43")), to_hex(*signature)}), std::vector<std::string>{"false"});
}

}  // namespace
}  // namespace sallyport::crypto
