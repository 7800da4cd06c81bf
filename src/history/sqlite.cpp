#include "history/sqlite.h"

#include <sqlite3.h>

#include <chrono>
#include <climits>

namespace sallyport::history {
namespace {

constexpr int kBusyMilliseconds = 1000;
constexpr int kStepsBetweenLooks = 20'000;  // of SQLite's machine, some milliseconds

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::pair<ErrorCode, const char*> meaning(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return {ErrorCode::unavailable, "locked by another process; close the program that has it open"};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return {ErrorCode::refused, "may not be written: file, folder or disk are read-only for this user"};
    case SQLITE_FULL: return {ErrorCode::limit, "the disk is full; make room, or set max_size in [history]"};
    case SQLITE_CORRUPT: return {ErrorCode::malformed, "damaged; `sqlite3 FILE .recover` saves what can be read. Move it away, and a new one is made"};
    case SQLITE_NOTADB: return {ErrorCode::malformed, "no SQLite database; move it away, or set another path in [history]"};
    case SQLITE_CANTOPEN: return {ErrorCode::io, "cannot be opened: is the folder there, and may this user use it?"};
    case SQLITE_INTERRUPT: return {ErrorCode::timeout, "took too long; ask for less: a shorter time, fewer points, a lower limit"};
    case SQLITE_TOOBIG: return {ErrorCode::limit, "a value is too large"};
    case SQLITE_NOMEM: return {ErrorCode::limit, "out of memory"};
    case SQLITE_IOERR: return {ErrorCode::io, "the disk does not do what it is asked"};
    default: return {ErrorCode::internal, "unexpected answer of SQLite"};
  }
}

}  // namespace

Error sqlite_error(sqlite3* database, int code) {
  const auto [kind, text] = meaning(code);
  std::string message;
  if (database != nullptr) {
    if (const char* file = sqlite3_db_filename(database, "main"); file != nullptr) message += std::string(file) + ": ";
  }
  message += text;
  message += std::string(" (") + (database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code));
  message += ", " + std::to_string(database != nullptr ? sqlite3_extended_errcode(database) : code) + ")";
  return {kind, message};
}

int Database::is_over(void* data) {
  const Limits& limits = *static_cast<const Limits*>(data);
  return (limits.ended != nullptr && *limits.ended) || (limits.deadline_ms != 0 && now_ms() > limits.deadline_ms);
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
void Database::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

void Statement::bind(int at, std::int64_t number) { sqlite3_bind_int64(statement_.get(), at, number); }
void Statement::bind(int at, double number) { sqlite3_bind_double(statement_.get(), at, number); }
void Statement::bind(int at, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), at, text.empty() ? "" : text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}
void Statement::bind_bytes(int at, std::span<const std::byte> bytes) {
  sqlite3_bind_blob64(statement_.get(), at, bytes.empty() ? static_cast<const void*>("") : bytes.data(), bytes.size(), SQLITE_STATIC);
}
void Statement::bind_null(int at) { sqlite3_bind_null(statement_.get(), at); }

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  auto error = sqlite_error(sqlite3_db_handle(statement_.get()), code);
  reset();
  return std::unexpected(std::move(error));
}

Result<void> Statement::run() {
  for (;;) {
    auto row = step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
  }
  reset();
  return {};
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

Statement::Column Statement::type(int column) const {
  switch (sqlite3_column_type(statement_.get(), column)) {
    case SQLITE_INTEGER: return Column::integer;
    case SQLITE_FLOAT: return Column::real;
    case SQLITE_TEXT: return Column::text;
    case SQLITE_BLOB: return Column::bytes;
    default: return Column::null;
  }
}
std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
double Statement::real(int column) const { return sqlite3_column_double(statement_.get(), column); }
std::string_view Statement::text(int column) const {
  const auto* text = sqlite3_column_text(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return text == nullptr ? std::string_view() : std::string_view(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
}
std::span<const std::byte> Statement::bytes(int column) const {
  const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement_.get(), column));
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return bytes == nullptr ? std::span<const std::byte>() : std::span(bytes, static_cast<std::size_t>(size));
}

Result<Database> Database::open(const std::string& path, Mode mode) {
  const int flags = (mode == Mode::write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY) |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  Database database;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  database.database_.reset(handle);
  if (code != SQLITE_OK) {
    Error error = sqlite_error(nullptr, code);
    error.message.insert(0, path + ": ");
    return std::unexpected(std::move(error));
  }
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  sqlite3_progress_handler(handle, kStepsBetweenLooks, is_over, database.limits_.get());
  return database;
}

Result<void> Database::execute(const char* sql) {
  const int code = sqlite3_exec(handle(), sql, nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return {};
  return std::unexpected(sqlite_error(handle(), code));
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return std::unexpected(sqlite_error(handle(), code));
  Statement prepared;
  prepared.statement_.reset(statement);
  return prepared;
}

Result<std::int64_t> Database::number(const char* sql) {
  auto statement = prepare(sql);
  if (!statement) return std::unexpected(statement.error());
  auto row = statement->step();
  if (!row) return std::unexpected(row.error());
  return *row ? statement->integer(0) : 0;
}

std::int64_t Database::changes() const { return sqlite3_changes64(handle()); }
std::int64_t Database::last_row() const { return sqlite3_last_insert_rowid(handle()); }
void Database::limit_time(std::int64_t milliseconds) { limits_->deadline_ms = milliseconds == 0 ? 0 : now_ms() + milliseconds; }

}  // namespace sallyport::history
