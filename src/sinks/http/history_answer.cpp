#include "sinks/http/history_answer.h"

#include <utility>

namespace sallyport::http {
namespace {

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid: return 400;
    case ErrorCode::not_found: return 404;
    default: return 503;
  }
}

// JSON objects, each on a line of its own, as an array. A line break inside of one is escaped.
std::string as_array(std::string lines) {
  if (!lines.empty()) lines.pop_back();
  for (char& c : lines) c = c == '\n' ? ',' : c;
  return "[" + lines + "]";
}

net::HttpResponse response_of(bool rows, Result<history::Answer> answer) {
  if (!answer) {
    const ErrorCode code = answer.error().code;
    const char* hint = code == ErrorCode::not_found ? "match=** shows what there is" : code == ErrorCode::invalid ? "" : "see the history in /api/v1/status";
    return net::http_problem(status_of(code), answer.error().message, hint);
  }
  std::string body = rows ? "{\"rows\":" : "{\"samples\":";
  body += as_array(std::move(answer->samples));
  body += ",\"gaps\":" + as_array(std::move(answer->gaps));
  body += ",\"cursor\":" + (answer->cursor ? "\"" + *answer->cursor + "\"" : std::string("null"));
  body += "}\n";
  return net::HttpResponse::json(std::move(body));
}

}  // namespace

std::vector<net::HttpParameter> history_parameters() {
  return {{"match", true}, {"path"}, {"from"}, {"to"}, {"limit"}, {"cursor"}, {"order"}, {"aggregate"}, {"interval"}, {"stepped"}, {"at", true}, {"max_age"}};
}

net::HttpResponse history_answer(NodeView& view, UtcNanoseconds now, const net::HttpRequest& request) {
  history::Reads* reads = view.history();
  if (reads == nullptr) return net::http_problem(404, "this node keeps no history", "add [history] with match = [\"…/**\"] to its settings");
  auto query = history::parse_query(request.query, now);
  if (!query) return net::http_problem(400, query.error().message, "docs/history.md has examples");
  net::HttpResponse response;
  response.later = [reads, query = *std::move(query)](std::function<void(net::HttpResponse)> done) {
    const bool rows = !query.at.empty();
    reads->ask(query, [rows, done = std::move(done)](Result<history::Answer> answer) { done(response_of(rows, std::move(answer))); });
  };
  return response;
}

}  // namespace sallyport::http
