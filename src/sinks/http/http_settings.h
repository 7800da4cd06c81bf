// The [http] table: where to listen, and the rule that nothing but loopback is served without TLS and tokens.
#pragma once

#include <optional>
#include <string>

#include "base/settings.h"
#include "net/http_server.h"

namespace sallyport::http {

struct HttpSettings {
  std::string address;  // as written
  net::HttpServerOptions server;
};
// Null when there were problems; certificate, key and tokens have been looked at.
std::optional<HttpSettings> read_http_settings(SettingsReader& settings);

}  // namespace sallyport::http
