// The key log: complete, private, and loud.
#include "net/key_log.h"

#include <sys/stat.h>

#include "net/test_support.h"

namespace sallyport::net::testing {
namespace {

TEST(KeyLog, HoldsTheSecretsOfBothEndsInAFileThatOnlyItsOwnerReads) {
  Pki pki;
  auto files = pki.issue("plant-1");
  files.key_log = pki.folder / "keys.log";
  const auto plant = Pki::load(files, "plant-1");
  const auto dmz = pki.identity("dmz-1");
  ASSERT_TRUE(plant && dmz);
  EXPECT_NE(::access(files.key_log.c_str(), F_OK), 0) << "made before there is anything to write";
  Loop loop;
  Server server(loop, dmz);
  const Client client(loop, plant, server.port(), "dmz-1");
  ASSERT_TRUE(run_until(loop, [&] { return client.done() && !server.streams.empty(); }));
  const std::string text = read_text(files.key_log);
  for (const char* label : {"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_HANDSHAKE_TRAFFIC_SECRET ", "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "}) {
    EXPECT_TRUE(contains(text, label));
  }
  struct stat status{};
  ASSERT_EQ(::stat(files.key_log.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST(KeyLog, IsRefusedWhereOthersCouldReadItOrWhereItCannotBe) {
  Pki pki;
  auto files = pki.issue("plant-1");
  const auto refusal = [&](const std::string& file) {
    files.key_log = file;
    const auto identity = TlsIdentity::load(files, "plant-1");
    return identity ? std::string("loaded") : identity.error().message;
  };
  write_text(pki.folder / "open.log", "");
  ::chmod((pki.folder / "open.log").c_str(), 0644);
  EXPECT_TRUE(contains(refusal(pki.folder / "open.log"), "chmod 600"));
  EXPECT_TRUE(contains(refusal(pki.folder / "none/keys.log"), "make it first"));
  EXPECT_TRUE(contains(refusal(pki.folder.path()), "no plain file"));
  ASSERT_EQ(::symlink("/dev/null", (pki.folder / "link.log").c_str()), 0);
  EXPECT_TRUE(contains(refusal(pki.folder / "link.log"), "no plain file"));
}

}  // namespace
}  // namespace sallyport::net::testing
