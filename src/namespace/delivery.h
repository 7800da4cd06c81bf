// How changes of a point are delivered when a link or a sink cannot keep up: said once, at the origin, by pattern, and
// carried with the point's metadata from there.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "namespace/pattern.h"
#include "namespace/point.h"

namespace sallyport {

struct DeliveryRule {
  Patterns match;
  bool every = false;       // each change arrives; journalled
  std::uint8_t burst = 0;   // how many of the last changes a slow reader still gets: on-off-on is seen as such; 0: the newest
};
inline constexpr std::uint8_t kMaxBurst = 64;

// Immutable once made; shared by all sources of a node.
class DeliveryRules {
 public:
  explicit DeliveryRules(std::vector<DeliveryRule> rules = {}) : rules_(std::move(rules)) {}
  bool empty() const { return rules_.empty(); }
  // The first rule that matches, if any.
  const DeliveryRule* find(std::string_view path) const {
    for (const DeliveryRule& rule : rules_) {
      if (rule.match.matches(path)) return &rule;
    }
    return nullptr;
  }

 private:
  std::vector<DeliveryRule> rules_;
};

}  // namespace sallyport
