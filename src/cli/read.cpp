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
  std::optional<Table> table;
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
    const bool verified = !point->verified.empty();   // a node verifies something, or shows nothing of it anywhere
    if (!table) {
      table.emplace(verified ? std::vector<std::string>{"PATH", "VALUE", "UNIT", "QUALITY", "VERIFIED", "SOURCE", "TIME", "CAUSE"}
                             : std::vector<std::string>{"PATH", "VALUE", "UNIT", "QUALITY", "SOURCE", "TIME", "CAUSE"});
    }
    std::vector<std::string> row{point->path, point->value, point->unit, quality_cell(*point)};
    if (verified) row.push_back(verified_cell(*point));
    for (const std::string& cell : {point->origin, friendly_time(point->source_time, now), point->cause}) row.push_back(cell);
    table->row(std::move(row));
  }
  if (table) {
    table->sort();
    table->print();
  }
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
