// CONNECT through an HTTP proxy (RFC 9110 §9.3.6).
#include "base/base64.h"
#include "net/http_answer.h"
#include "net/opening.h"

namespace sallyport::net {
namespace {

Error describe_refusal(const HttpAnswer& answer, const Proxy& proxy) {
  const std::string said =
      "the proxy answered " + std::to_string(answer.status) + (answer.reason.empty() ? "" : " '" + answer.reason + "'");
  if (answer.status == 407 || answer.status == 401) {  // 401: tinyproxy, for a wrong password
    const std::string schemes = answer.header("proxy-authenticate");
    const std::string_view first = std::string_view(schemes).substr(0, schemes.find(' '));
    if (proxy.user.empty())
      return {ErrorCode::refused, said + ": it wants a user; write proxy = \"http://USER@…\" and proxy_password_file"};
    std::string text = said + ": it refuses user '" + proxy.user + "'; check the user in proxy and proxy_password_file";
    if (!schemes.empty() && !equal_ignoring_case(first, "basic") && schemes.find("asic") == std::string::npos)
      text += "; it offers no Basic authentication, which is the only one we have";
    return {ErrorCode::refused, std::move(text)};
  }
  switch (answer.status) {
    case 403:
      return {ErrorCode::refused,
              said + ": its rules forbid this peer; its owner must allow CONNECT to that host and port"};
    case 400:
    case 404:
    case 405:
    case 501:
      return {ErrorCode::refused, said + ": it does not do CONNECT, or is no proxy; are host and port in proxy right?"};
    case 500:
    case 502:
    case 503:
    case 504:
      return {ErrorCode::unavailable,
              said + ": it cannot reach the peer; is the peer on, does the proxy know its name?"};
    default:
      return {ErrorCode::refused, said};
  }
}

class HttpConnect final : public Opening {
 public:
  HttpConnect(Proxy proxy, const Address& target) : proxy_(std::move(proxy)), target_(to_string(target)) {}

  void begin(std::string& out) override {
    out += "CONNECT " + target_ + " HTTP/1.1\r\nHost: " + target_ + "\r\n";
    if (!proxy_.user.empty() || !proxy_.password.empty()) {
      const std::string pair = proxy_.user + ":" + proxy_.password;
      out += "Proxy-Authorization: Basic ";
      append_base64(out, std::as_bytes(std::span(pair)));
      out += "\r\n";
    }
    out += "\r\n";
  }

  Result<bool> received(std::string& in, std::string&) override {
    auto answer = take_http_answer(in);
    if (!answer) {
      return fail(ErrorCode::refused, "what the proxy answered is not HTTP: " + answer.error().message +
                                          "; are kind, host and port in proxy right?");
    }
    if (!*answer) return false;
    if ((*answer)->status / 100 != 2) return std::unexpected(describe_refusal(**answer, proxy_));
    return true;
  }

  std::string waiting_for() const override { return "the proxy's answer to CONNECT"; }
  std::string_view hint() const override { return "; is an HTTP proxy there?"; }

 private:
  Proxy proxy_;
  std::string target_;
};

}  // namespace

std::unique_ptr<Opening> make_http_connect(const Proxy& proxy, const Address& target) {
  return std::make_unique<HttpConnect>(proxy, target);
}

}  // namespace sallyport::net
