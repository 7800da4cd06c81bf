#include "namespace/pattern.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "namespace/path.h"

namespace sallyport {
namespace {

constexpr std::size_t kMaxPatternLevels = 2 * kMaxPathLevels + 1;
constexpr std::size_t kMaxPatterns = 1024;

bool is_multi(std::string_view level) { return level.size() == 2 && level[0] == '*' && level[1] == '*'; }

// `*` inside one level: go on literally, and on a mismatch let the last star swallow one byte more.
bool glob(std::string_view pattern, std::string_view text) {
  constexpr std::size_t none = std::string_view::npos;
  std::size_t p = 0, t = 0, star = none, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != none) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// `level` is no "**".
bool level_matches(std::string_view level, std::string_view text) {
  if (level == text) return true;
  if (text.starts_with('$') && !level.starts_with('$')) return false;
  return level.find('*') != std::string_view::npos && glob(level, text);
}

std::unexpected<Error> bad_pattern(std::string_view text, std::string_view what) {
  return fail(ErrorCode::invalid, "pattern '" + std::string(text.substr(0, 120)) + (text.size() > 120 ? "…" : "") +
                                      "' " + std::string(what));
}

Result<void> check_level(std::string_view whole, std::string_view level) {
  if (level.empty()) return bad_pattern(whole, "has an empty level; use one '/' between levels and none at the ends");
  if (level != "**" && level.contains("**")) {
    return bad_pattern(whole,
                       "has '**' inside a level; '**' stands alone between slashes, '*' matches part of a level");
  }
  for (const char c : level) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (c == '+' || c == '#') {
      return bad_pattern(
          whole, std::string("contains '") + c + "'; write '" + (c == '+' ? "*' for one level" : "**' for any levels"));
    }
    if (byte < 0x20 || byte == 0x7f) return fail(ErrorCode::invalid, "pattern contains a control character");
  }
  return {};
}

}  // namespace

Result<Pattern> Pattern::parse(std::string_view text) {
  if (text.empty()) return fail(ErrorCode::invalid, "pattern is empty; write '**' for everything");
  if (text.size() > kMaxPathBytes)
    return bad_pattern(text, "is longer than " + std::to_string(kMaxPathBytes) + " bytes");
  if (!is_valid_utf8(text)) return fail(ErrorCode::invalid, "pattern is not UTF-8");
  Pattern out;
  out.text_ = text;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t slash = std::min(text.find('/', at), text.size());
    const std::string_view level = text.substr(at, slash - at);
    if (auto good = check_level(text, level); !good) return std::unexpected(good.error());
    if (!is_multi(level) || out.levels_.empty() || !is_multi(out.levels_.back())) out.levels_.emplace_back(level);
    at = slash + 1;
  }
  if (out.levels_.size() > kMaxPatternLevels) {
    return bad_pattern(text, "has more levels than a path can have (" + std::to_string(kMaxPathLevels) + ")");
  }
  return out;
}

// Level by level; on a mismatch the last "**" swallows one level more. That the last one is enough holds also with the
// rule that "**" swallows no '$' level: were an earlier one to swallow more, what it swallows holds no '$' either.
bool Pattern::matches(std::string_view path) const {
  constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::size_t level = 0, at = 0;
  std::size_t multi = none, multi_at = 0;
  while (at <= path.size()) {
    if (level < levels_.size() && is_multi(levels_[level])) {
      multi = level++;
      multi_at = at;
      continue;
    }
    const std::size_t end = std::min(path.find('/', at), path.size());
    if (level < levels_.size() && level_matches(levels_[level], path.substr(at, end - at))) {
      ++level;
      at = end + 1;
      continue;
    }
    if (multi == none || path.substr(multi_at).starts_with('$')) return false;
    multi_at = std::min(path.find('/', multi_at), path.size()) + 1;
    at = multi_at;
    level = multi + 1;
  }
  while (level < levels_.size() && is_multi(levels_[level])) ++level;
  return level == levels_.size();
}

Result<Patterns> Patterns::parse(const std::vector<std::string>& texts) {
  if (texts.size() > kMaxPatterns) {
    return fail(ErrorCode::limit,
                std::to_string(texts.size()) + " patterns; at most " + std::to_string(kMaxPatterns) + " are allowed");
  }
  Patterns out;
  for (const std::string_view text : texts) {
    const bool excludes = text.starts_with('!');
    auto pattern = Pattern::parse(excludes ? text.substr(1) : text);
    if (!pattern) return std::unexpected(pattern.error());
    (excludes ? out.exclude_ : out.include_).push_back(std::move(*pattern));
  }
  if (out.include_.empty() && !out.exclude_.empty()) {
    return bad_pattern(texts.front(), "only excludes, so that nothing matches; put '**' before it");
  }
  for (auto* list : {&out.include_, &out.exclude_}) {
    std::ranges::sort(*list, {}, &Pattern::text);
    const auto repeats = std::ranges::unique(*list);
    list->erase(repeats.begin(), repeats.end());
  }
  out.all_plain_ = out.exclude_.empty() && std::ranges::contains(out.include_, "**", &Pattern::text);
  return out;
}

Patterns Patterns::everything() { return *parse({"**", "$sys/**"}); }

bool Patterns::matches(std::string_view path) const {
  if (all_plain_ && path.find('$') == std::string_view::npos) return true;
  const auto matches = [path](const Pattern& pattern) { return pattern.matches(path); };
  return std::ranges::any_of(include_, matches) && std::ranges::none_of(exclude_, matches);
}

std::string Patterns::text() const {
  std::string out;
  for (const Pattern& pattern : include_) (out += out.empty() ? "" : "\n") += pattern.text();
  for (const Pattern& pattern : exclude_) (out += "\n!") += pattern.text();
  return out;
}

}  // namespace sallyport
