// Bearer tokens; see http_tokens.h.
#include "net/http_tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "base/log.h"

namespace sallyport::net {
namespace {

constexpr std::string_view kHashPrefix = "sha256:";
constexpr std::size_t kMaxFileBytes = 1024 * 1024;

bool sha256(std::string_view text, std::array<unsigned char, 32>& out) {
  unsigned size = 0;
  return EVP_Digest(text.data(), text.size(), out.data(), &size, EVP_sha256(), nullptr) == 1 && size == out.size();
}

bool parse_hex(std::string_view text, std::array<unsigned char, 32>& out) {
  if (text.size() != 2 * out.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int digit = OPENSSL_hexchar2int(static_cast<unsigned char>(text[i]));
    if (digit < 0) return false;
    auto& byte = out[i / 2];
    byte = static_cast<unsigned char>((i % 2 == 0 ? 0 : byte << 4) | digit);
  }
  return true;
}

std::string_view take_word(std::string_view& line) {
  const std::size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) {
    line = {};
    return {};
  }
  line.remove_prefix(begin);
  const std::size_t end = std::min(line.find_first_of(" \t\r"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

}  // namespace

Result<HttpTokens> HttpTokens::parse(std::string_view text, std::string_view file_name) {
  HttpTokens tokens;
  unsigned number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const std::string where = std::string(file_name) + ":" + std::to_string(++number);
    const std::string_view name = take_word(line);
    if (name.empty() || name.starts_with('#')) continue;
    const std::string_view token = take_word(line);
    if (token.empty()) return fail(ErrorCode::invalid, where + ": a line is `name token`; the token is missing");
    if (!take_word(line).empty())
      return fail(ErrorCode::invalid, where + ": a line is `name token`; there is more on this one");
    for (const Entry& entry : tokens.entries_) {
      if (entry.name == name) return fail(ErrorCode::exists, where + ": the name '" + entry.name + "' appears twice");
    }
    Entry entry{std::string(name), {}};
    if (token.starts_with(kHashPrefix)) {
      if (!parse_hex(token.substr(kHashPrefix.size()), entry.digest)) {
        return fail(ErrorCode::invalid,
                    where + ": sha256: must be followed by 64 hex digits (printf %s TOKEN | sha256sum)");
      }
    } else if (token.size() < kMinTokenBytes) {
      return fail(ErrorCode::invalid, where + ": the token of '" + entry.name + "' is shorter than " +
                                          std::to_string(kMinTokenBytes) + " characters; try `openssl rand -hex 24`");
    } else if (!sha256(token, entry.digest)) {
      return fail(ErrorCode::internal, where + ": SHA-256 is not available");
    }
    tokens.entries_.push_back(std::move(entry));
  }
  if (tokens.empty())
    return fail(ErrorCode::invalid, std::string(file_name) + ": no token in it; a line is `name token`");
  return tokens;
}

Result<HttpTokens> HttpTokens::load(const std::string& file_name) {
  std::ifstream file(file_name, std::ios::binary);
  if (!file) return std::unexpected(system_error("cannot read " + file_name, errno));
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes) return fail(ErrorCode::limit, file_name + ": larger than 1 MiB");
  struct stat info{};
  if (::stat(file_name.c_str(), &info) == 0 && (info.st_mode & 0077) != 0) {
    log::warn("tokens file can be read by other users; chmod 600 it", log::field("file", file_name));
  }
  auto tokens = parse(text, file_name);
  OPENSSL_cleanse(text.data(), text.size());
  return tokens;
}

std::optional<std::string> HttpTokens::name_of(std::string_view token) const {
  Digest digest{};
  if (!sha256(token, digest)) return std::nullopt;
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) found = &entry;
  }
  if (found == nullptr) return std::nullopt;
  return found->name;
}

}  // namespace sallyport::net
