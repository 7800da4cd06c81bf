// OpenSSL's door to a non-blocking socket: send and recv with MSG_NOSIGNAL (no SIGPIPE whatever the process does with
// signals), errno kept where nothing overwrites it, and a limit on how much a peer may make us read.
//
// Once a stream is established, the door also keeps the rest of a record that the socket did not take. A half-sent
// record would stay in OpenSSL otherwise, and everything goes wrong around it: the caller must offer the very same
// bytes again, a key update that falls due fails with "bad length", and two peers with full buffers and a key update
// each wait for each other for ever.
//
// When the way to the peer lets only WebSocket through, the frames are put on and taken off here: OpenSSL sees the same
// bytes as without.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "net/openssl.h"
#include "net/websocket.h"

namespace sallyport::net {

struct SocketBio {
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

  int descriptor = -1;
  std::size_t allowance = kUnlimited;  // bytes that may still be received
  bool allowance_is_final = true;      // used up: an error (before authentication), or else "try again later"
  bool used_up = false;                // set when a read met an allowance of 0
  bool refuse = false;                 // set from a callback: the next read fails
  bool end_of_file = false;
  int error_number = 0;        // errno of the last failed send or recv; 0 if none failed
  std::uint64_t received = 0;  // bytes in total

  static constexpr std::size_t kMaxRest = 64 * 1024;  // a record, and many key updates; more is an error
  bool keep_rest = false;
  Bytes rest;  // sealed, accepted, not yet taken by the socket from `rest_sent` on
  std::size_t rest_sent = 0;

  std::unique_ptr<WebSocket> websocket;  // null: the bytes go as they are. Set: keep_rest is set too
  std::string unread;                    // came behind the WebSocket upgrade; before what the socket has
  const char* broken = nullptr;          // the peer broke the rules of WebSocket: how

  // Sends what is left of `rest`. True when nothing is left; a failure is in error_number.
  bool flush();
  // Says goodbye in WebSocket's words, if that is what is spoken; as far as the socket takes it at once.
  void close_websocket();
};

// The state must outlive the BIO.
BioPtr make_socket_bio(SocketBio& state);

}  // namespace sallyport::net
