// The back-fill lane of a link: what one node's journal holds, into the other's, each record once and in order, behind the
// live values. No I/O of its own but the journal's. Loop thread.
//
// The receiving side says how far it holds each stream; the sending side goes on from there, and forgets what is said to be
// durable. So a record is passed on as often as it takes, and appended once.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "journal/journal.h"
#include "link/codec.h"

namespace sallyport::link {

using JournalPosition = sallyport::Position;   // link::Position is something else
inline constexpr std::size_t kMaxHeldStreams = 4096;

void encode_journal_held(Bytes& out, const std::vector<journal::Held>& held);
Result<std::vector<journal::Held>> decode_journal_held(std::span<const std::byte> body);
void encode_journal_ack(Bytes& out, std::uint64_t records);
Result<std::uint64_t> decode_journal_ack(std::span<const std::byte> body);

class LaneSender {
 public:
  // `allowed`: what the peer may see of the journal. exists: an earlier session of the link has not let go of it yet.
  static Result<std::unique_ptr<LaneSender>> open(journal::Journal& journal, const std::string& reader, const std::string& peer,
                                                  const std::vector<journal::Held>& held, std::function<bool(std::string_view)> allowed, Waker waker);

  // Appends at most one frame of about `room` bytes. false: nothing to send for now; the waker comes when there is, or
  // on_ack() makes room.
  bool fill(Bytes& out, std::size_t room);
  Result<void> on_ack(std::uint64_t records);     // malformed: more than was sent
  std::uint64_t sent() const { return sent_; }
  std::uint64_t unacknowledged() const { return sent_ - acknowledged_; }

 private:
  explicit LaneSender(std::string peer) : peer_(std::move(peer)) {}
  bool refill();
  void put_entry(Bytes& out, FeedEntry& entry);
  void put_gap(Bytes& out, FeedGap& gap);
  bool tell_stream(Bytes& out, std::uint32_t stream);
  bool held_there(std::uint32_t stream, std::uint64_t sequence) const;

  const std::string peer_;
  std::map<std::string, std::uint64_t> held_;     // stream's label → sequence
  std::unique_ptr<journal::JournalReader> reader_;
  FeedBatch batch_;
  std::size_t next_entry_ = 0, next_gap_ = 0;
  bool behind_ = true;                            // catching up: what is sent has waited
  struct Told {
    bool told = false, skip = false;
    std::uint64_t held = 0;
  };
  std::vector<Told> streams_;
  std::vector<bool> points_;
  std::uint64_t sent_ = 0, acknowledged_ = 0;
  struct Mark {
    std::uint64_t records;
    JournalPosition position;
  };
  std::deque<Mark> marks_;
};

class LaneReceiver {
 public:
  LaneReceiver(journal::Journal& journal, std::string node, std::function<bool(std::string_view)> allowed, std::uint32_t max_points, Waker waker);
  ~LaneReceiver();
  LaneReceiver(const LaneReceiver&) = delete;
  LaneReceiver& operator=(const LaneReceiver&) = delete;

  Result<void> on_records(std::span<const std::byte> body);   // malformed, limit
  // How many records of this session are durable, when that is more than last time.
  bool take_ack(std::uint64_t& records);
  std::uint64_t received() const { return received_; }
  std::uint64_t refused() const { return refused_; }          // not allowed here

 private:
  journal::Journal& journal_;
  const std::string node_;
  const std::function<bool(std::string_view)> allowed_;
  const std::uint32_t max_points_;
  std::uint64_t waker_ = 0;
  struct Stream {
    std::uint32_t id = UINT32_MAX;
    bool ours = false;
  };
  struct Point {
    std::uint32_t id = UINT32_MAX;
    bool allowed = false;
  };
  std::vector<Stream> streams_;
  std::vector<Point> points_;
  std::vector<journal::ChangeRecord> changes_;
  std::uint64_t received_ = 0, acknowledged_ = 0, refused_ = 0;
  struct Mark {
    std::uint64_t records;
    JournalPosition position;
  };
  std::deque<Mark> marks_;
};

}  // namespace sallyport::link
