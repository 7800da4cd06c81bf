// Errors are values. Result<T> is what every fallible function of ours returns; nothing of ours throws.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace sallyport {

enum class ErrorCode : std::uint8_t {
  invalid,      // the caller's or the user's input is wrong
  malformed,    // bytes from outside do not follow their format
  not_found,
  exists,       // already there, in use
  refused,      // not allowed
  limit,        // a configured or built-in limit was reached
  unavailable,  // a peer or file is away for now; trying again may help
  timeout,
  closed,
  io,           // the operating system said no
  internal,
};
std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;  // for a person: says what to do where that is known
};

template <typename T>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
  return std::unexpected(Error{code, std::move(message)});
}
// Adds the story on the way up: "plc7 read 40001..40010: reply shorter than 2 bytes".
[[nodiscard]] inline std::unexpected<Error> within(std::string_view where, Error error) {
  error.message.insert(0, std::string(where) + ": ");
  return std::unexpected(std::move(error));
}
// An error of the operating system, with errno's text.
[[nodiscard]] Error system_error(std::string_view what, int error_number);

}  // namespace sallyport
