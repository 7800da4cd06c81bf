// What a side that only sends reads of its peer once the hellos are exchanged: acknowledgements of fixed size. Everything else
// is passed over unseen, whatever it is, and counted. No I/O.
//
//   read                                        body, bytes
//   ack, journal_ack: so much has arrived       8
//   heartbeat: the peer is alive                32
//   refresh, ask_digests, ask_repair: negative
//     acknowledgements, some points are missing 2, 2, 130
//   close: its code; the text is passed over    2
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "link/codec.h"

namespace sallyport::link {

class UplinkFilter {
 public:
  // `strict`: not even these.
  explicit UplinkFilter(bool strict) : strict_(strict) {}

  // The next acknowledgement in `stream`, of which `taken` bytes are done with either way. nullopt: there is none yet; what is
  // not taken is the beginning of one, never longer than kLongest. A close frame's body is cut to its code.
  static constexpr std::size_t kLongest = kFrameHeader + 130;
  std::optional<Frame> next(std::span<const std::byte> stream, std::size_t& taken);

  std::uint64_t discarded_bytes() const { return bytes_; }

 private:
  const bool strict_;
  bool lost_ = false;            // where frames begin: a length that no frame may have
  std::size_t skip_ = 0;         // of a frame that is passed over
  std::uint64_t bytes_ = 0;
};

}  // namespace sallyport::link
