// The one list of connectors. A new one is its own folder and one line here.
#include "node/connectors.h"

#include "sinks/file/file_sink.h"
#include "sinks/influxdb/influx_sink.h"
#include "sinks/kafka/kafka_sink.h"
#include "sinks/mqtt/mqtt_sink.h"
#include "sinks/nats/nats_sink.h"
#include "sinks/postgres/postgres_sink.h"
#include "sinks/recorder/recorder_sink.h"
#include "sources/nats/nats_source.h"
#include "sources/opcua/opcua_source.h"
#include "sources/simulator/simulator.h"

namespace sallyport::node {

ConnectorTypes connector_types() {
  return {
      .sources =
          {
              nats::source_type(),
              opcua::source_type(),
              simulator::source_type(),
          },
      .sinks =
          {
              file::sink_type(),
              influxdb::sink_type(),
              kafka::sink_type(),
              mqtt::sink_type(),
              nats::sink_type(),
              postgres::sink_type(),
              recorder::sink_type(),
          },
  };
}

}  // namespace sallyport::node
