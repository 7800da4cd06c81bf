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

bool plain_text(std::string_view text) {
  for (const char c : text) {
    if (c < ' ' || c > '~') return false;
  }
  return true;
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

Result<Proxy> parse_proxy(std::string_view url) {
  const auto bad = [url](std::string_view why) {
    // What stands before '@' may be a password: not into a log.
    const std::size_t at = url.rfind('@');
    const std::string shown = at == std::string_view::npos ? std::string(url) : "…" + std::string(url.substr(at));
    return fail(ErrorCode::invalid, "proxy '" + shown + "': " + std::string(why));
  };
  Proxy proxy;
  if (url.starts_with("http://")) {
    url.remove_prefix(7);
  } else if (url.starts_with("socks5://")) {
    proxy.kind = ProxyKind::socks5;
    url.remove_prefix(9);
  } else if (url.starts_with("socks5h://")) {
    return bad("write socks5://; the name of the peer is resolved by the proxy in any case");
  } else {
    return bad("write \"http://proxy.example:3128\" or \"socks5://proxy.example:1080\"");
  }
  if (url.ends_with('/')) url.remove_suffix(1);
  if (const std::size_t at = url.rfind('@'); at != std::string_view::npos) {
    const std::string_view user = url.substr(0, at);
    if (user.find(':') != std::string_view::npos)
      return bad("no password in the URL; put it into a file and name that with proxy_password_file");
    if (user.empty() || user.size() > 255 || !plain_text(user))
      return bad("the user name before '@' is empty, too long or not plain text");
    proxy.user = user;
    url.remove_prefix(at + 1);
  }
  auto address = parse_address(url);
  if (!address) return bad(address.error().message);
  if (address->port == 0) return bad("port 0 cannot be dialled");
  proxy.address = *std::move(address);
  return proxy;
}

std::string to_string(const Proxy& proxy) {
  return (proxy.kind == ProxyKind::http ? "http://" : "socks5://") + to_string(proxy.address);
}

Result<void> check_websocket_path(std::string_view path) {
  if (!path.starts_with('/') || path.size() > 1024)
    return fail(ErrorCode::invalid,
                "a WebSocket path begins with '/' and has at most 1024 bytes, for example \"/sallyport\"");
  if (!plain_text(path) || path.find_first_of(" #") != std::string_view::npos)
    return fail(ErrorCode::invalid, "a WebSocket path is printable ASCII without spaces and '#'");
  return {};
}

std::string to_string(const Address& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace sallyport::net
