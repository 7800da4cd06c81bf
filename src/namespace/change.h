// A change as it is written to, and an update as it is read from, the namespace. Plain structs in batches.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/point.h"

namespace sallyport {

struct Change {
  PointId point = kNoPoint;
  Status status = status::kGood;
  UtcNanoseconds source_time = 0;
  Value value;
};

enum class UpdateKind : std::uint8_t {
  value,    // value, quality or source time changed (quality also through an overlay)
  defined,  // first sight of the point, or its metadata changed; carries the current value too
  removed,  // the point is gone
};

// What a subscriber reads. `status` is what a consumer must be shown, overlays included.
struct Update {
  PointId point = kNoPoint;
  RouteId route = kNoRoute;
  UpdateKind kind = UpdateKind::value;
  bool covered = false;  // an overlay lies over this point: `underlying` differs from or hides behind `status`
  Verified verified = Verified::unknown;
  Status status = status::kGood;
  Status underlying = status::kGood;
  UtcNanoseconds source_time = 0;
  Revision revision = 0;
  Value value;
  std::uint32_t path_at = 0;    // into Batch::text, when the subscription asks for paths
  std::uint32_t path_size = 0;
};

// Reused by its owner from pull to pull. 
struct Batch {
  std::vector<Update> updates;
  std::string text;
  bool more = false;        // another pull has something at once
  bool snapshot = false;    // the first sight of every matching point is not complete yet
  std::string_view path(const Update& update) const { return std::string_view(text).substr(update.path_at, update.path_size); }
  void clear() {
    updates.clear();
    text.clear();
    more = false;
    snapshot = false;
  }
};

}  // namespace sallyport
