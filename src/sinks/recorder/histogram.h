// A histogram of durations with a relative error below 1/64 from 1 ns to 18 minutes: exact below 128 ns, then 64 linear
// steps in each power of two. Adding is a shift and an increment; two of them can be subtracted, so that a reader of a
// running total gets any window of it. A value.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace sallyport::recorder {

class Histogram {
 public:
  static constexpr unsigned kStepBits = 6;
  static constexpr unsigned kLongestBits = 40;
  static constexpr std::size_t kBuckets = (kLongestBits - kStepBits + 1) << kStepBits;

  void add(std::uint64_t nanoseconds) { ++counts_[bucket_of(nanoseconds)]; }
  void add_to_bucket(std::size_t bucket, std::uint64_t count) {
    if (bucket < kBuckets) counts_[bucket] += count;
  }
  // What came after `earlier`, an older state of this one.
  Histogram since(const Histogram& earlier) const {
    Histogram later;
    for (std::size_t i = 0; i < kBuckets; ++i) later.counts_[i] = counts_[i] - std::min(counts_[i], earlier.counts_[i]);
    return later;
  }

  std::uint64_t count() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : counts_) sum += count;
    return sum;
  }
  // The value that this share (0 to 1) of all values does not exceed; 0 when there are none.
  std::uint64_t quantile(double share) const {
    const std::uint64_t total = count();
    if (total == 0) return 0;
    const auto rank = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen >= std::max<std::uint64_t>(rank, 1)) return highest_of(i);
    }
    return highest_of(kBuckets - 1);
  }
  std::uint64_t bucket_count(std::size_t bucket) const { return counts_[bucket]; }

  static std::size_t bucket_of(std::uint64_t nanoseconds) {
    const std::uint64_t value = std::min(nanoseconds, (std::uint64_t{1} << kLongestBits) - 1);
    if (value < 1u << kStepBits) return static_cast<std::size_t>(value);
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - kStepBits - 1;
    return (std::size_t{shift} << kStepBits) + static_cast<std::size_t>(value >> shift);
  }
  static std::uint64_t highest_of(std::size_t bucket) {
    if (bucket < 2u << kStepBits) return bucket;
    const std::size_t shift = (bucket >> kStepBits) - 1;
    const std::uint64_t step = (bucket & ((1u << kStepBits) - 1)) + (1u << kStepBits);
    return ((step + 1) << shift) - 1;
  }

 private:
  std::array<std::uint64_t, kBuckets> counts_{};
};

}  // namespace sallyport::recorder
