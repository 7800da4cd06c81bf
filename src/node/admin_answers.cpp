#include "node/admin_answers.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "base/json_writer.h"
#include "namespace/point_json.h"
#include "node/admin_history.h"
#include "node/point_lines.h"
#include "node/suggest.h"

namespace sallyport::node {
namespace {

constexpr std::size_t kPointsPerPiece = 256;
constexpr std::size_t kLookPerPiece = 16'384;  // places of the table looked at in one turn
constexpr std::size_t kMaxPatterns = 1000;
constexpr std::size_t kMaxQuery = 2000;
constexpr std::size_t kMaxBrowse = 10'000;
constexpr std::size_t kMaxSimilar = 3;

struct Request {
  std::string command;
  std::string path;
  std::vector<std::string> patterns;
  history::Parameters query;  // of "history"
};

Result<std::string> string_of(const boost::json::value& value, std::string_view key) {
  if (const auto* text = value.if_string()) return std::string(*text);
  return fail(ErrorCode::invalid, "'" + std::string(key) + "' must be a string");
}

Result<std::vector<std::string>> strings_of(const boost::json::value& value, std::string_view key) {
  const auto* array = value.if_array();
  if (!array || array->size() > kMaxPatterns) {
    return fail(ErrorCode::invalid,
                "'" + std::string(key) + "' must be an array of at most " + std::to_string(kMaxPatterns) + " strings");
  }
  std::vector<std::string> texts;
  for (const auto& entry : *array) {
    auto text = string_of(entry, key);
    if (!text) return std::unexpected(text.error());
    texts.push_back(*std::move(text));
  }
  return texts;
}

// [["match", "acme/**"], ["from", "-1h"]]
Result<history::Parameters> pairs_of(const boost::json::value& value, std::string_view key) {
  const auto wrong = [&] { return fail(ErrorCode::invalid, "'" + std::string(key) + "' must be an array of pairs of strings"); };
  const auto* array = value.if_array();
  if (!array || array->size() > kMaxQuery) return wrong();
  history::Parameters pairs;
  for (const auto& entry : *array) {
    auto pair = strings_of(entry, key);
    if (!pair || pair->size() != 2) return wrong();
    pairs.emplace_back(std::move((*pair)[0]), std::move((*pair)[1]));
  }
  return pairs;
}

Result<Request> parse_request(std::string_view line) {
  boost::system::error_code error;
  boost::json::parse_options options;
  options.max_depth = 4;
  const auto parsed = boost::json::parse(line, error, {}, options);
  if (error || !parsed.is_object()) return fail(ErrorCode::malformed, "a request is one line with one JSON object");
  Request request;
  for (const auto& [key, value] : parsed.get_object()) {
    if (key == "command" || key == "path") {
      auto text = string_of(value, key);
      if (!text) return std::unexpected(text.error());
      (key == "path" ? request.path : request.command) = *std::move(text);
    } else if (key == "patterns") {
      auto texts = strings_of(value, key);
      if (!texts) return std::unexpected(texts.error());
      request.patterns = *std::move(texts);
    } else if (key == "query") {
      auto pairs = pairs_of(value, key);
      if (!pairs) return std::unexpected(pairs.error());
      request.query = *std::move(pairs);
    } else {
      return fail(ErrorCode::invalid, "unknown key '" + std::string(key) + "'");
    }
  }
  return request;
}

class TextAnswer final : public AdminAnswer {
 public:
  explicit TextAnswer(std::string text) : text_(std::move(text)) {}
  Next produce(std::string& out) override {
    out += text_;
    out += "\n{\"end\":true}\n";
    return Next::done;
  }

 private:
  std::string text_;
};

class BrowseAnswer final : public AdminAnswer {
 public:
  BrowseAnswer(const Namespace& ns, std::string path) : namespace_(ns), path_(std::move(path)) {}
  Next produce(std::string& out) override {
    const auto entries = namespace_.browse(path_, kMaxBrowse);
    for (const auto& entry : entries) {
      JsonWriter json(out);
      json.begin_object();
      json.field("name", entry.name);
      json.field("is_point", entry.is_point);
      json.field("points_below", entry.points_below);
      json.end_object();
      out += '\n';
    }
    JsonWriter json(out);
    json.begin_object();
    json.field("end", true);
    json.field("truncated", entries.size() == kMaxBrowse);
    json.key("similar");
    json.begin_array();
    if (entries.empty() && !path_.empty()) {
      for (const auto& path : near_paths(namespace_, path_, kMaxSimilar)) json.string(path);
    }
    json.end_array();
    json.end_object();
    out += '\n';
    return Next::done;
  }

 private:
  const Namespace& namespace_;
  std::string path_;
};

using AppendPoint = void (*)(std::string&, const PointView&);

bool is_literal(std::string_view pattern) { return pattern.find('*') == pattern.npos && !pattern.starts_with('!'); }

// read, dump, digest: the points that match, in order of id.
class ListAnswer final : public AdminAnswer {
 public:
  ListAnswer(const Namespace& ns, Patterns patterns, std::vector<std::string> texts, AppendPoint append_point)
      : namespace_(ns),
        patterns_(std::move(patterns)),
        texts_(std::move(texts)),
        append_(append_point),
        literal_(std::ranges::all_of(texts_, is_literal)) {}

