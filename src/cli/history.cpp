// sallyport history PATTERN…: what points were, raw, in aggregates, or as of certain times.
#include <algorithm>
#include <boost/json.hpp>

#include "base/json_writer.h"
#include "cli/admin_client.h"
#include "cli/commands.h"
#include "cli/point_row.h"
#include "cli/terminal.h"

namespace sallyport::cli {
namespace {

constexpr Duration kPatience = std::chrono::seconds(30);  // of one page

struct Arguments {
  std::string config;
  std::vector<std::string> patterns, at;
  std::string from, to, aggregate, interval, max_age;
  std::int64_t limit = 1000;
  bool all = false, newest = false, stepped = false, json = false;
};

std::string request_of(const Arguments& arguments) {
  std::string out;
  JsonWriter json(out);
  const auto pair = [&](std::string_view key, std::string_view text) {
    if (text.empty()) return;
    json.begin_array();
    json.string(key);
    json.string(text);
    json.end_array();
  };
  json.begin_object();
  json.field("command", "history");
  json.key("query");
  json.begin_array();
  for (const auto& pattern : arguments.patterns) pair("match", pattern);
  for (const auto& time : arguments.at) pair("at", time);
  pair("from", arguments.from);
  pair("to", arguments.to);
  pair("aggregate", arguments.aggregate);
  pair("interval", arguments.interval);
  pair("max_age", arguments.max_age);
  if (arguments.newest) pair("order", "newest");
  if (arguments.stepped) pair("stepped", "true");
  if (!arguments.all) pair("limit", std::to_string(arguments.limit));
  json.end_array();
  json.end_object();
  return out;
}

// What was printed, for people.
class Printed {
 public:
  Result<void> add(std::string_view line) {
    boost::system::error_code error;
    const auto parsed = boost::json::parse(line, error);
    if (error || !parsed.is_object()) return fail(ErrorCode::malformed, "the node's answer is no JSON");
    const auto& object = parsed.get_object();
    if (const auto* gap = object.if_contains("gap"); gap && gap->is_object()) return add_gap(gap->get_object());
    const auto* points = object.if_contains("points");
    if (!points || !points->is_array()) return add_point(line, "");
    const auto* at = object.if_contains("at");
    const std::string when = at && at->is_string() ? printable(std::string(at->get_string())) : "";
    for (const auto& point : points->get_array()) {
      if (auto ok = add_point(boost::json::serialize(point), when); !ok) return ok;
    }
    as_of_ = true;
    return {};
  }
  void print() {
    Table table(as_of_ ? std::vector<std::string>{"AT", "PATH", "VALUE", "QUALITY", "TIME"} : std::vector<std::string>{"TIME", "PATH", "VALUE", "QUALITY"});
    for (auto& row : rows_) {
      if (!as_of_) row.erase(row.begin());
      else std::rotate(row.begin() + 1, row.begin() + 2, row.end());
      table.row(std::move(row));
    }
    if (!table.empty()) table.print();
    for (const auto& gap : gaps_) cli::print("gap: " + gap + "\n");
  }

 private:
  Result<void> add_point(std::string_view json, const std::string& at) {
    auto point = parse_point(json, now_utc());
    if (!point) return std::unexpected(point.error());
    rows_.push_back({at, format_utc(point->source_time), point->path, point->value, quality_cell(*point)});
    return {};
  }
  Result<void> add_gap(const boost::json::object& gap) {
    const auto text = [&](std::string_view key) {
      const auto* value = gap.if_contains(key);
      return value && value->is_string() ? printable(std::string(value->get_string())) : std::string();
    };
    const std::string end = text("end");
    std::string line = text("start") + " to " + (end.empty() ? "now" : end) + " " + text("cause") + " at " + text("node");
    if (!text("where").empty()) line += " " + text("where");
    if (!text("detail").empty()) line += ": " + text("detail");
    gaps_.push_back(std::move(line));
    return {};
  }

  std::vector<std::vector<std::string>> rows_;
  std::vector<std::string> gaps_;
  bool as_of_ = false;
};

int end_of(const std::string& end_line, const Arguments& arguments) {
  boost::system::error_code error;
  const auto end = boost::json::parse(end_line, error);
  if (error || !end.is_object()) return kFailure;
  const auto* points = end.get_object().if_contains("points");
  if (points && points->is_number() && points->to_number<std::uint64_t>(error) == 0) {
    std::string message = "the history has no point that matches";
    for (const auto& pattern : arguments.patterns) message += " '" + printable(pattern) + "'";
    print_error(message);
    return kFailure;
  }
  const auto* cursor = end.get_object().if_contains("cursor");
  if (!arguments.json && cursor && cursor->is_string())
    print("… there is more: --limit N, --all, or a shorter time\n");
  return kSuccess;
}

int history(const Arguments& arguments) {
  auto client = AdminClient::connect(arguments.config);
  if (!client) return failed(client.error());
  if (auto sent = client->send(request_of(arguments)); !sent) return failed(sent.error());
  Printed printed;
  for (;;) {
    auto line = client->next(kPatience);
    if (!line) return failed(line.error());
    if (!*line) break;
    if (arguments.json) {
      print(**line);
      print("\n");
    } else if (auto ok = printed.add(**line); !ok) {
      return failed(ok.error());
    }
  }
  printed.print();
  return end_of(client->end_line(), arguments);
}

}  // namespace

Command history_command() {
  return {"history", "What points were: raw, in aggregates, or as of certain times", [](Options& options) -> Action {
            const auto arguments = std::make_shared<Arguments>();
            options.config(arguments->config);
            options.json(arguments->json);
            options.texts("pattern", arguments->patterns, "paths or patterns", Options::Need::required);
            options.text("--from", arguments->from, "begin: -1h, 2026-11-23, 2026-11-23T02:40:17Z (default: an hour before --to)");
            options.text("--to", arguments->to, "end, not included (default: now)");
            options.text("--aggregate", arguments->aggregate, "an aggregate of OPC UA Part 13: Average, Minimum, TimeAverage …");
            options.text("--interval", arguments->interval, "of the aggregate: 1m, 1h … (default: all of the time in one)");
            options.flag("--stepped", arguments->stepped, "values hold until the next one, for Interpolative");
            options.texts("--at", arguments->at, "the values as of this time; may repeat");
            options.text("--max-age", arguments->max_age, "with --at: older values do not count");
            options.number("--limit", arguments->limit, "at most so many samples", 1, 1'000'000'000);
            options.flag("--all", arguments->all, "no limit");
            options.flag("--newest", arguments->newest, "newest first");
            return [arguments] { return history(*arguments); };
          }};
}

}  // namespace sallyport::cli
