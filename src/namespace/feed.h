// What durable sinks read: every change of the points whose delivery is `every`, and the gaps, once each and in order,
// through whatever happens to this node or to the sink. The journal (floor 2) is behind it; sinks know only this.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/namespace.h"
#include "namespace/pattern.h"
#include "namespace/point.h"

namespace sallyport {

// A place in this node's journal. Grows, but not by ones for one reader. 0: before everything.
using Position = std::uint64_t;

enum class GapCause : std::uint8_t {
  source_down = 1,   // the source could not reach its device
  overflow = 2,      // a queue at the source ran over (overflow bit of OPC 10000-4 §7.39.1)
  sequence = 3,      // numbered messages of the source are missing
  limit = 4,         // a configured limit of the journal was reached
  damaged = 5,       // a record of the journal could not be read
  restart = 6,       // this node was not running
  too_slow = 7,      // the disk did not keep up with the changes
};
std::string_view to_string(GapCause cause);
Result<GapCause> parse_gap_cause(std::string_view text);

// An interval in which changes were lost or are not known.
struct Gap {
  std::string node;                  // that noticed
  std::string where;                 // its source, link or sink; may be empty
  GapCause cause = GapCause::restart;
  UtcNanoseconds start = 0, end = 0; // end 0: it lasts
  std::uint64_t lost = 0;            // changes known to be lost; 0: not known
  std::vector<std::string> match{};  // patterns of the points
  std::string detail{};              // for people
  friend bool operator==(const Gap&, const Gap&) = default;
};

struct FeedPoint {
  std::string path;
  Meta meta;
  std::string origin;                // node at which it entered the network
};

// (stream, sequence) names a change for ever: a stream is one life of an origin's journal, "plant-1/00c0ffee12345678".
struct FeedEntry {
  Position position = 0;
  std::uint32_t point = 0;           // Feed::point
  std::uint32_t stream = 0;          // Feed::stream
  std::uint64_t sequence = 0;
  Status status = status::kGood;
  UtcNanoseconds source_time = 0;
  bool backfill = false;             // it waited somewhere on the way; newer values may have been seen live
  Value value;
};

struct FeedGap {
  Position position = 0;
  std::uint32_t stream = 0;
  std::uint64_t sequence = 0;
  Gap gap;
};

struct FeedBatch {
  std::vector<FeedEntry> entries;    // by position
  std::vector<FeedGap> gaps;         // by position
  Position position = 0;             // everything up to here has been read; acknowledge this
  bool more = false;                 // there is more to be read at once
  void clear() {
    entries.clear();
    gaps.clear();
    more = false;
  }
};

struct FeedStatus {
  std::uint64_t behind = 0;          // records not acknowledged, of all points
  std::uint64_t behind_bytes = 0;
  UtcNanoseconds oldest = 0;         // when the oldest of them was recorded here; 0: none
};

// One reader. One thread at a time, except status().
class Feed {
 public:
  virtual ~Feed() = default;
  // Of the journal that positions belong to: 16 hex digits. Another one: its positions mean nothing here.
  virtual const std::string& journal() const = 0;
  // Goes on after `position`, which the sink's own store holds together with the data: with it, each change is there
  // exactly once. Without a call, it goes on after what was acknowledged, and what was under way may come again.
  virtual void resume(Position position) = 0;
  // Replaces the batch by what comes next, at most `max` entries; when there is nothing, the waker is called once there is.
  virtual Result<void> read(FeedBatch& batch, std::size_t max) = 0;
  // It need not be kept any longer. Cheap; may be called for every batch.
  virtual void acknowledge(Position position) = 0;
  virtual const FeedPoint& point(std::uint32_t id) const = 0;   // the reference and the id stay while the feed lives
  virtual const std::string& stream(std::uint32_t id) const = 0;
  virtual FeedStatus status() const = 0;  // Any thread.
};

class Feeds {
 public:
  virtual ~Feeds() = default;
  // `reader`: unique and the same after a restart, e.g. "sink/historian". What it has not acknowledged is kept, also while
  // it is not open, as long as it is in the settings. The waker may be called from any thread.
  virtual Result<std::unique_ptr<Feed>> open(const std::string& reader, Patterns match, Waker waker) = 0;
};

}  // namespace sallyport
