// A frame as the fields of vectors.json, and back into bytes: what the codec understood, said again.
#pragma once

#include <boost/json.hpp>

#include <string>

#include "link/codec.h"

namespace sallyport::link {

struct Described {
  boost::json::object fields;
  Bytes again;  // the frame, encoded from what was decoded
};
Result<Described> describe(const Frame& frame);
std::string_view name_of(FrameType type);

Bytes from_hex(std::string_view hex);          // "0b 00 …"
std::string to_hex(std::span<const std::byte> bytes);

}  // namespace sallyport::link
