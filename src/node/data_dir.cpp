#include "node/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

namespace sallyport::node {
namespace {

constexpr int kAdminBacklog = 16;

std::string lock_path(const std::string& data_dir) { return data_dir + "/lock"; }

Error dir_error(const std::string& path, int error_number, const std::string& advice) {
  Error error = system_error("data_dir " + path, error_number);
  error.message += "; " + advice;
  return error;
}

Result<void> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return {};
  const int error_number = errno;
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return {};
    return fail(ErrorCode::io, "data_dir " + path + " is not a folder");
  }
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return std::unexpected(
      dir_error(path, error_number,
                "create it and give it to the user that runs the node, e.g. `install -d -m 700 -o \"$USER\" " + path +
                    "`" + (error_number == ENOENT ? " (its parent " + parent + " does not exist)" : "")));
}

std::string read_pid(int fd) {
  std::array<char, 32> text{};
  const auto size = ::pread(fd, text.data(), text.size() - 1, 0);
  if (size <= 0) return {};
  std::string pid(text.data(), static_cast<std::size_t>(size));
  while (!pid.empty() && (pid.back() < '0' || pid.back() > '9')) pid.pop_back();
  return pid;
}

// lock_holder() holds a lock for an instant too, so one refusal says nothing yet.
bool take_lock(int fd) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  errno = EWOULDBLOCK;
  return false;
}

// A socket address for the name, by way of an open folder when the name is too long for sockaddr_un.
struct SocketName {
  sockaddr_un address{};
  FileDescriptor folder;
};
Result<SocketName> socket_name(const std::string& data_dir) {
  SocketName name;
  name.address.sun_family = AF_UNIX;
  std::string path = admin_socket_path(data_dir);
  if (path.size() >= sizeof name.address.sun_path) {
    name.folder = FileDescriptor(::open(data_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!name.folder) return std::unexpected(system_error(data_dir, errno));
    path = "/proc/self/fd/" + std::to_string(name.folder.get()) + "/admin.sock";
  }
  std::memcpy(name.address.sun_path, path.c_str(), path.size() + 1);
  return name;
}

}  // namespace

Result<DataDir> DataDir::open(const std::string& path) {
  if (auto made = make_folder(path); !made) return std::unexpected(made.error());
  const std::string lock_file = lock_path(path);
  FileDescriptor lock(::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) {
    return std::unexpected(dir_error(
        path, errno,
        "the node must be able to write there: give the folder to the user that runs it, or choose another data_dir"));
  }
  if (!take_lock(lock.get())) {
    if (errno != EWOULDBLOCK) return std::unexpected(system_error(lock_file, errno));
    const std::string pid = read_pid(lock.get());
    return fail(ErrorCode::exists, "data_dir " + path + " is used by another node" +
                                       (pid.empty() ? "" : " (process " + pid + ")") +
                                       "; stop that one or give this node a data_dir of its own");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) != 0 ||
      ::pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return std::unexpected(dir_error(path, errno, "is the disk full?"));
  }
  return DataDir(path, std::move(lock));
}

std::optional<int> lock_holder(const std::string& data_dir) {
  const FileDescriptor lock(::open(lock_path(data_dir).c_str(), O_RDONLY | O_CLOEXEC));
  if (!lock) return std::nullopt;
  if (::flock(lock.get(), LOCK_SH | LOCK_NB) == 0) return std::nullopt;
  const std::string text = read_pid(lock.get());
  int pid = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), pid);
  return parsed.ec == std::errc() ? std::optional(pid) : std::nullopt;
}

std::string admin_socket_path(const std::string& data_dir) { return data_dir + "/admin.sock"; }

Result<FileDescriptor> listen_admin(const std::string& data_dir) {
  const std::string path = admin_socket_path(data_dir);
  const auto name = socket_name(data_dir);
  if (!name) return std::unexpected(name.error());
  FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return std::unexpected(system_error(path, errno));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return std::unexpected(system_error(path, errno));
  const auto* address = reinterpret_cast<const sockaddr*>(&name->address);
  if (::bind(fd.get(), address, sizeof name->address) != 0) return std::unexpected(system_error(path, errno));
  if (::chmod(path.c_str(), 0600) != 0) return std::unexpected(system_error(path, errno));
  if (::listen(fd.get(), kAdminBacklog) != 0) return std::unexpected(system_error(path, errno));
  return fd;
}

Result<FileDescriptor> connect_admin(const std::string& data_dir) {
  const std::string path = admin_socket_path(data_dir);
  const auto name = socket_name(data_dir);
  if (!name) return fail(ErrorCode::unavailable, name.error().message);
  FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return std::unexpected(system_error(path, errno));
  const auto* address = reinterpret_cast<const sockaddr*>(&name->address);
  if (::connect(fd.get(), address, sizeof name->address) == 0) return fd;
  const int error_number = errno;
  if (error_number == ENOENT || error_number == ECONNREFUSED || error_number == ENOTDIR) {
    return fail(ErrorCode::unavailable, path + ": nobody answers");
  }
  Error error = system_error(path, error_number);
  if (error_number == EACCES)
    error = {ErrorCode::refused, error.message + "; run this as the user that runs the node, or as root"};
  return std::unexpected(std::move(error));
}

}  // namespace sallyport::node
