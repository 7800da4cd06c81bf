#include "base/chunk_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace sallyport {
namespace {

namespace fs = std::filesystem;

struct ChunkFile : ::testing::Test {
  fs::path folder = fs::path(::testing::TempDir()) / ("chunks-" + std::to_string(::getpid()));
  std::string file = (folder / "state").string();
  ChunkFile() { fs::create_directories(folder); }
  ~ChunkFile() override { fs::remove_all(folder); }

  void write() const {
    auto out = ChunkWriter::create(file, 3);
    ASSERT_TRUE(out) << out.error().message;
    ASSERT_TRUE(out->add(7, as_bytes("first")));
    ASSERT_TRUE(out->add(8, {}));
    ASSERT_TRUE(out->add(7, as_bytes(std::string(5000, 'x'))));
    ASSERT_TRUE(out->commit());
  }
  std::string bytes() const {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(const std::string& bytes) const { std::ofstream(file, std::ios::binary) << bytes; }
};

TEST_F(ChunkFile, GivesBackWhatWasWritten) {
  write();
  auto in = ChunkReader::open(file, 3);
  ASSERT_TRUE(in) << in.error().message;
  Chunk chunk;
  ASSERT_TRUE(in->next(chunk).value_or(false));
  EXPECT_EQ(chunk.kind, 7u);
  EXPECT_EQ(as_text(chunk.bytes), "first");
  ASSERT_TRUE(in->next(chunk).value_or(false));
  EXPECT_EQ(chunk.kind, 8u);
  EXPECT_TRUE(chunk.bytes.empty());
  ASSERT_TRUE(in->next(chunk).value_or(false));
  EXPECT_EQ(chunk.bytes.size(), 5000u);
  EXPECT_FALSE(in->next(chunk).value_or(true));
}

TEST_F(ChunkFile, LeavesNothingBehindWithoutCommitAndReplacesAWholeFileAtOnce) {
  write();
  const std::string before = bytes();
  {
    auto out = ChunkWriter::create(file, 3);
    ASSERT_TRUE(out);
    ASSERT_TRUE(out->add(1, as_bytes("half")));
  }
  EXPECT_EQ(bytes(), before);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 1);
}

TEST_F(ChunkFile, RefusesEveryTruncationAndEveryFlippedBit) {
  write();
  const std::string whole = bytes();
  for (std::size_t size = 0; size < whole.size(); size += size < 100 ? 1 : 97) {
    put(whole.substr(0, size));
    EXPECT_FALSE(ChunkReader::open(file, 3)) << size;
  }
  for (std::size_t at = 0; at < whole.size(); at += at < 100 ? 1 : 97) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    put(damaged);
    EXPECT_FALSE(ChunkReader::open(file, 3)) << at;
  }
}

TEST_F(ChunkFile, SaysWhatIsWrong) {
  EXPECT_EQ(ChunkReader::open(file, 3).error().code, ErrorCode::not_found);
  write();
  EXPECT_EQ(ChunkReader::open(file, 4).error().message, file + ": format 3, this version reads 4");
  put("something else entirely");
  EXPECT_EQ(ChunkReader::open(file, 3).error().code, ErrorCode::malformed);
  EXPECT_FALSE(ChunkWriter::create((folder / "no" / "such" / "folder").string(), 3));
}

TEST_F(ChunkFile, SaysThatTheDiskIsFull) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  fs::create_symlink("/dev/full", file + ".new");
  auto out = ChunkWriter::create(file, 3);
  ASSERT_TRUE(out);
  ASSERT_TRUE(out->add(1, as_bytes("x")));
  const auto done = out->commit();
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("No space"), std::string::npos) << done.error().message;
  EXPECT_FALSE(fs::exists(file));
}

}  // namespace
}  // namespace sallyport
