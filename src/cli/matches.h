// What a command says when no point matched.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sallyport::cli {

// Reads the end line of an answer. kSuccess when something matched; otherwise says so on standard error, with the
// nearest names there are, and is kFailure.
int explain_no_match(std::string_view end_line, const std::vector<std::string>& patterns);

}  // namespace sallyport::cli
