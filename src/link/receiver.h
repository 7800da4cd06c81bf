// The receiving side of a link: a source. It applies what the peer says to the namespace, and knows between sessions what
// it holds of the peer's table, so that the next session goes on where the last one ended. No I/O. Loop thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "link/codec.h"
#include "link/messages.h"
#include "namespace/namespace.h"
#include "namespace/reserved_array.h"

namespace sallyport::link {

struct ReceiverCounters {
  std::uint64_t changes = 0, definitions = 0;
  std::uint64_t refused = 0;       // points outside what we receive, over a limit, or provided by another route
  std::uint64_t unknown = 0;       // changes to points that are not mirrored here
  std::uint64_t routes_refused = 0;  // beyond [limits] routes
  std::uint64_t full_resends = 0, resumes = 0;
  std::uint64_t digest_mismatches = 0;  // heartbeats whose digest was not ours
  std::uint64_t repaired_points = 0;    // sent again, or removed, because of one
};

// What a receiver knows besides the points, over a restart of this node.
struct ReceiverMemory {
  std::string peer;
  Hello::Held held;
  struct KnownRoute {
    RouteId local = kNoRoute;
    bool named = false, swept = false, complete = false;
  };
  std::vector<KnownRoute> routes;        // by the peer's id
  std::vector<RouteId> local_routes;
  std::vector<PointId> ids;              // by the peer's id, ours + 1
};

// How definitions are to be taken.
struct DefineAs {
  bool renewed = false;   // see Definition::renewed
  bool stale = false;     // whatever the peer said then is old: covered
  bool lenient = false;   // points of a route that was not told are passed over, instead of being malformed
};

class Receiver {
 public:
  Receiver(Namespace& ns, std::string node, std::string link, Patterns receive, Status on_loss, std::uint32_t max_points,
           std::uint32_t rank = 0);
  ~Receiver();  // its routes and points vanish
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  // Between sessions. A resend that is under way is not remembered: the points are, and everything is sent again.
  ReceiverMemory memory() const;
  void recall(ReceiverMemory memory);  // before the first session
  std::uint32_t provider() const { return provider_; }
  Hello::Held held() const { return held_; }
  bool synchronized() const { return synchronized_; }
  const ReceiverCounters& counters() const { return counters_; }

  // A session began / ended. lost() lays an overlay over everything that came by this link.
  void begin(std::uint64_t peer_incarnation, const Begin& begin);
  void lost(const std::string& what);

  Result<void> on_route(const RouteMessage& message);
  Result<void> on_define(std::span<const std::byte> body, DefineAs as = {});
  Result<void> on_remove(std::span<const PointId> points);
  Result<void> on_changes(std::span<const std::byte> body, bool stale);
  void on_position(const Position& position);
  // The peer's digests, asked for after a difference: narrow it down to buckets of a route, have those sent again.
  void on_route_digests(std::span<const RouteDigest> digests);
  void on_bucket_digests(const BucketDigests& theirs);
  void on_repaired(const RouteBuckets& done);
  // What is to be said to the peer: questions and refreshes. Empty most of the time.
  Bytes take_requests() { return std::exchange(requests_, {}); }
  // A route elsewhere changed: points that were refused here may now be ours to bring.
  void check_takeover();
  // Of this session's peer: whether it reads what take_requests() says. When not, and points are missing that only it can
  // tell, the session must end, and everything be told anew.
  void peer_listens(bool listens) { peer_listens_ = listens; }
  bool must_begin_anew() const { return begin_anew_; }

  // --- Over one-way links, where nothing can be asked for (link/diode/one_way_receiver.h) ---
  // Something was lost on the way: everything is covered anew, until it is told again and on_position() says synchronized.
  void doubt(const std::string& what);
  // Bodies of definitions: all points of the peer whose id is in [from, to), ascending. Others of these ids are gone.
  Result<void> on_range(PointId from, PointId to, std::span<const std::span<const std::byte>> defines, DefineAs as);
  // All routes of the peer whose id is in [from, to]; others are withdrawn.
  Result<void> on_routes(RouteId from, RouteId to, std::span<const RouteMessage> told);
  // Whether what is here is what the peer says; nothing: that cannot be told now.
  std::optional<bool> agrees(const Position& position) const;
  void count_digest_mismatch() { ++counters_.digest_mismatches; }

 private:
  struct RemoteRoute {
    RouteId local = kNoRoute;      // kNoRoute: refused
    RouteState upstream;
    bool named = false;            // told since the last full resend began
    bool swept = false;            // what that resend did not name is removed
  };
  RemoteRoute* remote(RouteId id) { return id < routes_.size() && routes_[id].named ? &routes_[id] : nullptr; }
  RouteId local_route_for(const RouteInfo& info);
  void show_upstream(RemoteRoute& route, bool renew);
  void settle(RemoteRoute& route);
  void forget_unnamed_routes();
  void compare(const Position& position);
  void give_up_comparing();
  void name(PointId id, bool forced);
  void map(PointId remote, PointId local);
  Cause local_cause() const;

  Namespace& namespace_;
  std::string node_, link_;
  Patterns receive_;
  Status on_loss_;
  std::uint32_t max_points_;
  std::uint32_t rank_;
  std::uint32_t provider_;
  ReservedArray<PointId> ids_;     // peer's id → ours + 1; 0: none
  std::uint32_t ids_end_ = 0;
  ReservedArray<PointId> wire_ids_;  // our id → peer's + 1: a path may come under a new id before the old one is removed
  std::uint32_t wire_ids_end_ = 0;
  std::vector<RemoteRoute> routes_;
  std::vector<RouteId> local_routes_;
  std::vector<bool> named_;        // our ids named since the last full resend began
  bool naming_ = false;            // a full resend is under way, until the peer is complete
  bool holding_incomplete_ = true; // never synchronized yet: the namespace may lack what this link brings
  Hello::Held held_;
  bool synchronized_ = false;
  bool up_ = false;
  UtcNanoseconds lost_since_ = 0;
  std::string lost_what_;
  ReceiverCounters counters_;
  // Comparing digests: narrowing down costs both sides a look at the whole table.
  static constexpr Duration kFirstCompare = std::chrono::milliseconds(250), kLastCompare = std::chrono::seconds(16);
  enum class Compare : std::uint8_t { idle, asked_routes, asked_buckets, repairing } compare_ = Compare::idle;
  MonotonicTime compare_at_{};     // not before
  Duration compare_backoff_ = kFirstCompare;
  RouteId last_repaired_ = kNoRoute;
  std::vector<RouteId> refreshes_; // of the peer's routes, asked for and perhaps lost with the session: until digests agree
  std::vector<bool> repaired_ids_; // our ids named by the repair under way
  std::uint64_t routes_seen_ = 0;  // Namespace::route_version
  Bytes requests_;
  bool peer_listens_ = true, begin_anew_ = false;
  DefineFrame define_;             // reused
  std::vector<Definition> definitions_;
  std::vector<PointId> defined_ids_;
  std::vector<Change> changes_;
};

}  // namespace sallyport::link
