#include "sinks/mqtt/mqtt_settings.h"

#include <charconv>

#include "sinks/mqtt/broker_tls.h"

namespace sallyport::mqtt {
namespace {

constexpr std::size_t kMaxTopicPrefix = 1024;

std::unexpected<Error> wrong_broker(std::string_view text, std::string_view why) {
  return fail(ErrorCode::invalid, "'" + std::string(text) + "': " + std::string(why) +
                                      "; write \"mqtt://host:1883\", or \"mqtts://host:8883\" for TLS");
}

bool loopback(std::string_view host) { return host == "localhost" || host.starts_with("127.") || host == "::1"; }

bool is_topic(std::string_view text) {
  return text.find_first_of(std::string_view("+#\0", 3)) == std::string_view::npos;
}

void read_broker(SettingsReader& settings, Options& options) {
  options.broker = settings.required_string("broker");
  if (options.broker.empty()) return;
  const auto address = parse_broker(options.broker);
  if (!address) return settings.problem("broker", address.error().message);
  options.host = address->host;
  options.port = address->port;
  options.tls = address->tls;
}

void read_tls(SettingsReader& settings, Options& options) {
  for (const char* key : {"ca", "certificate", "private_key", "post_quantum"}) {
    if (!options.tls && settings.has(key)) {
      settings.problem(key, std::string("`") + key + "` is for TLS; the broker would have to be \"mqtts://…\"");
    }
  }
  options.ca = settings.file("ca");
  options.certificate = settings.file("certificate");
  options.private_key = settings.file("private_key");
  options.require_post_quantum = settings.choice("post_quantum", "prefer", {"prefer", "require"}) == "require";
  if (options.certificate.empty() != options.private_key.empty()) {
    return settings.problem(options.certificate.empty() ? "private_key" : "certificate",
                            "`certificate` and `private_key` go together");
  }
  if (!options.tls || options.host.empty()) return;
  if (const auto context = BrokerTls::make(options); !context) settings.problem("", context.error().message);
}

void read_session(const SinkCommon& common, SettingsReader& settings, Options& options) {
  options.version5 = settings.choice("version", "3.1.1", {"3.1.1", "5"}) == "5";
  options.client_id = settings.string("client_id", "sallyport-" + common.node + "-" + common.name);
  if (options.client_id.empty())
    settings.problem("client_id", "`client_id` must not be empty: the broker tells clients apart by it");
  options.username = settings.string("username", "");
  options.password = settings.secret("password");
  if (!options.password.empty() && options.username.empty()) settings.problem("", "a password needs a `username`");
  if (!options.password.empty() && !options.tls && !loopback(options.host)) {
    settings.warning("broker", "the password crosses the network in the clear; use \"mqtts://\"");
  }
  // libmosquitto takes no less than 5 s; a broker that froze is noticed after one to two of these.
  options.keepalive =
      settings.duration("keepalive", std::chrono::seconds(5), std::chrono::seconds(5), std::chrono::hours(1));
}

void read_topics(const SinkCommon& common, SettingsReader& settings, Options& options) {
  options.topic_prefix = settings.string("topic_prefix", "");
  while (options.topic_prefix.ends_with('/')) options.topic_prefix.pop_back();
  if (!is_topic(options.topic_prefix) || options.topic_prefix.size() > kMaxTopicPrefix) {
    settings.problem("topic_prefix", "must be a plain topic such as \"factory/mirror\", without '+' and '#'");
  }
  if (!options.topic_prefix.empty()) options.topic_prefix += '/';
  options.online_topic = settings.string(
      "online_topic", options.topic_prefix + "sallyport/" + common.node + "/" + common.name + "/online");
  if (!is_topic(options.online_topic)) {
    settings.problem("online_topic", "must be a plain topic without '+' and '#', or empty for none");
  }
}

}  // namespace

Result<BrokerAddress> parse_broker(std::string_view text) {
  BrokerAddress address;
  std::string_view rest = text;
  if (rest.starts_with("mqtts://"))
    address.tls = true;
  else if (!rest.starts_with("mqtt://"))
    return wrong_broker(text, "no MQTT address");
  rest.remove_prefix(rest.find("://") + 3);
  address.port = address.tls ? 8883 : 1883;
  while (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find('@') != std::string_view::npos) {
    return wrong_broker(text, "the user belongs into `username` and `password_file`");
  }
  if (rest.find_first_of("/?# \t") != std::string_view::npos)
    return wrong_broker(text, "nothing may follow host and port");

  std::string_view port;
  if (rest.starts_with('[')) {
    const std::size_t end = rest.find(']');
    if (end == std::string_view::npos) return wrong_broker(text, "']' is missing after the IPv6 address");
    address.host = rest.substr(1, end - 1);
    port = rest.substr(end + 1);
  } else {
    const std::size_t colon = rest.find(':');
    if (colon != rest.rfind(':')) return wrong_broker(text, "an IPv6 address needs brackets: [::1]:1883");
    address.host = rest.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : rest.substr(colon);
  }
  if (address.host.empty()) return wrong_broker(text, "the host is missing");
  if (port.empty()) return address;
  if (!port.starts_with(':')) return wrong_broker(text, "only a port may follow the address");
  port.remove_prefix(1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port == 0) {
    return wrong_broker(text, "the port must be a number from 1 to 65535");
  }
  return address;
}

Options read_options(const SinkCommon& common, SettingsReader& settings) {
  Options options;
  read_broker(settings, options);
  read_tls(settings, options);
  read_session(common, settings, options);
  read_topics(common, settings, options);
  options.qos = static_cast<int>(settings.integer("qos", 1, 0, 1));
  options.retain = settings.boolean("retain", true);
  const std::string format = settings.choice("format", "json", {"json", "value", "umh"});
  options.format = format == "value" ? Format::value : format == "umh" ? Format::umh : Format::json;
  options.max_in_flight = static_cast<std::size_t>(settings.integer("max_in_flight", 256, 1, 10'000));
  options.max_in_flight_bytes = settings.size_bytes("max_in_flight_bytes", 1024 * 1024, 1024, 256 * 1024 * 1024);
  options.max_payload_bytes = settings.size_bytes("max_payload", 1024 * 1024, 256, 256 * 1024 * 1024 - 1);
  return options;
}

}  // namespace sallyport::mqtt
