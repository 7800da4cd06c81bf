// The receiving side of a one-way link: a source. It applies segments as they come, in order, and cannot ask for anything.
//
// What was lost shows in the numbers of segments with news. Then nothing that came by the link is taken for right any more:
// all of it is covered, and each point is good again when it changes or when the carousel comes by; once all routes and all
// ids were told again, so is the rest, and what is gone is gone. After silence the same, unless the numbers say that there was
// nothing to be missed. What arrives late (it waited somewhere for `timeout` longer than usual) is shown, but as old.
//
//   state   segment on time   late segment   silence for timeout
//   down    → up              down           down
//   up      up                → down         → down
// No I/O, no clock of its own. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "link/diode/id_set.h"
#include "link/diode/one_way_lane.h"
#include "link/diode/segment.h"
#include "link/receiver.h"

namespace sallyport::link::diode {

struct OneWayReceiveOptions {
  std::string link;
  Duration timeout = std::chrono::seconds(3);
};

struct OneWayReceiveCounters {
  std::uint64_t segments = 0, bytes = 0;
  std::uint64_t malformed = 0;            // segments or frames
  std::uint64_t lost_news = 0;            // segments with news that did not come
  std::uint64_t losses = 0;               // how often something was missing
  std::uint64_t lives = 0;                // senders met
  std::uint64_t rounds = 0;               // times that everything was told again after a loss
  Duration recovery{0};                   // from the last loss until that
};

class OneWayReceiver {
 public:
  // `receiver` outlives this, and holds what is known between two of them. `lane`: null: no records are taken.
  OneWayReceiver(Namespace& ns, Receiver& receiver, OneWayReceiveOptions options, std::unique_ptr<OneWayLaneReceiver> lane, MonotonicTime now);

  // One whole segment. Those that follow it come later; any may be missing.
  void received(std::span<const std::byte> segment, MonotonicTime now);
  void tick(MonotonicTime now);           // at next_tick() or earlier
  MonotonicTime next_tick() const;
  void stop(const std::string& why);      // what came by the link is covered

  bool up() const { return up_; }
  bool in_doubt() const { return doubt_; }
  const std::string& reason() const { return reason_; }        // why it is not up
  const std::string& doubt_reason() const { return doubt_what_; }
  const OneWayReceiveCounters& counters() const { return counters_; }
  const OneWayLaneReceiver* lane() const { return lane_.get(); }
  const Beat& beat() const { return beat_; }                   // the last one
  Duration clock_offset() const { return clock_offset_; }      // the sender's UTC against ours, as of the last beat
  Duration staleness(MonotonicTime now) const { return now - doubt_since_; }   // while in_doubt()
  std::uint64_t unknown() const;          // changes of points that should have been known
  const std::vector<HopStatus>& hops() const { return hops_; }
  std::function<void()> on_hops, on_state;

 private:
  bool note_head(const SegmentHead& head);
  void begin_life(const SegmentHead& head);
  void note_loss(const SegmentHead& head, std::uint64_t missing);
  bool note_age(std::uint64_t sent_ns, MonotonicTime now);     // whether it came in time
  void come_up();
  void go_down(const std::string& why);
  void begin_doubt(const std::string& what);
  void end_doubt_if_told();
  Result<void> frames(std::span<const std::byte> rest, MonotonicTime now);
  Result<void> frame(const RawFrame& frame, MonotonicTime now);
  Result<void> on_points(std::span<const std::byte> body);
  Result<void> on_routes(std::span<const std::byte> body);
  Result<void> on_fragment(std::span<const std::byte> body, MonotonicTime now);
  Result<void> on_beat(std::span<const std::byte> body);
  Result<void> on_position(std::span<const std::byte> body);
  void say_synchronized();
  DefineAs define_as() const { return {.renewed = true, .stale = !up_, .lenient = true}; }
  Duration timeout() const;

  Namespace& namespace_;
  Receiver& receiver_;
  const OneWayReceiveOptions options_;
  std::unique_ptr<OneWayLaneReceiver> lane_;
  OneWayReceiveCounters counters_;

  std::uint64_t life_ = 0;                // 0: nobody met yet
  std::uint64_t news_ = 0, definitions_ = 0, sent_ns_ = 0;
  bool up_ = false;
  std::string reason_ = "nothing has come yet";
  bool late_data_ = false;                // came while not up: what it changed is covered until told again

  bool doubt_ = true;
  std::string doubt_what_ = "the sender has not told everything yet";
  MonotonicTime doubt_since_;
  IdSet points_{UINT32_MAX}, routes_{UINT16_MAX};   // told since the doubt began
  bool complete_ = false;
  std::uint64_t unknown_ = 0, unknown_mark_ = 0;   // see unknown(); the receiver's count when the last doubt ended
  bool mismatch_ = false;

  std::uint64_t fragment_ = 0;            // number of the frame being put together
  Bytes fragments_;
  std::uint64_t fragment_total_ = 0;

  MonotonicTime now_, last_fresh_;
  std::int64_t least_offset_[2] = {INT64_MAX, INT64_MAX};   // arrival − sending: in the current and the last half minute
  MonotonicTime offset_since_{};
  Beat beat_;
  Duration clock_offset_{0};
  std::vector<HopStatus> hops_;
  bool logged_malformed_ = false;
};

}  // namespace sallyport::link::diode
