// sallyport read PATTERN…: the points that match, once.
#include "cli/admin_client.h"
#include "cli/commands.h"
#include "cli/matches.h"
#include "cli/point_row.h"
#include "cli/terminal.h"

namespace sallyport::cli {
namespace {

struct Arguments {
  std::string config;
  std::vector<std::string> patterns;
  bool json = false;
};

Result<void> print_points(AdminClient& client, bool json) {
  Table table({"PATH", "VALUE", "UNIT", "QUALITY", "SOURCE", "TIME", "CAUSE"});
  const auto now = now_utc();
  for (;;) {
    auto line = client.next();
    if (!line) return std::unexpected(line.error());
    if (!*line) break;
    if (json) {
      print(**line);
      print("\n");
      continue;
    }
    auto point = parse_point(**line, now);
    if (!point) return std::unexpected(point.error());
    table.row({point->path, point->value, point->unit, quality_cell(*point), point->origin,
               friendly_time(point->source_time, now), point->cause});
  }
  table.sort();
  if (!table.empty()) table.print();
  return {};
}

int read(const Arguments& arguments) {
  auto client = AdminClient::connect(arguments.config);
  if (!client) return failed(client.error());
  if (auto sent = client->send(pattern_request("read", arguments.patterns)); !sent) return failed(sent.error());
  if (auto printed = print_points(*client, arguments.json); !printed) return failed(printed.error());
  return explain_no_match(client->end_line(), arguments.patterns);
}

}  // namespace

Command read_command() {
  return {"read", "The points that match, with value, quality, source and time", [](Options& options) -> Action {
            const auto arguments = std::make_shared<Arguments>();
            options.config(arguments->config);
            options.json(arguments->json);
            options.texts("pattern", arguments->patterns,
                          "paths or patterns: '*' is one level or a part of one, '**' any number of levels",
                          Options::Need::required);
            return [arguments] { return read(*arguments); };
          }};
}

}  // namespace sallyport::cli
