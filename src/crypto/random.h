// Random bytes from the operating system's generator, by OpenSSL. Any thread.
#pragma once

#include <cstddef>
#include <span>

namespace sallyport::crypto {

// False: the machine has no randomness to give; nothing may be made of what is in `out`.
[[nodiscard]] bool fill_random(std::span<std::byte> out);

}  // namespace sallyport::crypto
