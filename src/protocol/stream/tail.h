// What the end of a stream says of what this node has written to it before: read at each (re)connection, so that nothing
// that is there is written again, however long ago that was.
//
// Each message carries its position in the writer's journal, and the position up to which the stream had acknowledged
// everything when it was sent. So it takes only the last few messages, as many as may be on their way at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "namespace/feed.h"

namespace sallyport::stream {

struct Message;

class Tail {
 public:
  explicit Tail(std::string writer) : writer_(std::move(writer)) {}  // writer_name(); may be empty

  // What one message's labels say; those that it has not are empty. Any order.
  struct Labels {
    std::string_view journal{}, position{}, stored{}, stream{}, sequence{};
  };
  // Its position when it is one of this writer's, else 0. What other sinks wrote says nothing about this one.
  Position note(const Labels& labels);
  // One of this writer's has been seen behind which everything is known to be there: no need to look further back.
  bool complete() const { return oldest_ != 0 && oldest_ <= stored_to_; }
  Position stored_to() const { return stored_to_; }
  bool has(const Message& message) const;
  std::size_t size() const { return positions_.size(); }

 private:
  std::string writer_;
  Position stored_to_ = 0, oldest_ = 0;
  std::unordered_set<Position> positions_;
  std::unordered_map<std::string, std::uint64_t> ours_, others_;  // by stream, the highest sequence; of those that this sink wrote from a journal
                                                                 // that it no longer has
};

}  // namespace sallyport::stream
