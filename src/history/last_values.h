// What was stored last of each point that is not journalled: so that what a start or a link tells again is not stored
// again, and a change of quality alone is stored at the time it was noticed. One thread.
//
// Such a point comes as it is seen in the namespace. When a link breaks its status changes while its source time stays:
// stored at the source time it would turn good history bad. So it becomes a sample of its own, at the time of this node.
#pragma once

#include <vector>

#include "history/store.h"

namespace sallyport::history {

class LastValues {
 public:
  // Whether the row is news; its source_time may become the time of this node.
  Result<bool> look(Store& store, Row& row, const FeedPoint& point, UtcNanoseconds now);
  // All of them as rows, for a database that does not have them.
  void restate(std::vector<Row>& rows) const;

 private:
  struct Known {
    bool asked = false, any = false;
    UtcNanoseconds source_time = INT64_MIN;  // of the last value as its source told it
    UtcNanoseconds stored = INT64_MIN;       // of the newest sample
    Status status = 0;
    Value value;
  };
  std::vector<Known> known_;                 // by the Collector's number
};

}  // namespace sallyport::history
