#include "link/uplink.h"

#include <algorithm>
#include <cstring>

namespace sallyport::link {
namespace {

// Of the body; nullopt: a frame that a side which only sends has no use for.
std::optional<std::size_t> fixed_size(FrameType type) {
  switch (type) {
    case FrameType::ack:
    case FrameType::journal_ack: return 8;
    case FrameType::heartbeat: return 32;
    case FrameType::refresh:
    case FrameType::ask_digests: return 2;
    case FrameType::ask_repair: return 2 + Namespace::kBuckets / 8;
    default: return {};
  }
}

constexpr std::size_t kCloseCode = 2;

}  // namespace

std::optional<Frame> UplinkFilter::next(std::span<const std::byte> stream, std::size_t& taken) {
  taken = 0;
  for (;;) {
    const auto left = stream.subspan(taken);
    if (strict_ || lost_) {
      bytes_ += left.size();
      taken = stream.size();
      return {};
    }
    if (skip_ > 0) {
      const std::size_t now = std::min(skip_, left.size());
      skip_ -= now;
      bytes_ += now;
      taken += now;
      if (skip_ > 0) return {};
      continue;
    }
    if (left.size() < kFrameHeader) return {};
    std::uint32_t length = 0;
    std::memcpy(&length, left.data(), 4);
    if (length == 0 || length > kMaxFrame + 1) {
      lost_ = true;
      continue;
    }
    const auto type = static_cast<FrameType>(left[4]);
    const bool close = type == FrameType::close && length > kCloseCode;
    const auto body = close ? std::optional(kCloseCode) : fixed_size(type);
    if (!body || (!close && length != *body + 1)) {
      skip_ = std::size_t{4} + length;
      continue;
    }
    if (left.size() < kFrameHeader + *body) return {};
    const Frame frame{type, left.subspan(kFrameHeader, *body), kFrameHeader + *body};
    taken += frame.size;
    skip_ = length - 1 - *body;
    return frame;
  }
}

}  // namespace sallyport::link
