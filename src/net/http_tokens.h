// Bearer tokens: a file of `name token` lines, kept as SHA-256 and compared in constant time.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sallyport::net {

class HttpTokens {
 public:
  // One per line: `name token` or `name sha256:<64 hex digits>`; '#' begins a comment line. Errors carry "file:line:".
  static Result<HttpTokens> load(const std::string& file_name);
  static Result<HttpTokens> parse(std::string_view text, std::string_view file_name);

  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  // The name of this token. Looks at every entry whatever it finds.
  std::optional<std::string> name_of(std::string_view token) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Entry {
    std::string name;
    Digest digest;
  };
  std::vector<Entry> entries_;
};
inline constexpr std::size_t kMinTokenBytes = 16;

}  // namespace sallyport::net
