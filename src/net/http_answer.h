// The head of an HTTP answer, for the two places where a node is an HTTP client for one moment: CONNECT through a
// proxy, and the upgrade to WebSocket. Bytes in, no I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sallyport::net {

struct HttpAnswer {
  int status = 0;
  std::string reason;                                        // printable, shortened: safe to show
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  // The values of all lines of that name, joined by ", ".
  std::string header(std::string_view name) const;
};
constexpr std::size_t kMaxHttpAnswer = 8 * 1024;

// Takes an answer's head off the front of `in`; nullopt when it is not complete. Answers 1xx are passed over, but for
// 101.
Result<std::optional<HttpAnswer>> take_http_answer(std::string& in);

// "keep-alive, Upgrade" has the token "upgrade".
bool has_token(std::string_view list, std::string_view token);
bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace sallyport::net
