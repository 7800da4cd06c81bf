// Runs openings on a socket. Everything here comes from somebody who has not authenticated himself: the bytes count
// against the same allowance as those of the TLS handshake, the time against the same timeout.
#include "net/opening.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "net/socket_bio.h"

namespace sallyport::net {
namespace {

constexpr std::size_t kMaxInput = 16 * 1024;  // no answer needs more

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

void Openings::add_if_http(std::unique_ptr<Opening> opening) {
  only_if_http_ = true;
  add(std::move(opening));
}

Result<Openings::State> Openings::step(SocketBio& io) {
  if (only_if_http_) {
    const auto looked = look_at_first_byte(io);
    if (!looked || *looked != State::done) return looked;
  }
  for (;;) {
    if (!done() && !std::exchange(begun_, true)) openings_[next_]->begin(out_);
    if (const auto sent = send(io); !sent) return std::unexpected(sent.error());
    if (!out_.empty()) return State::want_write;
    if (done()) return hand_over(io);
    const auto finished = openings_[next_]->received(in_, out_);
    if (!finished) {
      const auto last_words = send(io);  // the reason, as far as the socket takes it
      return std::unexpected(finished.error());
    }
    if (*finished) {
      start_websocket(io);
      begun_ = false;
      ++next_;
      continue;
    }
    if (!out_.empty()) continue;
    if (in_.size() >= kMaxInput) return fail(ErrorCode::malformed, openings_[next_]->waiting_for() + " has no end");
    const auto got = receive(io);
    if (!got) return std::unexpected(got.error());
    if (!*got) return State::want_read;
  }
}

// A TLS record begins with 0x16, a request with 'G'. Anything else TLS will refuse in its own words.
Result<Openings::State> Openings::look_at_first_byte(SocketBio& io) {
  char first = 0;
  const ssize_t got = ::recv(io.descriptor, &first, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (would_block(errno) || errno == EINTR)) return State::want_read;
  only_if_http_ = false;
  if (got < 1 || first != 'G') next_ = openings_.size();
  return State::done;
}

void Openings::start_websocket(SocketBio& io) const {
  const auto side = openings_[next_]->websocket();
  if (!side) return;
  io.websocket = std::make_unique<WebSocket>(*side);
  io.keep_rest = true;  // a frame cannot be taken back
}

Result<Openings::State> Openings::hand_over(SocketBio& io) {
  if (io.websocket) {
    io.unread = std::move(in_);
  } else if (!in_.empty()) {
    return fail(ErrorCode::malformed, "the proxy sent bytes of its own behind its answer");
  }
  openings_.clear();
  next_ = 0;
  return State::done;
}

Result<void> Openings::send(SocketBio& io) {
  while (!out_.empty()) {
    const ssize_t sent = ::send(io.descriptor, out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && would_block(errno)) break;
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return failed(io, errno);
    out_.erase(0, static_cast<std::size_t>(sent));
  }
  return {};
}

// False when there is nothing yet.
Result<bool> Openings::receive(SocketBio& io) {
  std::array<char, 4096> buffer;
  const std::size_t wanted = std::min(buffer.size(), io.allowance);
  if (wanted == 0) return fail(ErrorCode::refused, "peer sent too much before it had authenticated itself");
  const ssize_t got = ::recv(io.descriptor, buffer.data(), wanted, MSG_DONTWAIT);
  if (got < 0 && (would_block(errno) || errno == EINTR)) return false;
  if (got < 0) return failed(io, errno);
  if (got == 0) {
    io.end_of_file = true;
    return fail(ErrorCode::unavailable, "connection closed instead of " + openings_[next_]->waiting_for() +
                                            std::string(openings_[next_]->hint()));
  }
  if (io.allowance != SocketBio::kUnlimited) io.allowance -= static_cast<std::size_t>(got);
  in_.append(buffer.data(), static_cast<std::size_t>(got));
  return true;
}

std::string Openings::describe_timeout() const {
  return openings_[next_]->waiting_for() + " did not come in time" + std::string(openings_[next_]->hint());
}

std::unexpected<Error> Openings::failed(SocketBio& io, int error) const {
  io.error_number = error;
  const std::string what =
      error == ECONNRESET || error == EPIPE ? "connection reset" : system_error("connection lost", error).message;
  return fail(
      ErrorCode::unavailable,
      what + (done() ? "" : " instead of " + openings_[next_]->waiting_for() + std::string(openings_[next_]->hint())));
}

}  // namespace sallyport::net
