// What [[sink.nats]] says.
#pragma once

#include <cstdint>
#include <string>

#include "namespace/sink.h"
#include "protocol/nats/connection.h"

namespace sallyport::nats {

struct SinkOptions {
  ServerOptions server;
  std::string stream;         // empty: no JetStream, plain publishing only
  bool create = false;        // the stream, when it does not exist
  std::string prefix;         // of the stream's subjects
  std::string latest_prefix;  // of what is published without JetStream
  bool latest_in_stream = false;
  std::size_t max_outstanding = 0, max_outstanding_bytes = 0;
  Duration ack_timeout{};
  // Of a stream that is created.
  Duration duplicate_window{}, max_age{};  // max_age 0: no limit
  std::uint64_t max_bytes = 0;             // 0: no limit
  std::int64_t replicas = 1;
};

// Problems go to the settings' list.
SinkOptions read_options(const SinkCommon& common, SettingsReader& settings);

}  // namespace sallyport::nats
