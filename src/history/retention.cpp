#include "history/retention.h"

#include <algorithm>

namespace sallyport::history {
namespace {

constexpr std::int64_t kPointsAtOnce = 2000;     // looked at in one step
constexpr double kAim = 0.95;                    // of max_size, so that not each minute has to make room
constexpr std::int64_t kFreeShare = 10;          // a tenth of the file may be free pages before it shrinks
constexpr const char* kShrink = "PRAGMA incremental_vacuum(500)";

}  // namespace

Result<std::uint64_t> used_bytes(Database& database) {
  const auto pages = database.number("PRAGMA page_count");
  const auto free = pages ? database.number("PRAGMA freelist_count") : pages;
  const auto size = free ? database.number("PRAGMA page_size") : free;
  if (!size) return std::unexpected(size.error());
  return static_cast<std::uint64_t>((*pages - *free) * *size);
}

Result<bool> Retention::step(Database& database, UtcNanoseconds now) {
  if (shrinking_) return give_back(database);
  if (!in_round_) {
    const auto begun = begin_round(database, now);
    if (!begun) return begun;
    if (!*begun) return give_back(database);
  }
  if (auto done = delete_some(database); !done) return std::unexpected(done.error());
  if (in_round_) return true;
  const auto over = is_over(database);
  if (!over || *over) return over;
  return give_back(database);
}

Result<bool> Retention::is_over(Database& database) {
  if (options_.max_size == 0) return false;
  const auto used = used_bytes(database);
  if (!used) return std::unexpected(used.error());
  return *used > options_.max_size;
}

// What lies before `cutoff_` shall go; false: nothing.
Result<bool> Retention::begin_round(Database& database, UtcNanoseconds now) {
  UtcNanoseconds cutoff = options_.max_age.count() > 0 ? now - options_.max_age.count() : INT64_MIN;
  if (options_.max_size > 0) {
    const auto used = used_bytes(database);
    if (!used) return std::unexpected(used.error());
    if (*used > options_.max_size) {
      // Not the very oldest of a point: that is the one value that stays from before the last cut.
      const auto oldest = database.number(
          "SELECT min((SELECT time FROM samples WHERE point = p.id ORDER BY time LIMIT 1 OFFSET 1)) FROM points p");
      if (!oldest) return std::unexpected(oldest.error());
      const double share = 1 - kAim * static_cast<double>(options_.max_size) / static_cast<double>(*used);
      const auto by_size = *oldest + static_cast<std::int64_t>(share * static_cast<double>(std::max<std::int64_t>(now - *oldest, 1)));
      if (*oldest != 0) cutoff = std::max(cutoff, by_size);
    }
  }
  if (cutoff == INT64_MIN) return false;
  if (cutoff == cutoff_) return false;
  cutoff_ = cutoff;
  point_ = 0;
  in_round_ = true;
  return true;
}

Result<void> Retention::delete_some(Database& database) {
  if (auto ok = database.execute("BEGIN IMMEDIATE"); !ok) return ok;
  std::int64_t left = options_.rows_at_once;
  const auto work = [&]() -> Result<void> {
    auto next = database.prepare("SELECT id FROM points WHERE id > ?1 ORDER BY id LIMIT 1");
    if (!next) return std::unexpected(next.error());
    for (std::int64_t looked = 0; looked < kPointsAtOnce && left > 0; ++looked) {
      next->bind(1, point_);
      const auto row = next->step();
      if (!row) return std::unexpected(row.error());
      if (!*row) {
        in_round_ = false;
        break;
      }
      const std::int64_t point = next->integer(0);
      next->reset();
      const auto gone = delete_of(database, point, left);
      if (!gone) return std::unexpected(gone.error());
      left -= *gone;
      if (left > 0) point_ = point;  // else there may be more of it
    }
    if (in_round_) return {};
    auto gaps = database.prepare("DELETE FROM gaps WHERE end > 0 AND end < ?1");
    if (!gaps) return std::unexpected(gaps.error());
    gaps->bind(1, std::int64_t{cutoff_});
    return gaps->run();
  };
  auto done = work();
  if (done) done = database.execute("COMMIT");
  if (!done) {
    (void)database.execute("ROLLBACK");
    in_round_ = false;
    cutoff_ = 0;
  }
  return done;
}

Result<std::int64_t> Retention::delete_of(Database& database, std::int64_t point, std::int64_t limit) {
  auto held = database.prepare("SELECT time FROM samples WHERE point = ?1 AND time <= ?2 ORDER BY time DESC LIMIT 1");
  if (!held) return std::unexpected(held.error());
  held->bind(1, point);
  held->bind(2, std::int64_t{cutoff_});
  auto row = held->step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return 0;
  std::int64_t until = held->integer(0);
  auto piece = database.prepare("SELECT time FROM samples WHERE point = ?1 AND time < ?2 ORDER BY time LIMIT 1 OFFSET ?3");
  if (!piece) return std::unexpected(piece.error());
  piece->bind(1, point);
  piece->bind(2, until);
  piece->bind(3, limit);
  row = piece->step();
  if (!row) return std::unexpected(row.error());
  if (*row) until = piece->integer(0);
  auto remove = database.prepare("DELETE FROM samples WHERE point = ?1 AND time < ?2");
  if (!remove) return std::unexpected(remove.error());
  remove->bind(1, point);
  remove->bind(2, until);
  if (auto ok = remove->run(); !ok) return std::unexpected(ok.error());
  deleted_ += static_cast<std::uint64_t>(database.changes());
  return database.changes();
}

Result<bool> Retention::give_back(Database& database) {
  const auto pages = database.number("PRAGMA page_count");
  const auto free = pages ? database.number("PRAGMA freelist_count") : pages;
  if (!free) return std::unexpected(free.error());
  shrinking_ = *free >= 1000 && *free * kFreeShare >= *pages;
  if (!shrinking_) return false;
  if (auto ok = database.execute(kShrink); !ok) {
    shrinking_ = false;
    return std::unexpected(ok.error());
  }
  return true;
}

}  // namespace sallyport::history
