// sallyport check: every problem of a settings file, before anything starts.
#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "node/config.h"

namespace sallyport::cli {
namespace {

struct Arguments {
  std::string config;
  bool json = false;
};

void print_json(const std::string& file, const Problems& problems) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("file", file);
  json.field("ok", !node::has_errors(problems));
  json.key("problems");
  json.begin_array();
  for (const Problem& problem : problems) {
    json.begin_object();
    json.field("file", problem.place.file);
    json.field("line", problem.place.line);
    json.field("column", problem.place.column);
    json.field("severity", problem.warning ? "warning" : "error");
    json.field("message", problem.message);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  print(out + "\n");
}

int check(const Arguments& arguments) {
  Problems problems;
  const auto config = node::read_config(arguments.config, node::connector_types(), problems);
  const bool ok = !node::has_errors(problems);
  if (arguments.json) {
    print_json(arguments.config, problems);
  } else {
    for (const Problem& problem : problems) print(to_string(problem) + "\n");
    if (ok)
      print(arguments.config + ": ok: node " + config.name + ", " + std::to_string(config.sources.size()) +
            " sources, " + std::to_string(config.links.size()) + " links, " + std::to_string(config.sinks.size()) +
            " sinks\n");
  }
  return ok ? kSuccess : kFailure;
}

}  // namespace

Command check_command() {
  return {"check", "Every problem of a settings file as file:line:column", [](Options& options) -> Action {
            const auto arguments = std::make_shared<Arguments>();
            options.config(arguments->config);
            options.json(arguments->json);
            return [arguments] { return check(*arguments); };
          }};
}

}  // namespace sallyport::cli
