// Which counters have been taken already: each is good once. A window slides with the highest one; what falls out of it
// below is refused, seen or not. Plain value, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sallyport::crypto {

class ReplayWindow {
 public:
  // `width` counters (rounded up to 64) may come in any order.
  explicit ReplayWindow(std::size_t width = 1 << 16) : words_((width + 63) / 64 + 1) {}

  // Everything below `first` is refused from now on.
  void refuse_below(std::uint64_t first) {
    if (first > floor_) floor_ = first;
  }
  bool fresh(std::uint64_t counter) const {
    if (counter < floor_ || counter < lowest()) return false;
    return counter >= next_ || (words_[word(counter)] & bit(counter)) == 0;
  }
  // True the first time; false for what was taken already or is too old.
  bool take(std::uint64_t counter) {
    if (!fresh(counter)) return false;
    if (counter >= next_) slide_to(counter);
    words_[word(counter)] |= bit(counter);
    return true;
  }
  std::uint64_t next() const { return next_; }  // one above the highest taken; 0: none yet

 private:
  // One word more than the width, so that the word being filled does not shorten the window.
  std::uint64_t lowest() const {
    const std::uint64_t width = (words_.size() - 1) * 64;
    return next_ > width ? next_ - width : 0;
  }
  std::size_t word(std::uint64_t counter) const { return static_cast<std::size_t>((counter / 64) % words_.size()); }
  static std::uint64_t bit(std::uint64_t counter) { return std::uint64_t{1} << (counter % 64); }
  void slide_to(std::uint64_t counter) {
    const std::uint64_t from = next_ == 0 ? 0 : (next_ - 1) / 64 + 1;  // first word not yet begun
    const std::uint64_t to = counter / 64;
    if (next_ == 0 || to >= from + words_.size()) {
      for (std::uint64_t& each : words_) each = 0;
    } else {
      for (std::uint64_t each = from; each <= to; ++each) words_[static_cast<std::size_t>(each % words_.size())] = 0;
    }
    next_ = counter + 1;
  }

  std::vector<std::uint64_t> words_;
  std::uint64_t next_ = 0;
  std::uint64_t floor_ = 0;
};

}  // namespace sallyport::crypto
