// Seeds for diode_fuzz.cpp.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace sallyport::link {

// The byte that chooses the decoder, and what it gets.
using WriteSeed = std::function<void(unsigned, std::span<const std::byte>)>;
void diode_seeds(const WriteSeed& write);
void one_way_seeds(const WriteSeed& write);

}  // namespace sallyport::link
