// The writing end of the history's database: one transaction per batch, with the place in the journal in the same one.
// One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "history/sqlite.h"
#include "namespace/collector.h"

namespace sallyport::history {

// What was stored last.
struct Progress {
  std::string journal;              // that `position` belongs to; "" without one
  Position position = 0;
  UtcNanoseconds alive = 0;         // until then the points were followed; 0: never yet
  friend bool operator==(const Progress&, const Progress&) = default;
};

struct StoredLast {
  UtcNanoseconds time = 0;
  Status status = 0;
  Value value;
};

// What is written together.
struct StoreBatch {
  std::vector<Row> rows;            // `source_time` is the time to be stored
  std::vector<Gap> gaps;
  Progress progress;
  void clear() {
    rows.clear();
    gaps.clear();
  }
};

// What the numbers in rows mean, as the Collector knows it.
struct RowNames {
  std::function<const FeedPoint&(std::uint32_t)> point;
  std::function<const std::string&(std::uint32_t)> stream;
};

struct StoreOptions {
  std::string path;
  bool sync_each = true;            // a commit is on the disk; false: given to the operating system
};

class Store {
 public:
  // Makes the file when there is none. Errors as Database::open() and migrate().
  static Result<std::unique_ptr<Store>> open(const StoreOptions& options);

  const Progress& progress() const { return progress_; }
  // All of it or nothing. Rows of `every` points that are there already are passed over; of others the newer replaces
  // what has the same time.
  Result<void> write(const StoreBatch& batch, const RowNames& names);
  // The newest sample of a point, and whether there is one at just that time; nothing when the point is not known.
  Result<std::optional<StoredLast>> last(const std::string& path);
  Result<bool> has(const std::string& path, UtcNanoseconds time);
  // Moves what has been committed from the write-ahead log into the database when there is enough of it.
  Result<void> checkpoint();
  bool moved_away() const;          // the file has gone, or is another one

  std::uint64_t repeats() const { return repeats_; }  // rows that were there already
  std::uint64_t inserted() const { return inserted_; }
  Database& database() { return database_; }

 private:
  struct Stream {
    std::uint64_t sequence = 0;
    bool changed = false;
  };
  struct Point {
    std::int64_t id = 0;
    Type type = Type::null;
  };
  Store() = default;
  Result<void> prepare();
  Result<void> load_progress();
  Result<void> write_all(const StoreBatch& batch, const RowNames& names);
  struct Chosen {
    const Row* row;
    Point point;
  };
  Result<void> choose(std::span<const Row> rows, const RowNames& names);
  Result<void> put(const Row& row, const Point& point);
  Result<void> put_gap(const Gap& gap);
  Result<void> put_streams();
  Result<void> put_state(const Progress& progress);
  Result<Point> point_of(std::uint32_t number, const FeedPoint& point, const Value& value);
  Result<std::optional<Point>> find(const std::string& path);
  Result<Stream*> stream_of(const std::string& name);
  void bind_sample(Statement& statement, const Row& row, const Point& point);

  Database database_;
  std::string path_;
  Progress progress_;
  Statement replace_, insert_, append_, find_point_, insert_point_, update_point_, insert_gap_, set_state_, find_stream_,
      set_stream_, last_, has_;
  std::vector<Point> points_;       // by the Collector's number
  std::vector<Chosen> chosen_;      // of the batch being written
  std::pair<std::uint64_t, std::uint64_t> file_;  // device and inode
  std::unordered_map<std::string, Stream> streams_;
  Bytes scratch_;
  std::uint64_t repeats_ = 0, inserted_ = 0;
};

}  // namespace sallyport::history
