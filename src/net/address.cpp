#include <charconv>

#include "net/tls.h"

namespace sallyport::net {
namespace {

[[nodiscard]] std::unexpected<Error> bad_address(std::string_view text, std::string_view why) {
  return fail(ErrorCode::invalid, "address '" + std::string(text) + "': " + std::string(why));
}

bool plain_host(std::string_view host) {
  for (const char c : host) {
    if (c <= ' ' || c == 0x7f || c == '/' || c == '[' || c == ']' || c == '@') return false;
  }
  return !host.empty() && host.size() <= 255;
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
  if (text.find("://") != std::string_view::npos) return bad_address(text, "write host:port, without a scheme");
  const bool bracketed = text.starts_with('[');
  const std::size_t host_end = bracketed ? text.find(']') : text.rfind(':');
  if (host_end == std::string_view::npos) {
    return bad_address(
        text, bracketed ? "']' is missing" : "the port is missing; write host:port, for example dmz.example:4433");
  }
  const std::string_view host = bracketed ? text.substr(1, host_end - 1) : text.substr(0, host_end);
  std::string_view rest = text.substr(bracketed ? host_end + 1 : host_end);
  if (!bracketed && host.find(':') != std::string_view::npos) {
    return bad_address(text, "an IPv6 address goes in brackets, with the port behind: [::1]:4433");
  }
  if (!rest.starts_with(':')) return bad_address(text, "the port is missing; write [v6]:port, for example [::1]:4433");
  rest.remove_prefix(1);
  if (host.empty())
    return bad_address(text, "the host is missing; to listen on every address write 0.0.0.0:port or [::]:port");
  if (!plain_host(host)) return bad_address(text, "this is not a host name or IP address");
  Address address{std::string(host), 0};
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), address.port);
  if (rest.empty() || error != std::errc() || end != rest.data() + rest.size()) {
    return bad_address(text, "the port must be a number from 0 to 65535");
  }
  return address;
}

std::string to_string(const Address& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace sallyport::net
