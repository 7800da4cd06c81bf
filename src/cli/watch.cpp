// sallyport watch PATTERN…: current values first, then every change as it comes.
#include <cstdio>

#include "cli/admin_client.h"
#include "cli/commands.h"
#include "cli/point_row.h"
#include "cli/terminal.h"

namespace sallyport::cli {
namespace {

struct Arguments {
  std::string config;
  std::vector<std::string> patterns;
  bool json = false;
  std::int64_t count = 0;
  double seconds = 0;
};

// One change on one line; columns are wide enough to line up for usual paths.
void print_change(const PointRow& point, UtcNanoseconds now) {
  const auto padded = [](std::string text, std::size_t width) {
    const std::size_t used = display_width(text);
    return used < width ? text + std::string(width - used, ' ') : text;
  };
  std::string line = padded(point.path, 40) + "  ";
  if (point.removed) {
    line += coloured("removed", Colour::dim);
  } else {
    line +=
        padded(point.value, 14) + "  " + padded(quality_cell(point), 9) + "  " + friendly_time(point.source_time, now);
    if (!point.verified.empty()) line += "  " + padded(verified_cell(point), 10);
    if (!point.cause.empty()) line += "  " + coloured(point.cause, Colour::dim);
  }
  print(line + "\n");
}

// How long to wait for the next line; nothing: for ever. Zero or less: time is up.
std::optional<Duration> patience(const Arguments& arguments, MonotonicTime start) {
  if (arguments.seconds <= 0) return std::nullopt;
  const auto end = start + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(arguments.seconds));
  return end - SystemClock().monotonic();
}

Result<void> follow(AdminClient& client, const Arguments& arguments) {
  const auto start = SystemClock().monotonic();
  for (std::int64_t seen = 0; arguments.count == 0 || seen < arguments.count; ++seen) {
    const auto left = patience(arguments, start);
    if (left && *left <= Duration(0)) return {};
    auto line = client.next(left);
    if (!line && line.error().code == ErrorCode::timeout) return {};
    if (!line) return std::unexpected(line.error());
    if (!*line) return {};
    if (arguments.json) {
      print(**line);
      print("\n");
    } else {
      const auto now = now_utc();
      auto point = parse_point(**line, now);
      if (!point) return std::unexpected(point.error());
      print_change(*point, now);
    }
    if (!client.has_line()) std::fflush(stdout);
  }
  return {};
}

int watch(const Arguments& arguments) {
  auto client = AdminClient::connect(arguments.config);
  if (!client) return failed(client.error());
  if (auto sent = client->send(pattern_request("watch", arguments.patterns)); !sent) return failed(sent.error());
  if (auto followed = follow(*client, arguments); !followed) return failed(followed.error());
  return kSuccess;
}

}  // namespace

Command watch_command() {
  return {"watch", "Values and qualities as they change", [](Options& options) -> Action {
            const auto arguments = std::make_shared<Arguments>();
            options.config(arguments->config);
            options.json(arguments->json);
            options.number("--count", arguments->count, "stop after this many lines; 0: never", 0, 1'000'000'000'000);
            options.real("--seconds", arguments->seconds, "stop after this time; 0: never", 0, 1e9);
            options.texts("pattern", arguments->patterns, "paths or patterns", Options::Need::required);
            return [arguments] { return watch(*arguments); };
          }};
}

}  // namespace sallyport::cli
