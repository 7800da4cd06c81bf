// [[sink.postgres]]: history in PostgreSQL, with TimescaleDB where that is there. See README.md.
#pragma once

#include "namespace/sink.h"

namespace sallyport::postgres {

const SinkType& sink_type();

}  // namespace sallyport::postgres
