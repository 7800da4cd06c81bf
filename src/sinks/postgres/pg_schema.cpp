#include "sinks/postgres/pg_schema.h"

#include <array>
#include <chrono>
#include <cstdio>

#include "base/log.h"

namespace sallyport::postgres {
namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;
constexpr std::int64_t kDay = 24 * 3600;
constexpr std::int64_t kLongAgo = 3660 * kDay;
constexpr std::size_t kMaxParts = 100'000;

// One at a time makes or changes tables, whatever their schema.
constexpr std::string_view kLock = "SELECT pg_advisory_xact_lock(7809632219761369715)";

// $S: the schema. Large columns first: the server leaves no holes between them.
constexpr std::string_view kTables = R"(
CREATE TABLE $S.about (key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE $S.points (
  point int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, path text NOT NULL UNIQUE, type text NOT NULL, unit text NOT NULL,
  description text NOT NULL, origin text NOT NULL, range_low float8, range_high float8, delivery text NOT NULL,
  since timestamptz NOT NULL DEFAULT now());
CREATE TABLE $S.streams (stream int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE $S.positions (
  reader text NOT NULL, journal text NOT NULL, position bigint NOT NULL, changed timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (reader, journal));
CREATE TABLE $S.gaps (
  stream int NOT NULL, sequence bigint NOT NULL, started timestamptz NOT NULL, ended timestamptz, cause text NOT NULL,
  node text NOT NULL, place text NOT NULL, lost bigint NOT NULL, patterns text[] NOT NULL, detail text NOT NULL,
  PRIMARY KEY (stream, sequence));
CREATE TABLE $S.dead_letters (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), path text NOT NULL,
  time timestamptz NOT NULL, stream text NOT NULL, sequence bigint NOT NULL, reason text NOT NULL, value text NOT NULL);
)";

constexpr std::string_view kChanges = R"(
CREATE TABLE $S.changes (
  time timestamptz NOT NULL, sequence bigint NOT NULL, number float8, status bigint NOT NULL, point int NOT NULL,
  stream int NOT NULL, ns smallint NOT NULL, type smallint NOT NULL, backfill boolean NOT NULL, text text, json jsonb))";

constexpr std::string_view kKey = "CREATE UNIQUE INDEX changes_key ON $S.changes (point, time, ns, stream, sequence);";

constexpr std::string_view kView = R"(
CREATE VIEW $S.history AS
SELECT c.time, p.path, c.number, c.text, c.json,
  CASE WHEN c.status < 1073741824 THEN 'good' WHEN c.status < 2147483648 THEN 'uncertain' ELSE 'bad' END AS quality,
  c.status, p.unit, c.ns, c.type, c.backfill, c.stream, c.sequence, c.point
FROM $S.changes c JOIN $S.points p USING (point);
)";

std::string filled(std::string_view sql, const std::string& schema) {
  std::string out;
  for (std::size_t at = 0; at < sql.size(); ++at) {
    if (sql.substr(at, 2) == "$S") {
      out += schema;
      ++at;
    } else {
      out += sql[at];
    }
  }
  return out;
}

std::string day_text(std::int64_t seconds, const char* format) {
  using namespace std::chrono;
  const sys_seconds time{std::chrono::seconds(seconds)};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), format, static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(duration_cast<hours>(time - day).count()));
  return text.data();
}

std::int64_t floor_divide(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

}  // namespace

Schema::Schema(Connection& connection, const Options& options, int to_version)
    : connection_(connection),
      schema_(options.schema),
      quoted_("\"" + options.schema + "\""),
      wanted_partition_(options.partition),
      may_use_timescaledb_(options.timescaledb),
      to_version_(to_version) {}

Result<int> Schema::version() {
  auto there = connection_.query("SELECT to_regclass($1) IS NOT NULL", {quoted_ + ".about"});
  if (!there) return std::unexpected(there.error());
  if (!there->yes(0, 0)) return 0;
  auto found = connection_.query("SELECT value FROM " + quoted_ + ".about WHERE key = 'version'");
  if (!found) return std::unexpected(found.error());
  return found->rows() == 0 ? 0 : static_cast<int>(found->number(0, 0));
}

