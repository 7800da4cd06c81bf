// The sending side of a one-way link: a sink. What changes goes at once (news); everything there is goes round and round (the
// carousel), so that whoever listens, whenever they begin and whatever they miss, is complete and right after a while; changes
// of `every` points go a number of times (the lane). Nothing ever comes back. No I/O, no clock of its own. Loop thread.
//
// Shares: news first, but at least a quarter is left to the carousel while a round of it is due, and an eighth to the lane.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "link/diode/one_way_lane.h"
#include "link/diode/segment.h"
#include "link/link.h"
#include "namespace/link_cursor.h"

namespace sallyport::link::diode {

struct OneWaySendOptions {
  std::string peer;                     // routes that came through it are not sent
  std::uint64_t life = 0;               // not 0; another for each sender that there ever is
  Patterns send;
  Duration heartbeat = std::chrono::seconds(1);
  Duration timeout = std::chrono::seconds(3);
  Duration max_staleness = std::chrono::seconds(10);
  std::uint64_t bytes_per_second = 1'000'000;   // of segments, that there is room for
};

struct OneWaySendCounters {
  std::uint64_t changes = 0, definitions = 0, segments = 0, bytes = 0;
  std::uint64_t rounds = 0, round_bytes = 0;    // of the carousel; the bytes of the last one
  std::uint64_t too_large = 0;                  // points of the last round whose value is above kLargestValue
  Duration round{0};                            // how long the last one took
};

class OneWaySender {
 public:
  // The waker may come from any thread. limit: no more views.
  static Result<std::unique_ptr<OneWaySender>> make(Namespace& ns, OneWaySendOptions options, MonotonicTime now, Waker waker);
  ~OneWaySender();
  OneWaySender(const OneWaySender&) = delete;
  OneWaySender& operator=(const OneWaySender&) = delete;

  // Replaces `segment` by the next one, of at most `room` bytes. False: there is nothing to say, or not enough room for it.
  bool next(Bytes& segment, std::size_t room, MonotonicTime now);
  static constexpr std::size_t kLeastRoom = 256;
  // After next() said false: whether the waker or next_tick() will tell when to call again; if not, at once.
  bool idle_and_armed();
  MonotonicTime next_tick() const;

  void set_lane(std::unique_ptr<OneWayLaneSender> lane) { lane_ = std::move(lane); }
  OneWayLaneSender* lane() { return lane_.get(); }
  const OneWayLaneSender* lane() const { return lane_.get(); }
  void set_hops(const std::vector<HopStatus>& hops);      // told when they change, and with each round
  const OneWaySendCounters& counters() const { return counters_; }
  // How many times the rate would be needed to tell everything within half of max_staleness; at most 1: it is enough.
  double shortage() const;

 private:
  struct Encoder;
  OneWaySender(Namespace& ns, unsigned view, OneWaySendOptions options, MonotonicTime now, Waker waker);
  bool produce(std::size_t budget, MonotonicTime now);
  void put_beat(MonotonicTime now);
  bool put_news(std::size_t budget);
  bool put_carousel(std::size_t budget, MonotonicTime now);
  void put_routes(std::size_t budget);
  bool put_points(std::size_t budget);
  void end_round(MonotonicTime now);
  void pack(Bytes& segment, std::size_t room, MonotonicTime now);
  void put_fragment(Bytes& body, std::size_t size, std::size_t room);
  double carousel_rate() const;

  Namespace& namespace_;
  const unsigned view_;
  const OneWaySendOptions options_;
  LinkCursor cursor_;
  OneWaySendCounters counters_;
  std::unique_ptr<OneWayLaneSender> lane_;
  Bytes hops_, hop_states_;               // encoded frames: as they are; without delays
  bool hops_news_ = false;
  std::map<RouteId, Bytes> routes_;       // as told last, encoded
  std::size_t routes_bytes_ = 0;

  Bytes queue_, body_;                    // whole frames, to be packed from `packed_` on
  std::size_t packed_ = 0, cut_at_ = 0;   // so much of the frame at `packed_` went as fragments
  bool queue_is_news_ = false;
  Bytes position_;                        // to follow the news
  bool position_due_ = true;
  std::uint64_t news_count_ = 0, definition_count_ = 0, fragmented_ = 0;
  std::size_t carousel_credit_ = 0, lane_credit_ = 0;

  MonotonicTime next_beat_, carousel_at_, round_began_;
  bool in_routes_ = true;                 // a round tells the routes first
  std::uint32_t next_route_ = 0;
  PointId next_point_ = 0;
  std::uint64_t round_bytes_ = 0, round_too_large_ = 0;
  bool any_too_large_ = false;
};

}  // namespace sallyport::link::diode
