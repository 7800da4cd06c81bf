// The folder a node keeps its state in: made when missing, locked so that no second node uses it, and home of the admin
// socket. Main thread.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "node/file_descriptor.h"

namespace sallyport::node {

// Held as long as the node runs; the lock vanishes with the process, however it ends.
class DataDir {
 public:
  // Creates the folder (0700; its parent must exist), checks that it can be written, and takes the lock.
  static Result<DataDir> open(const std::string& path);
  const std::string& path() const { return path_; }

 private:
  DataDir(std::string path, FileDescriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  FileDescriptor lock_;
};

// The process that holds the lock of this folder, if any does.
std::optional<int> lock_holder(const std::string& data_dir);

// The admin socket <data_dir>/admin.sock. The limit of 107 bytes on the names of sockets does not apply: longer ones
// are reached through /proc/self/fd.
std::string admin_socket_path(const std::string& data_dir);
// The lock must be held: whatever socket is there is stale and is replaced. Mode 0600.
Result<FileDescriptor> listen_admin(const std::string& data_dir);
// unavailable: nobody answers there.
Result<FileDescriptor> connect_admin(const std::string& data_dir);

}  // namespace sallyport::node
