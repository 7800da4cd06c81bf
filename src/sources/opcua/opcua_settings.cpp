#include "sources/opcua/opcua_settings.h"

#include <chrono>
#include <filesystem>

namespace sallyport::opcua {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Notes the problem at this key; whether there was none.
bool check(SettingsReader& reader, std::string_view key, const Result<void>& result) {
  if (!result) reader.problem(key, result.error().message);
  return result.has_value();
}

void read_patterns(SettingsReader& reader, SourceSettings& out) {
  out.include = reader.strings("include", {"**"});
  out.exclude = reader.strings("exclude", {});
  if (out.include.empty())
    reader.problem("include", "'include' is empty, so that nothing matches; leave it out for everything");
  for (const auto& [key, list] : {std::pair{"include", &out.include}, std::pair{"exclude", &out.exclude}}) {
    for (const std::string& text : *list) {
      const auto parsed = Pattern::parse(text);
      if (!parsed) reader.problem(key, parsed.error().message);
    }
  }
}

void read_identity(SettingsReader& reader, SourceSettings& out) {
  const std::string certificate = reader.file("certificate");
  const std::string key = reader.file("private_key");
  if (certificate.empty() != key.empty()) {
    reader.problem(certificate.empty() ? "private_key" : "certificate", "certificate and private_key go together");
    return;
  }
  if (certificate.empty()) {
    if (!out.security.none()) {
      reader.problem("security",
                     "security needs certificate and private_key: an RSA certificate of this node's own, "
                     "which the server must trust");
    }
    return;
  }
  auto identity = load_identity(certificate, key);
  if (!identity)
    reader.problem("certificate", identity.error().message);
  else
    out.identity = std::make_shared<const Identity>(std::move(*identity));
}

// Relative file names in a list are relative to the settings file, as `SettingsReader::file` makes them.
std::string absolute(const SettingsReader& reader, std::string_view key, const std::string& name) {
  return (std::filesystem::path(reader.place(key).file).parent_path() / name).lexically_normal().string();
}

void read_trust(SettingsReader& reader, SourceSettings& out) {
  ServerTrust trust;
  if (const std::string pinned = reader.file("server_certificate"); !pinned.empty())
    check(reader, "server_certificate", trust.pin(pinned));
  for (const std::string& file : reader.strings("trust_list", {})) {
    check(reader, "trust_list", trust.add_authority(absolute(reader, "trust_list", file)));
  }
  out.server_uri = reader.string("server_uri", "");
  out.trust = std::make_shared<const ServerTrust>(std::move(trust));
}

void read_login(SettingsReader& reader, SourceSettings& out) {
  const std::string user = reader.string("username", "");
  std::string password = reader.secret("password");
  out.allow_plaintext_password = reader.boolean("allow_plaintext_password", false);
  if (user.empty()) {
    if (!password.empty()) reader.problem("username", "there is a password but no username");
    return;
  }
  if (password.empty() && !reader.has("password") && !reader.has("password_file") && !reader.has("password_env")) {
    reader.problem("username", "username needs password_file or password_env");
  }
  out.login = Login{user, std::move(password)};
}

void read_timing(SettingsReader& reader, SourceSettings& out) {
  out.publishing_interval = reader.duration("publishing_interval", milliseconds(250), milliseconds(10), hours(1));
  if (reader.has("sampling_interval")) {
    out.sampling_interval = reader.duration("sampling_interval", milliseconds(250), milliseconds(0), hours(1));
  }
  out.queue = static_cast<std::uint32_t>(reader.integer("queue", 10, 1, 100'000));
  out.keepalive = reader.duration("keepalive", seconds(3), milliseconds(500), hours(1));
  out.request_timeout = reader.duration("request_timeout", seconds(5), milliseconds(500), seconds(60));
  out.rebrowse = reader.duration("rebrowse", seconds(0), seconds(0), hours(24 * 365));
  if (out.rebrowse > Duration::zero() && out.rebrowse < seconds(1))
    reader.problem("rebrowse", "'rebrowse' must be 0s (never) or 1s and more");
}

}  // namespace

SourceSettings read_source_settings(SettingsReader& reader) {
  SourceSettings out;
  out.endpoint = reader.required_string("endpoint");
  if (!out.endpoint.empty()) check(reader, "endpoint", check_endpoint_url(out.endpoint));
  out.browse = reader.strings("browse", {"i=85"});
  if (out.browse.empty())
    reader.problem("browse", "'browse' is empty; name a start node, such as \"i=85\" for everything");
  for (const std::string& node : out.browse) check(reader, "browse", check_node_id_text(node));
  const auto security = parse_security(reader.string("security", "none"));
  if (security)
    out.security = *security;
  else
    reader.problem("security", security.error().message);
  read_patterns(reader, out);
  read_identity(reader, out);
  read_trust(reader, out);
  read_login(reader, out);
  read_timing(reader, out);
  out.max_points = static_cast<std::size_t>(reader.integer("max_points", 1'000'000, 1, 10'000'000));
  return out;
}

}  // namespace sallyport::opcua