Result<void> Schema::prepare() {
  auto at = version();
  if (!at) return std::unexpected(explain(at.error()));
  if (*at > to_version_) {
    return fail(ErrorCode::invalid, "schema " + quoted_ + " has version " + std::to_string(*at) + ", this program knows " +
                                        std::to_string(to_version_) + ": update sallyport, or give this sink a schema of its own");
  }
  if (*at < to_version_) {
    if (auto ok = upgrade(*at); !ok) {
      const Error error = ok.error();
      if (!connection_.lost()) (void)connection_.run("ROLLBACK");
      return std::unexpected(explain(error));
    }
  }
  if (auto ok = read_layout(); !ok) return std::unexpected(explain(ok.error()));
  // Here and not in each transaction: a table less to make.
  auto staging = connection_.run("CREATE TEMP TABLE IF NOT EXISTS sallyport_staging (LIKE " + quoted_ + ".changes) ON COMMIT DELETE ROWS");
  return staging ? staging : std::unexpected(explain(staging.error()));
}

Result<void> Schema::read_layout() {
  auto about = connection_.query("SELECT (SELECT value FROM " + quoted_ + ".about WHERE key = 'layout'), (SELECT value FROM " + quoted_ + ".about WHERE key = 'part_seconds')");
  if (!about) return std::unexpected(about.error());
  hypertable_ = about->text(0, 0) == "hypertable";
  seconds_ = about->number(0, 1);
  if (seconds_ < 3600) return fail(ErrorCode::invalid, "table " + quoted_ + ".about says no sensible part_seconds");
  if (!hypertable_ && std::chrono::seconds(seconds_) != wanted_partition_) {
    log::warn("the table is cut into parts of another length; they stay as they are", log::field("schema", schema_),
              log::field("hours", seconds_ / 3600));
  }
  return {};
}

// Creating it in a server that has not loaded it ends the connection: so that is asked first, as far as one may.
Result<bool> Schema::find_timescaledb() {
  if (!may_use_timescaledb_) return false;
  auto found = connection_.query(
      "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb'),"
      " EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') AND EXISTS (SELECT FROM pg_settings"
      " WHERE name = 'shared_preload_libraries' AND setting LIKE '%timescaledb%')");
  if (!found) return std::unexpected(found.error());
  if (found->yes(0, 0)) return true;
  if (!found->yes(0, 1)) return false;
  if (auto made = connection_.run("CREATE EXTENSION IF NOT EXISTS timescaledb")) return true;
  if (connection_.lost()) return fail(ErrorCode::unavailable, "the connection ended while TimescaleDB was set up");
  return false;
}

Result<void> Schema::upgrade(int from) {
  auto timescaledb = find_timescaledb();
  if (!timescaledb) return std::unexpected(timescaledb.error());
  if (auto ok = connection_.run("BEGIN; " + std::string(kLock)); !ok) return ok;
  auto at = version();  // another one may have been faster
  if (!at) return std::unexpected(at.error());
  if (*at == 0) {
    hypertable_ = *timescaledb;
    if (auto ok = first_tables(); !ok) return ok;
    at = 1;
  }
  if (*at < 2 && to_version_ >= 2) {
    if (auto ok = connection_.run(filled(kView, quoted_)); !ok) return ok;
  }
  auto done = connection_.run("INSERT INTO " + quoted_ + ".about VALUES ('version', '" + std::to_string(to_version_) +
                              "') ON CONFLICT (key) DO UPDATE SET value = excluded.value; COMMIT");
  if (!done) return done;
  log::info("tables in the database", log::field("schema", schema_), log::field("version", to_version_), log::field("before", from));
  return {};
}

Result<void> Schema::first_tables() {
  auto there = connection_.query("SELECT to_regnamespace($1) IS NOT NULL", {quoted_});
  if (!there) return std::unexpected(there.error());
  std::string sql = there->yes(0, 0) ? "" : "CREATE SCHEMA " + quoted_ + ";";
  const std::int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(wanted_partition_).count();
  sql += filled(kTables, quoted_) + filled(kChanges, quoted_);
  if (hypertable_) {
    // The function stands in whatever schema the extension was put into.
    sql += ";";
    if (auto ok = connection_.run(sql + filled(kKey, quoted_)); !ok) return ok;
    auto where = connection_.query("SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'");
    if (!where) return std::unexpected(where.error());
    if (where->rows() == 0) return fail(ErrorCode::unavailable, "TimescaleDB vanished");
    sql = "SELECT " + where->text(0, 0) + ".create_hypertable('" + quoted_ + ".changes', 'time', create_default_indexes => false, chunk_time_interval => interval '" +
          std::to_string(seconds) + " seconds');";
  } else {
    sql += " PARTITION BY RANGE (time); CREATE TABLE $S.changes_other PARTITION OF $S.changes DEFAULT;";
    sql = filled(sql, quoted_) + filled(kKey, quoted_);
  }
  sql += "INSERT INTO $S.about VALUES ('layout', '" + std::string(hypertable_ ? "hypertable" : "partitions") + "'), ('part_seconds', '" + std::to_string(seconds) + "')";
  return connection_.run(filled(sql, quoted_));
}

