#include "link/connection.h"

#include <algorithm>

namespace sallyport::link {
namespace {

constexpr std::size_t kReadPerTurn = 512 * 1024;   // then others on the loop have their turn
constexpr Duration kReadTime = std::chrono::milliseconds(1);   // … also when they are tiny frames, which cost more
constexpr std::size_t kShortRead = 4096;
constexpr std::size_t kWritePerTurn = 512 * 1024;
constexpr std::size_t kIdleBytes = 4096;           // sent between two ticks
constexpr Duration kGoodbye = std::chrono::milliseconds(500);
// AES-GCM is good for 2^24.5 records under one key (RFC 8446 §5.5); 2^20 records of 16 KiB at most are far from that.
constexpr std::uint64_t kBytesPerKey = std::uint64_t{1} << 34;

}  // namespace

Connection::Connection(net::Loop& loop, Clock& clock, std::unique_ptr<net::TlsStream> stream, Duration key_update, Ended ended)
    : loop_(loop), clock_(clock), stream_(std::move(stream)), ended_(std::move(ended)), timer_(loop), key_update_(key_update), keys_since_(clock.monotonic()) {}

void Connection::start(Namespace& ns, Receiver& receiver, SessionOptions options) {
  Waker waker = [weak = weak_from_this(), &loop = loop_] {
    loop.defer([weak] {
      if (const auto self = weak.lock()) self->pump();
    });
  };
  session_ = std::make_unique<Session>(ns, receiver, std::move(options), now(), std::move(waker));
  wait_readable();
}

void Connection::wait_readable() {
  stream_->when_readable([weak = weak_from_this()] {
    if (const auto self = weak.lock(); self && self->session_) self->readable();
  });
}

void Connection::wait_writable() {
  if (waiting_writable_) return;
  waiting_writable_ = true;
  stream_->when_writable([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || !self->session_) return;
    self->waiting_writable_ = false;
    self->pump();
  });
}

bool Connection::read() {
  const MonotonicTime began = now();
  for (std::size_t total = 0; total < kReadPerTurn && session_ && session_->state() != Session::State::closed;) {
    const auto space = session_->input_space();
    const net::IoResult result = stream_->read(space);
    if (result.kind == net::IoResult::Kind::would_block) break;
    if (result.kind != net::IoResult::Kind::bytes) {
      end(result.reason);
      return false;
    }
    const MonotonicTime at = now();
    session_->received(result.size, at);
    total += result.size;
    // So little was all there was, most likely, and waiting notices when not.
    if (result.size < kShortRead || at - began > kReadTime) break;
  }
  return true;
}

void Connection::readable() {
  const auto alive = shared_from_this();
  {
    const net::Loop::Turn turn(loop_);   // its end hands on to other links what came, without another look at the kernel
    if (!read()) return;
    if (after_read) after_read();
  }
  pump();
  if (session_ && session_->state() != Session::State::closed) wait_readable();
}

void Connection::pump() {
  const auto alive = shared_from_this();
  if (!session_ || waiting_writable_) return;
  for (std::size_t total = 0; total < kWritePerTurn;) {
    if (written_ == out_.size()) {
      out_.clear();
      written_ = 0;
      session_->fill(out_, now());
      if (out_.empty()) {
        if (session_->state() == Session::State::closed) return end(session_->reason());
        if (session_->more()) break;   // a scan that found nothing yet: go on in the next turn
        return set_timer();
      }
    }
    const net::IoResult result = stream_->write(std::span(out_).subspan(written_));
    if (result.kind == net::IoResult::Kind::would_block) {
      wait_writable();
      return set_timer();
    }
    if (result.kind != net::IoResult::Kind::bytes) {
      return end(session_->state() == Session::State::closed ? session_->reason() : result.reason);
    }
    written_ += result.size;
    total += result.size;
  }
  pump_later();
  set_timer();
}

void Connection::pump_later() {
  loop_.post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->pump();
  });
}

void Connection::set_timer() {
  const MonotonicTime due = session_->state() == Session::State::closed ? now() + kGoodbye : session_->next_tick();
  if (timer_set_ && due >= timer_due_) return;   // it will be set again when it fires
  timer_set_ = true;
  timer_due_ = due;
  timer_.after(std::max(Duration(0), due - now()), [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || !self->session_) return;
    self->timer_set_ = false;
    if (self->session_->state() == Session::State::closed) return self->end(self->session_->reason());  // the goodbye did not get through
    self->session_->tick(self->now());
    self->release_idle_buffer();
    self->renew_keys();
    if (self->session_->more()) self->pump();
    if (self->session_) self->set_timer();
  });
}

// Thousands of links are mostly idle, and each has had its snapshot once.
void Connection::release_idle_buffer() {
  const std::uint64_t sent = session_->sent_bytes();
  const bool idle = sent - std::exchange(sent_at_tick_, sent) < kIdleBytes;
  if (idle && written_ == out_.size() && out_.capacity() > kIdleBytes) {
    out_ = Bytes();
    written_ = 0;
  }
}

// OpenSSL never renews the keys of a TLS 1.3 connection by itself. Ours and, by request, the peer's.
void Connection::renew_keys() {
  const std::uint64_t sent = session_->sent_bytes(), received = session_->received_bytes();
  if (now() - keys_since_ < key_update_ && sent - keys_sent_ < kBytesPerKey && received - keys_received_ < kBytesPerKey) return;
  keys_since_ = now();
  keys_sent_ = sent;
  keys_received_ = received;
  ++key_updates_;
  stream_->request_key_update();
}

void Connection::end(const std::string& reason) {
  const auto alive = shared_from_this();
  if (!session_ || !ended_) return;
  session_->lost(reason);
  const std::string why = session_->reason();
  const bool refused = session_->refused_by_peer();
  std::exchange(ended_, nullptr)(why, refused);
}

void Connection::close(CloseCode code, const std::string& text) {
  ended_ = nullptr;
  timer_.cancel();
  if (!session_) return;
  session_->close(code, text);
  session_->fill(out_, now());
  stream_->write(std::span(out_).subspan(written_));
  session_.reset();
}

void Connection::abandon() {
  ended_ = nullptr;
  timer_.cancel();
  session_.reset();
}

void Connection::drop() {
  abandon();
  stream_.reset();
}

}  // namespace sallyport::link
