// The reading end of the history's database: a connection of its own, which sees what was committed and holds nobody up.
// One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "history/query.h"
#include "history/sqlite.h"
#include "namespace/feed.h"

namespace sallyport::history {

// What a question is answered with: JSON objects, each on a line of its own.
struct Answer {
  std::string samples;               // points as in docs/json.md; of an as-of join rows {"at", "points": […]}
  std::string gaps;                  // those that overlap with the time asked for
  std::size_t count = 0;             // lines of `samples`
  std::size_t points = 0;            // that matched and were looked at
  std::optional<std::string> cursor; // there is more
};

class HistoryReader {
 public:
  // unavailable: there is no database yet.
  static Result<std::unique_ptr<HistoryReader>> open(const std::string& path);
  bool moved_away() const;             // the file has gone, or is another one
  void end_when(const std::atomic<bool>& ended) { database_.end_when(ended); }
  // not_found: `path` names no point of the history. timeout: it takes too long.
  Result<Answer> read(const Query& query);

 private:
  struct Point {
    std::int64_t id = 0;
    Type type = Type::null;
    bool every = false;
    std::string path, origin;
  };
  HistoryReader() = default;
  Result<void> prepare();
  Result<Answer> read_now(const Query& query);
  Result<std::vector<Point>> find(const Query& query);
  Result<void> read_raw(const Query& query, const Point& point, Answer& answer, std::size_t& left);
  Result<void> read_aggregate(const Query& query, const Point& point, Answer& answer, std::size_t& left);
  Result<void> feed(Aggregation& aggregation, const Point& point, UtcNanoseconds from, UtcNanoseconds to);
  Result<void> add_before(Aggregation& aggregation, const Point& point, UtcNanoseconds from);
  Result<void> read_as_of(const Query& query, const std::vector<Point>& points, Answer& answer);
  Result<void> read_gaps(const Query& query, const std::vector<Point>& points, Answer& answer);
  Sample sample(const Statement& statement, const Point& point) const;

  Database database_;
  std::string path_;
  std::pair<std::uint64_t, std::uint64_t> file_;  // device and inode
  Statement points_, point_, forward_, backward_, before_, first_, gaps_;
  UtcNanoseconds alive_ = 0;
};

}  // namespace sallyport::history
