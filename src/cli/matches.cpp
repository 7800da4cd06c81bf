#include "cli/matches.h"

#include <boost/json.hpp>

#include "cli/command.h"
#include "cli/terminal.h"

namespace sallyport::cli {

int explain_no_match(std::string_view end_line, const std::vector<std::string>& patterns) {
  boost::system::error_code error;
  const auto parsed = boost::json::parse(end_line, error);
  if (error || !parsed.is_object()) return kFailure;
  const auto& end = parsed.get_object();
  const auto* points = end.if_contains("points");
  if (!points || !points->is_number() || points->to_number<std::uint64_t>(error) > 0) return kSuccess;
  std::string message = "no point matches";
  for (const auto& pattern : patterns) message += " '" + printable(pattern) + "'";
  if (const auto* similar = end.if_contains("similar");
      similar && similar->is_array() && !similar->get_array().empty()) {
    message += "; did you mean";
    std::string separator = " ";
    for (const auto& path : similar->get_array()) {
      if (path.is_string()) message += separator + "'" + printable(std::string(path.get_string())) + "'";
      separator = " or ";
    }
    message += "?";
  }
  print_error(message);
  return kFailure;
}

}  // namespace sallyport::cli
