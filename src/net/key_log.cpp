// Hangs a key log on an OpenSSL context, which owns it: connections outlive the identity they were made with.
#include "net/key_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <mutex>

#include "base/log.h"

namespace sallyport::net {
namespace {

struct KeyLog {
  explicit KeyLog(std::string f) : file(std::move(f)) {}
  ~KeyLog() {
    if (descriptor >= 0) ::close(descriptor);
  }
  KeyLog(const KeyLog&) = delete;
  KeyLog& operator=(const KeyLog&) = delete;

  void add(std::string line) {   // Any thread: links may dial from several.
    const std::lock_guard lock(mutex);
    if (failed) return;
    if (descriptor < 0) descriptor = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    line += '\n';
    // One write a line: several contexts, and several nodes in a test, append to the same file.
    if (descriptor >= 0 && ::write(descriptor, line.data(), line.size()) == static_cast<ssize_t>(line.size())) return;
    failed = true;
    log::error("cannot write the key log; captures of new connections cannot be read", log::field("file", file),
               log::field("reason", std::strerror(errno)));
  }

  std::mutex mutex;
  std::string file;
  int descriptor = -1;
  bool failed = false;
};

void free_key_log(void*, void* log, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<KeyLog*>(log); }

int key_log_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_key_log);
  return index;
}

void log_line(const SSL* ssl, const char* line) {
  auto* log = static_cast<KeyLog*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), key_log_index()));
  if (log != nullptr) log->add(line);
}

}  // namespace

Result<void> check_key_log(const std::string& file) {
  struct stat status{};
  if (::lstat(file.c_str(), &status) == 0) {
    if (!S_ISREG(status.st_mode)) return fail(ErrorCode::invalid, file + ": is no plain file; name one that may be made or appended to");
    if ((status.st_mode & 077) != 0) {
      return fail(ErrorCode::invalid, file + ": others may read it; a key log opens every session it is of: chmod 600 it, or remove it");
    }
    return {};
  }
  const auto folder = std::filesystem::path(file).parent_path();
  std::error_code error;
  if (folder.empty() || std::filesystem::is_directory(folder, error)) return {};
  return fail(ErrorCode::invalid, file + ": the folder " + folder.string() + " is not there; make it first");
}

void write_key_log(SSL_CTX* context, const std::string& file) {
  SSL_CTX_set_ex_data(context, key_log_index(), new KeyLog(file));
  SSL_CTX_set_keylog_callback(context, log_line);
}

}  // namespace sallyport::net
