// Paths: `enterprise/site/area/line/cell/point`, UTF-8, '/' between levels, at most 16 levels.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport {

inline constexpr std::size_t kMaxPathLevels = 16;
inline constexpr std::size_t kMaxPathBytes = 1024;

// Non-empty levels, valid UTF-8, no control characters, no '+' or '#' or '*' (they are patterns), within the limits above.
Result<void> check_path(std::string_view path);
bool is_valid_utf8(std::string_view text);
// One level made from a name that a source chose (a browse name): '/', '+', '#', '*', '%' and control characters become
// %XX, an empty name becomes "%". Distinct names stay distinct.
std::string escape_level(std::string_view name);
std::string unescape_level(std::string_view level);

}  // namespace sallyport
