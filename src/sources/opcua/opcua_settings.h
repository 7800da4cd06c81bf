// The [[source.opcua]] table.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/settings.h"
#include "namespace/pattern.h"
#include "protocol/opcua/client.h"

namespace sallyport::opcua {

struct SourceSettings {
  std::string endpoint;
  std::vector<std::string> browse;   // start nodes, as NodeId text
  std::vector<std::string> include;  // patterns over paths below `into`
  std::vector<std::string> exclude;
  Security security = {};
  std::shared_ptr<const Identity> identity = {};
  std::shared_ptr<const ServerTrust> trust = {};
  std::string server_uri;
  std::optional<Login> login = {};
  bool allow_plaintext_password = false;
  Duration publishing_interval{};
  std::optional<Duration> sampling_interval = {};  // absent: as often as is published (-1)
  std::uint32_t queue = 10;                        // values the server keeps for each point between two notifications
  Duration keepalive{};                            // how often a server with nothing to say says so
  Duration request_timeout{};
  Duration rebrowse{};  // 0: only when connecting
  std::size_t max_points = 0;
};

// Problems go to the reader.
SourceSettings read_source_settings(SettingsReader& reader);

}  // namespace sallyport::opcua
