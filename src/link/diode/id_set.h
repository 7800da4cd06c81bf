// Which of all numbers up to a last one have been told: intervals, as few as there are holes. No I/O.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

namespace sallyport::link::diode {

class IdSet {
 public:
  static constexpr std::size_t kMaxIntervals = 65'536;   // beyond it, it forgets: what was told must be told again
  explicit IdSet(std::uint32_t last) : last_(last) {}

  void clear() { intervals_.clear(); }
  void add(std::uint32_t from, std::uint32_t to) {       // both included
    std::uint64_t end = std::uint64_t{to} + 1;
    std::uint64_t begin = from;
    auto at = intervals_.upper_bound(begin);
    if (at != intervals_.begin() && std::prev(at)->second >= begin) --at;
    while (at != intervals_.end() && at->first <= end) {
      begin = std::min(begin, at->first);
      end = std::max(end, at->second);
      at = intervals_.erase(at);
    }
    if (intervals_.size() >= kMaxIntervals) intervals_.clear();
    intervals_.emplace(begin, end);
  }
  bool whole() const { return intervals_.size() == 1 && intervals_.begin()->first == 0 && intervals_.begin()->second == std::uint64_t{last_} + 1; }

 private:
  std::uint32_t last_;
  std::map<std::uint64_t, std::uint64_t> intervals_;     // from → behind
};

}  // namespace sallyport::link::diode
