// Targets of requests; see http_target.h.
#include "net/http_target.h"

#include <cctype>
#include <cstdint>

namespace sallyport::net {
namespace {

constexpr std::size_t kMaxParameters = 128;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Overlong forms, surrogates and what lies beyond U+10FFFF are refused. (RFC 3629 §4)
bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || size > text.size() - i) return false;
    std::uint32_t code = lead & (0x7fu >> size);
    for (std::size_t k = 1; k < size; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      code = (code << 6) | (next & 0x3f);
    }
    if ((size == 3 && code < 0x800) || (size == 4 && (code < 0x10000 || code > 0x10ffff))) return false;
    if (code >= 0xd800 && code <= 0xdfff) return false;
    i += size;
  }
  return true;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> query;
  while (!text.empty()) {
    const std::size_t end = text.find('&');
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (part.empty()) continue;
    if (query.size() == kMaxParameters) {
      return fail(ErrorCode::limit, "more than " + std::to_string(kMaxParameters) + " query parameters");
    }
    const std::size_t equals = part.find('=');
    auto name = percent_decode(part.substr(0, equals), true);
    if (!name) return within("the query", name.error());
    auto value = percent_decode(equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1), true);
    if (!value) return within("query parameter '" + *name + "'", value.error());
    query.emplace_back(std::move(*name), std::move(*value));
  }
  return query;
}

}  // namespace

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return fail(ErrorCode::malformed, "'%' must be followed by two hex digits (write %25 for '%')");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return fail(ErrorCode::malformed, "a control character");
    out += c;
  }
  if (!is_utf8(out)) return fail(ErrorCode::malformed, "not UTF-8 after percent-decoding");
  return out;
}

Result<HttpTarget> parse_http_target(std::string_view target) {
  HttpTarget result;
  if (target == "*") {
    result.path = "*";
    return result;
  }
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    target.remove_prefix(scheme.size());
    const std::size_t end = target.find_first_of("/?");
    result.authority = std::string(target.substr(0, end));
    if (host_of_authority(result.authority).empty()) return fail(ErrorCode::malformed, "the target has no valid host");
    target.remove_prefix(end == std::string_view::npos ? target.size() : end);
    if (target.empty()) target = "/";
    break;
  }
  if (!target.starts_with('/')) return fail(ErrorCode::malformed, "the target must begin with '/'");
  if (target.find('#') != std::string_view::npos)
    return fail(ErrorCode::malformed, "the target holds a '#'; write %23");
  const std::size_t mark = target.find('?');
  auto path = percent_decode(target.substr(0, mark), false);
  if (!path) return within("the path", path.error());
  result.path = std::move(*path);
  if (mark != std::string_view::npos) {
    auto query = parse_query(target.substr(mark + 1));
    if (!query) return std::unexpected(query.error());
    result.query = std::move(*query);
  }
  return result;
}

std::string host_of_authority(std::string_view authority) {
  std::string_view host, port;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return {};
    host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
    if (host.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) return {};
  } else {
    const std::size_t colon = authority.find(':');
    host = authority.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : authority.substr(colon);
    for (const char c : host) {
      if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-' && c != '_') return {};
    }
  }
  if (!port.empty() &&
      (port[0] != ':' || port.size() > 6 || port.find_first_not_of("0123456789", 1) != std::string_view::npos)) {
    return {};
  }
  std::string name(host);
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (name.size() > 1 && name.ends_with('.')) name.pop_back();
  return name;
}

}  // namespace sallyport::net
