// Patterns over paths: `*` matches one level or part of one ("pump-*"), `**` any number of levels, also none.
// "acme/**" matches "acme/x" and "acme"; levels that begin with '$' are matched only by pattern levels that begin with '$'.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sallyport {

class Pattern {
 public:
  static Result<Pattern> parse(std::string_view text);
  bool matches(std::string_view path) const;
  const std::string& text() const { return text_; }
  friend bool operator==(const Pattern& a, const Pattern& b) { return a.text_ == b.text_; }

 private:
  std::string text_;
  std::vector<std::string> levels_;
};

// Any of several; an empty list matches nothing. A leading '!' excludes: {"acme/**", "!acme/secret/**"}.
class Patterns {
 public:
  static Result<Patterns> parse(const std::vector<std::string>& texts);
  static Patterns everything();  // "**" and "$sys/**"
  bool matches(std::string_view path) const;
  bool empty() const { return include_.empty(); }
  std::string text() const;      // canonical: joined by '\n'; equal text means equal view
  friend bool operator==(const Patterns& a, const Patterns& b) { return a.text() == b.text(); }

 private:
  std::vector<Pattern> include_;
  std::vector<Pattern> exclude_;
  bool all_plain_ = false;       // just "**", as counting all points asks for millions of paths
};

}  // namespace sallyport
