#include "sinks/file/append_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace sallyport::file {
namespace {

constexpr int kPipeWait_ms = 1000;

std::string advice(int error_number) {
  switch (error_number) {
    case ENOENT:
      return "; create the folder";
    case EACCES:
    case EPERM:
      return "; give this user the right to write there";
    case ENOSPC:
    case EDQUOT:
      return "; make room on the disk";
    case EISDIR:
      return "; name a file, not a folder";
    case ENXIO:
      return "; nobody reads from this pipe";
    default:
      return "";
  }
}

std::unexpected<Error> io_error(const std::string& path, int error_number) {
  Error error = system_error(path, error_number);
  error.message += advice(error_number);
  return std::unexpected(std::move(error));
}

}  // namespace

Result<void> AppendFile::open() {
  close();
  // Non-blocking, so that a pipe without a reader is an error and not a wait; read access to see the last byte.
  fd_ = ::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
  if (fd_ < 0 && errno == EACCES) fd_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) return io_error(path_, errno);
  struct stat info{};
  if (fstat(fd_, &info) != 0) return io_error(path_, errno);
  regular_ = S_ISREG(info.st_mode);
  if (S_ISFIFO(info.st_mode)) {  // opened for writing only: else we would be our own reader
    close();
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0) return io_error(path_, errno);
    return write_all(header_);
  }
  char last = '\n';
  torn_ = regular_ && info.st_size > 0 && pread(fd_, &last, 1, info.st_size - 1) == 1 && last != '\n';
  return check_header();
}

void AppendFile::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  torn_ = false;
}

Result<void> AppendFile::append(std::string_view records) {
  if (fd_ < 0) return fail(ErrorCode::closed, path_ + " is not open");
  if (torn_) {
    if (auto ended = write_all("\n"); !ended) return ended;
    torn_ = false;
  }
  return write_all(records);
}

Result<void> AppendFile::write_all(std::string_view text) {
  struct stat before{};
  if (regular_ && fstat(fd_, &before) != 0) return io_error(path_, errno);
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t size = ::write(fd_, text.data() + done, text.size() - done);
    if (size >= 0) {
      done += static_cast<std::size_t>(size);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      pollfd wait{fd_, POLLOUT, 0};
      if (poll(&wait, 1, kPipeWait_ms) > 0) continue;
      errno = EAGAIN;
    }
    const int error_number = errno;
    // Nobody shall read half a record: take it back, or end its line before the next one.
    if (done > 0 && (!regular_ || ftruncate(fd_, before.st_size) != 0)) torn_ = text[done - 1] != '\n';
    return io_error(path_, error_number);
  }
  return {};
}

bool AppendFile::moved_away() const {
  struct stat here{}, there{};
  if (fd_ < 0 || fstat(fd_, &here) != 0) return true;
  if (stat(path_.c_str(), &there) != 0) return errno == ENOENT;
  return here.st_dev != there.st_dev || here.st_ino != there.st_ino;
}

Result<void> AppendFile::check_header() {
  struct stat info{};
  if (header_.empty() || !regular_) return {};
  if (fstat(fd_, &info) != 0) return io_error(path_, errno);
  return info.st_size == 0 ? write_all(header_) : Result<void>{};
}

}  // namespace sallyport::file
