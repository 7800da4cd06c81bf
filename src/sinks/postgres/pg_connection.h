// One connection to a PostgreSQL server, from dialling to its end. libpq inside, never blocking for longer than a poll():
// whoever waits here can be told to give up. One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "sinks/postgres/pg_settings.h"

struct pg_conn;
struct pg_result;

namespace sallyport::postgres {

// Rows of one answer, as text.
class Answer {
 public:
  explicit Answer(pg_result* result);
  int rows() const;
  bool is_null(int row, int column) const;
  std::string text(int row, int column) const;  // "" for null
  std::int64_t number(int row, int column) const;
  bool yes(int row, int column) const { return text(row, column) == "t"; }
  std::uint64_t affected() const;  // rows that the command inserted, updated or deleted

 private:
  struct Clear {
    void operator()(pg_result* result) const;
  };
  std::unique_ptr<pg_result, Clear> result_;
};

// Errors say what the server said. invalid: these data are refused, now and for ever. exists: a unique key is there already.
// refused: a privilege is missing. unavailable: anything else; the connection may be lost().
class Connection {
 public:
  using GiveUp = std::function<bool()>;  // asked several times a second while waiting
  static Result<std::unique_ptr<Connection>> open(const Options& options, const std::string& application, GiveUp give_up);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool lost() const { return lost_; }
  int fd() const;
  // Whether it is still there, as far as this end knows; when fd() is readable although nothing was asked.
  bool check();
  std::string server_version() const;
  std::string tls() const;                       // "TLSv1.3 …"; "" without
  const std::string& sqlstate() const { return sqlstate_; }  // of the last error; "" when the server did not say it

  // One or, without parameters, several statements; the last one's answer.
  Result<Answer> query(const std::string& sql, const std::vector<std::optional<std::string>>& parameters = {});
  Result<void> run(const std::string& sql);
  // COPY … FROM STDIN; nothing else until finish_copy().
  Result<void> begin_copy(const std::string& sql);
  Result<void> put_copy(std::span<const char> bytes);
  Result<void> finish_copy();
  void cancel_copy();                            // nothing of it stays

 private:
  Connection(pg_conn* connection, Duration timeout, GiveUp give_up);
  Result<void> dial(const std::string& where);
  Result<void> wait(bool to_write);              // for the socket
  Result<void> flush();
  Result<pg_result*> next_result();
  Result<void> drain();
  std::unexpected<Error> broken();               // the connection is gone
  std::unexpected<Error> refused_by(const pg_result* result);

  pg_conn* connection_;
  const Duration timeout_;
  const GiveUp give_up_;
  bool lost_ = false;
  std::string sqlstate_;
};

}  // namespace sallyport::postgres
