// Sink "recorder": reads every update as fast as it can, checks it, measures its age, and writes the totals to a file.
// For `sallyport bench` and for measuring a deployment. See README.md for its settings.
#pragma once

#include "namespace/sink.h"

namespace sallyport::recorder {

const SinkType& sink_type();

}  // namespace sallyport::recorder
