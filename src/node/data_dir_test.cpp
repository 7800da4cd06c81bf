#include "node/data_dir.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/test_folder.h"

namespace sallyport::node {
namespace {

TEST(DataDir, IsMadeForItsOwnerOnly) {
  const TestFolder folder;
  const auto dir = DataDir::open(folder.path() + "/data");
  ASSERT_TRUE(dir) << dir.error().message;
  struct stat info{};
  ASSERT_EQ(::stat((folder.path() + "/data").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0700u);
}

TEST(DataDir, IsNotMadeBelowAFolderThatDoesNotExist) {
  const TestFolder folder;
  const auto dir = DataDir::open(folder.path() + "/no/data");
  ASSERT_FALSE(dir);
  EXPECT_TRUE(dir.error().message.contains("does not exist")) << dir.error().message;
}

TEST(DataDir, ThatIsAFileIsRefused) {
  const TestFolder folder;
  const auto dir = DataDir::open(folder.write("data", "x"));
  ASSERT_FALSE(dir);
  EXPECT_TRUE(dir.error().message.contains("not a folder")) << dir.error().message;
}

TEST(DataDir, ThatCannotBeWrittenIsRefused) {
  const TestFolder folder;
  std::filesystem::create_directory(folder.path() + "/data");
  std::filesystem::create_directory(folder.path() + "/data/lock");  // even root cannot write this file
  const auto dir = DataDir::open(folder.path() + "/data");
  ASSERT_FALSE(dir);
  EXPECT_TRUE(dir.error().message.contains("must be able to write")) << dir.error().message;
}

TEST(DataDir, OfARunningNodeIsRefusedWithItsProcess) {
  const TestFolder folder;
  const auto first = DataDir::open(folder.path());
  ASSERT_TRUE(first);
  const auto second = DataDir::open(folder.path());
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().message.contains("process " + std::to_string(::getpid()))) << second.error().message;
  EXPECT_EQ(lock_holder(folder.path()), ::getpid());
}

TEST(DataDir, IsFreeAgainWhenItsNodeIsGone) {
  const TestFolder folder;
  {
    ASSERT_TRUE(DataDir::open(folder.path()));
  }
  EXPECT_EQ(lock_holder(folder.path()), std::nullopt);
  EXPECT_TRUE(DataDir::open(folder.path()));
}

TEST(AdminSocket, IsForItsOwnerOnlyAndReplacesAStaleOne) {
  const TestFolder folder;
  {
    ASSERT_TRUE(listen_admin(folder.path()));
  }  // closed, but its name stays behind
  EXPECT_FALSE(connect_admin(folder.path()));
  const auto socket = listen_admin(folder.path());
  ASSERT_TRUE(socket) << socket.error().message;
  struct stat info{};
  ASSERT_EQ(::stat(admin_socket_path(folder.path()).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  EXPECT_TRUE(connect_admin(folder.path()));
}

TEST(AdminSocket, WorksInAFolderWhoseNameIsTooLongForASocket) {
  const TestFolder folder;
  const std::string data_dir = folder.path() + "/" + std::string(200, 'x');
  ASSERT_TRUE(std::filesystem::create_directory(data_dir));
  const auto socket = listen_admin(data_dir);
  ASSERT_TRUE(socket) << socket.error().message;
  const auto client = connect_admin(data_dir);
  EXPECT_TRUE(client) << client.error().message;
}

TEST(AdminSocket, ThatNobodyServesIsUnavailable) {
  const TestFolder folder;
  const auto client = connect_admin(folder.path());
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, ErrorCode::unavailable);
}

}  // namespace
}  // namespace sallyport::node
