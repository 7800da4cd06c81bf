// Sink "file": appends every update to a file as NDJSON or CSV, flushed as it comes. See README.md for its settings.
#pragma once

#include "namespace/sink.h"

namespace sallyport::file {

const SinkType& sink_type();

}  // namespace sallyport::file
