// Sink "mqtt": publishes points to an MQTT broker, retained, so that a late subscriber is right at once. See README.md.
#pragma once

#include "namespace/sink.h"

namespace sallyport::mqtt {

const SinkType& sink_type();

}  // namespace sallyport::mqtt
