#include "node/pattern_check.h"

#include "base/log.h"
#include "node/suggest.h"

namespace sallyport::node {

void PatternCheck::add(const std::string& where, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    if (text.starts_with('!')) continue;
    if (auto patterns = Patterns::parse({text}))
      entries_.push_back({where, text, *std::move(patterns), {}, false, false});
  }
}

void PatternCheck::reset(const Config& config) {
  entries_.clear();
  for (const auto& link : config.links) {
    add("link " + link.options.name + ": send", link.send);
    add("link " + link.options.name + ": receive", link.receive);
  }
  for (const auto& sink : config.sinks) add("sink " + sink.common.name + ": publish", sink.publish);
  add("delivery: match", config.delivery);
}

void PatternCheck::look(const Namespace& ns) {
  for (Entry& entry : entries_) {
    if (entry.matched) continue;
    std::vector<PointView> first;
    ns.list(entry.patterns, 0, 1, first);
    entry.matched = !first.empty();
    entry.hint.clear();
    if (entry.matched) continue;
    entry.hint = entry.where + " pattern '" + entry.text + "' matches no point" + suggestion(ns, entry.text);
    if (!entry.warned) log::warn(entry.hint);
    entry.warned = true;
  }
}

std::vector<std::string> PatternCheck::hints() const {
  std::vector<std::string> hints;
  for (const Entry& entry : entries_) {
    if (!entry.hint.empty()) hints.push_back(entry.hint);
  }
  return hints;
}

}  // namespace sallyport::node
