#include "seal/state_file.h"

#include "base/chunk_file.h"
#include "namespace/path.h"

namespace sallyport::seal {
namespace {

constexpr std::uint32_t kFormat = 1;
constexpr std::uint32_t kEpochChunk = 1, kStreamChunk = 2;
constexpr std::size_t kMaxName = 64;

std::unexpected<Error> damaged(const std::string& file) { return fail(ErrorCode::malformed, file + " is damaged"); }

Result<void> save(const std::string& path, std::uint32_t kind, const std::vector<Bytes>& chunks) {
  auto file = ChunkWriter::create(path, kFormat);
  if (!file) return std::unexpected(file.error());
  for (const Bytes& chunk : chunks) {
    if (auto added = file->add(kind, chunk); !added) return added;
  }
  return file->commit();
}

Result<std::vector<Bytes>> load(const std::string& path, std::uint32_t kind) {
  std::vector<Bytes> chunks;
  auto file = ChunkReader::open(path, kFormat);
  if (!file && file.error().code == ErrorCode::not_found) return chunks;
  if (!file) return std::unexpected(file.error());
  for (Chunk chunk;;) {
    const auto more = file->next(chunk);
    if (!more) return std::unexpected(more.error());
    if (!*more) return chunks;
    if (chunk.kind == kind) chunks.push_back(std::move(chunk.bytes));
  }
}

}  // namespace

Result<std::uint64_t> load_epoch(const std::string& file) {
  const auto chunks = load(file, kEpochChunk);
  if (!chunks) return std::unexpected(chunks.error());
  if (chunks->empty()) return 0;
  ByteReader in(chunks->front());
  const auto epoch = in.number<std::uint64_t>();
  return in.done() ? Result<std::uint64_t>(epoch) : damaged(file);
}

Result<void> save_epoch(const std::string& file, std::uint64_t epoch) {
  Bytes bytes;
  ByteWriter(bytes).number<std::uint64_t>(epoch);
  return save(file, kEpochChunk, {bytes});
}

Result<std::vector<StreamMemory>> load_memories(const std::string& file) {
  const auto chunks = load(file, kStreamChunk);
  if (!chunks) return std::unexpected(chunks.error());
  std::vector<StreamMemory> memories;
  for (const Bytes& chunk : *chunks) {
    ByteReader in(chunk);
    StreamMemory& memory = memories.emplace_back();
    memory.origin = in.text(kMaxName);
    memory.prefix = in.text(kMaxPathBytes);
    memory.epoch = in.number<std::uint64_t>();
    memory.manifest = in.number<std::int64_t>();
    const std::uint64_t hops = in.varint();
    if (hops > kMaxHops) return damaged(file);
    for (std::uint64_t i = 0; i < hops; ++i) memory.hops.emplace_back(in.text(kMaxName));
    if (!in.done()) return damaged(file);
  }
  return memories;
}

Result<void> save_memories(const std::string& file, const std::vector<StreamMemory>& memories) {
  std::vector<Bytes> chunks;
  for (const StreamMemory& memory : memories) {
    ByteWriter w(chunks.emplace_back());
    w.text(memory.origin);
    w.text(memory.prefix);
    w.number<std::uint64_t>(memory.epoch);
    w.number<std::int64_t>(memory.manifest);
    w.varint(memory.hops.size());
    for (const std::string& hop : memory.hops) w.text(hop);
  }
  return save(file, kStreamChunk, chunks);
}

}  // namespace sallyport::seal
