#include "net/receiver_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "net/test_support.h"

namespace sallyport::net {
namespace {

using namespace testing;

class ReceiverKey : public ::testing::Test {
 protected:
  ReceiverKey() {
    const auto made = make_receiver_key("ai-1", folder.path());
    EXPECT_TRUE(made) << made.error().message;
  }
  TempFolder folder;
  std::string key = folder / "ai-1.receiver.key", pub = folder / "ai-1.receiver.pub";
};

TEST_F(ReceiverKey, IsMadeAsAPairThatBelongsTogether) {
  const auto own = load_receiver_private(key);
  const auto shown = load_receiver_public(pub);
  ASSERT_TRUE(own && shown);
  EXPECT_EQ(own->name, "ai-1");
  EXPECT_EQ(shown->name, "ai-1");
  const auto made = crypto::x_wing_encapsulate(shown->key);
  EXPECT_TRUE(*own->key.decapsulate(made->ciphertext) == made->shared);
  struct stat status{};
  ASSERT_EQ(::stat(key.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_TRUE(contains(read_text(pub), "-----BEGIN SALLYPORT X-WING PUBLIC KEY-----\nName: ai-1\nFingerprint: " + receiver_fingerprint(shown->key)));
}

TEST_F(ReceiverKey, IsNotOverwritten) {
  EXPECT_TRUE(contains(make_receiver_key("ai-1", folder.path()).error().message, "exists already"));
  EXPECT_TRUE(contains(make_receiver_key("a/b", folder.path()).error().message, "name 'a/b'"));
}

TEST_F(ReceiverKey, SaysWhichOfTheTwoFilesItIs) {
  EXPECT_EQ(receiver_file_kind(key), ReceiverFile::private_key);
  EXPECT_EQ(receiver_file_kind(pub), ReceiverFile::public_key);
  EXPECT_EQ(receiver_file_kind(folder / "none"), ReceiverFile::none);
  EXPECT_TRUE(contains(load_receiver_public(key).error().message, "carry the .receiver.pub alone"));
  EXPECT_TRUE(contains(load_receiver_private(pub).error().message, "holds a SALLYPORT X-WING PUBLIC KEY"));
  EXPECT_TRUE(contains(load_receiver_public(folder / "none").error().message, "keys receiver"));
}

TEST_F(ReceiverKey, RefusesWhatIsDamaged) {
  for (const bool secret : {false, true}) {
    const std::string good = read_text(secret ? key : pub);
    const auto parses = [&](const std::string& text) { return secret ? parse_receiver_private(text).has_value() : parse_receiver_public(text).has_value(); };
    EXPECT_TRUE(parses(good));
    EXPECT_TRUE(parses("by mail of 3 May\n" + good + "\nregards\n")) << "remarks around it do no harm";
    std::string windows;
    for (const char c : good) windows += c == '\n' ? "\r\n" : std::string(1, c);
    EXPECT_TRUE(parses(windows));
    for (std::size_t size = 0; size + 1 < good.size(); size += 7) EXPECT_FALSE(parses(good.substr(0, size))) << size;
    const std::size_t body = good.find("\n\n") + 2;
    for (std::size_t at = body; at + 60 < good.size(); at += 13) {
      std::string tampered = good;
      if (tampered[at] == '\n') continue;
      tampered[at] = tampered[at] == 'A' ? 'B' : 'A';
      EXPECT_FALSE(parses(tampered)) << "character " << at;
    }
    EXPECT_FALSE(parses(""));
    EXPECT_FALSE(parses(std::string(5000, '-')));
  }
}

}  // namespace
}  // namespace sallyport::net
