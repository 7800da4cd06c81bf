#include "paths.h"

#include <algorithm>

namespace sallyport::bench {
namespace {

std::vector<Slot> slots_in_order(std::size_t count) {
  std::vector<Slot> slots(count);
  for (std::size_t i = 0; i < count; ++i) {
    slots[i].bits = std::bit_cast<std::uint64_t>(static_cast<double>(i));
    slots[i].path_hash = i * 0x9E3779B97F4A7C15u;
    slots[i].source_time = 1'700'000'000'000'000'000 + static_cast<std::int64_t>(i / 100 * 2000);
    slots[i].type = Type::float64;
  }
  return slots;
}

link::SessionOptions session_options(const std::string& node, const std::string& peer) {
  link::SessionOptions options;
  options.node = node;
  options.peer = peer;
  options.incarnation = 7;
  return options;
}

}  // namespace

Hop::Hop(std::size_t points)
    : sender_(points),
      receiver_(mirror_, "dmz-1", "to-plant-1", Patterns::everything(), status::kBadNoCommunication,
                static_cast<std::uint32_t>(points)),
      nothing_(sender_.ns(), "plant-1", "to-dmz-1", Patterns(), status::kBadNoCommunication, 1) {
  auto from = session_options("plant-1", "dmz-1"), to = session_options("dmz-1", "plant-1");
  from.send = Patterns::everything();
  from.send_texts = to.receive_texts = {"**"};
  from_ = std::make_unique<link::Session>(sender_.ns(), nothing_, from, clock_.monotonic(), [] {});
  to_ = std::make_unique<link::Session>(mirror_, receiver_, to, clock_.monotonic(), [] {});
  round();
}

void Hop::carry(link::Session& from, link::Session& to) {
  wire_.clear();
  from.fill(wire_, clock_.monotonic());
  for (std::size_t at = 0; at < wire_.size();) {
    const auto space = to.input_space();
    const std::size_t size = std::min(space.size(), wire_.size() - at);
    if (size == 0 || to.state() == link::Session::State::closed) return;
    std::copy_n(wire_.begin() + static_cast<std::ptrdiff_t>(at), size, space.begin());
    to.received(size, clock_.monotonic());
    at += size;
  }
}

void Hop::round() {
  clock_.advance(std::chrono::microseconds(100));
  do {
    carry(*from_, *to_);
    const bool answered = !wire_.empty();
    carry(*to_, *from_);
    if (!answered && wire_.empty()) return;
  } while (from_->up() || !to_->up());
}

Encode::Encode(std::size_t step) : step_(step), slots_(slots_in_order(kBatch)) {
  out_.reserve(64 * 1024);
  round();
}

Decode::Decode(std::size_t step) {
  Encode encode(step);
  frame_ = encode.frame();
}

Digest::Digest() : slots_(slots_in_order(kBatch)) {}

Json::Json() {
  table_.ns().list(Patterns::everything(), 0, kBatch, points_);
  double value = 0.1;
  for (PointView& point : points_) point.value = Value::from(value += 0.37);
}

Match::Match()
    : patterns_(Patterns::parse({"acme/berlin/line1/**", "acme/*/line2/*/temperature", "acme/berlin/**/speed"})
                    .value_or(Patterns())) {}

namespace {

std::vector<journal::ChangeRecord> journal_changes() {
  std::vector<journal::ChangeRecord> changes(kBatch);
  for (std::size_t i = 0; i < kBatch; ++i) {
    changes[i] = {.stream = 0, .sequence = 1'000'000 + i, .point = static_cast<std::uint32_t>(3 * i), .source_time = 1'700'000'000'000'000'000 + static_cast<std::int64_t>(i),
                  .value = Value::from(static_cast<double>(i))};
  }
  return changes;
}

}  // namespace

JournalWrite::JournalWrite() : changes_(journal_changes()) {}

JournalRead::JournalRead() {
  for (const auto& change : journal_changes()) journal::encode(bodies_.emplace_back(), change);
}

}  // namespace sallyport::bench
