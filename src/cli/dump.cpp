// sallyport dump: the whole namespace as sorted NDJSON, or one digest by which mirrors are compared. The node sends
// points in chunks and in its own order; sorting is done here, so that it costs the node nothing.
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/json_writer.h"
#include "cli/admin_client.h"
#include "cli/commands.h"
#include "cli/terminal.h"

namespace sallyport::cli {
namespace {

struct Arguments {
  std::string config;
  std::vector<std::string> patterns;
  bool digest = false;
  bool json = false;
};

// Lines as the node sent them, in one block of memory: a million points are a quarter of a gigabyte as it is.
struct Lines {
  std::string text;
  std::vector<std::pair<std::size_t, std::size_t>> at;  // start, size
  std::string_view line(std::size_t i) const { return std::string_view(text).substr(at[i].first, at[i].second); }
};

Result<Lines> fetch(const Arguments& arguments) {
  auto client = AdminClient::connect(arguments.config);
  if (!client) return std::unexpected(client.error());
  if (auto sent = client->send(pattern_request(arguments.digest ? "digest" : "read", arguments.patterns)); !sent) {
    return std::unexpected(sent.error());
  }
  Lines lines;
  for (;;) {
    auto line = client->next();
    if (!line) return std::unexpected(line.error());
    if (!*line) return lines;
    lines.at.emplace_back(lines.text.size(), (*line)->size());
    lines.text += **line;
  }
}

// Both kinds of line begin with the path, so the order of lines is the order of paths.
void sort(Lines& lines) {
  const std::string_view text = lines.text;
  std::ranges::sort(lines.at, {}, [text](const auto& at) { return text.substr(at.first, at.second); });
}

std::string hex(std::span<const unsigned char> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : bytes) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

Result<std::string> digest_of(const Lines& lines) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  bool ok = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  for (std::size_t i = 0; ok && i < lines.at.size(); ++i) {
    const auto line = lines.line(i);
    ok =
        EVP_DigestUpdate(context.get(), line.data(), line.size()) == 1 && EVP_DigestUpdate(context.get(), "\n", 1) == 1;
  }
  if (!ok || EVP_DigestFinal_ex(context.get(), bytes.data(), &size) != 1)
    return fail(ErrorCode::internal, "OpenSSL cannot compute SHA-256");
  return hex(std::span(bytes).first(size));
}

int print_digest(const Lines& lines, bool as_json) {
  const auto digest = digest_of(lines);
  if (!digest) return failed(digest.error());
  if (!as_json) {
    print(*digest + "\n");
    return kSuccess;
  }
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("digest", *digest);
  json.field("points", std::uint64_t{lines.at.size()});
  json.end_object();
  print(out + "\n");
  return kSuccess;
}

int dump(const Arguments& arguments) {
  auto lines = fetch(arguments);
  if (!lines) return failed(lines.error());
  sort(*lines);
  if (arguments.digest) return print_digest(*lines, arguments.json);
  for (std::size_t i = 0; i < lines->at.size(); ++i) {
    print(lines->line(i));
    print("\n");
  }
  return kSuccess;
}

}  // namespace

Command dump_command() {
  return {"dump", "The whole namespace as sorted NDJSON, or its digest", [](Options& options) -> Action {
            const auto arguments = std::make_shared<Arguments>();
            arguments->patterns = {"**"};
            options.config(arguments->config);
            options.flag("--digest", arguments->digest,
                         "one SHA-256 of path, type, value, status and source time: equal on mirrors");
            options.json(arguments->json);
            options.texts("pattern", arguments->patterns, "only what matches; default '**', which is all but '$sys'");
            return [arguments] { return dump(*arguments); };
          }};
}

}  // namespace sallyport::cli
