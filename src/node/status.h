// What a node says about itself: `sallyport status`, $sys points, HTTP. Plain structs, and their one JSON form
// (docs/cli.md).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "journal/journal.h"
#include "link/link.h"
#include "namespace/namespace.h"
#include "namespace/source.h"
#include "net/tls.h"
#include "seal/seal_service.h"
#include "seal/unsealer.h"

namespace sallyport::node {

struct ConnectorInfo {
  std::string name;
  std::string type;  // "opcua", "mqtt"
  std::string into;  // of sources
  ConnectorStatus status;
};

// A loop that links run on, with a thread of its own.
struct LoopStatus {
  std::string name;
  std::size_t links = 0;
  Duration cpu{0};  // of its thread, since the start
};

struct NodeStatus {
  std::string node;
  std::string config_file;
  std::string data_dir;
  int pid = 0;
  UtcNanoseconds started = 0;
  UtcNanoseconds now = 0;
  NamespaceCounts points;
  std::vector<LoopStatus> loops;  // the first carries HTTP and the listener too
  std::vector<link::LinkStatus> links;
  std::optional<link::ListenStatus> listen;
  std::vector<ConnectorInfo> sources, sinks;
  std::vector<seal::SealingStatus> sealing;    // what this node seals
  std::vector<seal::StreamStatus> verifying;   // what it verifies
  std::optional<journal::JournalStatus> journal;
  std::string http;  // address the HTTP API listens on; empty: off
  std::optional<net::CertificateInfo> certificate;
  std::optional<UtcNanoseconds> sign_certificate_not_after;   // of a node that seals
  std::vector<std::string> hints;  // what someone should look at
};

std::string status_json(const NodeStatus& status);
// {"links": […]}, with the hops behind each.
std::string links_json(const NodeStatus& status);

// Things in the status that someone should act on, as sentences.
std::vector<std::string> hints_of(const NodeStatus& status);

}  // namespace sallyport::node
