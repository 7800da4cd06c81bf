// What a client asked for, checked: patterns, limit, and the cursor that continues a list.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "namespace/namespace.h"
#include "net/http_server.h"

namespace sallyport::http {

inline constexpr std::size_t kDefaultLimit = 1000;
inline constexpr std::size_t kMaxLimit = 10'000;
inline constexpr std::size_t kMaxPatterns = 64;

// An answer for the client: what is wrong, and what to do.
struct BadQuery {
  std::string detail, hint;
};
template <typename T>
using Query = std::expected<T, BadQuery>;

// `match`, any number of times; none: everything but $sys.
Query<Patterns> match_of(const net::HttpRequest& request);
Query<std::size_t> limit_of(const net::HttpRequest& request);

// Cursors are ids of this run of the node's table; after a restart the same id may be another point.
class Cursors {
 public:
  Cursors();
  std::string text(PointId next) const;
  Query<PointId> cursor_of(const net::HttpRequest& request) const;  // 0 when absent

 private:
  std::string run_;  // eight hex digits, random
};

net::HttpResponse bad_query(const BadQuery& bad);

}  // namespace sallyport::http