Result<void> Schema::make_room(UtcNanoseconds time) {
  if (hypertable_) return {};
  const std::int64_t second = floor_divide(time, kNanoseconds);
  const std::int64_t part = floor_divide(second, seconds_);
  if (parts_.contains(part)) return {};
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  if (second < now - kLongAgo || second > now + kDay) return {};
  if (parts_.size() >= kMaxParts) parts_.clear();
  if (auto ok = make_part(part); !ok) return ok;
  parts_.insert(part);
  return {};
}

Result<void> Schema::make_part(std::int64_t part) {
  const std::int64_t from = part * seconds_, to = from + seconds_;
  const char* bound = "'%04d-%02u-%02u %02d:00:00+00'";
  const std::string name = quoted_ + "." + day_text(from, seconds_ % kDay == 0 ? "changes_%04d%02u%02u" : "changes_%04d%02u%02u_%02d");
  auto there = connection_.query("SELECT to_regclass($1) IS NOT NULL", {name});
  if (!there) return std::unexpected(there.error());
  if (there->yes(0, 0)) return {};
  auto made = connection_.run("BEGIN; " + std::string(kLock) + "; CREATE TABLE IF NOT EXISTS " + name + " PARTITION OF " + quoted_ + ".changes FOR VALUES FROM (" +
                              day_text(from, bound) + ") TO (" + day_text(to, bound) + "); COMMIT");
  if (made) {
    ++parts_made_;
    return {};
  }
  const Error error = made.error();
  if (connection_.lost()) return std::unexpected(error);
  const std::string code = connection_.sqlstate();
  if (auto ok = connection_.run("ROLLBACK"); !ok) return ok;
  // Rows of this time lie in the common part already (a clock was wrong), or a part of another length covers it: so be it.
  if (code == "23514" || code == "42P17" || code == "42P07") return {};
  return std::unexpected(explain(error));
}

Error Schema::explain(const Error& error) {
  if (error.code != ErrorCode::refused || connection_.lost()) return error;
  const std::string missing = missing_privilege();
  return missing.empty() ? error : Error{ErrorCode::refused, missing};
}

std::string Schema::missing_privilege() {
  auto who = connection_.query(
      "SELECT quote_ident(current_user), quote_ident(current_database()), has_database_privilege(current_database(), 'CREATE'),"
      " has_database_privilege(current_database(), 'TEMPORARY'), to_regnamespace($1) IS NOT NULL,"
      " CASE WHEN to_regnamespace($1) IS NOT NULL THEN has_schema_privilege($2, 'USAGE') END,"
      " CASE WHEN to_regnamespace($1) IS NOT NULL THEN has_schema_privilege($2, 'CREATE') END",
      {quoted_, schema_});
  if (!who) return {};
  const std::string user = who->text(0, 0), database = who->text(0, 1);
  if (!who->yes(0, 4)) {
    if (who->yes(0, 2)) return {};
    return user + " may not make the schema " + quoted_ + ": GRANT CREATE ON DATABASE " + database + " TO " + user +
           "; (or make it: CREATE SCHEMA " + quoted_ + " AUTHORIZATION " + user + ";)";
  }
  if (!who->yes(0, 5)) return user + " may not use the schema " + quoted_ + ": GRANT USAGE, CREATE ON SCHEMA " + quoted_ + " TO " + user + ";";
  auto tables = connection_.query(
      "SELECT count(*), count(*) FILTER (WHERE has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')"
      " AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')),"
      " coalesce(bool_and(pg_has_role(relowner, 'USAGE')) FILTER (WHERE relname = 'changes'), true)"
      " FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p')"
      " AND relname IN ('about', 'points', 'streams', 'positions', 'gaps', 'dead_letters', 'changes')",
      {quoted_});
  if (!tables) return {};
  if (!who->yes(0, 6)) return user + " may not make tables in the schema " + quoted_ + ": GRANT CREATE ON SCHEMA " + quoted_ + " TO " + user + ";";
  if (tables->number(0, 0) != tables->number(0, 1)) {
    return user + " may not read and write the tables: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + quoted_ + " TO " + user + ";";
  }
  if (!who->yes(0, 3)) return user + " may not make temporary tables: GRANT TEMPORARY ON DATABASE " + database + " TO " + user + ";";
  if (!tables->yes(0, 2)) return user + " may not add parts to the table: ALTER TABLE " + quoted_ + ".changes OWNER TO " + user + ";";
  return {};
}

}  // namespace sallyport::postgres
