#include "history/query.h"

#include <algorithm>
#include <charconv>

#include "base/settings.h"

namespace sallyport::history {
namespace {

constexpr std::size_t kMaxPatterns = 1000;

std::string in_quotes(std::string_view text) { return "'" + std::string(text.substr(0, 60)) + "'"; }

template <typename Number>
bool parse_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

struct Reading {
  Query query;
  UtcNanoseconds now;
  bool has_from = false, has_to = false;
};

Result<void> read_limit(Query& query, std::string_view text) {
  if (parse_number(text, query.limit) && query.limit >= 1 && query.limit <= kMaxLimit) return {};
  return fail(ErrorCode::invalid, "limit: " + in_quotes(text) + " is not a number from 1 to " + std::to_string(kMaxLimit) + "; the cursor of the answer brings more");
}

Result<void> read_span(std::string_view key, std::string_view text, std::int64_t& out) {
  const auto span = parse_duration(text);
  if (span && span->count() > 0) {
    out = span->count();
    return {};
  }
  return fail(ErrorCode::invalid, std::string(key) + ": " + in_quotes(text) + " is no duration; write one like 10s, 1m, 1h or 1d");
}

Result<void> read_time(std::string_view key, std::string_view text, UtcNanoseconds now, UtcNanoseconds& out) {
  const auto time = parse_time(text, now);
  if (!time) return within(key, time.error());
  out = *time;
  return {};
}

Result<void> read_word(std::string_view key, std::string_view text, std::string_view no, std::string_view yes, bool& out) {
  out = text == yes;
  if (text == no || text == yes) return {};
  return fail(ErrorCode::invalid, std::string(key) + ": " + in_quotes(text) + "; write " + std::string(no) + " or " + std::string(yes));
}

Result<void> read_one(Reading& r, const std::string& key, const std::string& text) {
  Query& query = r.query;
  if (key == "match" || key == "path") {
    if (key == "path" && text.find('*') != text.npos) return fail(ErrorCode::invalid, "path: " + in_quotes(text) + " is a pattern; ask with match");
    query.one = key == "path";
    query.texts.push_back(text);
    return {};
  }
  if (key == "from") {
    r.has_from = true;
    return read_time(key, text, r.now, query.from);
  }
  if (key == "to") {
    r.has_to = true;
    return read_time(key, text, r.now, query.to);
  }
  if (key == "at") {
    if (query.at.size() == kMaxAt) return fail(ErrorCode::invalid, "at: more than " + std::to_string(kMaxAt) + " times; ask again for the rest");
    return read_time(key, text, r.now, query.at.emplace_back());
  }
  if (key == "limit") return read_limit(query, text);
  if (key == "order") return read_word(key, text, "oldest", "newest", query.newest_first);
  if (key == "stepped") return read_word(key, text, "false", "true", query.stepped);
  if (key == "interval") return read_span(key, text, query.interval);
  if (key == "max_age") {
    std::int64_t age = 0;
    if (auto ok = read_span(key, text, age); !ok) return ok;
    query.max_age = Duration(age);
    return {};
  }
  if (key == "cursor") {
    const auto cursor = parse_cursor(text);
    if (!cursor) return std::unexpected(cursor.error());
    query.cursor = *cursor;
    return {};
  }
  if (key == "aggregate") {
    const auto function = parse_function(text);
    if (!function) return std::unexpected(function.error());
    query.aggregate = *function;
    return {};
  }
  return fail(ErrorCode::invalid, "unknown parameter " + in_quotes(key) + "; known: match, path, from, to, limit, cursor, order, aggregate, interval, stepped, at, max_age");
}

Result<void> check(Reading& r) {
  Query& query = r.query;
  const auto invalid = [](std::string text) -> Result<void> { return fail(ErrorCode::invalid, std::move(text)); };
  if (query.texts.empty()) return invalid("match is missing: a path or a pattern, e.g. acme/berlin/**");
  if (query.texts.size() > kMaxPatterns || (query.one && query.texts.size() > 1)) return invalid("too many patterns; use fewer, wider ones");
  auto patterns = Patterns::parse(query.texts);
  if (!patterns) return within("match", patterns.error());
  query.match = *std::move(patterns);
  if (!query.at.empty()) {
    if (query.aggregate || r.has_from || r.has_to) return invalid("at asks for the values at that time; leave out from, to and aggregate");
    std::ranges::sort(query.at);
    return {};
  }
  if (query.max_age.count() > 0) return invalid("max_age goes with at only");
  if (!r.has_to) query.to = r.now;
  if (!r.has_from) query.from = query.to - Duration(std::chrono::hours(1)).count();
  if (query.to <= query.from) return invalid("to must be later than from");
  if (!query.aggregate) {
    if (query.interval > 0) return invalid("interval goes with aggregate, e.g. aggregate=Average");
    return {};
  }
  if (query.newest_first) return invalid("aggregates come oldest first; leave out order");
  if (Intervals{query.from, query.to, query.interval}.count() > kMaxIntervals)
    return invalid("that is more than " + std::to_string(kMaxIntervals) + " intervals; use a longer interval or a shorter time");
  return {};
}

}  // namespace

std::string to_text(const Cursor& cursor) {
  return std::to_string(cursor.point) + "." + std::to_string(cursor.time) + "." + std::to_string(cursor.seq);
}

Result<Cursor> parse_cursor(std::string_view text) {
  Cursor cursor;
  const auto first = text.find('.');
  const auto second = first == text.npos ? text.npos : text.find('.', first + 1);
  if (second != text.npos && parse_number(text.substr(0, first), cursor.point) && cursor.point > 0 &&
      parse_number(text.substr(first + 1, second - first - 1), cursor.time) && parse_number(text.substr(second + 1), cursor.seq))
    return cursor;
  return fail(ErrorCode::invalid, "cursor: " + in_quotes(text) + " is no cursor; take it unchanged from the last answer, or leave it out to begin");
}

Result<UtcNanoseconds> parse_time(std::string_view text, UtcNanoseconds now) {
  std::string_view relative = text;
  if (relative.starts_with("now")) relative.remove_prefix(3);
  if (relative.empty() && !text.empty()) return now;
  if (relative.front() == '-' || relative.front() == '+') {
    if (const auto span = parse_duration(relative.substr(1))) {
      UtcNanoseconds time = 0;
      const bool past = relative.front() == '-';
      if (past ? !__builtin_sub_overflow(now, span->count(), &time) : !__builtin_add_overflow(now, span->count(), &time)) return time;
    }
  } else if (text.size() == 10) {
    if (const auto day = parse_utc(std::string(text) + "T00:00:00Z")) return day;
  } else if (const auto time = parse_utc(text)) {
    return time;
  }
  return fail(ErrorCode::invalid, in_quotes(text) + " is no time; write now, -1h, or 2026-11-23T02:40:17Z");
}

Result<Query> parse_query(const Parameters& parameters, UtcNanoseconds now) {
  Reading reading{.query = {}, .now = now};
  for (const auto& [key, text] : parameters) {
    if (auto ok = read_one(reading, key, text); !ok) return std::unexpected(ok.error());
  }
  if (auto ok = check(reading); !ok) return std::unexpected(ok.error());
  return std::move(reading.query);
}

}  // namespace sallyport::history
