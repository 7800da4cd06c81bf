// SQLite, as much of it as the history needs: connections and statements that close themselves, errors as values that
// say what to do. One thread per connection.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace sallyport::history {

class Statement {
 public:
  Statement() = default;
  explicit operator bool() const { return statement_ != nullptr; }
  // Parameters are numbered from 1. What is bound must stay until the statement is reset.
  void bind(int at, std::int64_t number);
  void bind(int at, double number);
  void bind(int at, std::string_view text);
  void bind_bytes(int at, std::span<const std::byte> bytes);
  void bind_null(int at);
  Result<bool> step();       // true: a row
  Result<void> run();        // to its end, and reset
  void reset();

  enum class Column : std::uint8_t { null, integer, real, text, bytes };
  Column type(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;               // until the next step
  std::span<const std::byte> bytes(int column) const;    // until the next step

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
 public:
  enum class Mode : std::uint8_t { write, read };
  // write: made when it is missing. unavailable: locked by another process; refused: read-only; limit: the disk is full;
  // malformed: damaged, or no database; io: the rest. Messages begin with the file's name.
  static Result<Database> open(const std::string& path, Mode mode);

  Result<void> execute(const char* sql);  // one or several
  Result<Statement> prepare(std::string_view sql);
  Result<std::int64_t> number(const char* sql);  // the first column of its first row; 0 when there is none
  std::int64_t changes() const;
  std::int64_t last_row() const;
  // Statements end with `timeout` after `milliseconds` from now; 0: never.
  void limit_time(std::int64_t milliseconds);
  // They end with `timeout`, too, once this is true. It outlives the connection.
  void end_when(const std::atomic<bool>& ended) { limits_->ended = &ended; }
  sqlite3* handle() const { return database_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  struct Limits {
    std::int64_t deadline_ms = 0;
    const std::atomic<bool>* ended = nullptr;
  };
  static int is_over(void* limits);
  std::unique_ptr<Limits> limits_ = std::make_unique<Limits>();
  std::unique_ptr<sqlite3, Close> database_;
};

// The error of the last call.
Error sqlite_error(sqlite3* database, int code);

}  // namespace sallyport::history
