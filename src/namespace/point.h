// What is known of a point besides its value, and the route by which it came.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "namespace/quality.h"
#include "namespace/value.h"

namespace sallyport {

using PointId = std::uint32_t;   // dense, of this node only
using RouteId = std::uint16_t;   // of this node only
using Revision = std::uint64_t;  // numbers the changes of this node's table; starts at 1
inline constexpr PointId kNoPoint = 0xffffffff;
inline constexpr RouteId kNoRoute = 0xffff;

// Metadata. Equal metadata is stored once, however many points share it.
struct Meta {
  Type type = Type::null;      // declared; null = any (BaseDataType)
  bool array = false;
  std::string description;
  std::string unit;            // engineering unit, display text ("°C")
  std::optional<double> range_low, range_high;  // EURange
  std::vector<std::string> enum_strings;        // text of value 0, 1, 2 …
  std::uint8_t burst = 0;      // how many edges to keep when conflating (0: none, latest only)
  bool every = false;          // delivery "every"
  friend bool operator==(const Meta&, const Meta&) = default;
};
inline constexpr std::size_t kMaxMetaText = 4096;  // bytes of each text; longer is cut at a character

// Where and why a path broke; shown to every consumer as "cause".
struct Cause {
  std::string node;  // the node that noticed
  std::string link;  // its link or source
  UtcNanoseconds since = 0;
  std::string what;  // "timeout", "reset", "source gone", …
  friend bool operator==(const Cause&, const Cause&) = default;
};

// How points reach this node: one origin source, through these nodes. Quality overlays apply to all points of a route at
// once; the hops are the path vector that keeps loops out.
struct RouteInfo {
  std::string origin;             // node at which the points entered the network
  std::string source;             // source there
  std::vector<std::string> hops;  // nodes passed, from the origin to this one
  friend bool operator==(const RouteInfo&, const RouteInfo&) = default;
};
inline constexpr std::size_t kMaxHops = 16;

// Whether a point's value is known to be what its origin said, however many nodes it went through (docs/seals.md).
enum class Verified : std::uint8_t {
  unknown,     // this node verifies nothing
  unverified,  // it verifies other points
  signed_fast, // its origin signed it
  signed_pq,   // and a checkpoint signed post-quantum too says the same
};
// "unverified", "signed", "signed-pq"; empty when unknown.
std::string_view to_string(Verified verified);

struct RouteState {
  bool covered = false;  // an overlay lies over the points of this route that have not been renewed since
  Status overlay = status::kGood;
  Cause cause;
  bool complete = true;  // every point of the route has been defined; what is not here is not there
};

}  // namespace sallyport
