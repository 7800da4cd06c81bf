#include "node/via_settings.h"

#include <algorithm>

namespace sallyport::node {
namespace {

constexpr std::size_t kMaxPassword = 255;  // RFC 1929 §2

void read_password(SettingsReader& reader, net::Proxy& proxy) {
  if (reader.has("proxy_password")) {
    reader.problem("proxy_password",
                   "no password in the settings; put it into a file and name that: proxy_password_file = \"…\"");
    return;
  }
  const bool given = reader.has("proxy_password_file") || reader.has("proxy_password_env");
  const std::string_view key = reader.has("proxy_password_env") ? "proxy_password_env" : "proxy_password_file";
  if (given && proxy.user.empty()) {
    reader.problem(
        key, "a password without a user; write the user into the URL: proxy = \"http://USER@proxy.example:3128\"");
  } else if (!given && !proxy.user.empty()) {
    reader.problem("proxy", "user '" + proxy.user + "' has no password; add proxy_password_file = \"…\"");
  }
  if (!given) return;
  proxy.password = reader.secret("proxy_password");
  const bool plain =
      std::ranges::none_of(proxy.password, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
  if (proxy.password.size() > kMaxPassword || !plain)
    reader.problem(key, "the password is longer than 255 bytes or not one line of text");
}

}  // namespace

net::Via read_via(SettingsReader& reader) {
  net::Via via;
  if (reader.has("proxy")) {
    auto proxy = net::parse_proxy(reader.string("proxy", ""));
    if (!proxy) reader.problem("proxy", proxy.error().message);
    if (proxy) via.proxy = *std::move(proxy);
  }
  if (via.proxy) {
    read_password(reader, *via.proxy);
  } else {
    for (const std::string_view key : {"proxy_password", "proxy_password_file", "proxy_password_env"}) {
      if (reader.has(key) && !reader.has("proxy"))
        reader.problem(key, std::string(key) + " without a proxy; add proxy = \"http://USER@proxy.example:3128\"");
    }
  }
  if (reader.has("websocket")) {
    via.websocket = reader.string("websocket", "");
    if (const auto ok = net::check_websocket_path(*via.websocket); !ok) reader.problem("websocket", ok.error().message);
  }
  if (reader.choice("client_hello", "normal", {"normal", "hrr"}) == "hrr") via.hello = net::ClientHello::hrr;
  return via;
}

}  // namespace sallyport::node
