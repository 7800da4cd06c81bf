#include "crypto/random.h"

#include <openssl/rand.h>

#include "crypto/openssl.h"

namespace sallyport::crypto {

bool fill_random(std::span<std::byte> out) { return RAND_bytes_ex(nullptr, raw(out.data()), out.size(), 0) == 1; }

}  // namespace sallyport::crypto
