#include "node/mirror_file.h"

#include <unistd.h>

#include "base/log.h"
#include "namespace/image.h"

namespace sallyport::node {
namespace {

std::string file_in(const std::string& data_dir) { return data_dir + "/mirror"; }

Result<link::LinksMemory> read_mirror(ChunkReader& file, const std::string& node, Namespace& ns) {
  link::LinksMemory memory;
  ImageRestorer points(ns, node);
  for (Chunk chunk;;) {
    const auto more = file.next(chunk);
    if (!more) return std::unexpected(more.error());
    if (!*more) break;
    auto taken = chunk.kind < kImageKinds ? points.take(chunk) : memory.take(chunk);
    if (!taken) return std::unexpected(taken.error());
  }
  if (auto finished = points.finish(); !finished) return std::unexpected(finished.error());
  return memory;
}

}  // namespace

link::LinksMemory load_mirror(const std::string& data_dir, const std::string& node, Namespace& ns) {
  const std::string path = file_in(data_dir);
  auto file = ChunkReader::open(path, kImageFormat);
  // Used once: were it still there after a crash, it would be taken for newer than what the peers hold.
  const bool gone = ::unlink(path.c_str()) == 0;
  if (!file) {
    if (file.error().code != ErrorCode::not_found)
      log::warn("what was kept at the last stop is not used; peers send everything again", log::field("reason", file.error().message));
    return {};
  }
  if (!gone) {
    log::warn("what was kept at the last stop cannot be removed, so it is not used", log::field("file", path));
    return {};
  }
  auto memory = read_mirror(*file, node, ns);
  if (memory) return *std::move(memory);
  log::warn("what was kept at the last stop is not used; peers send everything again", log::field("reason", memory.error().message));
  ns.clear();
  return {};
}

void save_mirror(const std::string& data_dir, const Namespace& ns, const link::Links& links) {
  const auto save = [&]() -> Result<void> {
    auto file = ChunkWriter::create(file_in(data_dir), kImageFormat);
    if (!file) return std::unexpected(file.error());
    const auto add = [&](std::uint32_t kind, std::span<const std::byte> bytes) { return file->add(kind, bytes); };
    if (auto saved = save_image(ns, add); !saved) return saved;
    if (auto saved = links.save(add); !saved) return saved;
    return file->commit();
  };
  if (const auto saved = save(); !saved)
    log::warn("the mirror is not kept; after the next start peers send everything again", log::field("reason", saved.error().message));
}

}  // namespace sallyport::node
