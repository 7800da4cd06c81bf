// Sink "kafka": produces to Kafka and what speaks its protocol, each change of an `every` point once. See README.md.
#pragma once

#include "namespace/sink.h"

namespace sallyport::kafka {

const SinkType& sink_type();

}  // namespace sallyport::kafka
