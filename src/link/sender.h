// The sending side of a link: a sink. It pulls from the namespace what the peer may see and encodes it, as much as the
// flow window lets through; routes and their overlays overtake. No I/O. Loop thread.
#pragma once

#include <memory>
#include <string>

#include "link/change_codec.h"
#include "link/codec.h"
#include "link/flow_window.h"
#include "link/messages.h"
#include "namespace/link_cursor.h"

namespace sallyport::link {

struct SenderCounters {
  std::uint64_t changes = 0, definitions = 0;
};

class Sender {
 public:
  // The view is what both ends allow. limit: no more views.
  static Result<std::unique_ptr<Sender>> make(Namespace& ns, std::uint64_t incarnation, const Patterns& send, const Hello& peer,
                                              std::uint32_t own_provider, FlowWindow window, Waker waker);
  ~Sender();
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  const Begin& begin() const { return begin_; }
  // Appends frames, about `budget` bytes at most, less when the window is nearly closed. Returns whether to call again at
  // once; when not, the waker or an acknowledgement says when.
  // `with_position`: tell where the peer stands, and the digest, also when nothing is new.
  bool fill(Bytes& out, std::size_t budget, bool with_position);
  // Every byte of the connection counts, since the peer acknowledges every byte.
  void on_sent(std::size_t bytes, bool data, MonotonicTime now) { window_.on_sent(bytes, data, now); }
  bool on_ack(std::uint64_t bytes, MonotonicTime now) { return window_.on_acknowledged(bytes, now); }
  void pace(std::uint64_t bytes_per_second, MonotonicTime now) { window_.pace(bytes_per_second, now); }
  void refresh(RouteId route) { cursor_.refresh(route); }
  void ask_digests(RouteId route) { route == 0 ? cursor_.ask_route_digests() : cursor_.ask_bucket_digests(route); }
  void repair(RouteBuckets wanted) { cursor_.repair(wanted.route, std::move(wanted.buckets)); }
  const FlowWindow& window() const { return window_; }
  const SenderCounters& counters() const { return counters_; }
  bool synchronized() const { return synchronized_; }

 private:
  struct Encoder;
  Sender(Namespace& ns, unsigned view, const Hello& peer, std::uint32_t own_provider, FlowWindow window, Waker waker);

  Namespace& namespace_;
  unsigned view_;
  LinkCursor cursor_;
  FlowWindow window_;
  Begin begin_;
  bool synchronized_ = false;
  bool told_caught_up_ = false;
  bool digest_due_ = true;      // at the first rest, then with each heartbeat
  Position last_;
  SenderCounters counters_;
};

}  // namespace sallyport::link
