// Requests out of bytes, on Boost.Beast's parser; see http_parser.h.
#include "net/http_parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>

namespace sallyport::net {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

constexpr std::size_t kMaxTarget = 8192;
constexpr std::size_t kMaxHeaders = 100;

bool iequals(std::string_view a, std::string_view b) {
  return beast::iequals(beast::string_view(a.data(), a.size()), beast::string_view(b.data(), b.size()));
}

// A header may hold text, tabs and line ends: anything else is not HTTP, and the peer need not be waited for.
bool is_header_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 ? byte != 0x7f : (c == '\r' || c == '\n' || c == '\t');
}

// What proxies disagree about, and smuggling lives on: a line end that is not CRLF, a folded line. (RFC 9112 §2.2,
// §5.2)
const char* check_lines(std::string_view head) {
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (head[i] == '\n' && (i == 0 || head[i - 1] != '\r')) return "a line of the header does not end in CRLF";
    if (head[i] == '\r' && (i + 1 >= head.size() || head[i + 1] != '\n')) return "a stray CR in the header";
    if (head[i] == '\n' && i + 1 < head.size() && (head[i + 1] == ' ' || head[i + 1] == '\t')) {
      return "a folded header line";
    }
  }
  return nullptr;
}

// Whether the first line ends in some "HTTP/x.y", and is not just nonsense.
bool names_a_version(std::string_view head) {
  const std::string_view line = head.substr(0, head.find("\r\n"));
  const std::size_t at = line.rfind(" HTTP/");
  if (at == std::string_view::npos || std::ranges::count(line, ' ') != 2 || line.size() - at != 9) return false;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return digit(line[at + 6]) && line[at + 7] == '.' && digit(line[at + 8]);
}

}  // namespace

struct HttpParser::Impl {
  std::optional<http::request_parser<http::string_body>> parser;
  std::size_t scanned = 0;  // bytes of the input already searched for the end of the header
  bool first = true;        // nothing of this request seen yet
  std::size_t body_limit = 0;
};

HttpParser::HttpParser(std::size_t header_limit) : header_limit_(header_limit), impl_(std::make_unique<Impl>()) {
  reset();
}
HttpParser::~HttpParser() = default;

void HttpParser::reset() {
  impl_->parser.emplace();
  impl_->parser->header_limit(static_cast<std::uint32_t>(header_limit_ + 4));
  impl_->parser->body_limit(boost::none);
  impl_->scanned = 0;
  impl_->first = true;
  state_ = State::header;
  headers_.clear();
}

HttpParser::State HttpParser::fail(int status, std::string reason) {
  status_ = status;
  reason_ = std::move(reason);
  return state_ = State::failed;
}

void HttpParser::accept_body(std::size_t limit) { impl_->body_limit = limit; }

std::string HttpParser::take_body() { return std::move(impl_->parser->get().body()); }

