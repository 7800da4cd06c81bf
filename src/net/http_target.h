// The target of a request (RFC 9112 §3.2) taken apart: path and query, percent-decoded and checked.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sallyport::net {

struct HttpTarget {
  std::string path;  // decoded; begins with '/'; "*" for the asterisk form
  std::vector<std::pair<std::string, std::string>> query;
  std::string authority;  // only of an absolute-form target
};
// Refuses bad percent escapes, control characters (NUL among them), bytes that are not UTF-8, more than 128 parameters.
Result<HttpTarget> parse_http_target(std::string_view target);

// Strict: every '%' needs two hex digits. `plus_is_space` for queries.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space);

// "example.org:8080" → "example.org", "[::1]:80" → "::1", lower case, no trailing dot. Empty when malformed.
std::string host_of_authority(std::string_view authority);

}  // namespace sallyport::net
