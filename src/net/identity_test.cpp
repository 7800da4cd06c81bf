// What a node is told at its start about certificates and keys that will not do.
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/stat.h>

#include "net/test_support.h"
#include "net/tls.h"

namespace sallyport::net {
namespace {

using namespace testing;

class Identity : public ::testing::Test {
 protected:
  static std::string problem(const IdentityFiles& with, const std::string& name = "plant-1") {
    const auto identity = TlsIdentity::load(with, name);
    return identity ? std::string("no problem") : identity.error().message;
  }
  std::string with_certificate(const std::string& text) {
    write_text(pki.folder / "broken.crt", text);
    return problem({pki.folder / "broken.crt", files.private_key, files.trust});
  }
  std::string with_key(const std::string& text) {
    write_text(pki.folder / "broken.key", text);
    return problem({files.certificate, pki.folder / "broken.key", files.trust});
  }
  Pki pki;
  IdentityFiles files = pki.issue("plant-1");
};

TEST_F(Identity, LoadsWhatKeysIssueMade) {
  const auto identity = TlsIdentity::load(files, "plant-1");
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_EQ((*identity)->certificate().name, "plant-1");
  EXPECT_EQ((*identity)->certificate().algorithm, "ML-DSA-65");
}

TEST_F(Identity, LoadsACertificateThatCarriesItsChain) {
  write_text(pki.folder / "chain.crt", read_text(files.certificate) + read_text(files.trust));
  EXPECT_EQ(problem({pki.folder / "chain.crt", files.private_key, files.trust}), "no problem");
}

TEST_F(Identity, NamesTheMissingFile) {
  EXPECT_TRUE(contains(problem({"/nowhere/a.crt", files.private_key, files.trust}), "/nowhere/a.crt: no such file"));
  EXPECT_TRUE(contains(problem({files.certificate, "/nowhere/a.key", files.trust}), "/nowhere/a.key: no such file"));
  EXPECT_TRUE(
      contains(problem({files.certificate, files.private_key, "/nowhere/ca.crt"}), "/nowhere/ca.crt: no such file"));
  EXPECT_TRUE(contains(problem({pki.folder.path(), files.private_key, files.trust}), "this is a folder"));
}

TEST_F(Identity, SaysWhichFileMayNotBeRead) {
  ::chmod(files.private_key.c_str(), 0);
  ::chmod(pki.folder.path().c_str(), 0755);
  constexpr uid_t kNobody = 65534;
  const bool root = ::geteuid() == 0;  // who reads everything, unless this thread looks at files as somebody else
  if (root) ::setfsuid(kNobody);
  const std::string said = problem(files);
  if (root) ::setfsuid(0);
  EXPECT_TRUE(contains(said, "plant-1.key: permission denied; the user that runs sallyport must be able to read it"));
}

TEST_F(Identity, SaysWhatIsWrongWithACertificateFile) {
  const std::string good = read_text(files.certificate);
  const std::string damaged = std::string(good).replace(good.size() / 2, 4, "!!!!");
  const std::string truncated = good.substr(0, good.size() / 2);
  EXPECT_TRUE(contains(with_certificate(""), "broken.crt: the file is empty"));
  EXPECT_TRUE(contains(with_certificate("hello\n"), "broken.crt: no certificate in it"));
  EXPECT_TRUE(contains(with_certificate(std::string(2'000, '\0')), "broken.crt: no certificate in it"));
  EXPECT_TRUE(contains(with_certificate(damaged), "broken.crt: certificate 1 in it is damaged"));
  EXPECT_TRUE(contains(with_certificate(truncated), "broken.crt: certificate 1 in it is damaged"));
  EXPECT_TRUE(contains(with_certificate(good + damaged), "broken.crt: certificate 2 in it is damaged"));
  EXPECT_TRUE(
      contains(with_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "is damaged"));
  EXPECT_TRUE(contains(with_certificate(read_text(files.private_key)), "are the two files swapped?"));
  EXPECT_TRUE(contains(with_certificate(std::string(1'100'000, 'x')), "larger than 1 MiB"));
}

TEST_F(Identity, SaysWhatIsWrongWithAKeyFile) {
  const std::string good = read_text(files.private_key);
  EXPECT_TRUE(contains(with_key(""), "broken.key: the file is empty"));
  EXPECT_TRUE(contains(with_key("hello\n"), "broken.key: no private key in it"));
  EXPECT_TRUE(contains(with_key(good.substr(0, good.size() / 2)), "broken.key: the private key in it is damaged"));
  EXPECT_TRUE(contains(with_key(read_text(files.certificate)), "are the two files swapped?"));
  EXPECT_TRUE(contains(with_key(read_text(pki.issue("other").private_key)), "broken.key: is not the key of "));
}

TEST_F(Identity, NeverAsksForAPassphrase) {
  Process make({"openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:secret", "-out",
                pki.folder / "locked.key"});
  for (int i = 0; i < 2000 && !make.ended(); ++i) ::usleep(5000);
  EXPECT_TRUE(
      contains(problem({files.certificate, pki.folder / "locked.key", files.trust}), "protected by a passphrase"));
}

TEST_F(Identity, RefusesACertificateOfAnotherName) {
  EXPECT_TRUE(contains(problem(files, "plant-2"),
                       "plant-1.crt: is the certificate of 'plant-1', but this node is called 'plant-2'"));
}

TEST_F(Identity, RefusesAnExpiredOneAndOneFromTheFuture) {
  EXPECT_TRUE(contains(problem(pki.issue("old", 1, 4), "old"), "old.crt: expired 3 days ago ("));
  EXPECT_TRUE(contains(problem(pki.issue("new", 10, -3), "new"), "is the clock of this machine right?"));
}

TEST_F(Identity, RefusesOneThatItsOwnTrustFileDoesNotCover) {
  Pki other;
  EXPECT_TRUE(contains(problem({files.certificate, files.private_key, other.folder / "ca.crt"}),
                       "was issued by 'test CA', whose certificate is not in "));
}

TEST_F(Identity, TrustsWhateverOfManyAuthoritiesFits) {
  Pki other;
  write_text(pki.folder / "bundle", read_text(other.folder / "ca.crt") + read_text(files.trust));
  EXPECT_EQ(problem({files.certificate, files.private_key, pki.folder / "bundle"}), "no problem");
}

// Certificates that `sallyport keys` does not make, from the openssl program.
TEST_F(Identity, RefusesForeignMadeCertificatesThatPeersWouldRefuse) {
  const auto make = [&](const std::string& name, const std::string& key, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"openssl", "req",
                                          "-x509",   "-newkey",
                                          key,       "-nodes",
                                          "-days",   "60",
                                          "-out",    pki.folder / (name + ".crt"),
                                          "-keyout", pki.folder / (name + ".key")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Process process(arguments);
    for (int i = 0; i < 4000 && !process.ended(); ++i) ::usleep(5000);
    return IdentityFiles{pki.folder / (name + ".crt"), pki.folder / (name + ".key"), pki.folder / (name + ".crt")};
  };
  EXPECT_TRUE(
      contains(problem(make("rsa", "rsa:2048", {"-subj", "/CN=plant-1"})), "has a key of kind RSA 2048; accepted are"));
  EXPECT_TRUE(contains(problem(make("none", "ed25519", {"-subj", "/O=acme"})), "carries no name (CN)"));
  EXPECT_TRUE(contains(problem(make("two", "ed25519", {"-subj", "/CN=plant-1/CN=plant-2"})), "more than one name"));
  EXPECT_TRUE(contains(problem(make("odd", "ed25519", {"-subj", "/CN=plant 1"})), "not a node name"));
  EXPECT_TRUE(
      contains(problem(make("san", "ed25519", {"-subj", "/CN=plant-1", "-addext", "subjectAltName=DNS:plant-2"})),
               "none of them is 'plant-1'"));
  EXPECT_TRUE(
      contains(problem(make("use", "ed25519", {"-subj", "/CN=plant-1", "-addext", "extendedKeyUsage=codeSigning"})),
               "neither to dial nor to listen"));
  EXPECT_EQ(
      problem(make("pinned", "ed25519", {"-subj", "/CN=plant-1", "-addext", "basicConstraints=critical,CA:FALSE"})),
      "no problem")
      << "a self-signed certificate that stands in the trust file itself";
}

TEST(ReadCertificate, TellsNameIssuerDatesAndFingerprint) {
  Pki pki;
  const auto info = read_certificate(pki.issue("plant-1", 60).certificate);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->name, "plant-1");
  EXPECT_EQ(info->issuer, "test CA");
  EXPECT_EQ(info->sha256.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_TRUE(contains(read_certificate("/nowhere.crt").error().message, "/nowhere.crt: no such file"));
}

}  // namespace
}  // namespace sallyport::net
