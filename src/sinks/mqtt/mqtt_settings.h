// What [[sink.mqtt]] says.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "namespace/sink.h"

namespace sallyport::mqtt {

enum class Format : std::uint8_t { json, value, umh };

struct Options {
  std::string broker;  // as written: "mqtt://127.0.0.1:1883"
  std::string host;    // name or numeric address, no brackets
  std::uint16_t port = 0;
  bool tls = false;
  bool require_post_quantum = false;
  std::string ca, certificate, private_key;  // files; no ca: the system's trust store

  bool version5 = false;
  std::string client_id, username, password;
  Duration keepalive{};

  int qos = 1;
  bool retain = true;
  Format format = Format::json;
  std::string topic_prefix;             // empty, or ends in '/'
  std::string online_topic;             // empty: no will
  std::size_t max_in_flight = 0;        // messages sent and not yet acknowledged
  std::size_t max_in_flight_bytes = 0;  // of them; one message may exceed it
  std::size_t max_payload_bytes = 0;    // larger is skipped: brokers cut the connection over it, again and again
};

// Problems go to the settings' list.
Options read_options(const SinkCommon& common, SettingsReader& settings);

struct BrokerAddress {
  std::string host;
  std::uint16_t port = 0;
  bool tls = false;
};
// "mqtt://host", "mqtt://host:port", "mqtts://[v6]:port"; the port is 1883, with TLS 8883, unless given.
Result<BrokerAddress> parse_broker(std::string_view text);

}  // namespace sallyport::mqtt
