// The files of web/ and the OpenAPI document, built into the program. The definitions are generated (CMakeLists.txt).
#pragma once

#include <span>
#include <string_view>

namespace sallyport::http {

struct WebFile {
  std::string_view name;  // "index.html"
  std::string_view contents;
};
std::span<const WebFile> web_files();
std::string_view web_file(std::string_view name);  // "" when there is none

}  // namespace sallyport::http
