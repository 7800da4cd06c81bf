// Seeds for seal_fuzz.cpp.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace sallyport::seal {

// The byte that chooses the decoder, and what it gets.
using WriteSeed = std::function<void(unsigned, std::span<const std::byte>)>;
void seal_seeds(const WriteSeed& write);

}  // namespace sallyport::seal
