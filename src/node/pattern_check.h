// A pattern that matches nothing is a typing error more often than not. Looks now and then, and says so once each.
// One thread at a time; not the links' loop, since it goes through the table.
#pragma once

#include <string>
#include <vector>

#include "namespace/namespace.h"
#include "node/config.h"

namespace sallyport::node {

class PatternCheck {
 public:
  // What is to be checked: `send` and `receive` of links, `publish` of sinks.
  void reset(const Config& config);
  // Logs a warning for each pattern that matches nothing and has not been named before.
  void look(const Namespace& ns);
  // The sentences for those that matched nothing at the last look, for `status` and `doctor`.
  std::vector<std::string> hints() const;

 private:
  struct Entry {
    std::string where;  // "link dmz: send"
    std::string text;
    Patterns patterns;
    std::string hint;  // empty while it matches
    bool warned = false;
    bool matched = false;  // once is enough
  };
  void add(const std::string& where, const std::vector<std::string>& texts);

  std::vector<Entry> entries_;
};

}  // namespace sallyport::node
