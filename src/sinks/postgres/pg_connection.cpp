#include "sinks/postgres/pg_connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <charconv>
#include <chrono>

namespace sallyport::postgres {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kConnectTimeout = seconds(10);
constexpr int kSliceMs = 50;  // between two looks at whether to give up

MonotonicTime now() { return std::chrono::steady_clock::now(); }

// The first line says what happened, the others what the library guesses.
std::string first_line(const char* text) {
  std::string line = text == nullptr ? "" : text;
  line.resize(std::min(line.find('\n'), line.size()));
  return line;
}

// What the code of an error means for whoever asked (PostgreSQL, appendix A).
ErrorCode meaning(std::string_view sqlstate) {
  if (sqlstate == "42501") return ErrorCode::refused;
  if (sqlstate == "23505") return ErrorCode::exists;
  const std::string_view kind = sqlstate.substr(0, 2);
  return kind == "22" || kind == "23" || kind == "54" ? ErrorCode::invalid : ErrorCode::unavailable;
}

}  // namespace

Answer::Answer(pg_result* result) : result_(result) {}
void Answer::Clear::operator()(pg_result* result) const { PQclear(result); }
int Answer::rows() const { return PQntuples(result_.get()); }
bool Answer::is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) == 1; }
std::string Answer::text(int row, int column) const { return PQgetvalue(result_.get(), row, column); }
std::int64_t Answer::number(int row, int column) const {
  const std::string digits = text(row, column);
  std::int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}
