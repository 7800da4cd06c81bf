// Sink "nats": publishes to NATS; what the journal keeps goes to a JetStream stream, each change once. See README.md.
#pragma once

#include "namespace/sink.h"

namespace sallyport::nats {

const SinkType& sink_type();

}  // namespace sallyport::nats
