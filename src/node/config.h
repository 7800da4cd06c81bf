// A node's settings as plain structs, read from TOML (docs/config.md). Reading collects every problem with its
// file:line:column instead of stopping at the first; a config without problems can be started. Main thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/settings.h"
#include "history/history.h"
#include "journal/journal.h"
#include "link/link.h"
#include "namespace/delivery.h"
#include "namespace/namespace.h"
#include "namespace/sink.h"
#include "namespace/source.h"
#include "net/signer.h"
#include "net/tls.h"
#include "node/connectors.h"
#include "seal/sealer.h"
#include "seal/unsealer.h"
#include "sinks/http/http_settings.h"

namespace sallyport::node {

struct SourceConfig {
  std::string type;  // "opcua" of [[source.opcua]]
  SourceCommon common;
  Status on_loss = status::kBadNoCommunication;
  std::shared_ptr<const DeliveryRules> delivery;  // [[delivery]], of all sources
  std::string text;                // canonical text of all this: equal text means nothing to restart
  std::unique_ptr<Source> source;  // made, not started
};

struct SinkConfig {
  std::string type;
  SinkCommon common;
  std::vector<std::string> publish;  // as written, for "matches nothing"
  std::string text;
  std::unique_ptr<Sink> sink;  // made, not started
};

struct LinkConfig {
  link::LinkOptions options;
  std::vector<std::string> send, receive;  // as written, for "matches nothing"
  Place place;
};

struct JournalConfig {
  bool enabled = true;
  journal::SyncPolicy sync = journal::SyncPolicy::batch;
  std::uint64_t max_size = 10ull << 30;
  Duration max_age{0};
  journal::AtLimit at_limit = journal::AtLimit::drop_oldest;
  friend bool operator==(const JournalConfig&, const JournalConfig&) = default;
};

inline constexpr int kMaxThreads = 64;

struct HistoryConfig {
  history::HistoryOptions options;
  std::string text;                // canonical text of the table: equal text means nothing to restart
  Place place;
};

struct Config {
  std::string file;
  std::string name;
  std::string data_dir;
  unsigned threads = 1;           // loops that share the links, each with its thread
  net::IdentityFiles identity_files;
  std::shared_ptr<const net::TlsIdentity> identity;  // null without [identity]
  std::shared_ptr<const net::Signer> signer;         // null when there is none, or none that will do: then `no_signer` says why
  std::string no_signer;
  std::optional<net::Address> listen;
  bool listen_websocket = false;  // the port takes TLS in WebSocket frames too
  Place listen_place;
  std::vector<LinkConfig> links;  // [[link]] and [[listen.peer]]
  std::optional<http::HttpSettings> http;
  Place http_place;
  std::vector<SourceConfig> sources;
  std::vector<SinkConfig> sinks;
  std::vector<std::string> delivery;  // the patterns of [[delivery]], for "matches nothing"
  std::vector<std::string> every;     // those with mode = "every"
  std::vector<seal::SealOptions> seals;
  std::vector<seal::VerifyOptions> verifies;
  JournalConfig journal;
  std::optional<HistoryConfig> history;
  NamespaceLimits limits;
  log::Level log_level = log::Level::info;
};

// Reads everything; `problems` says what is wrong, warnings included. The result is complete when has_errors() says no.
Config read_config(const std::string& file, const ConnectorTypes& types, Problems& problems);
bool has_errors(const Problems& problems);

// Just enough to find a node's admin socket and speak of it; tolerates errors elsewhere in the file.
struct NodePlace {
  std::string name;
  std::string data_dir;
};
Result<NodePlace> read_node_place(const std::string& file);

}  // namespace sallyport::node
