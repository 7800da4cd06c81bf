#include "row.h"

#include <boost/json.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace sallyport::tests {

bool full_length() {
  const char* asked = std::getenv("SALLYPORT_FAULTS");
  return asked != nullptr && std::string(asked) == "full";
}

std::string seconds_text(std::optional<Clock::duration> duration) {
  if (!duration) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.3f s", std::chrono::duration<double>(*duration).count());
  return text;
}

namespace {

std::string count_text(std::optional<std::size_t> count) { return count ? std::to_string(*count) : "-"; }

}  // namespace

void report(const Row& row) {
  std::printf("[ measured ] %s | bound %s | not good %s | right again %s | wrong %s | stale good %s | backwards %s | %s\n",
              row.fault.c_str(), row.bound.c_str(), seconds_text(row.not_good).c_str(), seconds_text(row.right).c_str(),
              count_text(row.wrong).c_str(), count_text(row.stale_good).c_str(), count_text(row.backwards).c_str(),
              row.note.c_str());
  std::fflush(stdout);
  const char* file = std::getenv("SALLYPORT_RELIABILITY");
  if (file == nullptr) return;
  const boost::json::object json{{"table", row.table},
                                 {"fault", row.fault},
                                 {"bound", row.bound},
                                 {"not_good", seconds_text(row.not_good)},
                                 {"right", seconds_text(row.right)},
                                 {"wrong", count_text(row.wrong)},
                                 {"stale_good", count_text(row.stale_good)},
                                 {"backwards", count_text(row.backwards)},
                                 {"note", row.note}};
  std::ofstream(file, std::ios::app) << boost::json::serialize(json) + "\n";
}

}  // namespace sallyport::tests
