// What a foreign consumer sees of the last node: its HTTP API, and nothing else.
#pragma once

#include <map>
#include <string>

#include "harness.h"
#include "json.h"

namespace sallyport::tests {

struct Shown {
  double value = 0;
  std::string quality, verified, status_name, cause;
  double age = 0;   // seconds since the source time
};

// All points below `match`, as GET /api/v1/points tells them. Empty when it does not answer.
std::map<std::string, Shown> shown_at(std::uint16_t http_port, const std::string& match = "acme/**");
std::size_t count_good(const std::map<std::string, Shown>& points);

// The first stream that the node verifies, as `status --json` tells it: "state", "refused.signature", …
std::string stream_field(Node& node, const std::string& field);

}  // namespace sallyport::tests
