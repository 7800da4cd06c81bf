// What a diode link says about itself besides what every link says. Plain struct.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace sallyport::link::diode {

struct DiodeStatus {
  bool sends = false;
  std::string carrier;                     // "udp", "tcp"
  Duration max_staleness{0};               // receiving: as the sender says
  std::uint64_t datagrams = 0, bytes = 0;  // on the wire
  std::uint64_t epoch = 0;
  std::uint64_t rounds = 0;                // sending: of the carousel; receiving: times that it healed a loss
  Duration round{0};                       // the last one of the sender took

  // Sending.
  std::uint64_t rate = 0;                  // bits a second
  std::uint64_t round_bytes = 0;           // said in the last round, without parity
  double shortage = 0;                     // so many times the rate would be needed for max_staleness; at most 1: enough
  std::uint64_t parity_datagrams = 0, announcement_datagrams = 0, send_errors = 0, rekeys = 0;
  std::uint64_t too_large = 0;             // points whose value does not fit
  std::uint64_t records = 0;

  // Receiving.
  std::uint64_t lost_datagrams = 0, recovered = 0, lost_groups = 0;
  std::vector<std::pair<std::string, std::uint64_t>> refused{};   // by kind
  std::string last_refusal{};
  std::uint64_t losses = 0, lost_news = 0, malformed = 0, senders = 0;
  bool in_doubt = false;
  std::string doubt{};                     // why
  Duration staleness{0};                   // how long it has been in doubt
  Duration recovery{0};                    // how long the last doubt lasted
  Duration clock_offset{0};                // ours minus the sender's, the way included
  std::uint64_t socket_dropped = 0, socket_buffer = 0, skipped_bytes = 0;
  std::uint64_t records_lost = 0, record_gaps = 0, records_held_back = 0;
};

}  // namespace sallyport::link::diode
