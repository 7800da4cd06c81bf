#include "sinks/postgres/store.h"

#include <algorithm>
#include <array>

#include "base/json_writer.h"
#include "namespace/point_json.h"

namespace sallyport::postgres {
namespace {

constexpr std::size_t kChunk = 256 * 1024;        // bytes handed to the server at once
constexpr std::size_t kPointsAtOnce = 5'000;
constexpr std::size_t kMaxLetterValue = 4'096;    // bytes of the value kept with a dead letter

// The server's JSON takes everything but NUL.
std::string plain(std::string_view text) {
  std::string out(text);
  std::erase(out, '\0');
  return out;
}

std::string type_text(const Meta& meta) { return std::string(to_string(meta.type)) + (meta.array ? "[]" : ""); }

void put_time(JsonWriter& json, std::string_view key, UtcNanoseconds time) { json.field(key, format_utc(time)); }

}  // namespace

Store::Store(Connection& connection, Schema& schema, const Collector& collector, const Options& options)
    : connection_(connection), schema_(schema), collector_(collector), reader_(options.reader), quoted_(schema.quoted()) {}

Result<Position> Store::position() {
  auto made = connection_.query("INSERT INTO " + quoted_ + ".positions (reader, journal, position) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING",
                                {reader_, collector_.journal()});
  if (!made) return std::unexpected(made.error());
  // Should an earlier connection of ours still be committing, wait for it.
  auto found = connection_.query("SELECT position FROM " + quoted_ + ".positions WHERE reader = $1 AND journal = $2 FOR UPDATE", {reader_, collector_.journal()});
  if (!found) return std::unexpected(found.error());
  return static_cast<Position>(found->number(0, 0));
}

Result<Written> Store::write(const Rows& rows, Position from) {
  ++batches_;
  written_ = {};
  letters_.clear();
  every_.clear();
  live_.clear();
  // Outside of the transaction: their numbers are used from now on, whatever becomes of it.
  if (auto ok = name_points(rows); !ok) return std::unexpected(ok.error());
  if (auto ok = name_streams(rows); !ok) return std::unexpected(ok.error());
  for (std::uint32_t i = 0; i < rows.rows.size(); ++i) {
    const Row& row = rows.rows[i];
    if (std::string why = never_fits(row.value); !why.empty()) {
      letters_.push_back({i, std::move(why)});
      continue;
    }
    if (auto ok = schema_.make_room(row.time); !ok) return std::unexpected(ok.error());
    (row.every ? every_ : live_).push_back(i);
  }
  auto done = transact(rows, from);
  if (done) return written_;
  const Error error = done.error();
  if (!connection_.lost()) (void)connection_.run("ROLLBACK");
  return std::unexpected(schema_.explain(error));
}

Result<void> Store::transact(const Rows& rows, Position from) {
  if (auto ok = connection_.run("BEGIN"); !ok) return ok;
  // First, so that a transaction of an earlier connection that still lives is waited for.
  if (rows.position > from) {
    if (auto ok = move_position(from, rows.position); !ok) return ok;
  }
  if (auto ok = put_range(rows, every_, false); !ok) return ok;
  if (auto ok = put_range(rows, live_, true); !ok) return ok;
  if (auto ok = put_gaps(rows); !ok) return ok;
  if (auto ok = put_letters(rows); !ok) return ok;
  return connection_.run("COMMIT");
}

Result<void> Store::move_position(Position from, Position to) {
  auto moved = connection_.query("UPDATE " + quoted_ + ".positions SET position = $1, changed = now() WHERE reader = $2 AND journal = $3 AND position = $4",
                                 {std::to_string(to), reader_, collector_.journal(), std::to_string(from)});
  if (!moved) return std::unexpected(moved.error());
  if (moved->affected() == 1) return {};
  return fail(ErrorCode::exists, "the position in the database is not where it was left: is another node called the same?");
}

// --- Rows ------------------------------------------------------------------------------------------------------------

// Rows that the server refuses are found by halves, so that one of them costs no other.
Result<void> Store::put_range(const Rows& rows, std::span<const std::uint32_t> which, bool staged) {
  if (which.empty()) return {};
  if (auto ok = connection_.run("SAVEPOINT part"); !ok) return ok;
  auto tried = try_range(rows, which, staged);
  if (tried) return connection_.run("RELEASE SAVEPOINT part");
  const Error error = tried.error();
  if (connection_.lost() || (error.code != ErrorCode::invalid && error.code != ErrorCode::exists)) return tried;
  if (auto ok = connection_.run("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part"); !ok) return ok;
  // By another way (a second node, a database that was restored) some of them are there.
  if (error.code == ErrorCode::exists && !staged) return put_range(rows, which, true);
  if (which.size() == 1) {
    letters_.push_back({which[0], error.message});
    return {};
  }
  const std::size_t half = which.size() / 2;
  if (auto ok = put_range(rows, which.first(half), staged); !ok) return ok;
  return put_range(rows, which.subspan(half), staged);
}

Result<void> Store::try_range(const Rows& rows, std::span<const std::uint32_t> which, bool staged) {
  if (!staged) {
    if (auto ok = copy(rows, which, quoted_ + ".changes"); !ok) return ok;
    written_.rows += which.size();
    return {};
  }
  if (auto ok = copy(rows, which, "sallyport_staging"); !ok) return ok;
  const std::string columns(kChangeColumns);
  auto moved = connection_.query("INSERT INTO " + quoted_ + ".changes (" + columns + ") SELECT " + columns + " FROM sallyport_staging ON CONFLICT DO NOTHING");
  if (!moved) return std::unexpected(moved.error());
  const std::uint64_t fresh = moved->affected();
  if (auto ok = connection_.run("DELETE FROM sallyport_staging"); !ok) return ok;
  written_.rows += fresh;
  written_.repeated += which.size() - fresh;
  return {};
}

Result<void> Store::copy(const Rows& rows, std::span<const std::uint32_t> which, const std::string& table) {
  if (auto ok = connection_.begin_copy("COPY " + table + " (" + std::string(kChangeColumns) + ") FROM STDIN (FORMAT binary)"); !ok) return ok;
  copy_.begin();
  for (const std::uint32_t i : which) {
    const Row& row = rows.rows[i];
    copy_.add(row, points_[row.point].id, row.every ? streams_[row.stream] : 0);
    if (copy_.bytes().size() < kChunk) continue;
    if (auto ok = connection_.put_copy(copy_.bytes()); !ok) return ok;
    copy_.bytes().clear();
  }
  copy_.end();
  if (auto ok = connection_.put_copy(copy_.bytes()); !ok) return ok;
  return connection_.finish_copy();
}

// --- Names -----------------------------------------------------------------------------------------------------------

Result<void> Store::name_points(const Rows& rows) {
  std::vector<std::uint32_t> fresh;
  for (const Row& row : rows.rows) {
    if (row.point >= points_.size()) points_.resize(row.point + std::size_t{1});
    Known& known = points_[row.point];
    if (known.looked == batches_) continue;
    known.looked = batches_;
    const FeedPoint& point = collector_.point(row.point);
    if (known.id != 0 && known.meta == point.meta && known.origin == point.origin) continue;
    fresh.push_back(row.point);
  }
  for (std::size_t at = 0; at < fresh.size(); at += kPointsAtOnce) {
    const std::size_t size = std::min(kPointsAtOnce, fresh.size() - at);
    if (auto ok = upsert_points(std::span(fresh).subspan(at, size)); !ok) return std::unexpected(schema_.explain(ok.error()));
  }
  return {};
}

Result<void> Store::upsert_points(std::span<const std::uint32_t> points) {
  std::string text;
  JsonWriter json(text);
  json.begin_array();
  for (std::size_t i = 0; i < points.size(); ++i) {
    const FeedPoint& point = collector_.point(points[i]);
    json.begin_object();
    json.field("n", static_cast<std::uint64_t>(i));
    json.field("path", plain(point.path));
    json.field("type", type_text(point.meta));
    json.field("unit", plain(point.meta.unit));
    json.field("description", plain(point.meta.description));
    json.field("origin", plain(point.origin));
    if (point.meta.range_low) json.field("range_low", *point.meta.range_low);
    if (point.meta.range_high) json.field("range_high", *point.meta.range_high);
    json.field("delivery", point.meta.every ? "every" : "latest");
    json.end_object();
  }
  json.end_array();
  const std::string given = "json_to_recordset($1::json) AS g(n int, path text, type text, unit text, description text, origin text, range_low float8, range_high float8, delivery text)";
  const std::string fields = "path, type, unit, description, origin, range_low, range_high, delivery";
  const std::string old = "p.type, p.unit, p.description, p.origin, p.range_low, p.range_high, p.delivery";
  const std::string fresh = "excluded.type, excluded.unit, excluded.description, excluded.origin, excluded.range_low, excluded.range_high, excluded.delivery";
  auto put = connection_.query("INSERT INTO " + quoted_ + ".points AS p (" + fields + ") SELECT " + fields + " FROM " + given +
                                   // In one order everywhere: two nodes that do this at once do not wait for each other in a ring.
                                   " ORDER BY path ON CONFLICT (path) DO UPDATE SET (type, unit, description, origin, range_low, range_high, delivery) = ROW(" + fresh +
                                   ") WHERE (" + old + ") IS DISTINCT FROM (" + fresh + ")",
                               {text});
  if (!put) return std::unexpected(put.error());
  auto ids = connection_.query("SELECT g.n, p.point FROM " + given + " JOIN " + quoted_ + ".points p ON p.path = g.path", {text});
  if (!ids) return std::unexpected(ids.error());
  for (int row = 0; row < ids->rows(); ++row) {
    const std::uint32_t id = points[static_cast<std::size_t>(ids->number(row, 0))];
    const FeedPoint& point = collector_.point(id);
    Known& known = points_[id];
    known.id = static_cast<std::int32_t>(ids->number(row, 1));
    known.meta = point.meta;
    known.origin = point.origin;
  }
  return {};
}

Result<void> Store::name_streams(const Rows& rows) {
  for (const Row& row : rows.rows) {
    if (!row.every) continue;
    if (auto ok = name_stream(row.stream); !ok) return ok;
  }
  for (const FeedGap& gap : rows.gaps) {
    if (auto ok = name_stream(gap.stream); !ok) return ok;
  }
  return {};
}

Result<void> Store::name_stream(std::uint32_t stream) {
  if (stream >= streams_.size()) streams_.resize(stream + std::size_t{1}, 0);
  if (streams_[stream] != 0) return {};
  const std::string name = plain(collector_.stream(stream));
  auto put = connection_.query("INSERT INTO " + quoted_ + ".streams (name) VALUES ($1) ON CONFLICT DO NOTHING", {name});
  if (!put) return std::unexpected(schema_.explain(put.error()));
  auto id = connection_.query("SELECT stream FROM " + quoted_ + ".streams WHERE name = $1", {name});
  if (!id) return std::unexpected(schema_.explain(id.error()));
  if (id->rows() != 1) return fail(ErrorCode::unavailable, "a stream vanished from the database");
  streams_[stream] = static_cast<std::int32_t>(id->number(0, 0));
  return {};
}

// --- Gaps and dead letters -------------------------------------------------------------------------------------------

Result<void> Store::put_gaps(const Rows& rows) {
  if (rows.gaps.empty()) return {};
  std::string text;
  JsonWriter json(text);
  json.begin_array();
  for (const FeedGap& one : rows.gaps) {
    json.begin_object();
    json.field("stream", streams_[one.stream]);
    json.field("sequence", one.sequence);
    put_time(json, "started", one.gap.start);
    if (one.gap.end != 0) put_time(json, "ended", one.gap.end);
    json.field("cause", to_string(one.gap.cause));
    json.field("node", plain(one.gap.node));
    json.field("place", plain(one.gap.where));
    json.field("lost", std::min<std::uint64_t>(one.gap.lost, INT64_MAX));
    json.key("patterns");
    json.begin_array();
    for (const std::string& pattern : one.gap.match) json.string(plain(pattern));
    json.end_array();
    json.field("detail", plain(one.gap.detail));
    json.end_object();
  }
  json.end_array();
  const std::string given = "json_to_recordset($1::json) AS g(stream int, sequence bigint, started timestamptz, ended timestamptz, cause text, node text, place text, lost bigint, patterns text[], detail text)";
  // The end of a gap that was said to last takes its place.
  auto ended = connection_.query("DELETE FROM " + quoted_ + ".gaps o USING " + given +
                                     " WHERE o.ended IS NULL AND g.ended IS NOT NULL AND (o.node, o.place, o.cause, o.started) = (g.node, g.place, g.cause, g.started)",
                                 {text});
  if (!ended) return std::unexpected(ended.error());
  const std::string fields = "stream, sequence, started, ended, cause, node, place, lost, patterns, detail";
  auto put = connection_.query("INSERT INTO " + quoted_ + ".gaps (" + fields + ") SELECT " + fields + " FROM " + given + " ON CONFLICT DO NOTHING", {text});
  if (!put) return std::unexpected(put.error());
  written_.gaps += put->affected();
  return {};
}

Result<void> Store::put_letters(const Rows& rows) {
  if (letters_.empty()) return {};
  std::string text;
  JsonWriter json(text);
  json.begin_array();
  for (const Letter& letter : letters_) {
    const Row& row = rows.rows[letter.row];
    std::string value;
    JsonWriter writer(value);
    append_value_json(writer, row.value);
    if (value.size() > kMaxLetterValue) value.resize(kMaxLetterValue);
    json.begin_object();
    json.field("path", plain(collector_.point(row.point).path));
    put_time(json, "time", row.time);
    json.field("stream", row.every ? plain(collector_.stream(row.stream)) : std::string());
    json.field("sequence", row.sequence);
    json.field("reason", plain(letter.reason));
    json.field("value", plain(value));
    json.end_object();
  }
  json.end_array();
  auto put = connection_.query("INSERT INTO " + quoted_ + ".dead_letters (path, time, stream, sequence, reason, value) SELECT * FROM json_to_recordset($1::json)"
                               " AS g(path text, time timestamptz, stream text, sequence bigint, reason text, value text)",
                               {text});
  if (!put) return std::unexpected(put.error());
  if (auto ok = connection_.run("DELETE FROM " + quoted_ + ".dead_letters WHERE id <= (SELECT max(id) FROM " + quoted_ + ".dead_letters) - " + std::to_string(kMaxDeadLetters)); !ok) return ok;
  written_.refused += letters_.size();
  written_.reason = collector_.point(rows.rows[letters_.back().row].point).path + ": " + letters_.back().reason;
  return {};
}

}  // namespace sallyport::postgres
