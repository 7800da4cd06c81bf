#include "history/reader.h"

#include <sys/stat.h>

#include <algorithm>
#include <ranges>

#include "base/json_writer.h"
#include "history/schema.h"
#include "history/value_column.h"
#include "namespace/point_json.h"

namespace sallyport::history {
namespace {

constexpr std::int64_t kTimeLimit_ms = 20'000;
constexpr std::size_t kMaxBytes = 8u << 20;       // of one answer; a cursor leads on
constexpr std::size_t kMaxPoints = 1'000'000;
constexpr std::size_t kMaxAsOfPoints = 10'000;
constexpr std::size_t kMaxGaps = 1000;
constexpr Status kBadDecodingError = 0x80070000;
constexpr int kMaxLookAround = 1000;              // samples looked at for a usable one beside the time asked for

// What all matching paths begin with: "acme/berlin/" of "acme/berlin/**".
std::string common_prefix(const std::vector<std::string>& texts) {
  std::optional<std::string> common;
  for (const std::string& text : texts) {
    if (text.starts_with('!')) continue;
    std::string fixed = text.substr(0, text.find('*'));
    if (fixed.size() < text.size() && fixed.ends_with('/')) fixed.pop_back();  // "acme/**" matches "acme" too
    if (!common) common = fixed;
    const auto differ = std::ranges::mismatch(*common, fixed).in1;
    common->erase(differ, common->end());
  }
  return common.value_or("");
}

void append_sample(std::string& out, const std::string& path, const std::string& origin, const Sample& sample) {
  append_point_json(out, path, sample.value, sample.status, sample.time, origin, nullptr);
}

void append_gap(std::string& out, const Statement& gap) {
  JsonWriter json(out);
  json.begin_object();
  json.field("start", format_utc(gap.integer(0)));
  json.key("end");
  if (gap.integer(1) == 0) json.null();
  else json.string(format_utc(gap.integer(1)));
  json.field("cause", gap.text(2));
  json.field("node", gap.text(3));
  json.field("where", gap.text(4));
  json.key("lost");
  if (gap.integer(5) == 0) json.null();
  else json.unsigned_integer(static_cast<std::uint64_t>(gap.integer(5)));
  json.key("match");
  json.begin_array();
  for (std::string_view rest = gap.text(6); !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    json.string(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  json.end_array();
  json.field("detail", gap.text(7));
  json.end_object();
  out += '\n';
}

std::vector<std::string> lines(std::string_view text) {
  std::vector<std::string> found;
  for (std::string_view rest = text; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    found.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return found;
}

}  // namespace

Result<std::unique_ptr<HistoryReader>> HistoryReader::open(const std::string& path) {
  auto database = Database::open(path, Database::Mode::read);
  if (!database) return std::unexpected(database.error());
  std::unique_ptr<HistoryReader> reader(new HistoryReader);
  reader->database_ = *std::move(database);
  reader->path_ = path;
  if (struct stat info{}; ::stat(path.c_str(), &info) == 0) reader->file_ = {info.st_dev, info.st_ino};
  if (auto ok = reader->database_.execute("PRAGMA cache_size = -16384"); !ok) return std::unexpected(ok.error());
  if (auto ok = check_schema(reader->database_); !ok) return std::unexpected(ok.error());
  if (auto ok = reader->prepare(); !ok) return std::unexpected(ok.error());
  return reader;
}

bool HistoryReader::moved_away() const {
  struct stat info{};
  return ::stat(path_.c_str(), &info) != 0 || std::pair<std::uint64_t, std::uint64_t>(info.st_dev, info.st_ino) != file_;
}

Result<void> HistoryReader::prepare() {
  const std::pair<Statement*, const char*> wanted[] = {
      {&points_, "SELECT id, type, every, path, origin FROM points WHERE path >= ?1 ORDER BY path"},
      {&point_, "SELECT path FROM points WHERE id = ?1"},
      {&forward_, "SELECT time, status, value, seq FROM samples WHERE point = ?1 AND time >= ?2 AND time < ?3 ORDER BY time, seq"},
      {&backward_, "SELECT time, status, value, seq FROM samples WHERE point = ?1 AND time >= ?2 AND time < ?3 ORDER BY time DESC, seq DESC"},
      {&before_, "SELECT time, status, value, seq FROM samples WHERE point = ?1 AND time <= ?2 ORDER BY time DESC, seq DESC"},
      {&first_, "SELECT time FROM samples WHERE point = ?1 ORDER BY time LIMIT 1"},
      {&gaps_, "SELECT start, end, cause, node, place, lost, match, detail FROM gaps WHERE start < ?2 AND (end > ?1 OR end = 0) ORDER BY start DESC"},
  };
  for (const auto& [statement, sql] : wanted) {
    auto prepared = database_.prepare(sql);
    if (!prepared) return std::unexpected(prepared.error());
    *statement = *std::move(prepared);
  }
  return {};
}

// One transaction, so that all of an answer is of one moment.
Result<Answer> HistoryReader::read(const Query& query) {
  database_.limit_time(kTimeLimit_ms);
  if (auto ok = database_.execute("BEGIN"); !ok) return std::unexpected(ok.error());
  auto answer = read_now(query);
  for (Statement* statement : {&points_, &point_, &forward_, &backward_, &before_, &first_, &gaps_}) statement->reset();
  database_.limit_time(0);
  const auto ended = database_.execute("COMMIT");
  if (answer && !ended) return std::unexpected(ended.error());
  return answer;
}

Result<Answer> HistoryReader::read_now(const Query& query) {
  const auto alive = database_.number("SELECT value FROM state WHERE name = 'alive'");
  if (!alive) return std::unexpected(alive.error());
  alive_ = *alive;
  const auto points = find(query);
  if (!points) return std::unexpected(points.error());
  Answer answer;
  Result<void> done;
  if (!query.at.empty()) {
    done = read_as_of(query, *points, answer);
  } else {
    std::size_t left = query.limit;
    for (const Point& point : *points) {
      if (!done || answer.cursor) break;
      ++answer.points;
      done = query.aggregate ? read_aggregate(query, point, answer, left) : read_raw(query, point, answer, left);
    }
  }
  if (done) done = read_gaps(query, *points, answer);
  if (!done) return std::unexpected(done.error());
  return answer;
}

Result<std::vector<HistoryReader::Point>> HistoryReader::find(const Query& query) {
  std::string from = common_prefix(query.texts);
  const std::string prefix = from;
  if (query.cursor.point != 0) {
    point_.bind(1, query.cursor.point);
    const auto row = point_.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return fail(ErrorCode::invalid, "cursor: of another history; begin again without a cursor");
    from = std::max(from, std::string(point_.text(0)));
    point_.reset();
  }
  std::vector<Point> found;
  points_.bind(1, std::string_view(from));
  for (;;) {
    const auto row = points_.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    const auto path = points_.text(3);
    if (!path.starts_with(prefix)) break;
    if (!query.match.matches(path)) continue;
    if (found.size() == kMaxPoints) return fail(ErrorCode::limit, "more than a million points match; use narrower patterns");
    found.push_back({points_.integer(0), static_cast<Type>(points_.integer(1)), points_.integer(2) != 0, std::string(path), std::string(points_.text(4))});
  }
  points_.reset();
  if (found.empty() && query.one) return fail(ErrorCode::not_found, "the history has no point '" + query.texts.front() + "'");
  return found;
}

Sample HistoryReader::sample(const Statement& statement, const Point& point) const {
  auto value = column_value(statement, 2, point.type);
  if (!value) return Sample{statement.integer(0), kBadDecodingError, {}};  // one bad value does not hide the others
  return Sample{statement.integer(0), static_cast<Status>(statement.integer(1)), *std::move(value)};
}

Result<void> HistoryReader::read_raw(const Query& query, const Point& point, Answer& answer, std::size_t& left) {
  const bool goes_on = query.cursor.point == point.id;
  Statement& rows = query.newest_first ? backward_ : forward_;
  rows.reset();
  rows.bind(1, point.id);
  rows.bind(2, std::int64_t{goes_on && !query.newest_first ? std::max(query.from, query.cursor.time) : query.from});
  rows.bind(3, std::int64_t{goes_on && query.newest_first ? std::min(query.to, query.cursor.time + 1) : query.to});
  Cursor last{point.id, query.newest_first ? query.to : query.from, query.newest_first ? INT64_MAX : -1};
  for (;;) {
    const auto row = rows.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
    const UtcNanoseconds time = rows.integer(0);
    const std::int64_t seq = rows.integer(3);
    if (goes_on && time == query.cursor.time && (query.newest_first ? seq >= query.cursor.seq : seq <= query.cursor.seq)) continue;
    if (left == 0 || answer.samples.size() > kMaxBytes) {
      answer.cursor = to_text(last);
      return {};
    }
    append_sample(answer.samples, point.path, point.origin, sample(rows, point));
    answer.samples += '\n';
    ++answer.count;
    --left;
    last = {point.id, time, seq};
  }
}

// The last usable sample at or before `from`, and what came after it until then.
Result<void> HistoryReader::add_before(Aggregation& aggregation, const Point& point, UtcNanoseconds from) {
  before_.reset();
  before_.bind(1, point.id);
  before_.bind(2, std::int64_t{from - 1});
  std::vector<Sample> found;
  for (int i = 0; i < kMaxLookAround; ++i) {
    const auto row = before_.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    found.push_back(sample(before_, point));
    if (quality_of(found.back().status) == Quality::good) break;
  }
  before_.reset();
  for (const Sample& one : std::views::reverse(found)) aggregation.add(one);
  return {};
}

Result<void> HistoryReader::feed(Aggregation& aggregation, const Point& point, UtcNanoseconds from, UtcNanoseconds to) {
  if (auto ok = add_before(aggregation, point, from); !ok) return ok;
  forward_.reset();
  forward_.bind(1, point.id);
  forward_.bind(2, std::int64_t{from});
  forward_.bind(3, std::int64_t{INT64_MAX});
  for (int after = 0; after < kMaxLookAround;) {
    const auto row = forward_.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    const Sample one = sample(forward_, point);
    aggregation.add(one);
    if (one.time < to) continue;
    ++after;
    if (quality_of(one.status) == Quality::good) break;
  }
  forward_.reset();
  return {};
}

Result<void> HistoryReader::read_aggregate(const Query& query, const Point& point, Answer& answer, std::size_t& left) {
  Intervals intervals{query.from, query.to, query.interval};
  const std::size_t all = intervals.count();
  if (query.cursor.point == point.id) intervals.from = std::clamp(query.cursor.time, query.from, query.to - 1);
  const auto stop_at = [&](UtcNanoseconds time) { answer.cursor = to_text(Cursor{point.id, time, 0}); };
  if (left == 0 || answer.samples.size() > kMaxBytes) {
    stop_at(intervals.from);
    return {};
  }
  intervals.part = all > 1;
  if (all > 1 && intervals.count() > left) intervals.to = intervals.from + static_cast<std::int64_t>(left) * query.interval;
  Aggregation aggregation(*query.aggregate, intervals, {.stepped = query.stepped});
  if (auto ok = feed(aggregation, point, intervals.from, intervals.to); !ok) return ok;
  first_.reset();
  first_.bind(1, point.id);
  const auto row = first_.step();
  if (!row) return std::unexpected(row.error());
  const auto first = *row ? std::optional<UtcNanoseconds>(first_.integer(0)) : std::nullopt;
  first_.reset();
  for (const Sample& one : aggregation.finish(first, alive_)) {
    append_sample(answer.samples, point.path, point.origin, one);
    answer.samples += '\n';
    ++answer.count;
    --left;
  }
  if (intervals.to < query.to) stop_at(intervals.to);
  return {};
}

Result<void> HistoryReader::read_as_of(const Query& query, const std::vector<Point>& points, Answer& answer) {
  if (points.size() > kMaxAsOfPoints)
    return fail(ErrorCode::limit, std::to_string(points.size()) + " points match; an as-of join takes at most " + std::to_string(kMaxAsOfPoints));
  answer.points = points.size();
  for (const UtcNanoseconds at : query.at) {
    std::string& out = answer.samples;
    if (out.size() > 8 * kMaxBytes) return fail(ErrorCode::limit, "the answer is too large; ask for fewer times or points");
    out += "{\"at\":\"" + format_utc(at) + "\",\"points\":[";
    for (const Point& point : points) {
      if (out.back() != '[') out += ',';
      before_.reset();
      before_.bind(1, point.id);
      before_.bind(2, std::int64_t{at});
      const auto row = before_.step();
      if (!row) return std::unexpected(row.error());
      Sample found{at, status::kBadNoData, {}};
      if (*row) {
        Sample one = sample(before_, point);
        if (query.max_age.count() == 0 || at - one.time <= query.max_age.count()) found = std::move(one);
      }
      append_sample(out, point.path, point.origin, found);
    }
    out += "]}\n";
    ++answer.count;
  }
  before_.reset();
  return {};
}

// A gap of the history's own concerns points that are not journalled only.
Result<void> HistoryReader::read_gaps(const Query& query, const std::vector<Point>& points, Answer& answer) {
  if (points.empty()) return {};
  gaps_.reset();
  gaps_.bind(1, std::int64_t{query.at.empty() ? query.from : query.at.front()});
  gaps_.bind(2, std::int64_t{query.at.empty() ? query.to : query.at.back() + 1});
  for (std::size_t count = 0; count < kMaxGaps;) {
    const auto row = gaps_.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    const auto match = Patterns::parse(lines(gaps_.text(6)));
    const bool own = gaps_.text(4) == "history";
    const bool concerns = !match || match->empty() || std::ranges::any_of(points, [&](const Point& point) {
      return !(own && point.every) && match->matches(point.path);
    });
    if (!concerns) continue;
    append_gap(answer.gaps, gaps_);
    ++count;
  }
  return {};
}

}  // namespace sallyport::history