  Next produce(std::string& out) override {
    if (literal_) {
      while (!finished_ && out.size() < kAdminChunk) next_literal(out);
    } else {
      next_piece(out);
    }
    if (!finished_) return Next::more;
    append_end(out);
    return Next::done;
  }

 private:
  void next_literal(std::string& out) {
    if (literal_at_ == texts_.size()) {
      finished_ = true;
      return;
    }
    if (const auto point = namespace_.read(texts_[literal_at_++])) append(out, *point);
  }
  void next_piece(std::string& out) {
    points_.clear();
    const auto next = namespace_.list(patterns_, from_, kPointsPerPiece, points_, kLookPerPiece);
    for (const auto& point : points_) append(out, point);
    finished_ = !next;
    from_ = next.value_or(0);
  }
  void append(std::string& out, const PointView& point) {
    append_(out, point);
    out += '\n';
    ++count_;
  }
  void append_end(std::string& out) const {
    JsonWriter json(out);
    json.begin_object();
    json.field("end", true);
    json.field("points", count_);
    json.key("similar");
    json.begin_array();
    if (count_ == 0 && !texts_.empty()) {
      for (const auto& path : near_paths(namespace_, texts_.front(), kMaxSimilar)) json.string(path);
    }
    json.end_array();
    json.end_object();
    out += '\n';
  }

  const Namespace& namespace_;
  Patterns patterns_;
  std::vector<std::string> texts_;
  AppendPoint append_;
  bool literal_;
  std::size_t literal_at_ = 0;
  PointId from_ = 0;
  bool finished_ = false;
  std::uint64_t count_ = 0;
  std::vector<PointView> points_;
};

// Current state first, then what changes, until the client goes away. A client that reads slowly sees the newest only.
class WatchAnswer final : public AdminAnswer {
 public:
  WatchAnswer(Namespace& ns, Patterns patterns, Waker waker)
      : routes_(ns), subscription_(ns, {std::move(patterns), true, true, true}, std::move(waker)) {}

  Next produce(std::string& out) override {
    while (out.size() < kAdminChunk) {
      batch_.clear();
      subscription_.pull(batch_, kPointsPerPiece);
      for (const Update& update : batch_.updates) append(out, update);
      if (!batch_.more) {
        if (out.empty()) return Next::wait;
        break;
      }
    }
    return Next::more;
  }

 private:
  void append(std::string& out, const Update& update) {
    if (update.kind == UpdateKind::removed) {
      JsonWriter json(out);
      json.begin_object();
      json.field("path", batch_.path(update));
      json.field("removed", true);
      json.end_object();
    } else {
      const auto& route = routes_.at(update.route, update.covered);
      append_point_json(out, batch_.path(update), update.value, update.status, update.source_time, route.origin,
                        update.covered ? &route.cause : nullptr, update.verified);
    }
    out += '\n';
  }

  RouteCache routes_;
  Subscription subscription_;
  Batch batch_;
};

Result<std::unique_ptr<AdminAnswer>> answer_points(const AdminContext& context, Request request, Waker waker) {
  if (request.patterns.empty()) return fail(ErrorCode::invalid, "'patterns' is missing, e.g. [\"acme/**\"]");
  auto patterns = Patterns::parse(request.patterns);
  if (!patterns) return std::unexpected(patterns.error());
  if (request.command == "watch")
    return std::make_unique<WatchAnswer>(context.ns, *std::move(patterns), std::move(waker));
  const AppendPoint append = request.command == "digest" ? append_digest_line : append_point_with_meta;
  return std::make_unique<ListAnswer>(context.ns, *std::move(patterns), std::move(request.patterns), append);
}

}  // namespace

Result<std::unique_ptr<AdminAnswer>> answer_admin(const AdminContext& context, std::string_view line, Waker waker) {
  auto request = parse_request(line);
  if (!request) return std::unexpected(request.error());
  const std::string& command = request->command;
  if (command == "status") return std::make_unique<TextAnswer>(context.status());
  if (command == "doctor") return std::make_unique<TextAnswer>(context.doctor());
  if (command == "gaps") return std::make_unique<TextAnswer>(context.gaps());
  if (command == "browse") return std::make_unique<BrowseAnswer>(context.ns, std::move(request->path));
  if (command == "read" || command == "digest" || command == "watch") {
    return answer_points(context, *std::move(request), std::move(waker));
  }
  if (command == "history") return answer_history(context, request->query, std::move(waker));
  return fail(ErrorCode::invalid,
              "unknown command '" + command + "'; known: status, doctor, gaps, browse, read, digest, watch, history");
}

std::string admin_error_line(const Error& error) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.key("error");
  json.begin_object();
  json.field("code", to_string(error.code));
  json.field("message", error.message);
  json.end_object();
  json.end_object();
  out += '\n';
  return out;
}

}  // namespace sallyport::node
