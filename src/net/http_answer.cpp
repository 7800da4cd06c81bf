#include "net/http_answer.h"

#include <algorithm>

namespace sallyport::net {
namespace {

constexpr std::size_t kMaxLines = 100;
constexpr std::size_t kMaxShown = 100;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool digit(char c) { return c >= '0' && c <= '9'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string shown(std::string_view text) {
  std::string result;
  for (const char c : text.substr(0, kMaxShown)) result += c >= ' ' && c <= '~' ? c : '?';
  return result;
}

std::unexpected<Error> malformed(std::string text) { return fail(ErrorCode::malformed, std::move(text)); }

// Bytes that no answer begins with need no more bytes behind them.
bool may_be_http(std::string_view in) {
  constexpr std::string_view kStart = "HTTP/1.";
  return in.substr(0, kStart.size()) == kStart.substr(0, in.size());
}

bool is_text(std::string_view head) {
  return std::ranges::all_of(head, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 ? byte != 0x7f : (c == '\r' || c == '\n' || c == '\t');
  });
}

// Takes one line, its end (CRLF, or LF alone: RFC 9112 §2.2) not included.
std::string_view take_line(std::string_view& head) {
  const std::size_t end = std::min(head.find('\n'), head.size());
  std::string_view line = head.substr(0, end);
  head.remove_prefix(std::min(end + 1, head.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Behind the empty line; npos when there is none yet.
std::size_t end_of_head(std::string_view in) {
  const std::size_t strict = in.find("\n\r\n");
  const std::size_t loose = in.find("\n\n");
  if (strict == std::string_view::npos && loose == std::string_view::npos) return strict;
  return strict < loose ? strict + 3 : loose + 2;
}

Result<HttpAnswer> parse_head(std::string_view head) {
  HttpAnswer answer;
  const std::string_view line = take_line(head);
  // "HTTP/1.1 200 Connection established"; the text may be missing, the space before it too.
  const bool well_formed = line.size() >= 12 && digit(line[7]) && line[8] == ' ' && digit(line[9]) && digit(line[10]) &&
                           digit(line[11]) && (line.size() == 12 || line[12] == ' ') && line[9] != '0';
  if (!well_formed) return malformed("'" + shown(line) + "' is no status line of HTTP/1.1");
  answer.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  answer.reason = shown(trimmed(line.substr(12)));
  for (std::string_view next = take_line(head); !next.empty(); next = take_line(head)) {
    const std::size_t colon = next.find(':');
    if (colon == std::string_view::npos || colon == 0 || next.front() == ' ' || next.front() == '\t')
      return malformed("'" + shown(next) + "' is no header line");
    if (answer.headers.size() == kMaxLines) return malformed("more than 100 header lines");
    std::string name(next.substr(0, colon));
    std::ranges::transform(name, name.begin(), lower);
    answer.headers.emplace_back(std::move(name), trimmed(next.substr(colon + 1)));
  }
  return answer;
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

bool has_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    if (equal_ignoring_case(trimmed(list.substr(0, end)), token)) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

std::string HttpAnswer::header(std::string_view name) const {
  std::string joined;
  bool first = true;
  for (const auto& [key, value] : headers) {
    if (key == name) joined += (std::exchange(first, false) ? "" : ", ") + value;
  }
  return joined;
}

Result<std::optional<HttpAnswer>> take_http_answer(std::string& in) {
  for (;;) {
    if (!may_be_http(in)) return malformed("'" + shown(std::string_view(in).substr(0, 20)) + "' is not HTTP");
    const std::size_t end = end_of_head(in);
    if (!is_text(std::string_view(in).substr(0, end))) return malformed("a control character in the header");
    if (std::min(end, in.size()) > kMaxHttpAnswer) return malformed("the header is larger than 8 KiB");
    if (end == std::string::npos) return std::nullopt;
    auto answer = parse_head(std::string_view(in).substr(0, end));
    if (!answer) return std::unexpected(answer.error());
    in.erase(0, end);
    if (answer->status / 100 != 1 || answer->status == 101) return *std::move(answer);
  }
}

}  // namespace sallyport::net
