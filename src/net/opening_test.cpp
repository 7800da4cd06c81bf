// What proxies and web servers may answer, and what the operator is then told: tables, no sockets.
#include "net/opening.h"

#include <gtest/gtest.h>

#include <functional>
#include <string_view>

#include "net/http_answer.h"

namespace sallyport::net {
namespace {

using namespace std::string_view_literals;

const Address kTarget{"dmz.example", 4433};

struct Talk {
  std::string said, error, rest;
  bool done = false;
};

// Offers the answers one byte after the other, or at once; both must come out alike.
Talk talk(std::unique_ptr<Opening> opening, std::string_view answer, bool byte_by_byte) {
  Talk talk;
  opening->begin(talk.said);
  for (std::size_t at = 0; at < answer.size() && !talk.done;) {
    const std::size_t size = byte_by_byte ? 1 : answer.size();
    talk.rest += answer.substr(at, size);
    at += size;
    for (std::string before = "first"; before != talk.rest;) {  // until it wants more
      before = talk.rest;
      const auto result = opening->received(talk.rest, talk.said);
      if (!result) {
        talk.error = result.error().message;
        return talk;
      }
      if (*result) {
        talk.done = true;
        break;
      }
    }
    if (talk.done) talk.rest += answer.substr(at);
  }
  return talk;
}

struct Case {
  const char* name;
  std::string_view answer;
  const char* says;  // part of the error; empty: accepted; "…": wants more
};

void check(const Case& each, const std::function<std::unique_ptr<Opening>()>& make) {
  for (const bool byte_by_byte : {false, true}) {
    const Talk result = talk(make(), each.answer, byte_by_byte);
    const std::string_view says = each.says;
    if (says == "…") {
      EXPECT_TRUE(!result.done && result.error.empty()) << each.name << ": " << result.error;
    } else if (says.empty()) {
      EXPECT_TRUE(result.done) << each.name << ": " << result.error;
    } else {
      EXPECT_NE(result.error.find(says), std::string::npos) << each.name << ": " << result.error;
    }
  }
}

TEST(HttpConnect, AsksForThePeerAndGivesThePasswordOnlyToTheProxy) {
  const Proxy proxy{ProxyKind::http, {"proxy", 3128}, "Aladdin", "open sesame"};
  EXPECT_EQ(talk(make_http_connect(proxy, kTarget), "", false).said,
            "CONNECT dmz.example:4433 HTTP/1.1\r\nHost: dmz.example:4433\r\n"
            "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");  // RFC 7617 §2
  EXPECT_EQ(talk(make_http_connect({}, {"::1", 4433}), "", false).said,
            "CONNECT [::1]:4433 HTTP/1.1\r\nHost: [::1]:4433\r\n\r\n");
}

TEST(HttpConnect, UnderstandsWhatProxiesAnswer) {
  const std::string long_header = "HTTP/1.1 200 OK\r\nX: " + std::string(9000, 'x');
  std::string many = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 101; ++i) many += "A: b\r\n";
  many += "\r\n";
  const Case cases[] = {
      {"plain", "HTTP/1.1 200 Connection established\r\n\r\n", ""},
      {"1.0", "HTTP/1.0 200 OK\r\nProxy-agent: x\r\n\r\n", ""},
      {"no reason", "HTTP/1.1 200\r\n\r\n", ""},
      {"bare line feeds", "HTTP/1.1 200 OK\nA: b\n\n", ""},
      {"202", "HTTP/1.1 202 Fine\r\n\r\n", ""},
      {"100 before", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", ""},
      {"empty header", "HTTP/1.1 200 OK\r\nA:\r\n\r\n", ""},
      {"nothing", "", "…"},
      {"half", "HTTP/1.1 200 OK\r\nA: b\r\n", "…"},
      {"407", "HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n",
       "refuses user 'joe'; check the user in proxy and proxy_password_file"},
      {"401 of tinyproxy", "HTTP/1.1 401 Unauthorized\r\n\r\n", "refuses user 'joe'"},
      {"407 with NTLM", "HTTP/1.1 407 Auth\r\nProxy-Authenticate: NTLM\r\n\r\n", "no Basic authentication"},
      {"403", "HTTP/1.1 403 Filtered\r\n\r\n", "403 'Filtered': its rules forbid"},
      {"502", "HTTP/1.1 502 Bad Gateway\r\n\r\n", "502 'Bad Gateway': it cannot reach the peer"},
      {"503", "HTTP/1.1 503 \r\n\r\n", "503: it cannot reach"},
      {"504", "HTTP/1.1 504 Gateway Timeout\r\n\r\n", "504 'Gateway Timeout'"},
      {"405", "HTTP/1.1 405 Method Not Allowed\r\n\r\n", "does not do CONNECT"},
      {"302", "HTTP/1.1 302 Found\r\nLocation: http://x\r\n\r\n", "302 'Found'"},
      {"reason that is no text", "HTTP/1.1 403 \xc3\xa9\x80\r\n\r\n", "403 '?\?\?'"},
      {"SOCKS", "\x05\xff", "is not HTTP"},
      {"SSH", "SSH-2.0-OpenSSH\r\n", "is not HTTP"},
      {"TLS alert", "\x15\x03\x01\x00\x02\x02\x46"sv, "is not HTTP"},
      {"HTTP/2", "HTTP/2 200\r\n\r\n", "is not HTTP"},
      {"no code", "HTTP/1.1 OK\r\n\r\n", "no status line"},
      {"long code", "HTTP/1.1 2000 OK\r\n\r\n", "no status line"},
      {"code 0xx", "HTTP/1.1 020 OK\r\n\r\n", "no status line"},
      {"no colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "no header line"},
      {"folded", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "no header line"},
      {"NUL", "HTTP/1.1 200 OK\r\nA: \0b\r\n\r\n"sv, "control character"},
      {"without end", long_header, "larger than 8 KiB"},
      {"too many lines", many, "100 header lines"},
  };
  const Proxy proxy{ProxyKind::http, {"proxy", 3128}, "joe", "secret"};
  for (const Case& each : cases) check(each, [&] { return make_http_connect(proxy, kTarget); });
  check({"407 without a user", "HTTP/1.1 407 Auth\r\n\r\n", "it wants a user; write proxy = \"http://USER@"},
        [&] { return make_http_connect({}, kTarget); });
}

TEST(HttpConnect, NoErrorShowsThePassword) {
  const Proxy proxy{ProxyKind::http, {"proxy", 3128}, "joe", "geheim"};
  EXPECT_EQ(talk(make_http_connect(proxy, kTarget), "HTTP/1.1 407 geh\r\n\r\n", false).error.find("geheim"),
            std::string::npos);
  EXPECT_EQ(to_string(proxy), "http://proxy:3128");
}

TEST(Socks5, LeavesTheNameToTheProxyAndSendsNumbersAsNumbers) {
  const Proxy open{ProxyKind::socks5, {"proxy", 1080}, "", ""};
  EXPECT_EQ(talk(make_socks5_connect(open, kTarget), "\x05\x00"sv, false).said,
            "\x05\x01\x00\x05\x01\x00\x03\x0b"
            "dmz.example\x11\x51"sv);
  EXPECT_EQ(talk(make_socks5_connect(open, {"10.1.2.3", 4433}), "\x05\x00"sv, false).said,
            "\x05\x01\x00\x05\x01\x00\x01\x0a\x01\x02\x03\x11\x51"sv);
  EXPECT_EQ(talk(make_socks5_connect(open, {"::1", 4433}), "\x05\x00"sv, false).said,
            "\x05\x01\x00\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x11\x51"sv);
}

TEST(Socks5, TellsUserAndPasswordWhenAsked) {
  const Proxy proxy{ProxyKind::socks5, {"proxy", 1080}, "joe", "secret"};
  const Talk result =
      talk(make_socks5_connect(proxy, {"10.1.2.3", 4433}), "\x05\x02\x01\x00\x05\x00\x00\x01\0\0\0\0\0\0"sv, false);
  EXPECT_TRUE(result.done);
  EXPECT_EQ(result.said, "\x05\x02\x00\x02\x01\x03joe\x06secret\x05\x01\x00\x01\x0a\x01\x02\x03\x11\x51"sv);
}

TEST(Socks5, UnderstandsWhatProxiesAnswer) {
  const Case cases[] = {
      {"IPv4 bound", "\x05\x00\x05\x00\x00\x01\x01\x02\x03\x04\x05\x06"sv, ""},
      {"IPv6 bound", "\x05\x00\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0"sv, ""},
      {"name bound", "\x05\x00\x05\x00\x00\x03\x02hi\0\0"sv, ""},
      {"empty name bound", "\x05\x00\x05\x00\x00\x03\x00\0\0"sv, ""},
      {"half", "\x05\x00\x05\x00\x00\x01\x01"sv, "…"},
      {"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", "not SOCKS5: its first byte is 72"},
      {"SOCKS4", "\x00\x5b\0\0\0\0\0\0"sv, "its first byte is 0"},
      {"nothing acceptable", "\x05\xff"sv, "neither a user"},
      {"GSSAPI", "\x05\x01"sv, "not offered"},
      {"password refused", "\x05\x02\x01\x01"sv, "refuses user 'joe'; check the user in proxy and proxy_password_file"},
      {"version of the reply", "\x05\x00\x04\x00"sv, "version 4"},
      {"address type 2", "\x05\x00\x05\x00\x00\x02\0\0\0\0\0\0"sv, "unknown kind of address"},
      {"1", "\x05\x00\x05\x01\x00\x01\0\0\0\0\0\0"sv, "general failure"},
      {"2", "\x05\x00\x05\x02"sv, "rules forbid"},
      {"3", "\x05\x00\x05\x03"sv, "network unreachable"},
      {"4", "\x05\x00\x05\x04"sv, "host unreachable"},
      {"5", "\x05\x00\x05\x05"sv, "connection refused"},
      {"6", "\x05\x00\x05\x06"sv, "TTL expired"},
      {"7", "\x05\x00\x05\x07"sv, "command not supported"},
      {"8", "\x05\x00\x05\x08"sv, "address type not supported"},
      {"9", "\x05\x00\x05\x09"sv, "unknown code 9"},
  };
  const Proxy proxy{ProxyKind::socks5, {"proxy", 1080}, "joe", "secret"};
  for (const Case& each : cases) check(each, [&] { return make_socks5_connect(proxy, kTarget); });
  const Proxy open{ProxyKind::socks5, {"proxy", 1080}, "", ""};
  check({"wants a user", "\x05\xff"sv, "wants a user; write proxy = \"socks5://USER@"},
        [&] { return make_socks5_connect(open, kTarget); });
  check({"insists on a user", "\x05\x02"sv, "wants a user"}, [&] { return make_socks5_connect(open, kTarget); });
}

constexpr std::string_view kRequest =
    "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

TEST(WebSocketUpgrade, AnswersTheExampleOfTheStandard) {  // RFC 6455 §1.3
  for (const bool byte_by_byte : {false, true}) {
    const Talk result = talk(make_websocket_answer(), std::string(kRequest) + "\x82", byte_by_byte);
    EXPECT_TRUE(result.done) << result.error;
    EXPECT_EQ(result.said,
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    EXPECT_EQ(result.rest, "\x82") << "what follows belongs to the frames";
  }
}

std::string without(std::string_view line) {
  std::string text(kRequest);
  const std::size_t at = text.find(line);
  return text.erase(at, text.find("\r\n", at) + 2 - at);
}

TEST(WebSocketUpgrade, RefusesRequestsThatAskForNoneWithAReason) {
  const std::string no_upgrade = without("Upgrade: websocket"), no_connection = without("Connection:"),
                    no_key = without("Sec-WebSocket-Key"), no_version = without("Sec-WebSocket-Version"),
                    no_host = without("Host:"), endless = "GET /" + std::string(9000, 'x');
  std::string post(kRequest), short_key(kRequest), old(kRequest);
  post.replace(0, 3, "POST");
  short_key.replace(short_key.find("dGhl"), 4, "");
  old.replace(old.find("HTTP/1.1"), 8, "HTTP/1.0");
  const Case cases[] = {
      {"health check", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "no upgrade to WebSocket"},
      {"no Upgrade", no_upgrade, "no upgrade to WebSocket"},
      {"no Connection", no_connection, "no upgrade to WebSocket"},
      {"no version", no_version, "version is not 13"},
      {"no key", no_key, "16 bytes in base64"},
      {"short key", short_key, "16 bytes in base64"},
      {"POST", post, "not a GET"},
      {"1.0", old, "not a GET of HTTP/1.1"},
      {"no host", no_host, "exactly one Host"},
      {"nonsense", "G\x01", "control character"},
      {"without end", endless, "larger than"},
      {"half", "GET / HTTP/1.1\r\nHost", "…"},
  };
  for (const Case& each : cases) check(each, make_websocket_answer);
  EXPECT_TRUE(
      talk(make_websocket_answer(), cases[0].answer, false).said.starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
  EXPECT_TRUE(talk(make_websocket_answer(), post, false).said.starts_with("HTTP/1.1 400 Bad Request\r\n"));
}

// Both halves talk to each other.
TEST(WebSocketUpgrade, TheTwoSidesUnderstandEachOther) {
  const auto client = make_websocket_request("/sallyport?x=1", kTarget);
  const auto server = make_websocket_answer();
  std::string request, answer, nothing;
  client->begin(request);
  EXPECT_TRUE(request.starts_with("GET /sallyport?x=1 HTTP/1.1\r\nHost: dmz.example:4433\r\n"));
  ASSERT_TRUE(server->received(request, answer).value_or(false));
  EXPECT_EQ(request, "");
  EXPECT_TRUE(client->received(answer, nothing).value_or(false));
  EXPECT_EQ(client->websocket(), WebSocket::Side::client);
  EXPECT_EQ(server->websocket(), WebSocket::Side::server);
}

TEST(WebSocketUpgrade, UnderstandsWhatWebServersAnswer) {
  const Case cases[] = {
      {"200", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 'OK' instead of switching"},
      {"404", "HTTP/1.1 404 Not Found\r\n\r\n", "websocket = true"},
      {"301", "HTTP/1.1 301 Moved\r\nLocation: https://x/\r\n\r\n", "redirections are not followed"},
      {"502", "HTTP/1.1 502 Bad Gateway\r\n\r\n", "cannot reach the node behind it"},
      {"another protocol", "HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "another protocol"},
      {"no Connection", "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n", "lacks Connection"},
      {"no proof", "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "wrong Sec-WebSocket-Accept"},
      {"wrong proof",
       "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
       "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
       "wrong Sec-WebSocket-Accept"},
      {"raw TLS port", "\x15\x03\x03\x00\x02\x02\x0a"sv, "no web server listens there"},
      {"half", "HTTP/1.1 101", "…"},
  };
  for (const Case& each : cases) check(each, [] { return make_websocket_request("/", kTarget); });
}

}  // namespace
}  // namespace sallyport::net
