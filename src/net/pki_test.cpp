#include "net/pki.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "net/test_support.h"

namespace sallyport::net {
namespace {

using testing::contains;
using testing::Process;
using testing::read_text;
using testing::TempFolder;
using testing::write_text;

// What the openssl program, which knows nothing of us, says.
std::string openssl(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "openssl");
  Process process(std::move(arguments));
  for (int i = 0; i < 2000 && !process.ended(); ++i) ::usleep(5000);
  return process.output();
}

mode_t mode_of(const std::string& file) {
  struct stat status{};
  return ::stat(file.c_str(), &status) == 0 ? status.st_mode & 0777 : 0;
}

TEST(Pki, KnowsItsKeyAlgorithmsByName) {
  EXPECT_EQ(parse_key_algorithm("ml-dsa-65"), KeyAlgorithm::ml_dsa_65);
  EXPECT_EQ(parse_key_algorithm("ed25519"), KeyAlgorithm::ed25519);
  EXPECT_EQ(parse_key_algorithm("ecdsa-p256"), KeyAlgorithm::ecdsa_p256);
  EXPECT_TRUE(contains(parse_key_algorithm("rsa").error().message, "use ml-dsa-65, ed25519 or ecdsa-p256"));
}

TEST(Pki, MakesAnAuthorityAndCertificatesThatOpensslVerifies) {
  for (const auto algorithm : {KeyAlgorithm::ml_dsa_65, KeyAlgorithm::ed25519, KeyAlgorithm::ecdsa_p256}) {
    const TempFolder folder;
    ASSERT_TRUE(make_ca({.folder = folder / "ca", .name = "Plant CA", .algorithm = algorithm}));
    ASSERT_TRUE(issue_certificate(
        {.ca_folder = folder / "ca", .name = "plant-1", .folder = folder / "plant", .algorithm = algorithm}));
    EXPECT_TRUE(contains(openssl({"verify", "-x509_strict", "-purpose", "sslclient", "-verify_hostname", "plant-1",
                                  "-CAfile", folder / "ca/ca.crt", folder / "plant/plant-1.crt"}),
                         ": OK"));
    EXPECT_TRUE(contains(openssl({"verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", folder / "ca/ca.crt",
                                  folder / "plant/plant-1.crt"}),
                         ": OK"));
    const auto info = read_certificate(folder / "plant/plant-1.crt");
    ASSERT_TRUE(info);
    EXPECT_EQ(info->name, "plant-1");
    EXPECT_EQ(info->issuer, "Plant CA");
    EXPECT_EQ(info->sha256.size(), 64u);
    EXPECT_LT(info->not_before, SystemClock().utc());
    EXPECT_GT(info->not_after, SystemClock().utc() + Duration(std::chrono::days(800)).count());
  }
}

TEST(Pki, KeepsTheNamesOfThePairsThatSign) {
  const TempFolder folder;
  ASSERT_TRUE(make_ca({.folder = folder.path()}));
  const auto issued = issue_certificate({.ca_folder = folder.path(), .name = "a.sign", .folder = folder.path()});
  ASSERT_FALSE(issued);
  EXPECT_TRUE(contains(issued.error().message, "names ending in .sign are kept"));
}

TEST(Pki, UsesMlDsa65UnlessToldOtherwise) {
  const TempFolder folder;
  ASSERT_TRUE(make_ca({.folder = folder.path()}));
  ASSERT_TRUE(issue_certificate({.ca_folder = folder.path(), .name = "a", .folder = folder.path()}));
  ASSERT_TRUE(issue_certificate(
      {.ca_folder = folder.path(), .name = "b", .folder = folder.path(), .algorithm = KeyAlgorithm::ed25519}));
  ASSERT_TRUE(issue_certificate(
      {.ca_folder = folder.path(), .name = "c", .folder = folder.path(), .algorithm = KeyAlgorithm::ecdsa_p256}));
  EXPECT_EQ(read_certificate(folder / "ca.crt")->algorithm, "ML-DSA-65");
  EXPECT_EQ(read_certificate(folder / "a.crt")->algorithm, "ML-DSA-65");
  EXPECT_EQ(read_certificate(folder / "b.crt")->algorithm, "ED25519");
  EXPECT_EQ(read_certificate(folder / "c.crt")->algorithm, "EC P-256");
}

TEST(Pki, WritesTheExtensionsOfAnAuthorityAndOfALeaf) {
  const TempFolder folder;
  ASSERT_TRUE(make_ca({.folder = folder.path()}));
  ASSERT_TRUE(issue_certificate({.ca_folder = folder.path(), .name = "plant-1", .folder = folder.path()}));
  const std::string ca = openssl({"x509", "-in", folder / "ca.crt", "-noout", "-text"});
  EXPECT_TRUE(contains(ca, "CA:TRUE, pathlen:0"));
  EXPECT_TRUE(contains(ca, "Certificate Sign, CRL Sign"));
  const std::string leaf = openssl({"x509", "-in", folder / "plant-1.crt", "-noout", "-text"});
  EXPECT_TRUE(contains(leaf, "CA:FALSE"));
  EXPECT_TRUE(contains(leaf, "DNS:plant-1"));
  EXPECT_TRUE(contains(leaf, "TLS Web Server Authentication, TLS Web Client Authentication"));
  EXPECT_TRUE(contains(leaf, "X509v3 Authority Key Identifier"));
}

TEST(Pki, KeepsKeysToTheirOwner) {
  const TempFolder folder;
  ASSERT_TRUE(make_ca({.folder = folder / "new/ca"}));
  ASSERT_TRUE(issue_certificate({.ca_folder = folder / "new/ca", .name = "a", .folder = folder / "out"}));
  EXPECT_EQ(mode_of(folder / "new/ca"), 0700u);
  EXPECT_EQ(mode_of(folder / "new/ca/ca.key"), 0600u);
  EXPECT_EQ(mode_of(folder / "new/ca/ca.crt"), 0644u);
  EXPECT_EQ(mode_of(folder / "out/a.key"), 0600u);
}

TEST(Pki, NeverOverwritesAndLeavesNoHalfOfAPair) {
  const TempFolder folder;
  ASSERT_TRUE(make_ca({.folder = folder.path()}));
  const std::string key = read_text(folder / "ca.key");
  const auto again = make_ca({.folder = folder.path()});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::exists);
  EXPECT_TRUE(contains(again.error().message, "ca.key: exists already and is not overwritten"));
  EXPECT_EQ(read_text(folder / "ca.key"), key);

