// A file that is appended to in whole records: what could not be written whole is taken back, a torn last line from an
// earlier crash is ended, and a file that was moved away (logrotate) is opened anew. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport::file {

class AppendFile {
 public:
  // `header` is written at the start of a file that is empty.
  AppendFile(std::string path, std::string header) : path_(std::move(path)), header_(std::move(header)) {}
  ~AppendFile() { close(); }
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  bool is_open() const { return fd_ >= 0; }
  Result<void> open();
  void close();
  // All of `records`, or nothing of it and an error. Blocks no longer than the file system does; a pipe that is full
  // for a second is an error.
  Result<void> append(std::string_view records);
  // Whether the name now belongs to another file, or to none.
  bool moved_away() const;
  // Empty although written to: cut by copytruncate. The header is due again.
  Result<void> check_header();

 private:
  Result<void> write_all(std::string_view text);

  std::string path_, header_;
  int fd_ = -1;
  bool regular_ = false;
  bool torn_ = false;  // the last line is not ended
};

}  // namespace sallyport::file
