// What the settings say of a diode link (docs/diode.md). Plain values.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/receiver_key.h"
#include "net/signer.h"
#include "net/tls.h"

namespace sallyport::link::diode {

enum class Carrier : std::uint8_t { udp, tcp };

// "udp://10.9.0.2:4500", "tcp://10.9.0.2:4500". The host is an IP address: a name would have to be asked for, and nothing
// comes back over a diode.
struct DiodeAddress {
  Carrier carrier = Carrier::udp;
  net::Address address{};
  friend bool operator==(const DiodeAddress&, const DiodeAddress&) = default;
};
Result<DiodeAddress> parse_diode_address(std::string_view text);
std::string to_string(const DiodeAddress& address);

// What the key files hold. Compares as equal: DiodeOptions::key_mark tells one from another.
struct DiodeKeys {
  std::shared_ptr<const net::Signer> signer{};                  // sending
  std::shared_ptr<const net::ReceiverPublic> receiver{};
  std::shared_ptr<const net::ReceiverPrivate> key{};            // receiving
  std::shared_ptr<const net::Trust> trust{};
  friend bool operator==(const DiodeKeys&, const DiodeKeys&) { return true; }
};

struct DiodeOptions {
  bool sends = false;                      // else it receives
  DiodeAddress address{};                  // where to, or where at
  Duration max_staleness = std::chrono::seconds(10);
  std::string state_folder{};              // what must be known over a restart
  // Sending.
  std::uint64_t bits_per_second = 0;       // of datagrams with their IP and UDP headers
  double redundancy = 0.25;                // parity for each datagram
  unsigned repeat = 3;                     // of records of `every` points
  std::size_t datagram_bytes = 1400;
  DiodeKeys keys{};
  std::string key_mark{};                  // fingerprints: other keys make another link
  friend bool operator==(const DiodeOptions&, const DiodeOptions&) = default;
};

inline constexpr std::uint64_t kHeaders = 28;   // bytes of IPv4 and UDP that count against the rate
// Less would not carry heartbeats, with their parity, in a quarter of it.
std::uint64_t least_rate(std::size_t datagram_bytes, Duration heartbeat);

}  // namespace sallyport::link::diode
