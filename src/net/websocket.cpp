#include "net/websocket.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <openssl/rand.h>

namespace sallyport::net {
namespace {

constexpr std::uint8_t kContinuation = 0, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;
constexpr std::uint8_t kFin = 0x80, kMasked = 0x80, kReserved = 0x70;
constexpr std::uint8_t kLength16 = 126, kLength64 = 127;

void append_length(std::uint64_t size, std::uint8_t masked, Bytes& out) {
  int length_bytes = 0;
  if (size < kLength16) {
    out.push_back(static_cast<std::byte>(masked | size));
  } else if (size <= 0xffff) {
    out.push_back(static_cast<std::byte>(masked | kLength16));
    length_bytes = 2;
  } else {
    out.push_back(static_cast<std::byte>(masked | kLength64));
    length_bytes = 8;
  }
  for (int i = length_bytes - 1; i >= 0; --i) out.push_back(static_cast<std::byte>(size >> (8 * i)));
}

}  // namespace

void WebSocket::append(std::uint8_t opcode, std::span<const std::byte> payload, Bytes& out) {
  out.push_back(static_cast<std::byte>(kFin | opcode));
  append_length(payload.size(), side_ == Side::client ? kMasked : 0, out);
  if (side_ == Side::server) {
    out.insert(out.end(), payload.begin(), payload.end());
    return;
  }
  // §5.3: unpredictable, fresh for each frame.
  std::array<unsigned char, 4> mask{};
  RAND_bytes(mask.data(), mask.size());
  for (const unsigned char each : mask) out.push_back(static_cast<std::byte>(each));
  const std::size_t begin = out.size();
  out.insert(out.end(), payload.begin(), payload.end());
  for (std::size_t i = 0; i < payload.size(); ++i) out[begin + i] ^= static_cast<std::byte>(mask[i & 3]);
}

void WebSocket::encode(std::span<const std::byte> payload, Bytes& out) { append(kBinary, payload, out); }

void WebSocket::encode_close(Bytes& out) {
  if (std::exchange(close_sent_, true)) return;
  constexpr std::array kNormal = {std::byte{0x03}, std::byte{0xe8}};  // 1000, §7.4.1
  append(kClose, kNormal, out);
}

// As far as it is known: two bytes tell the rest.
std::size_t WebSocket::header_size() const {
  if (header_have_ < 2) return 2;
  const std::uint8_t length = header_[1] & 0x7f;
  const std::size_t length_bytes = length == kLength16 ? 2 : length == kLength64 ? 8 : 0;
  return 2 + length_bytes + ((header_[1] & kMasked) != 0 ? 4 : 0);
}

// What the first two bytes already tell: a peer that speaks something else is found out at once.
WebSocket::Sentence WebSocket::check_start() const {
  const std::uint8_t opcode = header_[0] & 0x0f;
  const bool fin = (header_[0] & kFin) != 0;
  if ((header_[0] & kReserved) != 0) return "WebSocket frame with reserved bits, though no extension was agreed";
  if (((header_[1] & kMasked) != 0) != (side_ == Side::server)) {
    return side_ == Side::server ? "WebSocket frame of a client without a mask"
                                 : "WebSocket frame of a server with a mask";
  }
  if ((opcode & 8) != 0) {
    if (opcode != kClose && opcode != kPing && opcode != kPong) return "WebSocket control frame of an unknown kind";
    if (!fin || (header_[1] & 0x7f) > 125) return "WebSocket control frame in fragments, or longer than 125 bytes";
    return nullptr;
  }
  if (opcode != kContinuation && opcode != kBinary) return "WebSocket frame that is not binary";
  if ((opcode == kContinuation) != in_message_) {
    return in_message_ ? "new WebSocket message inside a fragmented one" : "WebSocket continuation of nothing";
  }
  return nullptr;
}

WebSocket::Sentence WebSocket::start_frame() {
  const std::uint8_t length = header_[1] & 0x7f;
  const std::size_t length_bytes = length == kLength16 ? 2 : length == kLength64 ? 8 : 0;
  left_ = length_bytes == 0 ? length : 0;
  for (std::size_t i = 0; i < length_bytes; ++i) left_ = left_ << 8 | header_[2 + i];
  // §5.2: the shortest form, always.
  if ((length_bytes == 2 && left_ < kLength16) || (length_bytes == 8 && left_ <= 0xffff))
    return "WebSocket frame with a length that is not in its shortest form";
  if (left_ > kMaxFrame) return "WebSocket frame of more than 1 MiB";
  opcode_ = header_[0] & 0x0f;
  if (!control()) in_message_ = (header_[0] & kFin) == 0;
  mask_ = {};
  mask_at_ = 0;
  if (side_ == Side::server)
    std::copy_n(header_.begin() + 2 + static_cast<std::ptrdiff_t>(length_bytes), 4, mask_.begin());
  control_size_ = 0;
  header_have_ = 0;
  in_frame_ = true;
  return nullptr;
}

void WebSocket::finish_control_frame(Bytes& out) {
  if (opcode_ == kClose) {
    closed_ = true;
    encode_close(out);
  }
  if (opcode_ == kPing && out.size() <= kMaxUnsentAnswers) append(kPong, std::span(control_).first(control_size_), out);
}

std::expected<std::size_t, const char*> WebSocket::decode(std::span<std::byte> bytes, Bytes& out) {
  std::size_t payload = 0;
  std::size_t at = 0;
  while (at < bytes.size() && !closed_) {
    if (!in_frame_) {
      header_[header_have_++] = static_cast<std::uint8_t>(bytes[at++]);
      if (header_have_ == 2) {
        if (const Sentence wrong = check_start()) return std::unexpected(wrong);
      }
      if (header_have_ < header_size()) continue;
      if (const Sentence wrong = start_frame()) return std::unexpected(wrong);
    }
    const auto here = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size() - at));
    // A control frame is at most 125 bytes: check_start() saw to that.
    std::byte* const to = control() ? control_.data() + control_size_ : bytes.data() + payload;
    if (here > 0) std::memmove(to, bytes.data() + at, here);
    if (side_ == Side::server) {
      for (std::size_t i = 0; i < here; ++i) to[i] ^= static_cast<std::byte>(mask_[(mask_at_ + i) & 3]);
    }
    mask_at_ = (mask_at_ + here) & 3;
    (control() ? control_size_ : payload) += here;
    at += here;
    left_ -= here;
    if (left_ > 0) break;
    in_frame_ = false;
    if (control()) finish_control_frame(out);
  }
  return payload;
}

}  // namespace sallyport::net
