// What two nodes say to each other, as structs that know no bytes. docs/protocol.md is normative; codec.h has the bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "link/link.h"
#include "namespace/point.h"

namespace sallyport::link {

inline constexpr std::uint16_t kVersion = 1;             // spoken
inline constexpr std::uint16_t kOldestVersion = 1;       // understood
inline constexpr std::size_t kFrameHeader = 5;           // u32 length of what follows the length field, u8 type
inline constexpr std::size_t kMaxFrame = kMaxValueSize + 65536;
inline constexpr std::size_t kMaxHello = 64 * 1024;
inline constexpr std::size_t kMaxHopEntries = 4096;
inline constexpr std::size_t kMaxHopsBytes = 128 * 1024;  // of a hops frame's body: each node passes on what others told it

enum class FrameType : std::uint8_t {
  hello = 1, route = 2, define = 3, remove = 4, changes = 5, position = 6, heartbeat = 7, hops = 8, ack = 9, close = 10,
  refresh = 11, stale_changes = 12, begin = 13,
  ask_digests = 14, route_digests = 15, bucket_digests = 16, ask_repair = 17, repaired = 18,
  renew = 19,
  journal_held = 20, journal = 21, journal_ack = 22,
};

enum class CloseCode : std::uint16_t {
  normal = 0,        // shutting down
  malformed = 1,     // a frame does not follow the format
  version = 2,       // no common version
  not_allowed = 3,   // the peer is not configured for this
  timeout = 4,
  replaced = 5,      // a newer connection of the same peer took over
  limit = 6,         // too much of something
  reconfigured = 7,
};
std::string_view to_string(CloseCode code);

struct Hello {
  std::uint16_t version = kVersion, oldest = kOldestVersion;
  std::string node;
  std::uint64_t incarnation = 0;         // of the sender's table: ids and revisions mean the same while it stays
  Duration heartbeat{0}, timeout{0};
  std::vector<std::string> send, receive;  // patterns
  // What the sender of this hello already holds of the peer's table; incarnation 0: nothing.
  struct Held {
    std::uint64_t incarnation = 0;
    Revision seen = 0;
    std::uint64_t defined = 0;
    std::uint64_t view = 0;              // hash of the patterns it was received by
  } held;
  bool takes_journal = false;            // keeps records of its peer's journal
  bool reads_little = false;             // of this side only acknowledgements are read from now on (uplink.h) …
  bool reads_nothing = false;            // … or nothing
};

// First after the hellos from a side that sends: where it goes on.
struct Begin {
  bool resumed = false;                  // false: everything follows; ids and routes told before mean nothing any more
  std::uint64_t view = 0;                // to be held and told in the next hello
};

struct RouteMessage {
  RouteId route = 0;                     // the sender's id
  RouteInfo info;
  RouteState state;
  bool renew = false, withdrawn = false;
};

struct Position {
  Revision seen = 0;
  std::uint64_t defined = 0;
  bool synchronized = false;             // all that changed before the session began has been sent
  bool complete = false;                 // routes not told are gone
  bool caught_up = false;                // digest and points are of the sender's table now
  std::uint64_t digest = 0, points = 0;
};

// Buckets of a route: asked for (ask_repair) or done (repaired).
struct RouteBuckets {
  RouteId route = 0;
  std::vector<bool> buckets;             // Namespace::kBuckets of them
};

struct Heartbeat {
  std::uint64_t sent_ns = 0;             // sender's monotonic clock
  std::uint64_t echo_ns = 0;             // the newest sent_ns heard, 0: none
  std::uint64_t held_ns = 0;             // how long ago that was heard
  UtcNanoseconds utc = 0;
};

}  // namespace sallyport::link
