// Versions of the libraries that the program was built with, where they are worth a word.
#pragma once

#include <open62541/config.h>

#include <string>

namespace sallyport::cli {

// "1.4.11"; the text that the library offers carries what its packager left undefined.
inline std::string open62541_version() {
  return std::to_string(UA_OPEN62541_VER_MAJOR) + "." + std::to_string(UA_OPEN62541_VER_MINOR) + "." +
         std::to_string(UA_OPEN62541_VER_PATCH);
}

}  // namespace sallyport::cli
