#include "link/peer_budget.h"

namespace sallyport::link {
namespace {

constexpr double kBytesPerAck = 8192;        // a node acknowledges every 32 KiB at most …
constexpr double kAcksPerSecond = 400;       // … or every 20 ms

double per_second(Duration interval) { return 1e9 / static_cast<double>(std::max<std::int64_t>(interval.count(), 1'000'000)); }

}  // namespace

// A peer that was stopped, or whose bytes waited, brings what it owes at once: hence the first numbers.
PeerBudget::PeerBudget(Duration heartbeat)
    : heartbeats_(256, 4 * per_second(heartbeat)),
      positions_(256, 4 * per_second(heartbeat) + 64),
      acks_(4096, kAcksPerSecond),
      hops_(2048, 256),
      routes_(65'536, 4096),
      refreshes_(16'384, 256),
      questions_(256, 16) {}

std::unexpected<Error> PeerBudget::too_many(std::string_view what) {
  return fail(ErrorCode::limit, "too many " + std::string(what) + " frames");
}

Result<void> PeerBudget::admit(const Frame& frame, std::uint64_t sent_bytes, MonotonicTime now) {
  const auto within = [now](Allowance& allowance, double amount, std::string_view what) -> Result<void> {
    if (allowance.take(amount, now)) return {};
    return too_many(what);
  };
  switch (frame.type) {
    case FrameType::heartbeat: return within(heartbeats_, 1, "heartbeat");
    case FrameType::journal_ack:
    case FrameType::ack:
      acks_.earn(static_cast<double>(sent_bytes - acknowledgeable_) / kBytesPerAck);
      acknowledgeable_ = sent_bytes;
      return within(acks_, 1, "ack");
    case FrameType::position:
      if (std::exchange(news_, false)) return {};
      return within(positions_, 1, "position");
    case FrameType::hops: return within(hops_, hops_cost(frame.body.size()), "hops");
    case FrameType::refresh: return within(refreshes_, 1, "refresh");
    case FrameType::ask_digests:
    case FrameType::ask_repair:
    case FrameType::journal_held:
    case FrameType::renew: return within(questions_, 1, "question");
    case FrameType::route: news_ = true; return within(routes_, 1, "route");
    default: news_ = true; return {};
  }
}

}  // namespace sallyport::link
