// The lane of a one-way link: records of `every` points, from one journal into the other's, without a word coming back.
//
// Each frame of records stands for itself (it names its streams and points) and is sent a number of times, spread in time; only
// then the journal it came from may forget it. The receiving side puts frames in order, passes over what it has, and marks what
// did not come by any of its repeats as a gap: each frame says, for each of its streams, what the last record before it was.
// What has gone for good is kept by both sides over a restart: here as a small state, there by the journal itself.
// No I/O of its own but the journal's. Loop thread.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "journal/journal.h"
#include "link/diode/segment.h"

namespace sallyport::link::diode {

using JournalPosition = sallyport::Position;   // link::Position is something else

inline constexpr unsigned kMaxRepeat = 16;
inline constexpr std::size_t kMaxRecordStreams = 1024;   // in a frame

// What has been said of a stream by this link: its newest record, and how many there were.
struct StreamMark {
  std::uint64_t sequence = 0, count = 0;
};
using StreamMarks = std::map<std::string, StreamMark>;   // by journal::stream_label
void encode(Bytes& out, const StreamMarks& marks);
Result<StreamMarks> decode_marks(std::span<const std::byte> bytes);

struct OneWayLaneOptions {
  std::string reader;                    // in the journal
  std::string peer;                      // streams of its own are not sent to it
  unsigned repeat = 3;                   // how many times each frame is sent, 1 to kMaxRepeat
  Duration spacing = std::chrono::milliseconds(150);
  StreamMarks marks{};                   // what was saved last; nothing was ever sent: empty
};

class OneWayLaneSender {
 public:
  static Result<std::unique_ptr<OneWayLaneSender>> open(journal::Journal& journal, OneWayLaneOptions options, std::function<bool(std::string_view)> allowed, Waker waker);

  // Appends one frame of about `room` bytes, a repeat that is due or a new one. false: nothing for now.
  bool fill(Bytes& out, std::size_t room, MonotonicTime now);
  bool has(MonotonicTime now) const { return now >= next_tick(); }
  MonotonicTime next_tick() const;                        // the waker may be earlier
  void woken() { idle_ = false; }                         // the waker came
  // Frames below this number do not come again.
  std::uint64_t over() const { return over_; }
  // All that was said often enough, to be saved; then say saved(), and the journal may forget it. Nothing: no news.
  std::optional<Bytes> take_state();
  void saved();
  std::uint64_t sent() const { return sent_; }            // records, each counted once
  std::uint64_t too_large() const { return too_large_; }

 private:
  struct Flying {
    std::uint64_t number = 0;
    Bytes records;                                        // streams and records
    MonotonicTime due{};
    JournalPosition position = 0;
    std::vector<std::pair<std::string, StreamMark>> marks;
  };
  explicit OneWayLaneSender(OneWayLaneOptions options) : options_(std::move(options)) {}
  bool make_frame(std::size_t room, Flying& frame);
  bool refill();
  void put(Bytes& out, const Flying& frame, unsigned repeat);
  void sent_often_enough(Flying frame);

  OneWayLaneOptions options_;
  std::unique_ptr<journal::JournalReader> reader_;
  FeedBatch batch_;
  std::size_t next_entry_ = 0, next_gap_ = 0;
  StreamMarks told_;                                      // in frames made so far
  StreamMarks done_;                                      // in frames said often enough
  std::array<std::deque<Flying>, kMaxRepeat> waiting_;    // for repeat i + 1, in order of number
  std::size_t flying_bytes_ = 0;
  std::uint64_t last_number_ = 0, over_ = 1;
  JournalPosition done_position_ = 0, state_position_ = 0;
  bool idle_ = false;
  bool behind_ = true;
  MonotonicTime next_new_{};
  std::uint64_t sent_ = 0, too_large_ = 0;
};

class OneWayLaneReceiver {
 public:
  OneWayLaneReceiver(journal::Journal& journal, std::string node, std::string link, std::vector<std::string> patterns, std::function<bool(std::string_view)> allowed);
  // Another sender: what is held back is as complete as it gets, and numbers begin anew.
  void begin_life();
  Result<void> on_records(std::span<const std::byte> body, UtcNanoseconds now);
  void on_over(std::uint64_t number, UtcNanoseconds now);   // frames below do not come again
  std::uint64_t received() const { return received_; }
  std::uint64_t lost() const { return lost_; }              // known by number
  std::uint64_t gaps() const { return gaps_; }
  std::uint64_t refused() const { return refused_; }
  std::size_t held_back() const { return waiting_.size(); }

 private:
  Result<void> deliver(std::span<const std::byte> records, UtcNanoseconds now);
  void deliver_up_to(std::uint64_t number, UtcNanoseconds now);
  void mark_gap(const std::string& label, std::uint64_t held, const StreamMark& before, bool heard, UtcNanoseconds now);

  journal::Journal& journal_;
  const std::string node_, link_;
  const std::vector<std::string> patterns_;
  const std::function<bool(std::string_view)> allowed_;
  std::map<std::string, std::uint64_t> held_;
  std::map<std::string, std::uint64_t> counts_;             // of streams heard since this object is there
  std::uint64_t expected_ = 0;                              // 0: not known yet
  std::map<std::uint64_t, Bytes> waiting_;
  std::size_t waiting_bytes_ = 0;
  UtcNanoseconds last_time_ = 0;                            // when something came last
  std::uint64_t received_ = 0, lost_ = 0, gaps_ = 0, refused_ = 0;
};

}  // namespace sallyport::link::diode
