#include "base/chunk_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace sallyport {
namespace {

constexpr std::uint64_t kMagic = 0x3154524f50594c53ull;  // "SLYPORT1"
constexpr std::size_t kBuffer = 1u << 20;

struct Head {
  std::uint32_t kind, size;
  std::uint64_t hash;
};
static_assert(sizeof(Head) == 16);

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Against damage, not against an attacker: who can write here can do worse.
std::uint64_t hash_chunk(std::uint64_t before, std::uint32_t kind, std::span<const std::byte> bytes) {
  std::uint64_t hash = mix(before ^ 0x9E3779B97F4A7C15ull, (std::uint64_t{kind} << 32 | bytes.size()) ^ 0xD1B54A32D192ED03ull);
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, &bytes[i], 8);
    hash = mix(hash ^ word, 0x589965CC75374CC3ull) + i;
  }
  std::uint64_t rest = 0;
  if (i < bytes.size()) std::memcpy(&rest, &bytes[i], bytes.size() - i);
  return mix(hash ^ rest, 0x1D8E4E27C47D124Full);
}

// A rename is on disk only once its folder is.
void sync_folder_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  const int folder = ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  ::fsync(folder);
  ::close(folder);
}

}  // namespace

Result<ChunkWriter> ChunkWriter::create(std::string path, std::uint32_t format) {
  std::string temporary = path + ".new";
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return std::unexpected(system_error(temporary, errno));
  File file(::fdopen(descriptor, "wb"));
  std::setvbuf(file.get(), nullptr, _IOFBF, kBuffer);
  std::fwrite(&kMagic, sizeof(kMagic), 1, file.get());
  std::fwrite(&format, sizeof(format), 1, file.get());
  return ChunkWriter(std::move(path), std::move(temporary), std::move(file));
}

ChunkWriter::~ChunkWriter() {
  if (file_) ::unlink(temporary_.c_str());
}

Result<void> ChunkWriter::add(std::uint32_t kind, std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxChunk) return fail(ErrorCode::limit, temporary_ + ": a chunk of " + std::to_string(bytes.size()) + " bytes");
  hash_ = hash_chunk(hash_, kind, bytes);
  const Head head{kind, static_cast<std::uint32_t>(bytes.size()), hash_};
  const bool written = std::fwrite(&head, sizeof(head), 1, file_.get()) == 1 &&
                       (bytes.empty() || std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) == bytes.size());
  if (!written) return std::unexpected(system_error(temporary_, errno));
  return {};
}

Result<void> ChunkWriter::commit() {
  if (auto ended = add(0, {}); !ended) return ended;
  const bool safe = std::fflush(file_.get()) == 0 && ::fsync(::fileno(file_.get())) == 0;
  if (!safe || ::rename(temporary_.c_str(), path_.c_str()) != 0) return std::unexpected(system_error(temporary_, errno));
  file_.reset();
  sync_folder_of(path_);
  return {};
}

Result<ChunkReader> ChunkReader::open(const std::string& path, std::uint32_t format) {
  const auto start = [&]() -> Result<ChunkReader> {
    File file(std::fopen(path.c_str(), "rbe"));
    if (!file) return std::unexpected(errno == ENOENT ? Error{ErrorCode::not_found, path + ": not there"} : system_error(path, errno));
    std::setvbuf(file.get(), nullptr, _IOFBF, kBuffer);
    std::uint64_t magic = 0;
    std::uint32_t found = 0;
    if (std::fread(&magic, sizeof(magic), 1, file.get()) != 1 || std::fread(&found, sizeof(found), 1, file.get()) != 1 || magic != kMagic) {
      return fail(ErrorCode::malformed, path + ": not a file of this program");
    }
    if (found != format) return fail(ErrorCode::malformed, path + ": format " + std::to_string(found) + ", this version reads " + std::to_string(format));
    return ChunkReader(std::move(file));
  };
  auto check = start();
  if (!check) return check;
  for (Chunk chunk;;) {
    const auto more = check->next(chunk);
    if (!more) return within(path, more.error());
    if (!*more) return start();
  }
}

Result<bool> ChunkReader::next(Chunk& chunk) {
  Head head{};
  if (std::fread(&head, sizeof(head), 1, file_.get()) != 1) return fail(ErrorCode::malformed, "cut short");
  if (head.size > kMaxChunk) return fail(ErrorCode::malformed, "damaged");
  chunk.kind = head.kind;
  chunk.bytes.resize(head.size);
  if (head.size > 0 && std::fread(chunk.bytes.data(), 1, head.size, file_.get()) != head.size) return fail(ErrorCode::malformed, "cut short");
  hash_ = hash_chunk(hash_, head.kind, chunk.bytes);
  if (hash_ != head.hash) return fail(ErrorCode::malformed, "damaged");
  return head.kind != 0;
}

}  // namespace sallyport
