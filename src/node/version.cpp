#include "node/version.h"

namespace sallyport::node {

std::string_view version() { return SALLYPORT_VERSION; }

}  // namespace sallyport::node
