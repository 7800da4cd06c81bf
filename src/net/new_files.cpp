#include "net/new_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <vector>

namespace sallyport::net {
namespace {

// Removes what it was told about unless kept.
class Cleanup {
 public:
  Cleanup() = default;
  ~Cleanup() {
    for (const std::string& path : paths_) ::unlink(path.c_str());
  }
  Cleanup(const Cleanup&) = delete;
  Cleanup& operator=(const Cleanup&) = delete;
  void add(std::string path) { paths_.push_back(std::move(path)); }
  void keep() { paths_.clear(); }

 private:
  std::vector<std::string> paths_;
};

[[nodiscard]] std::unexpected<Error> exists(const std::string& path) {
  return fail(ErrorCode::exists,
              path + ": exists already and is not overwritten; move it away first, or choose another folder");
}

Result<void> write_all(int descriptor, const std::string& path, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(descriptor, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return std::unexpected(system_error(path, errno));
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(descriptor) != 0) return std::unexpected(system_error(path, errno));
  return {};
}

Result<void> write_temporary(const std::string& path, const NewFile& file) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, file.mode);
  if (descriptor < 0) return std::unexpected(system_error("cannot write " + file.path, errno));
  auto written = write_all(descriptor, file.path, file.content);
  // fchmod, because the umask may have taken away the others' right to read a certificate.
  if (written && ::fchmod(descriptor, file.mode) != 0) written = std::unexpected(system_error(file.path, errno));
  ::close(descriptor);
  return written;
}

// Renames without replacing. Some file systems (FAT, some network ones) know neither RENAME_NOREPLACE nor hard links.
Result<void> put_in_place(const std::string& temporary, const std::string& path) {
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno == EEXIST) return exists(path);
  if (errno != EINVAL && errno != ENOSYS) return std::unexpected(system_error(path, errno));
  if (std::filesystem::exists(path)) return exists(path);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return std::unexpected(system_error(path, errno));
  return {};
}

void sync_folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace

Result<void> write_new_files(std::span<const NewFile> files) {
  struct stat status{};
  for (const NewFile& file : files) {
    if (::lstat(file.path.c_str(), &status) == 0) return exists(file.path);
  }
  const std::string suffix = ".new-" + std::to_string(::getpid());
  Cleanup cleanup;
  for (const NewFile& file : files) {
    if (auto written = write_temporary(file.path + suffix, file); !written) return written;
    cleanup.add(file.path + suffix);
  }
  Cleanup placed;
  for (const NewFile& file : files) {
    if (auto done = put_in_place(file.path + suffix, file.path); !done) return done;
    placed.add(file.path);
  }
  placed.keep();
  cleanup.keep();
  if (!files.empty()) sync_folder_of(files.front().path);
  return {};
}

Result<void> make_folder(const std::string& folder, mode_t mode) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(folder, error);
  if (error) return fail(ErrorCode::io, "cannot make the folder " + folder + ": " + error.message());
  if (made && ::chmod(folder.c_str(), mode) != 0) return std::unexpected(system_error(folder, errno));
  if (!std::filesystem::is_directory(folder, error))
    return fail(ErrorCode::invalid, folder + ": exists and is not a folder");
  return {};
}

}  // namespace sallyport::net
