// [[sink.influxdb]]: history in InfluxDB, or what understands its line protocol. See README.md.
#pragma once

#include "namespace/sink.h"

namespace sallyport::influxdb {

const SinkType& sink_type();

}  // namespace sallyport::influxdb
