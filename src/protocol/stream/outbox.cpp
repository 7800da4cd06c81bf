#include "protocol/stream/outbox.h"

#include <algorithm>

namespace sallyport::stream {

std::size_t Outbox::room() const {
  if (bytes_ >= max_bytes_ || entries_.size() >= max_messages_) return 0;
  return max_messages_ - entries_.size();
}

void Outbox::add(Message message) {
  bytes_ += message.size_bytes();
  entries_.push_back({.number = next_number_++, .message = std::move(message)});
}

void Outbox::read_to(Position position) {
  read_to_ = std::max(read_to_, position);
  pop_settled();
}

Outbox::Entry* Outbox::next(MonotonicTime now) {
  while (unsent_ < entries_.size()) {
    Entry& entry = entries_[unsent_++];
    if (entry.settled) continue;
    entry.sent = now;
    return &entry;
  }
  return nullptr;
}

bool Outbox::settle(std::uint64_t number) {
  if (entries_.empty() || number < entries_.front().number || number > entries_.back().number) return false;
  Entry& entry = entries_[static_cast<std::size_t>(number - entries_.front().number)];
  if (std::exchange(entry.settled, true)) return false;
  pop_settled();
  return true;
}

const Message* Outbox::find(std::uint64_t number) const {
  if (entries_.empty() || number < entries_.front().number || number > entries_.back().number) return nullptr;
  return &entries_[static_cast<std::size_t>(number - entries_.front().number)].message;
}

std::size_t Outbox::begin_again(const Tail& tail) {
  std::size_t there = 0;
  for (Entry& entry : entries_) {
    if (entry.settled || !tail.has(entry.message)) continue;
    entry.settled = true;
    ++there;
  }
  unsent_ = 0;
  pop_settled();
  return there;
}

std::optional<MonotonicTime> Outbox::oldest_sent() const {
  for (std::size_t i = 0; i < unsent_; ++i) {
    if (!entries_[i].settled) return entries_[i].sent;
  }
  return std::nullopt;
}

void Outbox::pop_settled() {
  while (!entries_.empty() && entries_.front().settled) {
    acknowledged_ = std::max(acknowledged_, entries_.front().message.position);
    bytes_ -= entries_.front().message.size_bytes();
    entries_.pop_front();
    if (unsent_ > 0) --unsent_;
  }
  if (entries_.empty()) acknowledged_ = std::max(acknowledged_, read_to_);
}

}  // namespace sallyport::stream
