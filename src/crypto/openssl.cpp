#include "crypto/openssl.h"

#include <string>

#include <openssl/err.h>

namespace sallyport::crypto {

std::string take_error() {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  std::string text = reason != nullptr ? reason : "unknown error";
  ERR_clear_error();
  return text;
}

}  // namespace sallyport::crypto
