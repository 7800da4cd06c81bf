// The HTTP exchange that begins a WebSocket (RFC 6455 §4), from either side.
#include <algorithm>
#include <array>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/base64.h"
#include "net/http_answer.h"
#include "net/http_parser.h"
#include "net/opening.h"

namespace sallyport::net {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // §1.3
constexpr std::size_t kKeyBytes = 16;
constexpr std::size_t kMaxRequest = 8 * 1024;

std::string accept_for(std::string_view key) {
  const std::string text = std::string(key) + std::string(kGuid);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  // SHA-1 proves only that the other side speaks WebSocket; nothing secret rests on it.
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  std::string accept;
  append_base64(accept, std::as_bytes(std::span(digest).first(size)));
  return accept;
}

Error describe_refusal(const HttpAnswer& answer) {
  const std::string said = "the web server answered " + std::to_string(answer.status) +
                           (answer.reason.empty() ? "" : " '" + answer.reason + "'") +
                           " instead of switching to WebSocket";
  if (answer.status >= 500)
    return {ErrorCode::unavailable,
            said + ": it cannot reach the node behind it; is that running, with websocket = true in its [listen]?"};
  if (answer.status / 100 == 3)
    return {
        ErrorCode::refused,
        said + ": redirections are not followed; dial the right host and path (TLS around it, wss, is not supported)"};
  return {ErrorCode::refused,
          said + ": does it pass this path on, with Upgrade, to a node whose [listen] has websocket = true?"};
}

class Request final : public Opening {
 public:
  Request(std::string path, const Address& host) : path_(std::move(path)), host_(to_string(host)) {
    std::array<unsigned char, kKeyBytes> random{};
    RAND_bytes(random.data(), random.size());
    append_base64(key_, std::as_bytes(std::span(random)));
  }

  void begin(std::string& out) override {
    out += "GET " + path_ + " HTTP/1.1\r\nHost: " + host_ +
           "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key_ +
           "\r\n\r\n";
  }

  Result<bool> received(std::string& in, std::string&) override {
    auto answer = take_http_answer(in);
    if (!answer) {
      return fail(ErrorCode::refused, "no web server listens there: " + answer.error().message +
                                          "; is the port right, has the peer's [listen] websocket = true?");
    }
    if (!*answer) return false;
    if ((*answer)->status != 101) return std::unexpected(describe_refusal(**answer));
    if (const char* wrong = check(**answer))
      return fail(ErrorCode::refused, std::string("the web server's answer to the WebSocket upgrade ") + wrong);
    return true;
  }

  std::string waiting_for() const override { return "an answer to the WebSocket upgrade"; }
  std::string_view hint() const override { return "; has the peer's [listen] websocket = true, is the port right?"; }
  std::optional<WebSocket::Side> websocket() const override { return WebSocket::Side::client; }

 private:
  const char* check(const HttpAnswer& answer) const {
    if (!equal_ignoring_case(answer.header("upgrade"), "websocket")) return "names another protocol in Upgrade";
    if (!has_token(answer.header("connection"), "upgrade")) return "lacks Connection: Upgrade";
    if (answer.header("sec-websocket-accept") != accept_for(key_))
      return "has a wrong Sec-WebSocket-Accept: it came from a cache, or from something else";
    if (!answer.header("sec-websocket-extensions").empty()) return "has an extension that was not asked for";
    if (!answer.header("sec-websocket-protocol").empty()) return "has a subprotocol that was not asked for";
    return nullptr;
  }

  std::string path_, host_, key_;
};

std::string header_of(const HttpParser& request, std::string_view name) {
  std::string joined;
  for (const auto& [key, value] : request.headers()) {
    if (equal_ignoring_case(key, name)) joined += (joined.empty() ? "" : ", ") + value;
  }
  return joined;
}

class Answer final : public Opening {
 public:
  Result<bool> received(std::string& in, std::string& out) override {
    // Behind the request stand frames, which are not the parser's to judge.
    const std::size_t end = in.find("\r\n\r\n");
    const std::string frames = end == std::string::npos ? std::string() : in.substr(end + 4);
    in.resize(in.size() - frames.size());
    const auto state = parser_.feed(in);
    in += frames;
    switch (state) {
      case HttpParser::State::header:
        return false;
      case HttpParser::State::head:
        break;
      default:
        return refuse(out, std::to_string(parser_.status()) + " Bad Request", parser_.reason());
    }
    if (parser_.method() != "GET" || parser_.has_body() || parser_.http_1_0())
      return refuse(out, "400 Bad Request", "not a GET of HTTP/1.1 without a body");
    if (!has_token(header_of(parser_, "upgrade"), "websocket") ||
        !has_token(header_of(parser_, "connection"), "upgrade"))
      return refuse(out, "426 Upgrade Required", "no upgrade to WebSocket is asked for");
    if (header_of(parser_, "sec-websocket-version") != "13")
      return refuse(out, "426 Upgrade Required", "the WebSocket version is not 13");
    const std::string key = header_of(parser_, "sec-websocket-key");
    if (const auto bytes = parse_base64(key); !bytes || bytes->size() != kKeyBytes)
      return refuse(out, "400 Bad Request", "Sec-WebSocket-Key is not 16 bytes in base64");
    out += "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
           accept_for(key) + "\r\n\r\n";
    return true;
  }

  std::string waiting_for() const override { return "the rest of a WebSocket upgrade request"; }
  std::optional<WebSocket::Side> websocket() const override { return WebSocket::Side::server; }

 private:
  static Result<bool> refuse(std::string& out, const std::string& status, const std::string& why) {
    const std::string body = "This port speaks TLS in WebSocket frames: " + why + ".\n";
    out += "HTTP/1.1 " + status +
           "\r\nUpgrade: websocket\r\nConnection: close, Upgrade\r\nSec-WebSocket-Version: 13\r\nContent-Type: "
           "text/plain\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
    return fail(ErrorCode::refused, "HTTP request that opens no WebSocket: " + why);
  }

  HttpParser parser_{kMaxRequest};
};

}  // namespace

std::unique_ptr<Opening> make_websocket_request(const std::string& path, const Address& host) {
  return std::make_unique<Request>(path, host);
}

std::unique_ptr<Opening> make_websocket_answer() { return std::make_unique<Answer>(); }

}  // namespace sallyport::net
