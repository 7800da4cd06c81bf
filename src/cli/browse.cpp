// sallyport browse [PATH]: one level of the namespace.
#include <boost/json.hpp>

#include "base/json_writer.h"
#include "cli/admin_client.h"
#include "cli/commands.h"
#include "cli/terminal.h"

namespace sallyport::cli {
namespace {

struct Arguments {
  std::string config;
  std::string path;
  bool json = false;
};

std::string request_for(const std::string& path) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("command", "browse");
  json.field("path", path);
  json.end_object();
  return out;
}

struct Entry {
  std::string name;
  bool is_point = false;
  std::uint64_t points_below = 0;
};

Result<Entry> parse_entry(std::string_view line) {
  boost::system::error_code error;
  const auto parsed = boost::json::parse(line, error);
  if (error || !parsed.is_object()) return fail(ErrorCode::malformed, "the node's answer is no JSON");
  const auto& object = parsed.get_object();
  Entry entry;
  if (const auto* name = object.if_contains("name"); name && name->is_string()) entry.name = name->get_string();
  if (const auto* is_point = object.if_contains("is_point"); is_point && is_point->is_bool())
    entry.is_point = is_point->get_bool();
  if (const auto* below = object.if_contains("points_below"); below && below->is_number()) {
    entry.points_below = below->to_number<std::uint64_t>(error);
  }
  return entry;
}

// The path may be a point, which has nothing below it.
int explain_nothing(const Arguments& arguments) {
  if (arguments.path.empty()) {
    print_error("the node has no points yet; `sallyport status -c " + arguments.config +
                "` shows its sources and links");
  } else {
    print_error("there is nothing below '" + printable(arguments.path) + "'; `sallyport browse -c " + arguments.config +
                "` shows the top level");
  }
  return kFailure;
}

int browse(const Arguments& arguments) {
  auto client = AdminClient::connect(arguments.config);
  if (!client) return failed(client.error());
  if (auto sent = client->send(request_for(arguments.path)); !sent) return failed(sent.error());
  Table table({"NAME", "KIND", "POINTS BELOW"});
  std::size_t count = 0;
  for (;; ++count) {
    auto line = client->next();
    if (!line) return failed(line.error());
    if (!*line) break;
    if (arguments.json) {
      print(**line);
      print("\n");
      continue;
    }
    const auto entry = parse_entry(**line);
    if (!entry) return failed(entry.error());
    table.row({printable(entry->name), entry->is_point ? "point" : "folder", friendly_count(entry->points_below)});
  }
  if (count == 0) return explain_nothing(arguments);
  if (!arguments.json) table.print();
  return kSuccess;
}

}  // namespace

Command browse_command() {
  return {"browse", "One level of the namespace", [](Options& options) -> Action {
            const auto arguments = std::make_shared<Arguments>();
            options.config(arguments->config);
            options.json(arguments->json);
            options.text("path", arguments->path, "the level to look into; none: the top");
            return [arguments] { return browse(*arguments); };
          }};
}

}  // namespace sallyport::cli
