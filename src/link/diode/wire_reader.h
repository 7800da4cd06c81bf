// The receiving end of a one-way wire (docs/diode.md): datagrams in, segments out, in order. Whatever arrives is suspect: it
// is opened under the key of a signed epoch, and looked up in the replay window, before anything of it is kept. No I/O but the
// file that remembers epochs, and no clock: time is passed in. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/x_wing.h"
#include "net/signer.h"

namespace sallyport::link::diode {

// One run of the sender. Segments are numbered from 0 in each life, over its epochs.
struct Segment {
  std::uint64_t life = 0;                  // random; another one: the sender was restarted
  std::uint64_t number = 0;
  UtcNanoseconds sent = 0;                 // the sender's clock, when the group was closed
  std::span<const std::byte> bytes{};      // valid until the next call of next() or received()
  bool loss_before = false;                // something between this and the segment before it is lost, or was never seen
  std::uint64_t lost_segments = 0;         // how many, where that is known (within one life); 0 for the first of a life
};

// Why datagrams were thrown away. Each is counted once.
struct Refused {
  std::uint64_t malformed = 0;             // no datagram of ours, or what it says cannot be
  std::uint64_t authentication = 0;        // of a known epoch, but not sealed under its key
  std::uint64_t replay = 0;                // seen already, or too old to tell
  std::uint64_t old_epoch = 0;             // of an epoch that is over (datagrams and announcements)
  std::uint64_t unknown_epoch = 0;         // no announcement of it has arrived yet
  std::uint64_t wrong_sender = 0;          // announcement of another node, or to another receiver or key
  std::uint64_t signature = 0;             // announcement with a wrong signature or certificate
  std::uint64_t stale = 0;                 // announcement whose time of day is too far from ours
  std::uint64_t crowded = 0;               // more at once than is kept: announcement fragments, groups
  friend bool operator==(const Refused&, const Refused&) = default;
  std::uint64_t total() const {
    return malformed + authentication + replay + old_epoch + unknown_epoch + wrong_sender + signature + stale + crowded;
  }
};

struct ReaderCounters {
  std::uint64_t datagrams = 0, bytes = 0;  // all that came
  std::uint64_t accepted = 0;              // opened, and not seen before
  std::uint64_t lost_datagrams = 0;        // by their counters; those under way out of order come back off it
  std::uint64_t recovered_shards = 0;      // lost, and made again from parity
  std::uint64_t groups = 0, lost_groups = 0;
  std::uint64_t segments = 0, lost_segments = 0, segment_bytes = 0;
  Refused refused{};
  std::uint64_t announcements = 0, epochs = 0;   // accepted
  std::uint64_t epoch = 0, life = 0;             // of the last datagram accepted; 0: none yet
  std::uint64_t failed_writes = 0;               // of the state file: datagrams are refused (as crowded) until it can be written
  UtcNanoseconds epoch_started = 0;              // by the sender's clock
  std::string last_refusal{};                    // of an announcement, for the operator: who, why, what to do
};

struct ReaderOptions {
  std::string sender{};                    // the node name that announcements must be signed for
  std::string receiver{};                  // our own, as in the key file
  Duration max_announcement_age = std::chrono::minutes(10);  // both ways: how far the two clocks may differ
  std::size_t replay_width = 1 << 16;
  std::size_t max_groups = 256;            // under reassembly
  std::size_t max_bytes = 64 << 20;        // of them
};

class WireReader {
 public:
  // `state_file` remembers the highest epoch that data came in, and how far its counters had come: on disk before data is
  // handed out, so that nothing is taken a second time after a restart. Missing: the first announcement that is signed, for
  // us, and of the right time of day is believed.
  static Result<std::unique_ptr<WireReader>> make(ReaderOptions options, crypto::XWingPrivate key,
                                                  std::shared_ptr<const net::Trust> trust, std::string state_file);
  ~WireReader();  // notes how far the counters have come, so that a restart in order loses nothing

  // Any bytes are fine.
  void received(std::span<const std::byte> datagram, MonotonicTime now, UtcNanoseconds utc);
  // The next segment in order, if there is one; call until there is none, after received() and at next_tick(). What is
  // missing is waited for until `depth` + 2 later groups are whole, or for the sender's `hold`.
  std::optional<Segment> next(MonotonicTime now);
  MonotonicTime next_tick() const;         // MonotonicTime::max(): nothing is waited for

  void set_trust(std::shared_ptr<const net::Trust> trust);
  const ReaderCounters& counters() const;

 private:
  struct Impl;
  explicit WireReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::link::diode
