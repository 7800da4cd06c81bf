// A file of checked chunks: written beside its place and moved there when it is whole, so that there is either all of it or
// nothing; read back only when every chunk is as it was written. For state that is kept over a restart. Any thread, one at
// a time; files up to the size of memory, a chunk at a time.
//
//   header  u64 magic, u32 format
//   chunk   u32 kind, u32 size, u64 hash of (kind, size, bytes, hash of the chunk before), bytes
//   end     a chunk of kind 0 and size 0
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace sallyport {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

inline constexpr std::size_t kMaxChunk = 64u << 20;

class ChunkWriter {
 public:
  static Result<ChunkWriter> create(std::string path, std::uint32_t format);
  ~ChunkWriter();                                   // without commit(): leaves nothing behind
  ChunkWriter(ChunkWriter&&) = default;
  ChunkWriter& operator=(ChunkWriter&&) = delete;
  // kind > 0. io: disk full and the like; the rest may then be left out.
  Result<void> add(std::uint32_t kind, std::span<const std::byte> bytes);
  Result<void> commit();                            // on disk, under its name

 private:
  ChunkWriter(std::string path, std::string temporary, File file) : path_(std::move(path)), temporary_(std::move(temporary)), file_(std::move(file)) {}
  std::string path_, temporary_;
  File file_;
  std::uint64_t hash_ = 0;
};

struct Chunk {
  std::uint32_t kind = 0;
  Bytes bytes;
};

class ChunkReader {
 public:
  // Reads all of it once, to be sure. not_found; malformed: of another format, cut short or damaged.
  static Result<ChunkReader> open(const std::string& path, std::uint32_t format);
  Result<bool> next(Chunk& chunk);                  // false: that was all

 private:
  explicit ChunkReader(File file) : file_(std::move(file)) {}
  File file_;
  std::uint64_t hash_ = 0;
};

}  // namespace sallyport
