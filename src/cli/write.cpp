// sallyport write PATH VALUE: refused, and says why. Values travel from where they arise to where they are used; a way back
// would need a link that receives at the plant and a source that takes values, and this program has no such source.
#include "cli/admin_client.h"
#include "cli/commands.h"
#include "cli/matches.h"
#include "cli/point_row.h"
#include "cli/terminal.h"

namespace sallyport::cli {
namespace {

struct Arguments {
  std::string config, path, value;
};

int write(const Arguments& arguments) {
  auto client = AdminClient::connect(arguments.config);
  if (!client) return failed(client.error());
  if (auto sent = client->send(pattern_request("read", {arguments.path})); !sent) return failed(sent.error());
  auto line = client->next();
  if (!line) return failed(line.error());
  if (!*line) return explain_no_match(client->end_line(), {arguments.path});
  const auto point = parse_point(**line, now_utc());
  if (!point) return failed(point.error());
  return failed(Error{ErrorCode::refused, point->path + " cannot be written: it comes from " + point->origin +
                                              ", and no source of this program takes values; nothing was sent"});
}

}  // namespace

Command write_command() {
  return {"write", "Refused: values travel one way, out of the plant", [](Options& options) -> Action {
            const auto arguments = std::make_shared<Arguments>();
            options.config(arguments->config);
            options.text("path", arguments->path, "of the point", Options::Need::required);
            options.text("value", arguments->value, "what it should become", Options::Need::required);
            return [arguments] { return write(*arguments); };
          }};
}

}  // namespace sallyport::cli
