// A TLS stream and the session on it: reads while there is something, writes what the session gives, keeps its timer and
// the age of its keys. Shared with posted tasks, which hold it weakly. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "link/session.h"
#include "net/loop.h"
#include "net/tls.h"

namespace sallyport::link {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `ended`: called once, when the stream or the session has ended by itself.
  using Ended = std::function<void(const std::string& reason, bool refused)>;
  Connection(net::Loop& loop, Clock& clock, std::unique_ptr<net::TlsStream> stream, Duration key_update, Ended ended);

  void start(Namespace& ns, Receiver& receiver, SessionOptions options);
  // Writes until the stream is full or there is nothing more.
  void pump();
  // Says goodbye, as far as the peer takes it at once: one that does not read must not hold us up.
  void close(CloseCode code, const std::string& text);
  // Ends without a word and without a loss: another connection of the link goes on. The stream stays open until
  // destruction, so that the peer does not see this end before it has seen the other's beginning.
  void abandon();
  // The peer answered nothing for the whole timeout and the like: drops everything; `ended` is not called.
  void drop();

  Session* session() { return session_.get(); }
  const Session* session() const { return session_.get(); }
  const net::TlsStream& stream() const { return *stream_; }
  std::uint64_t key_updates() const { return key_updates_; }
  std::function<void()> after_read;        // something was received and handled
  std::optional<MonotonicTime> up_since;   // set by the owner once hellos are exchanged

 private:
  MonotonicTime now() const { return clock_.monotonic(); }
  void wait_readable();
  void wait_writable();
  void readable();
  bool read();                         // false: ended
  void pump_later();
  void set_timer();
  void renew_keys();
  void release_idle_buffer();
  void end(const std::string& reason);

  net::Loop& loop_;
  Clock& clock_;
  std::unique_ptr<net::TlsStream> stream_;
  std::unique_ptr<Session> session_;
  Ended ended_;
  net::Timer timer_;
  bool timer_set_ = false;
  MonotonicTime timer_due_{};
  bool waiting_writable_ = false;
  Bytes out_;
  std::size_t written_ = 0;
  std::uint64_t sent_at_tick_ = 0;
  Duration key_update_;
  MonotonicTime keys_since_;
  std::uint64_t keys_sent_ = 0, keys_received_ = 0, key_updates_ = 0;   // bytes of the session when the keys were last changed
};

}  // namespace sallyport::link
