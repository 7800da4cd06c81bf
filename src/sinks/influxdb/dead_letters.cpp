#include "sinks/influxdb/dead_letters.h"

#include <filesystem>
#include <fstream>

namespace sallyport::influxdb {
namespace {
constexpr std::uintmax_t kMaxSize = 1024 * 1024;
constexpr std::size_t kMaxLine = 16 * 1024;
}  // namespace

bool DeadLetters::put(std::string_view line, std::string_view why) const {
  if (file_.empty()) return true;
  std::error_code error;
  if (const auto size = std::filesystem::file_size(file_, error); !error && size >= kMaxSize) std::filesystem::rename(file_, file_ + ".1", error);
  while (line.ends_with('\n')) line.remove_suffix(1);
  std::ofstream out(file_, std::ios::app);
  out << "# " << why << '\n' << line.substr(0, kMaxLine) << '\n';
  return out.good();
}

}  // namespace sallyport::influxdb
