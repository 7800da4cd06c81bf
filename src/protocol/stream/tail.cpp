#include "protocol/stream/tail.h"

#include <algorithm>
#include <charconv>

#include "protocol/stream/message.h"

namespace sallyport::stream {
namespace {

std::uint64_t number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

}  // namespace

Position Tail::note(const Labels& labels) {
  if (!journal_.empty() && labels.journal == journal_) {
    const Position position = number_of(labels.position);
    if (position == 0) return 0;
    positions_.insert(position);
    oldest_ = oldest_ == 0 ? position : std::min(oldest_, position);
    stored_to_ = std::max(stored_to_, number_of(labels.stored));
    return position;
  }
  if (const std::uint64_t sequence = number_of(labels.sequence); sequence != 0 && !labels.stream.empty()) {
    std::uint64_t& highest = others_[std::string(labels.stream)];
    highest = std::max(highest, sequence);
  }
  return 0;
}

bool Tail::has(const Message& message) const {
  if (message.position == 0) return false;
  if (message.position <= stored_to_ || positions_.contains(message.position)) return true;
  const auto other = others_.find(message.stream);
  return other != others_.end() && message.sequence <= other->second;
}

}  // namespace sallyport::stream