HttpParser::State HttpParser::feed(std::string& input) {
  if (state_ == State::failed || state_ == State::done) return state_;
  if (state_ == State::header) {
    // One empty line before a request is forgiven. (RFC 9112 §2.2)
    if (impl_->first && input.size() >= 2) {
      if (input.starts_with("\r\n")) input.erase(0, 2);
      impl_->first = false;
    }
    for (std::size_t i = impl_->scanned; i < std::min(input.size(), header_limit_); ++i) {
      if (is_header_byte(input[i])) continue;
      if (i == 0 && input[0] == 0x16) return fail(400, "this is a TLS handshake on a plain HTTP port; use http://");
      return fail(400, "a control character in the header");
    }
    const std::size_t end = input.find("\r\n\r\n", impl_->scanned < 3 ? 0 : impl_->scanned - 3);
    if (end == std::string::npos || end + 4 > header_limit_) {
      if (input.size() >= header_limit_ || end != std::string::npos) {
        return fail(431, "the header is larger than " + std::to_string(header_limit_) + " bytes");
      }
      impl_->scanned = input.size();
      return state_;
    }
    const std::string_view head = std::string_view(input).substr(0, end + 4);
    if (const char* what = check_lines(head)) return fail(400, what);
    beast::error_code error;
    impl_->parser->eager(false);
    std::size_t used = 0;
    while (!error && used < head.size() && !impl_->parser->is_header_done()) {
      used += impl_->parser->put(boost::asio::buffer(head.data() + used, head.size() - used), error);
    }
    if (error == http::error::bad_version && names_a_version(head))
      return fail(505, "the HTTP version is not 1.1 or 1.0");
    if (error || !impl_->parser->is_header_done()) {
      return fail(400, "the header is malformed: " + (error ? error.message() : std::string("incomplete")));
    }
    input.erase(0, used);
    return take_head();
  }
  // The body.
  state_ = State::body;
  auto& parser = *impl_->parser;
  if (!parser.is_done()) {
    const auto length = parser.content_length();
    if (length && *length > impl_->body_limit) {
      return fail(413, "the body is larger than " + std::to_string(impl_->body_limit) + " bytes");
    }
    parser.body_limit(impl_->body_limit);
    parser.eager(true);
    // Beast looks again at a last chunk "0\r\n" of which it has seen less, and asserts that it is 5 bytes by then: the
    // least that can still follow at any place of a chunked body.
    if (parser.chunked() && input.size() < 5) return state_;
    beast::error_code error;
    std::size_t used = 0;
    if (!input.empty()) used = parser.put(boost::asio::buffer(input.data(), input.size()), error);
    input.erase(0, used);
    if (error == http::error::body_limit) {
      return fail(413, "the body is larger than " + std::to_string(impl_->body_limit) + " bytes");
    }
    if (error && error != http::error::need_more) return fail(400, "the body is malformed: " + error.message());
    // Chunk extensions and trailers without end.
    if (!parser.is_done() && input.size() > header_limit_) return fail(400, "a chunk header or trailer is too large");
  }
  return parser.is_done() ? state_ = State::done : state_;
}

HttpParser::State HttpParser::take_head() {
  const auto& message = impl_->parser->get();
  method_ = std::string(message.method_string());
  target_ = std::string(message.target());
  http_1_0_ = message.version() == 10;
  keep_alive_ = impl_->parser->keep_alive();
  headers_.clear();
  for (const auto& field : message) {
    if (headers_.size() == kMaxHeaders) return fail(431, "more than " + std::to_string(kMaxHeaders) + " header lines");
    headers_.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  if (target_.size() > kMaxTarget)
    return fail(414, "the target is longer than " + std::to_string(kMaxTarget) + " bytes");
  if (const char* what = check_head()) return fail(status_ = status_ == 501 ? 501 : 400, what);
  return state_ = State::head;
}

// What Beast lets pass, and two parsers may read differently.
const char* HttpParser::check_head() {
  unsigned hosts = 0, lengths = 0, encodings = 0;
  expects_continue_ = false;
  status_ = 400;
  for (const auto& [name, value] : headers_) {
    if (iequals(name, "host")) ++hosts;
    if (iequals(name, "content-length")) {
      if (++lengths > 1 || value.empty() || value.find_first_not_of("0123456789") != std::string::npos) {
        return "Content-Length must be one number, once";
      }
    }
    if (iequals(name, "transfer-encoding")) {
      if (++encodings > 1 || http_1_0_) return "Transfer-Encoding may appear once, and only in HTTP/1.1";
      if (!iequals(value, "chunked")) {
        status_ = 501;
        return "the only Transfer-Encoding understood is chunked";
      }
    }
    if (iequals(name, "expect")) expects_continue_ = iequals(value, "100-continue");
  }
  if (hosts > 1 || (hosts == 0 && !http_1_0_)) return "a request carries exactly one Host header";
  if (lengths != 0 && encodings != 0) return "Content-Length and Transfer-Encoding in one request";
  has_body_ = encodings != 0 || impl_->parser->content_length().value_or(0) != 0;
  return nullptr;
}

}  // namespace sallyport::net
