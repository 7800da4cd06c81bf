// The [http] table; see http_settings.h.
#include "sinks/http/http_settings.h"

#include "net/http_target.h"
#include "net/tls.h"

namespace sallyport::http {
namespace {

// Certificate, key and tokens, where they are given or needed. `loopback` absent: the address is no good itself.
bool read_protection(SettingsReader& settings, std::optional<bool> loopback, net::HttpServerOptions& server) {
  bool good = true;
  const auto problem = [&](std::string_view key, std::string message) {
    settings.problem(key, std::move(message));
    good = false;
  };
  const std::string certificate = settings.file("certificate");
  const std::string private_key = settings.file("private_key");
  const std::string tokens_file = settings.file("tokens_file");
  if (certificate.empty() != private_key.empty()) {
    problem(certificate.empty() ? "private_key" : "certificate",
            "certificate and private_key go together: set both or neither");
  } else if (!certificate.empty()) {
    server.tls = net::HttpTls{certificate, private_key};
    if (auto usable = net::check_http_tls(*server.tls); !usable) problem("certificate", usable.error().message);
  }
  if (!tokens_file.empty()) {
    if (auto tokens = net::HttpTokens::load(tokens_file)) {
      server.tokens = std::move(*tokens);
    } else {
      problem("tokens_file", tokens.error().message);
    }
  }
  if (loopback == false && certificate.empty() && private_key.empty()) {
    problem("address",
            "an address that is not loopback needs TLS; set certificate and private_key, or listen on 127.0.0.1");
  }
  if (loopback == false && tokens_file.empty()) {
    problem("address", "an address that is not loopback needs tokens; set tokens_file, or listen on 127.0.0.1");
  }
  return good;
}

}  // namespace

std::optional<HttpSettings> read_http_settings(SettingsReader& settings) {
  HttpSettings out;
  bool good = true;
  out.address = settings.required_string("address");
  std::optional<bool> loopback;
  if (out.address.empty()) {
    good = false;
  } else if (auto address = net::parse_address(out.address); !address) {
    settings.problem("address", address.error().message);
    good = false;
  } else if (auto local = net::is_loopback_host(address->host); !local) {
    settings.problem("address", local.error().message + "; write the address to listen on, such as 127.0.0.1:8080");
    good = false;
  } else {
    loopback = *local;
    out.server.host = address->host;
    out.server.port = address->port;
  }
  good = read_protection(settings, loopback, out.server) && good;
  out.server.host_names = settings.strings("host_names", {});
  for (const std::string& name : out.server.host_names) {
    if (!net::host_of_authority(name).empty()) continue;
    settings.problem("host_names", "'" + name + "' is no host name");
    good = false;
  }
  net::HttpLimits& limits = out.server.limits;
  limits.connections = static_cast<unsigned>(settings.integer("max_connections", limits.connections, 1, 65536));
  limits.connections_per_address =
      static_cast<unsigned>(settings.integer("max_connections_per_address", limits.connections_per_address, 1, 65536));
  if (!good) return std::nullopt;
  return out;
}

}  // namespace sallyport::http
