// Source "simulator": a plant that is not there, for trying, testing and measuring. See README.md for its settings.
#pragma once

#include "namespace/source.h"

namespace sallyport::simulator {

const SourceType& source_type();

}  // namespace sallyport::simulator
