#include "sinks/kafka/kafka_settings.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <memory>

namespace sallyport::kafka {
namespace {

constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * kKiB;
constexpr std::size_t kMaxTopic = 249;

bool topic_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

// A level's number at `at`, "{2}"; 0: there is none. `size`: of what stands there.
std::size_t placeholder(std::string_view pattern, std::size_t at, std::size_t& size) {
  if (pattern[at] != '{') return 0;
  const std::size_t end = pattern.find('}', at);
  if (end == std::string_view::npos || end == at + 1 || end > at + 3) return 0;
  std::size_t number = 0;
  for (const char c : pattern.substr(at + 1, end - at - 1)) {
    if (c < '0' || c > '9') return 0;
    number = number * 10 + static_cast<std::size_t>(c - '0');
  }
  size = end - at + 1;
  return number <= 16 ? number : 0;
}

std::string_view level_of(std::string_view path, std::size_t number) {
  std::size_t from = 0;
  for (; number > 1 && from <= path.size(); --number) from = std::min(path.find('/', from), path.size()) + 1;
  if (from > path.size()) return {};
  return path.substr(from, std::min(path.find('/', from), path.size()) - from);
}

std::string check_topic(std::string_view pattern, bool placeholders) {
  if (pattern.empty() || pattern.size() > kMaxTopic) return "the name of a topic has 1 to 249 characters";
  for (std::size_t at = 0; at < pattern.size();) {
    std::size_t size = 1;
    if (pattern[at] == '{' && placeholders && placeholder(pattern, at, size) == 0) return "a level is written {1} to {16}: \"plant.{2}\"";
    if (pattern[at] != '{' ? !topic_character(pattern[at]) : !placeholders) return "a topic has letters, digits, '.', '_' and '-' only";
    at += size;
  }
  return {};
}

void read_brokers(SettingsReader& settings, Options& options) {
  const auto brokers = settings.is_array("brokers") ? settings.strings("brokers", {}) : std::vector{settings.required_string("brokers")};
  for (const std::string& broker : brokers) {
    if (broker.find_first_of("/@, \t") != std::string::npos) {
      settings.problem("brokers", "'" + broker + "': write \"host:9092\"; TLS and users have settings of their own");
    }
    options.brokers += (options.brokers.empty() ? "" : ",") + broker;
  }
  if (settings.has("brokers") && options.brokers.empty()) settings.problem("brokers", "`brokers` is empty: brokers = [\"host:9092\"]");
  options.client.emplace_back("bootstrap.servers", options.brokers);
}

void read_topics(SettingsReader& settings, Options& options) {
  options.topic = settings.string("topic", "sallyport");
  if (const std::string wrong = check_topic(options.topic, true); !wrong.empty()) settings.problem("topic", wrong);
  const bool fixed = options.topic.find('{') == std::string::npos;
  options.gaps_topic = settings.string("gaps_topic", fixed ? options.topic : "sallyport.gaps");
  if (const std::string wrong = check_topic(options.gaps_topic, false); !wrong.empty()) settings.problem("gaps_topic", wrong);
}

void read_security(SettingsReader& settings, Options& options) {
  const bool tls = settings.boolean("tls", false);
  const std::string sasl = settings.choice("sasl", "none", {"none", "plain", "scram-sha-256", "scram-sha-512"});
  const std::string user = settings.string("user", "");
  const std::string password = settings.secret("password");
  options.client.emplace_back("security.protocol", sasl == "none" ? (tls ? "ssl" : "plaintext") : (tls ? "sasl_ssl" : "sasl_plaintext"));
  for (const auto& [key, name] : {std::pair{"ca", "ssl.ca.location"}, {"certificate", "ssl.certificate.location"}, {"private_key", "ssl.key.location"}}) {
    const std::string file = settings.file(key);
    if (file.empty()) continue;
    if (!tls) settings.problem(key, std::string("`") + key + "` is for TLS: tls = true");
    options.client.emplace_back(name, file);
  }
  if (settings.has("certificate") != settings.has("private_key")) settings.problem("certificate", "`certificate` and `private_key` go together");
  if (sasl == "none") {
    if (!user.empty() || !password.empty()) settings.problem("user", "`user` and its password are for `sasl`: sasl = \"plain\"");
    return;
  }
  if (user.empty() || password.empty()) settings.problem("sasl", "`sasl` needs `user`, and `password_file` or `password_env`");
  if (!tls) settings.warning("sasl", "without TLS the connection can be read and taken over; use tls = true");
  std::string mechanism = sasl;
  std::ranges::transform(mechanism, mechanism.begin(), [](char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c); });
  options.client.emplace_back("sasl.mechanism", mechanism);
  options.client.emplace_back("sasl.username", user);
  options.client.emplace_back("sasl.password", password);
}

void read_producing(SettingsReader& settings, Options& options) {
  options.producer.emplace_back("compression.type", settings.choice("compression", "lz4", {"none", "gzip", "snappy", "lz4", "zstd"}));
  const Duration linger = settings.duration("linger", std::chrono::milliseconds(5), Duration(0), std::chrono::seconds(60));
  options.producer.emplace_back("linger.ms", std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(linger).count()));
  options.max_outstanding = static_cast<std::size_t>(settings.integer("max_outstanding", 10'000, 1, 1'000'000));
  options.max_outstanding_bytes = settings.size_bytes("max_outstanding_bytes", 32 * kMiB, kKiB, 1024 * kMiB);
  options.client.emplace_back("message.max.bytes", std::to_string(settings.size_bytes("max_message", 1'000'000, 1000, 1'000'000'000)));
}

// Settings of the client library that this sink has no words for. It checks them itself, with values.
void read_more(SettingsReader& settings, Options& options) {
  constexpr std::string_view kOurs[] = {"bootstrap.servers", "metadata.broker.list", "enable.idempotence", "acks", "request.required.acks",
                                        "message.timeout.ms", "delivery.timeout.ms", "transactional.id", "max.in.flight", "dr_cb", "log_cb",
                                        "sasl.password", "ssl.key.password", "plugin.library.paths"};
  for (const std::string& option : settings.strings("options", {})) {
    const std::size_t equals = option.find('=');
    const std::string key = option.substr(0, equals);
    if (equals == std::string::npos) settings.problem("options", "'" + option + "': write \"name=value\", as in \"client.rack=eu-1\"");
    else if (std::ranges::find(kOurs, key) != std::end(kOurs)) settings.problem("options", "'" + key + "' is not to be set here");
    else options.client.emplace_back(key, option.substr(equals + 1));
  }
}

void check_with_library(SettingsReader& settings, const Options& options) {
  const std::unique_ptr<rd_kafka_conf_t, decltype(&rd_kafka_conf_destroy)> conf(rd_kafka_conf_new(), &rd_kafka_conf_destroy);
  char text[512] = {};
  for (const auto* list : {&options.client, &options.producer}) {
    for (const auto& [key, value] : *list) {
      if (rd_kafka_conf_set(conf.get(), key.c_str(), value.c_str(), text, sizeof text) != RD_KAFKA_CONF_OK) settings.problem("options", text);
    }
  }
}

}  // namespace

void append_topic(std::string& out, std::string_view pattern, std::string_view path) {
  const std::size_t before = out.size();
  for (std::size_t at = 0; at < pattern.size();) {
    std::size_t size = 1;
    const std::size_t number = placeholder(pattern, at, size);
    if (number == 0) out += pattern[at];
    else {
      for (const char c : level_of(path, number)) out += topic_character(c) ? c : '_';
    }
    at += size;
  }
  if (out.size() - before > kMaxTopic) out.resize(before + kMaxTopic);
  if (out.size() == before) out += '_';
}

Options read_options(const SinkCommon& common, SettingsReader& settings) {
  Options options;
  read_brokers(settings, options);
  options.client.emplace_back("client.id", "sallyport-" + common.node + "-" + common.name);
  read_topics(settings, options);
  read_security(settings, options);
  read_producing(settings, options);
  read_more(settings, options);
  check_with_library(settings, options);
  return options;
}

}  // namespace sallyport::kafka
