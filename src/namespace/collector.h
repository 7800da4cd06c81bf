// For sinks that keep history: the changes of `every` points from the feed and of the others from the namespace, as rows of
// one kind. One thread at a time.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "namespace/feed.h"
#include "namespace/namespace.h"

namespace sallyport {

struct Row {
  std::uint32_t point = 0;           // Collector::point
  Status status = status::kGood;     // as a consumer must be shown it
  UtcNanoseconds source_time = 0;
  // When it became so: the source time; of a `latest` point whose quality alone changed (something on the path broke, or came
  // back), when that was seen here.
  UtcNanoseconds time = 0;
  Verified verified = Verified::unknown;
  bool every = false;                // it came by the feed: once, and in order
  bool backfill = false;
  std::uint64_t sequence = 0;        // with `every`: (stream, sequence) names the change for ever
  std::uint32_t stream = 0;          // Collector::stream
  Value value;
  Position position = 0;             // with `every`: in this node's journal
};

struct Rows {
  std::vector<Row> rows;
  std::vector<FeedGap> gaps;
  Position position = 0;             // to be stored with the rows, and acknowledged once they are safe
  bool more = false;
  void clear() {
    rows.clear();
    gaps.clear();
    more = false;
  }
};

class Collector {
 public:
  // `feeds` may be null: then only what the namespace shows is collected. `reader`: as in Feeds::open.
  static Result<std::unique_ptr<Collector>> make(Namespace& ns, Feeds* feeds, const std::string& reader, Patterns match, Waker waker);
  ~Collector();

  bool has_feed() const { return feed_ != nullptr; }
  const std::string& journal() const;             // "" without a feed
  void resume(Position position);
  // Replaces `rows`. io, malformed: of the journal; trying again may help.
  Result<void> pull(Rows& rows, std::size_t max);
  void acknowledge(Position position);
  const FeedPoint& point(std::uint32_t id) const { return *points_[id]; }
  const std::string& stream(std::uint32_t id) const { return feed_->stream(id); }
  FeedStatus status() const;                      // Any thread.

 private:
  Collector(Namespace& ns, Patterns match, Waker waker);
  std::uint32_t intern(FeedPoint point);
  void take_live(Rows& rows, std::size_t max);
  void take_feed(Rows& rows);

  Namespace& namespace_;
  std::unique_ptr<Feed> feed_;
  std::unique_ptr<Subscription> live_;
  Batch batch_;
  FeedBatch feed_batch_;
  std::vector<std::unique_ptr<FeedPoint>> points_;
  std::unordered_map<std::string, std::uint32_t> by_path_;
  std::vector<std::uint32_t> of_live_, of_feed_;  // ids there → ids here
  std::vector<bool> skipped_;                     // live ids that come by the feed
  struct Seen {
    UtcNanoseconds source_time = INT64_MIN;
    Status status = status::kGood;
  };
  UtcNanoseconds time_of(std::uint32_t point, Status status, UtcNanoseconds source_time);
  std::vector<Seen> seen_;                        // live points, by our ids
};

}  // namespace sallyport
