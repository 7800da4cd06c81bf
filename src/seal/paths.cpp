#include "seal/paths.h"

#include <algorithm>

#include "namespace/path.h"

namespace sallyport::seal {
namespace {

constexpr std::string_view kRoot = "$seal";
constexpr std::size_t kOwnLevels = 3;   // $seal, the origin, $kind
constexpr std::size_t kMaxTexts = 1024; // that Patterns takes

std::vector<std::string_view> levels_of(std::string_view text) {
  std::vector<std::string_view> levels;
  for (std::size_t at = 0; at <= text.size() && !text.empty();) {
    const std::size_t slash = std::min(text.find('/', at), text.size());
    levels.push_back(text.substr(at, slash - at));
    at = slash + 1;
  }
  return levels;
}

std::string join(std::string_view a, std::string_view b) { return a.empty() ? std::string(b) : std::string(a) + "/" + std::string(b); }

// The containers whose prefix lies at or above the pattern, and those below it.
void exclude(std::string_view pattern, std::vector<std::string>& out) {
  const auto levels = levels_of(pattern);
  std::string above = "!" + std::string(kRoot) + "/*";
  out.push_back(above + "/$*");
  for (const std::string_view level : levels) {
    above += "/" + std::string(level);
    out.push_back(above + "/$*");
  }
  out.push_back(above + "/**/$*");
}

bool level_overlaps(std::string_view a, std::string_view b) {
  const std::size_t star_a = a.find('*'), star_b = b.find('*');
  const std::size_t common = std::min({star_a, star_b, a.size(), b.size()});
  if (a.substr(0, common) != b.substr(0, common)) return false;
  return star_a != std::string_view::npos || star_b != std::string_view::npos || a == b;
}

}  // namespace

std::string container_path(std::string_view origin, std::string_view prefix, Kind kind, std::uint64_t number) {
  std::string path = join(std::string(kRoot) + "/" + std::string(origin), prefix);
  path += "/$";
  path += static_cast<char>(kind);
  if (kind == Kind::definitions || kind == Kind::values || kind == Kind::key) path += std::to_string(number);
  return path;
}

std::string stream_pattern(std::string_view origin, std::string_view prefix) {
  std::string pattern = std::string(kRoot) + "/" + std::string(origin);
  if (!prefix.empty()) (pattern += '/') += prefix;
  return pattern + "/$*";
}

std::string literal_prefix(std::string_view pattern) {
  std::string prefix;
  std::size_t used = 0;
  for (const std::string_view level : levels_of(pattern)) {
    if (level.contains('*') || used++ == kMaxPathLevels - kOwnLevels) break;
    prefix = join(prefix, level);
  }
  return prefix;
}

std::vector<std::string> with_seals(const std::vector<std::string>& texts) {
  const auto names_seals = [](std::string_view text) { return text.starts_with(kRoot) || text.starts_with("!" + std::string(kRoot)); };
  if (std::ranges::any_of(texts, names_seals)) return texts;
  std::vector<std::string> out = texts;
  for (const std::string& text : texts) {
    if (text.starts_with("!$") || text.starts_with('$')) continue;
    if (text.starts_with('!')) {
      exclude(std::string_view(text).substr(1), out);
    } else if (text == "**" || text.ends_with("/**")) {
      out.push_back(std::string(kRoot) + "/*/" + text + "/$*");
    }
  }
  return out.size() <= kMaxTexts ? out : texts;
}

bool may_overlap(std::string_view pattern_a, std::string_view pattern_b) {
  const auto a = levels_of(pattern_a), b = levels_of(pattern_b);
  for (std::size_t i = 0;; ++i) {
    if (i == a.size() && i == b.size()) return true;
    // "acme/**" matches "acme" too.
    if ((i < a.size() && a[i] == "**") || (i < b.size() && b[i] == "**")) return true;
    if (i >= a.size() || i >= b.size() || !level_overlaps(a[i], b[i])) return false;
  }
}

}  // namespace sallyport::seal
