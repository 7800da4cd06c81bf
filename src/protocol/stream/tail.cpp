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

// "NODE/SINK" of a writer's name.
std::string_view sink_of(std::string_view writer) { return writer.substr(std::min(writer.find('/'), writer.size())); }

}  // namespace

Position Tail::note(const Labels& labels) {
  const Position position = number_of(labels.position);
  const bool ours = !writer_.empty() && labels.journal == writer_ && position != 0;
  if (!ours && (writer_.empty() || sink_of(labels.journal) != sink_of(writer_))) return 0;
  if (const std::uint64_t sequence = number_of(labels.sequence); sequence != 0 && !labels.stream.empty()) {
    std::uint64_t& highest = (ours ? ours_ : others_)[std::string(labels.stream)];
    highest = std::max(highest, sequence);
  }
  if (!ours) return 0;
  positions_.insert(position);
  oldest_ = oldest_ == 0 ? position : std::min(oldest_, position);
  stored_to_ = std::max(stored_to_, number_of(labels.stored));
  return position;
}

bool Tail::has(const Message& message) const {
  if (message.position == 0) return false;
  // Sequences of a stream only grow. One that is beyond what is here is new, whatever its position: the journal has been
  // put back to an older state, and gives positions out a second time.
  const auto ours = ours_.find(message.stream);
  const bool newer = ours != ours_.end() && message.sequence > ours->second;
  if (!newer && (message.position <= stored_to_ || positions_.contains(message.position))) return true;
  const auto other = others_.find(message.stream);
  return other != others_.end() && message.sequence <= other->second;
}

}  // namespace sallyport::stream
