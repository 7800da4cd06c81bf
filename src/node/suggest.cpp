#include "node/suggest.h"

#include <algorithm>

#include "base/settings.h"

namespace sallyport::node {
namespace {

constexpr std::size_t kSiblings = 10'000;
constexpr std::size_t kShown = 3;

}  // namespace

std::vector<std::string> near_paths(const Namespace& ns, std::string_view pattern, std::size_t max) {
  std::string prefix;
  while (!pattern.empty()) {
    const auto slash = pattern.find('/');
    const std::string level(pattern.substr(0, slash));
    if (level.contains('*')) return {};  // what it was meant to match nobody knows
    pattern = slash == pattern.npos ? std::string_view() : pattern.substr(slash + 1);
    std::vector<std::string> names;
    for (auto& entry : ns.browse(prefix, kSiblings)) names.push_back(std::move(entry.name));
    const std::string base = prefix.empty() ? "" : prefix + "/";
    if (std::ranges::find(names, level) == names.end()) {
      std::erase_if(names, [](const std::string& name) { return name.starts_with('$'); });
      if (const auto best = nearest(level, names)) return {base + *best};
      names.resize(std::min(names.size(), max));
      for (auto& name : names) name.insert(0, base);
      return names;
    }
    prefix = base + level;
  }
  return {};
}

std::string suggestion(const Namespace& ns, std::string_view pattern) {
  const auto names = near_paths(ns, pattern, kShown);
  if (names.empty()) return {};
  if (names.size() == 1) return "; did you mean '" + names.front() + "'?";
  std::string out = "; there are";
  for (const auto& name : names) out += (name == names.front() ? " '" : ", '") + name + "'";
  return out;
}

}  // namespace sallyport::node
