// A question to the history, as it comes from HTTP or the command line (docs/history.md).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "history/aggregate.h"
#include "namespace/pattern.h"

namespace sallyport::history {

inline constexpr std::size_t kDefaultLimit = 1000, kMaxLimit = 10'000;  // samples in one answer
inline constexpr std::size_t kMaxAt = 1000;                            // times of one as-of join
inline constexpr std::size_t kMaxIntervals = 1'000'000;                // of one point, in all pages

// Where an answer ended; the next one goes on behind it.
struct Cursor {
  std::int64_t point = 0;        // 0: at the beginning
  UtcNanoseconds time = 0;       // of the sample, or the start of the next interval
  std::int64_t seq = -1;
};
std::string to_text(const Cursor& cursor);
Result<Cursor> parse_cursor(std::string_view text);

struct Query {
  std::vector<std::string> texts;            // patterns or paths, as they came
  Patterns match;
  bool one = false;                          // `path`: it must be there
  UtcNanoseconds from = 0, to = 0;           // [from, to)
  std::size_t limit = kDefaultLimit;
  Cursor cursor;
  bool newest_first = false;
  std::optional<Function> aggregate;
  std::int64_t interval = 0;                 // nanoseconds; 0: one interval
  bool stepped = false;
  std::vector<UtcNanoseconds> at;            // as-of join
  Duration max_age{0};                       // 0: however old
};

using Parameters = std::vector<std::pair<std::string, std::string>>;
// Keys: match (repeated) | path, from, to, limit, cursor, order, aggregate, interval, stepped, at (repeated), max_age.
// invalid: what is wrong, and how it should look.
Result<Query> parse_query(const Parameters& parameters, UtcNanoseconds now);
// "now", "-1h", "now-90s", "2026-11-23", "2026-11-23T02:40:17.5Z"
Result<UtcNanoseconds> parse_time(std::string_view text, UtcNanoseconds now);

}  // namespace sallyport::history
