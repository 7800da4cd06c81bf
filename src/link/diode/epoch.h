// Epochs of a one-way wire (docs/diode.md): one key each, agreed on by X-Wing with nobody answering, told by an announcement
// with both signatures of the sender. And the files by which neither side's epochs ever go back. Any thread, one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/hash.h"
#include "crypto/x_wing.h"
#include "link/diode/datagram.h"
#include "net/signer.h"

namespace sallyport::link::diode {

// What an epoch is: the same in all its announcements, and what its key is bound to.
struct EpochCore {
  std::uint64_t life = 0;               // of the sender's process
  std::uint64_t epoch = 0;
  UtcNanoseconds started = 0;
  std::uint16_t depth = 1;              // groups under way at once
  Duration hold{0};                     // how long the receiver waits for one; microseconds on the wire
  std::string sender{}, receiver{};     // node names
  crypto::Digest receiver_key{};        // SHA-256 of the X-Wing public key
  crypto::XWingCiphertext ciphertext{};
};
Bytes encode_core(const EpochCore& core);
Result<EpochCore> decode_core(std::span<const std::byte> bytes);

// The key that datagrams of the epoch are sealed under.
Result<crypto::Key> epoch_key(const crypto::Key& shared, std::span<const std::byte> core);

// Signed with both keys, at `utc`.
Bytes announce(std::span<const std::byte> core, UtcNanoseconds utc, const net::Signer& signer);

struct Announcement {
  EpochCore core;
  std::span<const std::byte> core_bytes;
  UtcNanoseconds utc = 0;
  std::span<const std::byte> credential, signed_bytes, fast, pq;
};
// Views into `bytes`; believes nothing yet.
Result<Announcement> parse_announcement(std::span<const std::byte> bytes);
// Both signatures, by certificates of the core's sender under `trust`, valid at `now`.
Result<void> check_signatures(const Announcement& announcement, const net::Trust& trust, UtcNanoseconds now);

// An announcement, cut to fit datagrams.
struct CutAnnouncement {
  std::uint64_t epoch = 0;
  FragmentId id{};
  Bytes bytes{};
  std::size_t fragment_bytes = 0;
  std::uint8_t count = 0;
  Fragment fragment(std::uint8_t index) const;
};
CutAnnouncement cut_announcement(std::uint64_t epoch, Bytes bytes, std::size_t datagram_bytes);
FragmentId announcement_id(std::span<const std::byte> bytes);

// Fragments until they are a whole announcement again. Those that came sealed are kept apart, so that nobody without the key
// can push them out. Bounded: 8 announcements in the clear, 2 sealed, 64 KiB each.
class Collector {
 public:
  enum class Added : std::uint8_t { kept, whole, malformed, crowded };
  // whole: `bytes` is the announcement, and the collector has forgotten it.
  Added add(const Fragment& fragment, bool sealed, MonotonicTime now, Bytes& whole);

 private:
  struct Slot {
    bool used = false;
    std::uint64_t epoch = 0;
    FragmentId id{};
    std::vector<Bytes> parts;
    std::size_t held = 0, bytes = 0;
    MonotonicTime last{};
  };
  Slot& slot_for(const Fragment& fragment, std::span<Slot> slots, MonotonicTime now);
  std::array<Slot, 8> clear_;
  std::array<Slot, 2> sealed_;
};

// The last epoch that a sender used. 0: none, or a file that cannot be read, of which it warns in the log.
std::uint64_t load_sender_epoch(const std::string& file);
Result<void> store_sender_epoch(const std::string& file, std::uint64_t epoch);

// What a receiver remembers. Of `epoch`, no datagram with a counter from `mark` on, and none of an age from `age_mark` on, was
// ever taken.
struct ReceiverEpoch {
  std::uint64_t epoch = 0;
  crypto::Digest core{};                // SHA-256 of the epoch's core
  std::uint64_t mark = 0;
  std::uint32_t age_mark = 0;
};
ReceiverEpoch load_receiver_epoch(const std::string& file);
Result<void> store_receiver_epoch(const std::string& file, const ReceiverEpoch& state);

}  // namespace sallyport::link::diode
