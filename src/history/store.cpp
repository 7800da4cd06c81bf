#include "history/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "history/schema.h"
#include "history/value_column.h"

namespace sallyport::history {
namespace {

constexpr std::int64_t kCheckpointAt = 32 << 20;   // bytes of the write-ahead log: what is written often goes over once
constexpr std::int64_t kCheckpointHard = 512 << 20;  // a reader that stays keeps the log from shrinking

std::int64_t size_of(const std::string& file) {
  struct stat info{};
  return ::stat(file.c_str(), &info) == 0 ? static_cast<std::int64_t>(info.st_size) : 0;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const auto& text : texts) all += (all.empty() ? "" : "\n") + text;
  return all;
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const StoreOptions& options) {
  // For the node's user only; what SQLite puts beside it gets the same mode.
  const int file = ::open(options.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) ::close(file);
  auto database = Database::open(options.path, Database::Mode::write);
  if (!database) return std::unexpected(database.error());
  std::unique_ptr<Store> store(new Store);
  store->database_ = *std::move(database);
  store->path_ = options.path;
  // auto_vacuum holds only for a file that is still empty.
  const std::string pragmas = "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;"
                              "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY;"
                              "PRAGMA synchronous = " + std::string(options.sync_each ? "FULL" : "NORMAL");
  if (auto ok = store->database_.execute(pragmas.c_str()); !ok) return std::unexpected(ok.error());
  if (auto ok = migrate(store->database_); !ok) return std::unexpected(ok.error());
  if (struct stat info{}; ::stat(options.path.c_str(), &info) == 0) store->file_ = {info.st_dev, info.st_ino};
  if (auto ok = store->prepare(); !ok) return std::unexpected(ok.error());
  if (auto ok = store->load_progress(); !ok) return std::unexpected(ok.error());
  return store;
}

Result<void> Store::prepare() {
  const std::pair<Statement*, const char*> wanted[] = {
      {&replace_, "INSERT OR REPLACE INTO samples VALUES (?1, ?2, 0, ?3, ?4)"},
      {&insert_, "INSERT OR IGNORE INTO samples VALUES (?1, ?2, 0, ?3, ?4)"},
      {&append_, "INSERT INTO samples SELECT ?1, ?2, max(seq) + 1, ?3, ?4 FROM samples WHERE point = ?1 AND time = ?2"},
      {&find_point_, "SELECT id, type FROM points WHERE path = ?1"},
      {&insert_point_, "INSERT INTO points (path, type, unit, origin, every) VALUES (?1, ?2, ?3, ?4, ?5)"},
      {&update_point_, "UPDATE points SET unit = ?2, origin = ?3, every = ?4 WHERE id = ?1 AND (unit, origin, every) IS NOT (?2, ?3, ?4)"},
      {&insert_gap_, "INSERT INTO gaps (start, end, cause, node, place, lost, match, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
      {&set_state_, "INSERT OR REPLACE INTO state VALUES (?1, ?2)"},
      {&find_stream_, "SELECT sequence FROM streams WHERE name = ?1"},
      {&set_stream_, "INSERT OR REPLACE INTO streams VALUES (?1, ?2)"},
      {&last_, "SELECT time, status, value FROM samples WHERE point = ?1 ORDER BY time DESC, seq DESC LIMIT 1"},
      {&has_, "SELECT 1 FROM samples WHERE point = ?1 AND time = ?2 LIMIT 1"},
  };
  for (const auto& [statement, sql] : wanted) {
    auto prepared = database_.prepare(sql);
    if (!prepared) return std::unexpected(prepared.error());
    *statement = *std::move(prepared);
  }
  return {};
}

Result<void> Store::load_progress() {
  auto state = database_.prepare("SELECT name, value FROM state");
  if (!state) return std::unexpected(state.error());
  for (;;) {
    auto row = state->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
    const auto name = state->text(0);
    if (name == "journal") progress_.journal = state->text(1);
    if (name == "position") progress_.position = static_cast<Position>(state->integer(1));
    if (name == "alive") progress_.alive = state->integer(1);
  }
}

Result<void> Store::write(const StoreBatch& batch, const RowNames& names) {
  if (auto ok = database_.execute("BEGIN IMMEDIATE"); !ok) return ok;
  auto done = write_all(batch, names);
  if (done) done = database_.execute("COMMIT");
  if (done) {
    progress_ = batch.progress;
    return done;
  }
  (void)database_.execute("ROLLBACK");
  points_.clear();
  streams_.clear();
  return done;
}

Result<void> Store::write_all(const StoreBatch& batch, const RowNames& names) {
  if (auto ok = choose(batch.rows, names); !ok) return ok;
  for (const Chosen& chosen : chosen_) {
    if (auto ok = put(*chosen.row, chosen.point); !ok) return ok;
  }
  for (const Gap& gap : batch.gaps) {
    if (auto ok = put_gap(gap); !ok) return ok;
  }
  if (auto ok = put_streams(); !ok) return ok;
  return put_state(batch.progress);
}

// What is not there yet, point by point: rows of one point then go to the same page.
Result<void> Store::choose(std::span<const Row> rows, const RowNames& names) {
  chosen_.clear();
  for (const Row& row : rows) {
    if (row.every) {
      const auto stream = stream_of(names.stream(row.stream));
      if (!stream) return std::unexpected(stream.error());
      if (row.sequence <= (*stream)->sequence) {
        ++repeats_;
        continue;
      }
      (*stream)->sequence = row.sequence;
      (*stream)->changed = true;
    }
    const auto point = point_of(row.point, names.point(row.point), row.value);
    if (!point) return std::unexpected(point.error());
    chosen_.push_back({&row, *point});
  }
  std::ranges::stable_sort(chosen_, {}, [](const Chosen& chosen) { return chosen.point.id; });
  return {};
}

Result<void> Store::put(const Row& row, const Point& point) {
  ++inserted_;
  Statement& insert = row.every ? insert_ : replace_;
  bind_sample(insert, row, point);
  if (auto ok = insert.run(); !ok || !row.every || database_.changes() > 0) return ok;
  bind_sample(append_, row, point);  // another change of the same time
  return append_.run();
}

void Store::bind_sample(Statement& statement, const Row& row, const Point& point) {
  statement.bind(1, point.id);
  statement.bind(2, std::int64_t{row.source_time});
  statement.bind(3, std::int64_t{row.status});
  bind_value(statement, 4, row.value, point.type, scratch_);
}

Result<void> Store::put_gap(const Gap& gap) {
  const std::string match = joined(gap.match);
  insert_gap_.bind(1, std::int64_t{gap.start});
  insert_gap_.bind(2, std::int64_t{gap.end});
  insert_gap_.bind(3, to_string(gap.cause));
  insert_gap_.bind(4, std::string_view(gap.node));
  insert_gap_.bind(5, std::string_view(gap.where));
  insert_gap_.bind(6, static_cast<std::int64_t>(gap.lost));
  insert_gap_.bind(7, std::string_view(match));
  insert_gap_.bind(8, std::string_view(gap.detail));
  return insert_gap_.run();
}

Result<void> Store::put_streams() {
  for (auto& [name, stream] : streams_) {
    if (!std::exchange(stream.changed, false)) continue;
    set_stream_.bind(1, std::string_view(name));
    set_stream_.bind(2, static_cast<std::int64_t>(stream.sequence));
    if (auto ok = set_stream_.run(); !ok) return ok;
  }
  return {};
}

Result<void> Store::put_state(const Progress& progress) {
  set_state_.bind(1, std::string_view("journal"));
  set_state_.bind(2, std::string_view(progress.journal));
  if (auto ok = set_state_.run(); !ok) return ok;
  const std::pair<std::string_view, std::int64_t> numbers[] = {{"position", static_cast<std::int64_t>(progress.position)},
                                                               {"alive", progress.alive}};
  for (const auto& [name, number] : numbers) {
    set_state_.bind(1, name);
    set_state_.bind(2, number);
    if (auto ok = set_state_.run(); !ok) return ok;
  }
  return {};
}

Result<std::optional<Store::Point>> Store::find(const std::string& path) {
  find_point_.bind(1, std::string_view(path));
  const auto row = find_point_.step();
  if (!row) return std::unexpected(row.error());
  std::optional<Point> found;
  if (*row) found = Point{find_point_.integer(0), static_cast<Type>(find_point_.integer(1))};
  find_point_.reset();
  return found;
}

// The type of a point is that of its first value, or the declared one: numbers of that type are stored as such.
Result<Store::Point> Store::point_of(std::uint32_t number, const FeedPoint& point, const Value& value) {
  if (number < points_.size() && points_[number].id != 0) return points_[number];
  auto found = find(point.path);
  if (!found) return std::unexpected(found.error());
  const std::int64_t every = point.meta.every ? 1 : 0;
  Point known;
  if (*found) {
    known = **found;
    update_point_.bind(1, known.id);
    update_point_.bind(2, std::string_view(point.meta.unit));
    update_point_.bind(3, std::string_view(point.origin));
    update_point_.bind(4, every);
    if (auto ok = update_point_.run(); !ok) return std::unexpected(ok.error());
  } else {
    known.type = point.meta.type != Type::null ? point.meta.type : value.type();
    insert_point_.bind(1, std::string_view(point.path));
    insert_point_.bind(2, std::int64_t{static_cast<std::uint8_t>(known.type)});
    insert_point_.bind(3, std::string_view(point.meta.unit));
    insert_point_.bind(4, std::string_view(point.origin));
    insert_point_.bind(5, every);
    if (auto ok = insert_point_.run(); !ok) return std::unexpected(ok.error());
    known.id = database_.last_row();
  }
  if (number >= points_.size()) points_.resize(number + std::size_t{1});
  return points_[number] = known;
}

Result<Store::Stream*> Store::stream_of(const std::string& name) {
  if (const auto known = streams_.find(name); known != streams_.end()) return &known->second;
  find_stream_.bind(1, std::string_view(name));
  const auto row = find_stream_.step();
  if (!row) return std::unexpected(row.error());
  Stream stream;
  if (*row) stream.sequence = static_cast<std::uint64_t>(find_stream_.integer(0));
  find_stream_.reset();
  return &streams_.emplace(name, stream).first->second;
}

Result<std::optional<StoredLast>> Store::last(const std::string& path) {
  const auto point = find(path);
  if (!point) return std::unexpected(point.error());
  if (!*point) return std::nullopt;
  last_.bind(1, (*point)->id);
  const auto row = last_.step();
  if (!row) return std::unexpected(row.error());
  std::optional<StoredLast> found;
  if (*row) {
    auto value = column_value(last_, 2, (*point)->type);
    if (value) found = StoredLast{last_.integer(0), static_cast<Status>(last_.integer(1)), *std::move(value)};
  }
  last_.reset();
  return found;
}

Result<bool> Store::has(const std::string& path, UtcNanoseconds time) {
  const auto point = find(path);
  if (!point) return std::unexpected(point.error());
  if (!*point) return false;
  has_.bind(1, (*point)->id);
  has_.bind(2, std::int64_t{time});
  const auto row = has_.step();
  has_.reset();
  return row;
}

bool Store::moved_away() const {
  struct stat info{};
  return ::stat(path_.c_str(), &info) != 0 || std::pair<std::uint64_t, std::uint64_t>(info.st_dev, info.st_ino) != file_;
}

Result<void> Store::checkpoint() {
  const std::int64_t bytes = size_of(path_ + "-wal");
  if (bytes < kCheckpointAt) return {};
  const int mode = bytes < kCheckpointHard ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_RESTART;
  const int code = sqlite3_wal_checkpoint_v2(database_.handle(), nullptr, mode, nullptr, nullptr);
  if (code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY) return {};
  return std::unexpected(sqlite_error(database_.handle(), code));
}

}  // namespace sallyport::history
