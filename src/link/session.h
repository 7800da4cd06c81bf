// One connection between two nodes as a deterministic state machine: bytes and time in, bytes out. No I/O. It runs the
// same over TLS, one-way datagrams and the simulator. Loop thread.
//
//   state     hello arrives        other frame          silence            close() / lost()
//   greeting  → running            → closed(malformed)  → closed(timeout)  → closed
//   running   → closed(malformed)  handled              → closed(timeout)  → closed
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "link/codec.h"
#include "link/lane.h"
#include "link/messages.h"
#include "link/peer_budget.h"
#include "link/receiver.h"
#include "link/sender.h"
#include "link/uplink.h"

namespace sallyport::link {

struct SessionOptions {
  std::string node;                    // ours
  std::string peer;                    // theirs; the certificate said so, the hello must agree
  std::uint64_t incarnation = 0;       // of our table
  Patterns send;
  std::vector<std::string> send_texts, receive_texts;
  Duration heartbeat = std::chrono::seconds(1);
  Duration timeout = std::chrono::seconds(3);
  std::size_t first_window = FlowWindow::kFirst;
  journal::Journal* journal = nullptr; // null: this side has none, and no back-fill goes either way
  std::string journal_reader;          // of the link, in the journal
  Patterns receive;
  std::uint32_t max_points = 0;        // that the peer may name
  OneWay one_way = OneWay::off;        // what is read of the peer, once the hellos are exchanged
  std::uint64_t pace = 0;              // strict: bytes a second
  bool candidate = false;              // another session of the link has the receiver, until succeed() or take_receiver()
};

class Session {
 public:
  enum class State : std::uint8_t { greeting, running, closed };

  // `receiver` outlives the session and is begun and lost by it. `waker`: fill() has something new; any thread.
  Session(Namespace& ns, Receiver& receiver, SessionOptions options, MonotonicTime now, Waker waker);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Input: read into input_space(), then say how much it was.
  std::span<std::byte> input_space();
  void received(std::size_t bytes, MonotonicTime now);
  // Output: appends what is to be sent; nothing when there is nothing. Call again once it is sent; `more()` tells whether
  // that makes sense before the waker, received() or tick().
  void fill(Bytes& out, MonotonicTime now);
  bool more() const { return more_; }
  // Time passes: heartbeats, acknowledgements, timeouts. Call at next_tick() or earlier.
  void tick(MonotonicTime now);
  MonotonicTime next_tick() const;

  // Ends the session: close() tells the peer why (send what fill() gives, then disconnect), lost() cannot.
  void close(CloseCode code, const std::string& text);
  void lost(const std::string& what);
  // This session, whose hellos are exchanged, goes on in the place of `old` on the same link. When the peer's table is the
  // same, nothing is lost and no overlay laid; `old` is closed without a word. Otherwise false: everything begins anew, and
  // the caller ends `old` first, with a word (close) or without (lost).
  bool succeed(Session& old);
  void take_receiver() { has_receiver_ = true; }   // the other session is gone
  // Asks the peer, who dials, for a new connection.
  void ask_renewal();

  State state() const { return state_; }
  bool up() const { return state_ == State::running; }
  const std::string& reason() const { return reason_; }   // why closed
  bool refused_by_peer() const { return refused_by_peer_; }
  std::optional<CloseCode> closed_with() const { return closed_with_; }   // what this side said when it closed
  Duration delay() const { return delay_; }               // one way
  Duration timeout() const { return timeout_; }
  std::uint64_t received_bytes() const { return received_bytes_; }
  std::uint64_t sent_bytes() const { return sent_bytes_; }
  std::size_t buffered() const { return input_.size() + control_.size() + hops_.size(); }  // memory held for frames
  std::uint64_t discarded_bytes() const { return uplink_ ? uplink_->discarded_bytes() : 0; }
  const Sender* sender() const { return sender_.get(); }
  const LaneSender* lane_sender() const { return lane_out_.get(); }
  const LaneReceiver* lane_receiver() const { return lane_in_.get(); }
  SenderCounters sent() const;                            // also after the end
  const Hello& peer_hello() const { return peer_hello_; }