  write_text(folder / "a.crt", "mine");
  const auto issued = issue_certificate({.ca_folder = folder.path(), .name = "a", .folder = folder.path()});
  ASSERT_FALSE(issued);
  EXPECT_TRUE(contains(issued.error().message, "a.crt: exists already"));
  EXPECT_EQ(read_text(folder / "a.crt"), "mine");
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(folder.path())) ++files;
  EXPECT_EQ(files, 3u) << "ca.crt, ca.key, a.crt and nothing else";
}

TEST(Pki, SaysWhatIsWrongWithARequest) {
  const TempFolder folder;
  ASSERT_TRUE(make_ca({.folder = folder / "ca"}));
  ASSERT_TRUE(make_ca({.folder = folder / "other"}));
  const auto issue = [&](IssueRequest request) {
    request.folder = folder / "out";
    const auto result = issue_certificate(request);
    return result ? std::string("no error") : result.error().message;
  };
  for (const std::string& name : {std::string(), std::string("a b"), std::string("../x"), std::string("a,DNS:b"),
                                  std::string("ü"), std::string("a\nb"), std::string(65, 'x')}) {
    EXPECT_TRUE(contains(issue({.ca_folder = folder / "ca", .name = name}), "must be 1 to 64 of the characters"));
  }
  EXPECT_TRUE(contains(issue({.ca_folder = folder / "ca", .name = "ca"}), "kept for the authority"));
  EXPECT_TRUE(contains(issue({.ca_folder = folder / "ca", .name = "a", .days = 0}), "must be 1 to"));
  EXPECT_TRUE(contains(issue({.ca_folder = folder / "nowhere", .name = "a"}), "make one with `sallyport keys ca"));

  std::filesystem::rename(folder / "ca/ca.key", folder / "ca/saved");
  EXPECT_TRUE(contains(issue({.ca_folder = folder / "ca", .name = "a"}), "ca.key: no such file"));
  std::filesystem::copy(folder / "other/ca.key", folder / "ca/ca.key");
  EXPECT_TRUE(contains(issue({.ca_folder = folder / "ca", .name = "a"}), "does not belong to"));
  write_text(folder / "ca/ca.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
  EXPECT_TRUE(contains(issue({.ca_folder = folder / "ca", .name = "a"}), "the private key in it is damaged"));

  ASSERT_TRUE(issue_certificate({.ca_folder = folder / "other", .name = "leaf", .folder = folder / "leaf"}));
  std::filesystem::rename(folder / "leaf/leaf.crt", folder / "leaf/ca.crt");
  std::filesystem::rename(folder / "leaf/leaf.key", folder / "leaf/ca.key");
  EXPECT_TRUE(contains(issue({.ca_folder = folder / "leaf", .name = "a"}), "is not the certificate of an authority"));

  write_text(folder / "file", "");
  EXPECT_TRUE(contains(make_ca({.folder = folder / "file"}).error().message, "file"));
  EXPECT_TRUE(contains(make_ca({.folder = folder / "x", .name = ""}).error().message, "1 to 64 printable"));
  EXPECT_TRUE(contains(make_ca({.folder = "/proc/nowhere"}).error().message, "cannot make the folder"));
}

TEST(Pki, NeverIssuesACertificateThatOutlivesItsAuthority) {
  const TempFolder folder;
  ASSERT_TRUE(make_ca({.folder = folder.path(), .days = 5}));
  ASSERT_TRUE(issue_certificate({.ca_folder = folder.path(), .name = "a", .folder = folder.path(), .days = 800}));
  EXPECT_EQ(read_certificate(folder / "a.crt")->not_after, read_certificate(folder / "ca.crt")->not_after);
}

}  // namespace
}  // namespace sallyport::net
