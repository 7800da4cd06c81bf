#include "net/socket_bio.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <span>

namespace sallyport::net {
namespace {

SocketBio& state_of(BIO* bio) { return *static_cast<SocketBio*>(BIO_get_data(bio)); }

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

int receive(BIO* bio, SocketBio& state, char* into, int size) {
  if (state.allowance == 0) {
    state.used_up = true;
    if (!state.allowance_is_final) BIO_set_retry_read(bio);
    return -1;
  }
  const std::size_t wanted = std::min(static_cast<std::size_t>(size), state.allowance);
  ssize_t got = 0;
  do {
    got = ::recv(state.descriptor, into, wanted, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    if (would_block(errno))
      BIO_set_retry_read(bio);
    else
      state.error_number = errno;
    return -1;
  }
  if (got == 0) state.end_of_file = true;
  if (state.allowance != SocketBio::kUnlimited) state.allowance -= static_cast<std::size_t>(got);
  state.received += static_cast<std::uint64_t>(got);
  return static_cast<int>(got);
}

// What came behind the upgrade, then what the socket has.
int receive_raw_frames(BIO* bio, SocketBio& state, char* into, int size) {
  if (state.unread.empty()) return receive(bio, state, into, size);
  const std::size_t taken = state.unread.copy(into, static_cast<std::size_t>(size));
  state.unread.erase(0, taken);
  return static_cast<int>(taken);
}

// Frames are no larger than what they carry plus something, so they are taken apart where they were received.
int read_frames(BIO* bio, SocketBio& state, char* into, int size) {
  while (!state.websocket->closed()) {
    const int got = receive_raw_frames(bio, state, into, size);
    if (got <= 0) return got;
    const auto bytes = std::as_writable_bytes(std::span(into, static_cast<std::size_t>(got)));
    const auto payload = state.websocket->decode(bytes, state.rest);
    if (!payload) {
      state.broken = payload.error();
      return -1;
    }
    state.flush();
    if (*payload > 0) return static_cast<int>(*payload);
  }
  state.end_of_file = true;
  return 0;
}

int bio_read(BIO* bio, char* into, int size) {
  SocketBio& state = state_of(bio);
  BIO_clear_retry_flags(bio);
  if (state.refuse || size <= 0) return -1;
  return state.websocket ? read_frames(bio, state, into, size) : receive(bio, state, into, size);
}

ssize_t send_some(int descriptor, std::span<const std::byte> bytes) {
  ssize_t sent = 0;
  do {
    sent = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent;
}

// Takes everything: what the socket does not want now is kept.
int write_or_keep(SocketBio& state, std::span<const std::byte> bytes) {
  std::size_t sent = 0;
  if (state.flush()) {
    const ssize_t result = send_some(state.descriptor, bytes);
    if (result < 0 && !would_block(errno)) {
      state.error_number = errno;
      return -1;
    }
    sent = static_cast<std::size_t>(std::max<ssize_t>(result, 0));
  } else if (state.error_number != 0) {
    return -1;
  }
  const auto kept = bytes.subspan(sent);
  if (state.rest.size() - state.rest_sent + kept.size() > SocketBio::kMaxRest) {
    state.refuse = true;
    return -1;
  }
  state.rest.insert(state.rest.end(), kept.begin(), kept.end());
  return static_cast<int>(bytes.size());
}

int write_frame(SocketBio& state, std::span<const std::byte> bytes) {
  const std::size_t waiting = state.rest.size() - state.rest_sent;
  if (waiting + bytes.size() + WebSocket::kMaxOverhead > SocketBio::kMaxRest) {
    state.refuse = true;
    return -1;
  }
  state.websocket->encode(bytes, state.rest);
  if (!state.flush() && state.error_number != 0) return -1;
  return static_cast<int>(bytes.size());
}

int bio_write(BIO* bio, const char* from, int size) {
  SocketBio& state = state_of(bio);
  BIO_clear_retry_flags(bio);
  if (size <= 0) return -1;
  const auto bytes = std::as_bytes(std::span(from, static_cast<std::size_t>(size)));
  if (state.websocket) return write_frame(state, bytes);
  if (state.keep_rest) return write_or_keep(state, bytes);
  const ssize_t sent = send_some(state.descriptor, bytes);
  if (sent >= 0) return static_cast<int>(sent);
  if (would_block(errno))
    BIO_set_retry_write(bio);
  else
    state.error_number = errno;
  return -1;
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return state_of(bio).end_of_file ? 1 : 0;
  return 0;
}

// The table of functions, made once; constant afterwards.
const BIO_METHOD* socket_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sallyport socket");
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

}  // namespace

bool SocketBio::flush() {
  while (rest_sent < rest.size()) {
    const ssize_t sent = send_some(descriptor, std::span(rest).subspan(rest_sent));
    if (sent < 0) {
      if (!would_block(errno)) error_number = errno;
      return false;
    }
    rest_sent += static_cast<std::size_t>(sent);
  }
  if (!rest.empty()) rest = Bytes();  // an idle link keeps no buffer
  rest_sent = 0;
  return true;
}

void SocketBio::close_websocket() {
  if (!websocket || error_number != 0) return;
  websocket->encode_close(rest);
  flush();
}

BioPtr make_socket_bio(SocketBio& state) {
  BioPtr bio(BIO_new(socket_method()));
  BIO_set_data(bio.get(), &state);
  BIO_set_init(bio.get(), 1);
  return bio;
}

}  // namespace sallyport::net