  // A route of this node changed elsewhere: points refused here may now be ours to bring. tick() does it too.
  void check_takeover();

  // Hops behind us, sent on when they change; and what the peer said of its own.
  void set_hops(Bytes encoded_frame);
  const std::vector<HopStatus>& peer_hops() const { return peer_hops_; }
  std::function<void()> on_hops;       // the peer's hops changed
  std::function<void()> on_running;    // hellos exchanged
  std::function<void()> on_renew;      // the peer wants a new connection

 private:
  void parse(MonotonicTime now);
  void parse_uplink(MonotonicTime now);
  Result<void> handle(const Frame& frame, MonotonicTime now);
  Result<void> handle_hello(const Frame& frame, MonotonicTime now);
  Result<void> handle_heartbeat(const Frame& frame, MonotonicTime now);
  Result<void> handle_close(const Frame& frame);
  Result<void> handle_close(const Close& said);
  bool takes_journal() const;
  bool paced() const;
  void end(const std::string& reason);
  void drop_sender();
  void open_lane();
  void fill_lane(Bytes& out, std::size_t live);
  MonotonicTime next_beat(MonotonicTime now) const;
  void put_ack(Bytes& out);
  void take_requests();
  void note_data(MonotonicTime now);
  void note_age(std::uint64_t sent_ns, MonotonicTime now);
  bool strict() const { return options_.one_way == OneWay::strict && state_ == State::running; }
  bool silent(MonotonicTime now) const { return !strict() && (now - last_heard_ >= timeout_ || now - last_fresh_ >= timeout_); }

  Namespace& namespace_;
  Receiver& receiver_;
  SessionOptions options_;
  Waker waker_;
  State state_ = State::greeting;
  std::string reason_;
  bool refused_by_peer_ = false;
  Duration heartbeat_, timeout_;
  Hello peer_hello_;
  std::unique_ptr<Sender> sender_;
  SenderCounters sent_;                // of the sender that was
  std::unique_ptr<LaneReceiver> lane_in_;
  std::unique_ptr<LaneSender> lane_out_;
  std::optional<std::vector<journal::Held>> peer_held_;   // it takes journal records, and has these
  std::size_t lane_credit_ = 0;        // earned by live bytes, for when they take all the room
  std::optional<UplinkFilter> uplink_;                    // of a running session that only sends
  Allowance discarding_{4 << 20, 1 << 20};                // bytes
  PeerBudget budget_{Duration(0)};     // from the hellos on: what the peer may ask of us
  std::optional<CloseCode> closed_with_;
  bool has_receiver_;                  // what ends this session is a loss
  bool begun_ = false;                 // the peer's begin frame came

  Bytes input_;
  std::size_t parsed_ = 0, filled_ = 0;
  std::size_t read_space_;             // grows with what comes at once, shrinks with a run of little
  unsigned small_reads_ = 0;
  std::size_t progress_mark_ = 0;
  Bytes control_;                      // to be sent before anything else
  Bytes hops_;
  Allowance hops_allowance_ = own_hops();
  bool more_ = true;

  MonotonicTime started_, last_heard_, last_fresh_, next_heartbeat_, ack_due_, pace_due_{};
  bool ack_wanted_ = false;
  std::uint64_t received_bytes_ = 0, acknowledged_bytes_ = 0, sent_bytes_ = 0;
  // The least (arrival − sending) of heartbeats, in the current and the last half minute: what is above it was waiting.
  std::int64_t least_offset_[2] = {INT64_MAX, INT64_MAX};
  MonotonicTime offset_since_{};
  std::uint64_t peer_sent_ns_ = 0;
  MonotonicTime peer_sent_at_{};
  Duration delay_{0};
  std::vector<HopStatus> peer_hops_;
};

}  // namespace sallyport::link
