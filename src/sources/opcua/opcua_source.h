// Source "opcua": the points below nodes of an OPC UA server, by subscription. See README.md for its settings.
#pragma once

#include "namespace/source.h"

namespace sallyport::opcua {

const SourceType& source_type();

}  // namespace sallyport::opcua
