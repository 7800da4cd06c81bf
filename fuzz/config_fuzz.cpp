// A whole settings file, read as `sallyport check` reads it, connectors included.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/log.h"
#include "node/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport;
  log::set_level(log::Level::error);
  const int file = ::memfd_create("fuzz.toml", MFD_CLOEXEC);
  if (file < 0 || ::write(file, data, size) != static_cast<ssize_t>(size)) return 0;
  Problems problems;
  static_cast<void>(node::read_config("/proc/self/fd/" + std::to_string(file), node::connector_types(), problems));
  for (const Problem& problem : problems) static_cast<void>(to_string(problem));
  ::close(file);
  return 0;
}
