#include "protocol/nats/subject.h"

#include <cstdint>

#include "namespace/path.h"

namespace sallyport::nats {
namespace {

bool must_escape(char c) {
  const auto byte = static_cast<std::uint8_t>(c);
  return byte <= 0x20 || byte == 0x7f || c == '.' || c == '*' || c == '>' || c == '%';
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// A '%' without two digits behind it stands for itself: foreign subjects know no escapes.
std::string unescape(std::string_view token) {
  std::string out;
  for (std::size_t at = 0; at < token.size(); ++at) {
    const int high = token[at] == '%' && at + 2 < token.size() ? hex_digit(token[at + 1]) : -1;
    const int low = high >= 0 ? hex_digit(token[at + 2]) : -1;
    if (low < 0) {
      out += token[at];
    } else {
      out += static_cast<char>(high * 16 + low);
      at += 2;
    }
  }
  return out;
}

}  // namespace

Result<void> check_subject(std::string_view subject, bool wildcards) {
  const auto wrong = [&](const std::string& why) {
    return fail(ErrorCode::invalid, "'" + std::string(subject) + "': " + why + "; write tokens with dots between them, as in \"acme.berlin\"");
  };
  if (subject.empty()) return wrong("the subject is empty");
  if (subject.size() > 1024) return wrong("the subject is longer than 1,024 bytes");
  bool last = false;
  for (std::size_t from = 0; from <= subject.size();) {
    const std::size_t end = std::min(subject.find('.', from), subject.size());
    const std::string_view token = subject.substr(from, end - from);
    if (token.empty()) return wrong("a token is empty");
    if (last) return wrong("nothing may follow '>'");
    for (const char c : token) {
      if (static_cast<std::uint8_t>(c) <= 0x20 || c == 0x7f) return wrong("blanks are not allowed");
    }
    if (token == "*" || token == ">") {
      if (!wildcards) return wrong("wildcards are not allowed here");
      last = token == ">";
    }
    from = end + 1;
  }
  return {};
}

void append_subject(std::string& out, std::string_view prefix, std::string_view path) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  out += prefix;
  if (!prefix.empty()) out += '.';
  for (const char c : path) {
    if (c == '/') {
      out += '.';
    } else if (must_escape(c)) {
      const auto byte = static_cast<std::uint8_t>(c);
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
}

Result<std::string> path_of(std::string_view prefix, std::string_view subject) {
  std::string_view rest = subject;
  if (!prefix.empty()) {
    if (!rest.starts_with(prefix) || rest.size() <= prefix.size() + 1 || rest[prefix.size()] != '.') {
      return fail(ErrorCode::malformed, "subject '" + std::string(subject) + "' does not begin with '" + std::string(prefix) + ".'");
    }
    rest.remove_prefix(prefix.size() + 1);
  }
  std::string path;
  for (std::size_t from = 0; from <= rest.size();) {
    const std::size_t end = std::min(rest.find('.', from), rest.size());
    const std::string level = unescape(rest.substr(from, end - from));
    if (!path.empty()) path += '/';
    path += level.find('/') == std::string::npos && check_path(level) ? level : escape_level(level);
    from = end + 1;
  }
  if (auto ok = check_path(path); !ok) return fail(ErrorCode::malformed, "subject '" + std::string(subject) + "': " + ok.error().message);
  return path;
}

}  // namespace sallyport::nats
