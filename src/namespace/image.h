// A namespace on disk, over a restart: points with their ids, revisions and tombstones, and the routes by which they came.
// What was restored is covered until what brings it is back: nothing of it looks good.
#pragma once

#include <string_view>

#include "base/chunk_file.h"
#include "namespace/namespace.h"

namespace sallyport {

inline constexpr std::uint32_t kImageFormat = 1;
// Kinds of chunks below this are the namespace's; others may stand in the same file.
inline constexpr std::uint32_t kImageKinds = 100;

// Nobody writes meanwhile. Readers may go on.
using ChunkSink = std::function<Result<void>(std::uint32_t kind, std::span<const std::byte> bytes)>;
Result<void> save_image(const Namespace& ns, const ChunkSink& out);

// One chunk of save_image(), into a namespace that nobody has touched yet; then finish. Errors (malformed, or limit: the
// limits of this namespace are smaller) leave it unusable.
class ImageRestorer {
 public:
  // `node`: says so in the cause of what is covered.
  ImageRestorer(Namespace& ns, std::string_view node);
  Result<void> take(const Chunk& chunk);
  Result<void> finish();

 private:
  Result<void> take_head(ByteReader& in);
  Result<void> take_metas(ByteReader& in);
  Result<void> take_routes(ByteReader& in);
  Result<void> take_points(ByteReader& in);

  Namespace::Impl& im_;
  Cause cause_;
  std::uint64_t revision_ = 0, definition_ = 0;
  std::uint32_t points_ = 0;
  std::vector<Meta> metas_;
  std::string path_;
  UtcNanoseconds time_ = 0;
};

}  // namespace sallyport
