// Every type of source and sink this program knows. Adding one is one line in connectors.cpp.
#pragma once

#include <vector>

#include "namespace/sink.h"
#include "namespace/source.h"

namespace sallyport::node {

struct ConnectorTypes {
  std::vector<SourceType> sources;
  std::vector<SinkType> sinks;
};

ConnectorTypes connector_types();

}  // namespace sallyport::node
