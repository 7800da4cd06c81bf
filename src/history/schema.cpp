#include "history/schema.h"

#include <array>
#include <string>

namespace sallyport::history {
namespace {

// A sample's value: NULL, or a number as it is when it is a scalar of its point's type, or text when the point is a
// String; else bytes in the node's own form (value_column.h).
// `seq` counts changes of one point with the same time; nearly always 0, which takes no byte.
constexpr const char* kVersion1 = R"(
CREATE TABLE points (
  id INTEGER PRIMARY KEY,
  path TEXT NOT NULL UNIQUE,
  type INTEGER NOT NULL,
  unit TEXT NOT NULL,
  origin TEXT NOT NULL
) STRICT;
CREATE TABLE samples (
  point INTEGER NOT NULL,
  time INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  status INTEGER NOT NULL,
  value ANY,
  PRIMARY KEY (point, time, seq)
) WITHOUT ROWID, STRICT;
CREATE TABLE state (
  name TEXT PRIMARY KEY,
  value ANY
) WITHOUT ROWID, STRICT;
)";

// What is known to be missing; and how far each stream of a journal came, so that a repeat is known for one.
constexpr const char* kVersion2 = R"(
CREATE TABLE streams (
  name TEXT PRIMARY KEY,
  sequence INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE gaps (
  id INTEGER PRIMARY KEY,
  start INTEGER NOT NULL,
  end INTEGER NOT NULL,
  cause TEXT NOT NULL,
  node TEXT NOT NULL,
  place TEXT NOT NULL,
  lost INTEGER NOT NULL,
  match TEXT NOT NULL,
  detail TEXT NOT NULL,
  UNIQUE (node, place, cause, start) ON CONFLICT REPLACE
) STRICT;
CREATE INDEX gaps_end ON gaps (end);
ALTER TABLE points ADD COLUMN every INTEGER NOT NULL DEFAULT 0;
)";

constexpr std::array kVersions = {kVersion1, kVersion2};
static_assert(kVersions.size() == kSchemaVersion);

std::string file_of(Database& database) {
  auto names = database.prepare("SELECT file FROM pragma_database_list WHERE name = 'main'");
  if (!names) return {};
  const auto row = names->step();
  return row && *row ? std::string(names->text(0)) : std::string();
}

Result<std::int64_t> version_of(Database& database) {
  const auto version = database.number("PRAGMA user_version");
  const auto application = version ? database.number("PRAGMA application_id") : version;
  if (!application) return application;
  const auto tables = database.number("SELECT count(*) FROM sqlite_schema");
  if (!tables) return tables;
  if (*tables > 0 && *application != kApplicationId)
    return fail(ErrorCode::invalid, file_of(database) + ": a database, but no history of sallyport; set another path in [history]");
  if (*version > kSchemaVersion)
    return fail(ErrorCode::invalid, file_of(database) + ": made by a newer sallyport (format " + std::to_string(*version) + ", this one knows " +
                                        std::to_string(kSchemaVersion) + "); use that one, or another path in [history]");
  return *version;
}

Result<void> step_to(Database& database, std::int64_t version) {
  if (auto ok = database.execute(kVersions[static_cast<std::size_t>(version - 1)]); !ok) return ok;
  return database.execute(("PRAGMA user_version = " + std::to_string(version)).c_str());
}

}  // namespace

Result<void> migrate(Database& database, std::int64_t to) {
  const auto version = version_of(database);
  if (!version) return std::unexpected(version.error());
  if (*version >= to) return {};
  if (auto ok = database.execute("BEGIN IMMEDIATE"); !ok) return ok;
  Result<void> done = database.execute(("PRAGMA application_id = " + std::to_string(kApplicationId)).c_str());
  for (std::int64_t next = *version + 1; done && next <= to; ++next) done = step_to(database, next);
  if (done) done = database.execute("COMMIT");
  if (!done) (void)database.execute("ROLLBACK");
  return done;
}

Result<void> check_schema(Database& database) {
  const auto version = version_of(database);
  if (!version) return std::unexpected(version.error());
  if (*version == kSchemaVersion) return {};
  return fail(ErrorCode::unavailable, file_of(database) + ": there is no history in it yet");
}

}  // namespace sallyport::history
