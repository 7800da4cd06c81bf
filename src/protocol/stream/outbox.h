// Messages on their way to an event stream, in the order of the journal, from the moment they are read until the stream
// has them. What is acknowledged to the journal is the prefix of which nothing is missing. One thread.
#pragma once

#include <deque>
#include <optional>

#include "base/clock.h"
#include "protocol/stream/message.h"
#include "protocol/stream/tail.h"

namespace sallyport::stream {

class Outbox {
 public:
  Outbox(std::size_t max_messages, std::size_t max_bytes) : max_messages_(max_messages), max_bytes_(max_bytes) {}

  // How many more messages may be read. One message may exceed the bytes.
  std::size_t room() const;
  void add(Message message);
  // Everything up to this position has been read from the journal and added.
  void read_to(Position position);

  struct Entry {
    std::uint64_t number = 0;
    Message message;
    bool settled = false;  // the stream has it, or can never take it
    MonotonicTime sent{};
  };
  // The next one to be sent, in order; null: none. It counts as sent now.
  Entry* next(MonotonicTime now);
  bool all_sent() const { return unsent_ == entries_.size(); }
  // False when it is not on its way (any more).
  bool settle(std::uint64_t number);
  const Message* find(std::uint64_t number) const;
  // What is on its way may have arrived or not: those that are there are settled, the others are to be sent again. Returns
  // how many were there.
  std::size_t begin_again(const Tail& tail);

  Position acknowledged() const { return acknowledged_; }
  std::size_t size() const { return entries_.size(); }
  std::size_t bytes() const { return bytes_; }
  std::optional<MonotonicTime> oldest_sent() const;

 private:
  void pop_settled();

  const std::size_t max_messages_, max_bytes_;
  std::deque<Entry> entries_;
  std::size_t unsent_ = 0;  // index of the first that was not sent
  std::size_t bytes_ = 0;
  std::uint64_t next_number_ = 1;
  Position acknowledged_ = 0, read_to_ = 0;
};

}  // namespace sallyport::stream
