// Who may sign for whom: the pair that `keys issue` makes, and every certificate that must not pass for one.
#include "net/signer.h"

#include <gtest/gtest.h>

#include "net/certificate.h"
#include "net/test_support.h"

namespace sallyport::net {
namespace {

using namespace testing;

constexpr std::int64_t kDay = 86'400'000'000'000;

std::string problem(const Result<Credential>& result) { return result ? "no problem" : result.error().message; }
std::string problem(const Result<std::shared_ptr<const Signer>>& result) { return result ? "no problem" : result.error().message; }

class SignerTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Signer> signer(const IdentityFiles& with, const std::string& name = "plant-1") {
    auto loaded = Signer::load(with_sign_files(with), name);
    EXPECT_TRUE(loaded) << problem(loaded);
    return loaded ? *loaded : nullptr;
  }
  std::string check(std::span<const std::byte> credential, const std::string& name = "plant-1", UtcNanoseconds now = utc_now()) {
    return problem(Credential::verify(credential, **Trust::load(files.trust), name, now));
  }
  // A credential out of two certificate files, whatever they are.
  static Bytes credential_of(const std::string& node_file, const std::string& sign_file) {
    Bytes out;
    ByteWriter writer(out);
    writer.number<std::uint8_t>(2);
    for (const std::string& file : {node_file, sign_file}) {
      const auto certificates = load_certificates(file);
      unsigned char* der = nullptr;
      const int size = i2d_X509(certificates->front().get(), &der);
      writer.number<std::uint32_t>(static_cast<std::uint32_t>(size));
      writer.bytes({reinterpret_cast<const std::byte*>(der), static_cast<std::size_t>(size)});
      OPENSSL_free(der);
    }
    return out;
  }
  Pki pki;
  IdentityFiles files = pki.issue("plant-1");
  std::string sign_crt = pki.folder / "plant-1.sign.crt", sign_key = pki.folder / "plant-1.sign.key";
};

TEST_F(SignerTest, SignsForItsNodeAndEveryoneWithTheAuthorityCanTell) {
  const auto own = signer(files);
  EXPECT_EQ(own->name(), "plant-1");
  const auto credential = Credential::verify(own->credential(), **Trust::load(files.trust), "plant-1", utc_now());
  ASSERT_TRUE(credential) << problem(credential);
  const auto fast = own->sign_fast(as_bytes("value 42"));
  const auto pq = own->sign_pq(as_bytes("value 42"));
  EXPECT_TRUE(credential->check_fast(as_bytes("value 42"), fast));
  EXPECT_TRUE(credential->check_pq(as_bytes("value 42"), pq));
  EXPECT_FALSE(credential->check_fast(as_bytes("value 43"), fast));
  EXPECT_FALSE(credential->check_pq(as_bytes("value 43"), pq));
  EXPECT_FALSE(credential->check_fast(as_bytes("value 42"), pq)) << "one is not the other";
  EXPECT_FALSE(credential->check_pq(as_bytes("value 42"), fast));
  EXPECT_EQ(credential->name(), "plant-1");
  EXPECT_GT(credential->not_after(), utc_now());
}

TEST_F(SignerTest, FindsThePairBesideTheCertificateUnlessNamed) {
  EXPECT_EQ(with_sign_files(files).sign_certificate, sign_crt);
  EXPECT_EQ(with_sign_files(files).sign_key, sign_key);
  IdentityFiles named = files;
  named.sign_certificate = "a";
  named.sign_key = "b";
  EXPECT_EQ(with_sign_files(named).sign_certificate, "a");
  std::filesystem::remove(sign_crt);
  std::filesystem::remove(sign_key);
  EXPECT_EQ(with_sign_files(files).sign_certificate, "");
  EXPECT_TRUE(contains(problem(Signer::load(with_sign_files(files), "plant-1")), "sallyport keys sign --ca DIR --name plant-1 --out DIR"));
  ASSERT_TRUE(issue_sign_certificate({.ca_folder = pki.folder.path(), .name = "plant-1", .folder = pki.folder.path()}));
  EXPECT_TRUE(signer(files)) << "the pair can be added later";
}

TEST_F(SignerTest, IsNotTakenByTlsForANode) {
  const auto as_node = TlsIdentity::load({sign_crt, sign_key, files.trust}, "plant-1");
  ASSERT_FALSE(as_node);
  EXPECT_TRUE(contains(as_node.error().message, "may be used neither to dial nor to listen with TLS"));
}

// Not only our own checks: OpenSSL on the other side refuses it too.
TEST_F(SignerTest, IsRefusedInAHandshakeByTheOtherSide) {
  Loop loop;
  Server server(loop, pki.identity("dmz-1"));
  Process client({"openssl", "s_client", "-connect", "127.0.0.1:" + std::to_string(server.port()), "-cert", sign_crt, "-key",
                  sign_key, "-CAfile", files.trust, "-groups", "X25519MLKEM768"});
  EXPECT_TRUE(run_until(loop, [&] { return server.counters().failed_handshake > 0; }));
  EXPECT_EQ(server.counters().established, 0u);
  EXPECT_TRUE(contains(server.counters().last_failure, "extended key usage"));
}

TEST_F(SignerTest, RefusesEveryOtherCertificateInItsPlace) {
  const std::string node = files.certificate;
  EXPECT_EQ(check(credential_of(node, sign_crt)), "no problem");
  EXPECT_TRUE(contains(check(credential_of(node, sign_crt), "plant-2"), "is of 'plant-1', expected 'plant-2'"));
  EXPECT_TRUE(contains(check(credential_of(node, node)), "needed is ED25519"));
  EXPECT_TRUE(contains(check(credential_of(sign_crt, sign_crt)), "needed is ML-DSA-65"));
  EXPECT_TRUE(contains(check(credential_of(sign_crt, node)), "needed is ML-DSA-65"));
  pki.issue("dmz-1");
  EXPECT_TRUE(contains(check(credential_of(node, pki.folder / "dmz-1.sign.crt")), "sign certificate: is of 'dmz-1'"));
  EXPECT_TRUE(contains(check(credential_of(pki.folder / "dmz-1.crt", sign_crt)), "certificate: is of 'dmz-1'"));
}

// A node's Ed25519 certificate for TLS, of the same name and authority, signs nothing.
TEST_F(SignerTest, RefusesATlsCertificateAsTheOneForSigning) {
  const TempFolder folder;
  ASSERT_TRUE(issue_certificate({.ca_folder = pki.folder.path(), .name = "plant-1", .folder = folder.path(), .algorithm = KeyAlgorithm::ed25519}));
  EXPECT_TRUE(contains(check(credential_of(files.certificate, folder / "plant-1.crt")), "not made for signing data"));
  IdentityFiles with = files;
  with.sign_certificate = folder / "plant-1.crt";
  with.sign_key = folder / "plant-1.key";
  EXPECT_TRUE(contains(problem(Signer::load(with, "plant-1")), "not made for signing data"));
}

TEST_F(SignerTest, RefusesWhatHasExpiredOrIsNotYetValid) {
  const Bytes credential = credential_of(files.certificate, sign_crt);
  EXPECT_TRUE(contains(check(credential, "plant-1", utc_now() + 61 * kDay), "expired"));
  EXPECT_TRUE(contains(check(credential, "plant-1", utc_now() - kDay), "not yet valid"));
  const TempFolder folder;
  ASSERT_TRUE(issue_sign_certificate({.ca_folder = pki.folder.path(), .name = "plant-1", .folder = folder.path(), .days = 1, .not_before_days_ago = 3}));
  EXPECT_TRUE(contains(check(credential_of(files.certificate, folder / "plant-1.sign.crt")), "sign certificate: certificate has expired"));
  IdentityFiles with = files;
  with.sign_certificate = folder / "plant-1.sign.crt";
  with.sign_key = folder / "plant-1.sign.key";
  EXPECT_TRUE(contains(problem(Signer::load(with, "plant-1")), "expired"));
}

TEST_F(SignerTest, RefusesAnotherAuthority) {
  Pki other;
  const auto foreign = other.issue("plant-1");
  EXPECT_TRUE(contains(check(credential_of(foreign.certificate, sign_crt)), "certificate: "));
  EXPECT_TRUE(contains(check(credential_of(files.certificate, other.folder / "plant-1.sign.crt")), "sign certificate: "));
  EXPECT_NE(check(credential_of(foreign.certificate, other.folder / "plant-1.sign.crt")), "no problem");
}

TEST_F(SignerTest, RefusesAnAuthorityThatAQuantumComputerCouldForge) {
  Pki classical(KeyAlgorithm::ed25519);
  const auto node = classical.issue({.name = "plant-1", .algorithm = KeyAlgorithm::ml_dsa_65});
  EXPECT_TRUE(contains(problem(Signer::load(with_sign_files(node), "plant-1")), "does not sign with ML-DSA"));
}

TEST_F(SignerTest, NeedsAnMlDsa65CertificateOfTheNode) {
  Pki fresh;
  const auto node = fresh.issue({.name = "plant-1", .algorithm = KeyAlgorithm::ed25519});
  ASSERT_TRUE(issue_sign_certificate({.ca_folder = fresh.folder.path(), .name = "plant-1", .folder = fresh.folder.path()}));
  EXPECT_TRUE(contains(problem(Signer::load(with_sign_files(node), "plant-1")), "keys issue --algorithm ml-dsa-65"));
}

TEST_F(SignerTest, SaysWhichFilesDoNotBelongTogether) {
  pki.issue("dmz-1");
  IdentityFiles with = with_sign_files(files);
  with.sign_key = pki.folder / "dmz-1.sign.key";
  EXPECT_TRUE(contains(problem(Signer::load(with, "plant-1")), "is not the key of " + sign_crt));
  with.sign_key = pki.folder / "none.key";
  EXPECT_TRUE(contains(problem(Signer::load(with, "plant-1")), "none.key: no such file"));
}

TEST_F(SignerTest, RefusesMalformedCredentials) {
  const Bytes good = signer(files)->credential();
  ASSERT_EQ(check(good), "no problem");
  for (std::size_t size = 0; size < good.size(); size += size < 64 ? 1 : 97) {
    EXPECT_NE(check(std::span(good).first(size)), "no problem") << "cut to " << size;
  }
  Bytes longer = good;
  longer.push_back(std::byte{0});
  EXPECT_TRUE(contains(check(longer), "not the certificates of a signer"));
  for (std::size_t at = 0; at < good.size(); at += at < 64 ? 1 : 61) {
    Bytes tampered = good;
    tampered[at] ^= std::byte{0x20};
    EXPECT_NE(check(tampered), "no problem") << "byte " << at;
  }
  Bytes many(1 + 4 * 255);
  many[0] = std::byte{255};
  EXPECT_TRUE(contains(check(many), "not the certificates of a signer"));
  EXPECT_TRUE(contains(check(Bytes(kMaxCredentialBytes + 1)), "not the certificates of a signer"));
}

}  // namespace
}  // namespace sallyport::net
