// WebSocket framing (RFC 6455 §5) for a stream of bytes: binary frames out; frames of any cut in, with pings answered.
// No I/O. Stands between OpenSSL and the socket when the way to the peer lets nothing else through.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "base/bytes.h"

namespace sallyport::net {

class WebSocket {
 public:
  enum class Side : std::uint8_t { client, server };  // a client masks what it sends, a server does not
  static constexpr std::uint64_t kMaxFrame =
      1024 * 1024;                                 // we send at most a TLS record; an intermediary may join some
  static constexpr std::size_t kMaxOverhead = 14;  // bytes of a frame's header
  static constexpr std::size_t kMaxUnsentAnswers = 16 * 1024;

  explicit WebSocket(Side side) : side_(side) {}

  // Appends one binary frame.
  void encode(std::span<const std::byte> payload, Bytes& out);
  // Appends a close frame, once.
  void encode_close(Bytes& out);

  // Takes `bytes` as they came, and leaves at their front what they carry: how much that is, which may be nothing.
  // Answers to pings and to a close are appended to `out`; while more than kMaxUnsentAnswers wait there, pings go
  // unanswered. The error is a sentence, and final.
  std::expected<std::size_t, const char*> decode(std::span<std::byte> bytes, Bytes& out);
  bool closed() const { return closed_; }  // the peer sent a close frame; nothing counts that follows it

 private:
  using Sentence = const char*;
  std::size_t header_size() const;
  Sentence check_start() const;
  Sentence start_frame();
  void finish_control_frame(Bytes& out);
  void append(std::uint8_t opcode, std::span<const std::byte> payload, Bytes& out);
  bool control() const { return (opcode_ & 8) != 0; }

  Side side_;
  bool closed_ = false, close_sent_ = false;
  bool in_message_ = false;  // a fragmented message has begun and not ended
  std::array<std::uint8_t, kMaxOverhead> header_{};
  std::size_t header_have_ = 0;  // bytes of it; all of them: inside a frame
  bool in_frame_ = false;
  std::uint8_t opcode_ = 0;
  std::uint64_t left_ = 0;  // payload bytes of the frame still to come
  std::array<std::uint8_t, 4> mask_{};
  std::size_t mask_at_ = 0;
  std::array<std::byte, 125> control_{};
  std::size_t control_size_ = 0;
};

}  // namespace sallyport::net
