// Process metrics; see process_metrics.h.
#include "sinks/http/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

namespace sallyport::http {
namespace {

std::string read_small(const char* name) {
  std::string text(4096, '\0');
  std::FILE* file = std::fopen(name, "re");
  if (file == nullptr) return {};
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

std::uint64_t open_descriptors() {
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  std::uint64_t count = 0;
  while (const dirent* entry = ::readdir(folder)) {
    if (entry->d_name[0] != '.') ++count;
  }
  ::closedir(folder);
  return count - 1;  // the folder itself
}

// Since 1970; field 22 of /proc/self/stat counts ticks from the boot. The name in field 2 may hold anything, so count
// from its last parenthesis. (proc_pid_stat(5))
double start_time() {
  const std::string stat = read_small("/proc/self/stat");
  const std::string uptime = read_small("/proc/uptime");
  std::size_t at = stat.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat.find(' ', at + 1);
  if (at == std::string::npos || uptime.empty()) return 0;
  const double since_boot = std::strtod(stat.c_str() + at, nullptr) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec) - std::strtod(uptime.c_str(), nullptr) + since_boot;
}

}  // namespace

void add_process_metrics(MetricsText& out) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  out.counter("process_cpu_seconds_total", "Processor time used, user and system", {},
              seconds(usage.ru_utime) + seconds(usage.ru_stime));
  unsigned long long pages = 0, resident = 0;
  std::sscanf(read_small("/proc/self/statm").c_str(), "%llu %llu", &pages, &resident);
  const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  out.gauge("process_virtual_memory_bytes", "Address space", {}, std::uint64_t{pages} * page_bytes);
  out.gauge("process_resident_memory_bytes", "Memory in use", {}, std::uint64_t{resident} * page_bytes);
  out.gauge("process_open_fds", "Open file descriptors", {}, open_descriptors());
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  out.gauge("process_max_fds", "Limit of file descriptors", {}, static_cast<std::uint64_t>(limit.rlim_cur));
  out.gauge("process_start_time_seconds", "When the process started, seconds since 1970", {}, start_time());
}

}  // namespace sallyport::http
