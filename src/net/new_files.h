// Files that must not exist yet, written whole or not at all: keys and certificates. Any thread.
#pragma once

#include <span>
#include <string>

#include <sys/types.h>

#include "base/result.h"

namespace sallyport::net {

struct NewFile {
  std::string path;
  std::string content;
  mode_t mode = 0644;
};
// Either all of them appear under their names, complete and on disk, or none does. An existing file is never touched.
Result<void> write_new_files(std::span<const NewFile> files);
// Makes the folder if it is missing (`mode` for the last level).
Result<void> make_folder(const std::string& folder, mode_t mode);

}  // namespace sallyport::net
