// The sending end of a one-way wire (docs/diode.md): segments in, sealed datagrams out. Groups of segments are cut into
// shards, with Reed-Solomon parity beside them; each shard becomes one datagram, sealed under the key of an epoch that
// signed announcements tell. No I/O but the file of the last epoch, and no clock: time is passed in. One thread.
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

struct WireOptions {
  std::string sender{}, receiver{};        // node names; the receiver's as in its key file
  std::size_t datagram_bytes = 1400;       // the largest: UDP payload; 256 to 9,000
  double redundancy = 0.25;                // parity shards for each data shard; 0: none at all
  unsigned shards = 32;                    // data shards of a full group (k), 1 to 128
  unsigned depth = 4;                      // groups whose datagrams are sent mixed, against bursts; 1 to 64
  Duration flush = std::chrono::milliseconds(10);            // the longest that a group waits to become full
  Duration parity_spacing = std::chrono::milliseconds(4);    // between parity datagrams while the wire is idle
  Duration hold = std::chrono::milliseconds(250);            // the receiver gives up a group after so long
  Duration announce_every = std::chrono::seconds(1);         // a whole announcement in that time
  Duration refresh_every = std::chrono::seconds(60);         // announcements are signed anew, with the time of day
  Duration rekey_after = std::chrono::hours(1);
  std::uint64_t rekey_datagrams = 1ull << 32;
  Duration rekey_lead = std::chrono::seconds(5);             // the next epoch is announced so long before it begins
};
// What fits a wire of that rate: groups of about 10 ms, mixed over about 40 ms, announcements at most 5 % of it (each second
// from 2.5 Mbit/s on).
WireOptions wire_options_for(std::uint64_t bits_per_second);

struct WriterCounters {
  std::uint64_t segments = 0, segment_bytes = 0, groups = 0;
  std::uint64_t datagrams = 0, bytes = 0;   // handed out, announcements included
  std::uint64_t parity_datagrams = 0, announcement_datagrams = 0;
  std::uint64_t rekeys = 0, failed_rekeys = 0;
  std::uint64_t epoch = 0, life = 0;
  std::string last_failure{};               // of the last failed rekey: what to do
};

class WireWriter {
 public:
  // `state_file` keeps the last epoch's number: on disk before the first datagram of an epoch. Missing, it begins anew with
  // the time of day, so that a lost file does no harm while the clock is right. `now` is that time.
  static Result<std::unique_ptr<WireWriter>> make(WireOptions options, std::shared_ptr<const net::Signer> signer,
                                                  const crypto::XWingPublic& receiver, std::string state_file, UtcNanoseconds now);
  ~WireWriter();

  // The largest segment that the group under construction still takes; 0 while as many groups wait as may (depth + 1):
  // then take datagrams first. When it is too small for what is at hand: flush(), and look again.
  std::size_t room() const;
  std::size_t max_segment() const;          // room() of an empty group
  // One segment of 1 to room() bytes; others are not taken (false). A segment never spans groups, so a lost group costs whole
  // segments.
  bool add(std::span<const std::byte> segment);
  // Closes the group under construction now, as short as it is.
  void flush();

  // The next datagram to send, in order; valid until the next call. Nothing: nothing is to be sent until next_tick() or until
  // more was added. Pacing is the caller's; so are losses, there is no asking for a datagram twice.
  std::optional<std::span<const std::byte>> next(MonotonicTime now, UtcNanoseconds utc);
  MonotonicTime next_tick() const;
  std::size_t waiting_datagrams() const;    // of groups that are closed

  void set_signer(std::shared_ptr<const net::Signer> signer);  // a renewed certificate
  const WriterCounters& counters() const;

 private:
  struct Impl;
  explicit WireWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::link::diode
