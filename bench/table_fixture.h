// A namespace with N simulated points, for the micro-benchmarks.
#pragma once

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "namespace/source.h"

namespace sallyport::bench {

inline constexpr std::size_t kBatch = 1024;  // changes handed over at once, as the simulator does

class Table {
 public:
  explicit Table(std::size_t points) : ids_(points), batch_(kBatch) {
    Meta meta;
    meta.type = Type::float64;
    std::vector<std::string> paths(points);
    std::vector<Definition> definitions(points);
    for (std::size_t i = 0; i < points; ++i) {
      paths[i] =
          "area-" + std::to_string(i / 1000) + "/pump-" + std::to_string(i / 10 % 100) + "/p" + std::to_string(i);
      definitions[i].path = paths[i];
      definitions[i].meta = &meta;
      definitions[i].first.value = Value::from(0.0);
    }
    source_.define(definitions, ids_);
    source_.live();
  }

  Namespace& ns() { return ns_; }
  std::size_t points() const { return ids_.size(); }
  // The next batch of doubles, in order of points.
  void publish() {
    time_ += 1000;
    ++count_;
    for (Change& change : batch_) {
      change.point = ids_[next_];
      change.source_time = time_;
      change.value = Value::from(static_cast<double>(count_));
      if (++next_ == ids_.size()) next_ = 0;
    }
    source_.publish(batch_);
  }

 private:
  SystemClock clock_;
  Namespace ns_{clock_};
  Publisher source_{ns_, "plant-1", "plant", "acme/berlin", status::kBadNoCommunication};
  std::vector<PointId> ids_;
  std::vector<Change> batch_;
  std::size_t next_ = 0;
  std::uint64_t count_ = 0;
  UtcNanoseconds time_ = 1'700'000'000'000'000'000;
};

}  // namespace sallyport::bench
