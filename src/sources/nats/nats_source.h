// Source "nats": points from messages on NATS subjects, plain or from a JetStream stream. See README.md.
#pragma once

#include "namespace/source.h"

namespace sallyport::nats {

const SourceType& source_type();

}  // namespace sallyport::nats