std::uint64_t Answer::affected() const {
  const std::string digits = PQcmdTuples(result_.get());
  std::uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

Connection::Connection(pg_conn* connection, Duration timeout, GiveUp give_up)
    : connection_(connection), timeout_(timeout), give_up_(std::move(give_up)) {}
Connection::~Connection() { PQfinish(connection_); }

Result<std::unique_ptr<Connection>> Connection::open(const Options& options, const std::string& application, GiveUp give_up) {
  auto given = options.connection;
  const auto add = [&](std::string key, std::string value) {
    for (const auto& [known, ignored] : given) {
      if (known == key) return;
    }
    given.emplace_back(std::move(key), std::move(value));
  };
  if (!options.password.empty()) add("password", options.password);
  add("application_name", application);
  add("keepalives_idle", "10");
  add("keepalives_interval", "5");
  add("keepalives_count", "3");
  add("tcp_user_timeout", std::to_string(std::chrono::duration_cast<milliseconds>(options.timeout).count()));
  std::erase_if(given, [](const auto& pair) { return pair.first == "client_encoding"; });
  given.emplace_back("client_encoding", "UTF8");
  std::vector<const char*> keys, values;
  for (const auto& [key, value] : given) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  PGconn* raw = PQconnectStartParams(keys.data(), values.data(), 0);
  if (raw == nullptr) return fail(ErrorCode::limit, "out of memory");
  std::unique_ptr<Connection> connection(new Connection(raw, options.timeout, std::move(give_up)));
  if (auto up = connection->dial(options.server); !up) return std::unexpected(up.error());
  return connection;
}

Result<void> Connection::dial(const std::string& where) {
  PQsetNoticeReceiver(connection_, [](void*, const PGresult*) {}, nullptr);
  const MonotonicTime deadline = now() + kConnectTimeout;
  if (PQstatus(connection_) == CONNECTION_BAD) return broken();
  for (PostgresPollingStatusType state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK; state = PQconnectPoll(connection_)) {
    if (state == PGRES_POLLING_FAILED) return broken();
    pollfd socket{PQsocket(connection_), static_cast<short>(state == PGRES_POLLING_READING ? POLLIN : POLLOUT), 0};
    while (poll(&socket, 1, kSliceMs) == 0) {
      if (give_up_()) return fail(ErrorCode::closed, "stopping");
      if (now() >= deadline) {
        lost_ = true;
        return fail(ErrorCode::timeout, where + " does not answer");
      }
    }
  }
  if (PQsetnonblocking(connection_, 1) != 0) return broken();
  // What was acknowledged here is forgotten by the journal: it must be on the database's disk.
  return run("SET TIME ZONE 'UTC'; SET client_min_messages = warning; SET standard_conforming_strings = on;"
             "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'");
}

int Connection::fd() const { return PQsocket(connection_); }

bool Connection::check() {
  if (lost_) return false;
  if (PQconsumeInput(connection_) != 1 || PQstatus(connection_) != CONNECTION_OK) lost_ = true;
  return !lost_;
}

std::string Connection::server_version() const {
  const char* version = PQparameterStatus(connection_, "server_version");
  return version == nullptr ? "" : version;
}

std::string Connection::tls() const {
  if (PQsslInUse(connection_) != 1) return {};
  const char* version = PQsslAttribute(connection_, "protocol");
  const char* cipher = PQsslAttribute(connection_, "cipher");
  return std::string(version == nullptr ? "TLS" : version) + " " + (cipher == nullptr ? "" : cipher);
}

std::unexpected<Error> Connection::broken() {
  lost_ = true;
  sqlstate_.clear();
  const std::string said = first_line(PQerrorMessage(connection_));
  return fail(ErrorCode::unavailable, said.empty() ? "the connection ended" : said);
}

std::unexpected<Error> Connection::refused_by(const PGresult* result) {
  const char* code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  sqlstate_ = code == nullptr ? "" : code;
  if (PQstatus(connection_) != CONNECTION_OK) lost_ = true;
  const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  std::string message = primary == nullptr ? first_line(PQresultErrorMessage(result)) : first_line(primary);
  if (!sqlstate_.empty()) message += " (" + sqlstate_ + ")";
  return fail(lost_ || sqlstate_.empty() ? ErrorCode::unavailable : meaning(sqlstate_), std::move(message));
}

Result<void> Connection::wait(bool to_write) {
  const MonotonicTime deadline = now() + timeout_;
  for (;;) {
    // What comes in must be read also while writing, or both ends wait for each other.
    pollfd socket{PQsocket(connection_), static_cast<short>(POLLIN | (to_write ? POLLOUT : 0)), 0};
    if (poll(&socket, 1, kSliceMs) > 0) return PQconsumeInput(connection_) == 1 ? Result<void>() : broken();
    if (!give_up_() && now() < deadline) continue;
    lost_ = true;
    return give_up_() ? fail(ErrorCode::closed, "stopping") : fail(ErrorCode::timeout, "the server does not answer");
  }
}

Result<void> Connection::flush() {
  for (int left = PQflush(connection_); left != 0; left = PQflush(connection_)) {
    if (left < 0) return broken();
    if (auto ok = wait(true); !ok) return ok;
  }
  return {};
}

Result<PGresult*> Connection::next_result() {
  if (auto ok = flush(); !ok) return std::unexpected(ok.error());
  while (PQisBusy(connection_) == 1) {
    if (auto ok = wait(false); !ok) return std::unexpected(ok.error());
  }
  return PQgetResult(connection_);
}

Result<void> Connection::drain() {
  for (;;) {
    const auto result = next_result();
    if (!result) return std::unexpected(result.error());
    if (*result == nullptr) return {};
    PQclear(*result);
  }
}

Result<Answer> Connection::query(const std::string& sql, const std::vector<std::optional<std::string>>& parameters) {
  if (lost_) return fail(ErrorCode::unavailable, "the connection is lost");
  std::vector<const char*> values;
  for (const auto& parameter : parameters) values.push_back(parameter ? parameter->c_str() : nullptr);
  const int sent = values.empty() ? PQsendQuery(connection_, sql.c_str())
                                  : PQsendQueryParams(connection_, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(), nullptr, nullptr, 0);
  if (sent != 1) return broken();
  std::optional<Answer> answer;
  std::optional<Error> error;
  for (;;) {
    const auto result = next_result();
    if (!result) return std::unexpected(result.error());
    if (*result == nullptr) break;
    const ExecStatusType status = PQresultStatus(*result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY) {
      answer.emplace(*result);
    } else {
      if (!error) error = refused_by(*result).error();
      PQclear(*result);
    }
  }
  if (error) return std::unexpected(*std::move(error));
  if (!answer) return broken();
  return *std::move(answer);
}

Result<void> Connection::run(const std::string& sql) {
  auto answer = query(sql);
  return answer ? Result<void>() : std::unexpected(answer.error());
}

Result<void> Connection::begin_copy(const std::string& sql) {
  if (lost_) return fail(ErrorCode::unavailable, "the connection is lost");
  if (PQsendQuery(connection_, sql.c_str()) != 1) return broken();
  const auto result = next_result();
  if (!result) return std::unexpected(result.error());
  if (*result == nullptr) return broken();
  const Answer answer(*result);
  if (PQresultStatus(*result) == PGRES_COPY_IN) return {};
  auto error = refused_by(*result);
  if (auto ok = drain(); !ok) return ok;
  return error;
}

Result<void> Connection::put_copy(std::span<const char> bytes) {
  for (;;) {
    const int put = PQputCopyData(connection_, bytes.data(), static_cast<int>(bytes.size()));
    if (put < 0) return broken();
    if (put == 1) return flush();
    if (auto ok = wait(true); !ok) return ok;
  }
}

Result<void> Connection::finish_copy() {
  for (int put = 0; (put = PQputCopyEnd(connection_, nullptr)) != 1;) {
    if (put < 0) return broken();
    if (auto ok = wait(true); !ok) return ok;
  }
  std::optional<Error> error;
  for (;;) {
    const auto result = next_result();
    if (!result) return std::unexpected(result.error());
    if (*result == nullptr) break;
    if (PQresultStatus(*result) != PGRES_COMMAND_OK && !error) error = refused_by(*result).error();
    PQclear(*result);
  }
  return error ? Result<void>(std::unexpected(*std::move(error))) : Result<void>();
}

void Connection::cancel_copy() {
  if (lost_ || PQputCopyEnd(connection_, "given up") < 0) return;
  if (auto ok = drain(); !ok) lost_ = true;
}

}  // namespace sallyport::postgres
