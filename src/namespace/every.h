// Where the changes of `every` points go as they enter the network at this node, besides the namespace. The journal is
// behind it. Any thread; never waits.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "namespace/feed.h"
#include "namespace/point.h"

namespace sallyport {

struct EveryChange {
  std::uint32_t point = 0;           // from EveryLog::point
  Status status = status::kGood;
  UtcNanoseconds source_time = 0;
  Value value;
};

class EveryLog {
 public:
  virtual ~EveryLog() = default;
  // A number for the point; the same for the same path and metadata.
  virtual std::uint32_t point(const std::string& path, const Meta& meta) = 0;
  // In the order in which they were made. What cannot be kept is counted and told as a gap.
  virtual void append(std::span<const EveryChange> changes) = 0;
  virtual void gap(Gap gap) = 0;
};

}  // namespace sallyport
