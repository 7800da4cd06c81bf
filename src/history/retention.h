// Forgetting: what is older than max_age, and the oldest when the database is larger than max_size. A little at a time,
// between commits; readers are never held up (write-ahead log). The value that held at the limit stays, so that what lies
// after it can still be told.
#pragma once

#include "base/clock.h"
#include "history/sqlite.h"

namespace sallyport::history {

struct RetentionOptions {
  Duration max_age{0};               // 0: no limit
  std::uint64_t max_size = 0;        // bytes; 0: no limit
  std::int64_t rows_at_once = 2000;  // deleted in one transaction
};

class Retention {
 public:
  explicit Retention(RetentionOptions options) : options_(options) {}
  // One step, some milliseconds. True: there is more to do at once; false: come again in a while.
  Result<bool> step(Database& database, UtcNanoseconds now);
  std::uint64_t deleted() const { return deleted_; }

 private:
  Result<bool> begin_round(Database& database, UtcNanoseconds now);
  Result<void> delete_some(Database& database);
  Result<std::int64_t> delete_of(Database& database, std::int64_t point, std::int64_t limit);
  Result<bool> is_over(Database& database);
  Result<bool> give_back(Database& database);

  const RetentionOptions options_;
  bool in_round_ = false, shrinking_ = false;
  UtcNanoseconds cutoff_ = 0;
  std::int64_t point_ = 0;           // the last one looked at in this round
  std::uint64_t deleted_ = 0;
};

// Bytes in use, without pages that are free to be used again.
Result<std::uint64_t> used_bytes(Database& database);

}  // namespace sallyport::history
