// The version of this program, from CMake's project().
#pragma once

#include <string_view>

namespace sallyport::node {

std::string_view version();  // "0.1.0"

}  // namespace sallyport::node
