#include "cli/bench_report.h"

#include <openssl/crypto.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "cli/terminal.h"
#include "node/version.h"

namespace sallyport::cli::bench {
namespace {

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != line.npos) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace

Machine this_machine() {
  Machine machine;
  machine.cores = static_cast<unsigned>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  machine.cpu = cpu_model();
  utsname names{};
  if (uname(&names) == 0) machine.kernel = names.release;
  machine.openssl = OpenSSL_version(OPENSSL_VERSION_STRING);
  machine.version = node::version();
  std::array<double, 1> load{};
  if (getloadavg(load.data(), 1) == 1) machine.load = load[0];
  return machine;
}

void write_machine(JsonWriter& json, const Machine& machine) {
  json.field("version", machine.version);
  json.key("machine");
  json.begin_object();
  json.field("cores", machine.cores);
  json.field("cpu", machine.cpu);
  json.field("kernel", machine.kernel);
  json.field("openssl", machine.openssl);
  json.field("load_before", machine.load);
  json.end_object();
}

void Sheet::line(std::string name, std::string figure, std::string remark) {
  lines_.push_back({std::move(name), std::move(figure), std::move(remark)});
}

void Sheet::print(const Machine& machine) const {
  std::size_t name_width = 0, figure_width = 0;
  for (const Line& line : lines_) {
    name_width = std::max(name_width, display_width(line.name));
    figure_width = std::max(figure_width, display_width(line.figure));
  }
  std::string out = bold(title_) + "\n";
  for (const Line& line : lines_) {
    out += "  " + line.name + std::string(name_width - display_width(line.name) + 2, ' ') +
           std::string(figure_width - display_width(line.figure), ' ') + line.figure;
    if (!line.remark.empty()) out += "  " + coloured(line.remark, Colour::dim);
    out += "\n";
  }
  out += coloured("  sallyport " + machine.version + ", " + std::to_string(machine.cores) + " cores of " + machine.cpu +
                      ", Linux " + machine.kernel + ", OpenSSL " + machine.openssl + ", load before " +
                      rounded(machine.load, 1),
                  Colour::dim) +
         "\n";
  cli::print(out);
}

std::string rounded(double number, int digits) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, number);
  return text.data();
}

std::string in_millions(double number) { return rounded(number / 1e6, number < 1e7 ? 2 : 1) + " million"; }

std::string microseconds_text(std::uint64_t nanoseconds) {
  const double microseconds = static_cast<double>(nanoseconds) / 1e3;
  return rounded(microseconds, microseconds < 100 ? 1 : 0) + " µs";
}

double round_to(double number, int digits) {
  const double factor = std::pow(10.0, digits);
  return std::round(number * factor) / factor;
}

}  // namespace sallyport::cli::bench
