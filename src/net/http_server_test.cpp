// The HTTP server against raw sockets and curl: limits, timeouts, pipelining, streams, tokens, TLS.
#include "net/http_server.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <fstream>

#include "net/http_test_client.h"

namespace sallyport::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Without end, a megabyte at most for each megabyte that was read; counts what it was asked for.
class Flood final : public HttpProducer {
 public:
  explicit Flood(std::atomic<std::uint64_t>& made) : made_(made) {}
  void begin(std::function<void()>) override {}
  Next produce(std::string& out, std::size_t max) override {
    out.append(max, 'x');
    made_ += max;
    return Next::more;
  }

 private:
  std::atomic<std::uint64_t>& made_;
};

// A line each time it is woken from another thread; ends after three.
class Woken final : public HttpProducer {
 public:
  ~Woken() override {
    if (waker_.joinable()) waker_.join();
  }
  void begin(std::function<void()> wake) override {
    waker_ = std::thread([wake = std::move(wake)] {
      for (int i = 0; i < 3; ++i) {
        std::this_thread::sleep_for(milliseconds(20));
        wake();
      }
    });
  }
  Next produce(std::string& out, std::size_t) override {
    if (calls_++ == 0) return Next::wait;
    out += "line " + std::to_string(calls_ - 1) + "\n";
    return calls_ == 4 ? Next::end : Next::wait;
  }

 private:
  std::thread waker_;
  int calls_ = 0;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("sallyport-http-" + std::to_string(::getpid()) + "-" + std::to_string(counter_++));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override {
    if (server_) loop_.on([this] { server_.reset(); });
    std::filesystem::remove_all(folder_);
  }

  HttpRouter router() {
    HttpRouter out;
    const auto text = [](std::string body) {
      HttpResponse response;
      response.content_type = "text/plain";
      response.body = std::move(body);
      return response;
    };
    out.add({.method = "GET",
             .path = "/hello",
             .parameters = {{"name"}, {"tag", true}},
             .handler = [text](const HttpRequest& r) {
               return text("hello " + std::string(r.parameter("name").value_or("world")) +
                           std::to_string(r.parameters("tag").size()) + r.user + "\n");
             }});
    out.add(
        {.method = "GET", .path = "/tail/{rest...}", .handler = [text](const HttpRequest& r) { return text(r.tail); }});
    out.add({.method = "GET", .path = "/large", .handler = [text](const HttpRequest&) {
               return text(std::string(3'000'000, 'a'));
             }});
    out.add({.method = "GET",
             .path = "/open",
             .handler = [text](const HttpRequest&) { return text("open\n"); },
             .open = true});
    out.add({.method = "POST",
             .path = "/echo",
             .handler = [text](const HttpRequest& r) { return text(r.body); },
             .takes_body = true});
    out.add({.method = "GET", .path = "/flood", .handler = [this, text](const HttpRequest&) {
               HttpResponse response = text("");
               response.producer = std::make_unique<Flood>(made_);
               response.compress = false;
               return response;
             }});
    out.add({.method = "GET", .path = "/woken", .handler = [text](const HttpRequest&) {
               HttpResponse response = text("");
               response.producer = std::make_unique<Woken>();
               return response;
             }});
    out.add({.method = "GET", .path = "/work", .handler = [text](const HttpRequest&) {
               HttpResponse response;
               response.work = [text, turns = 0]() mutable {
                 return ++turns < 50 ? std::nullopt : std::optional(text("worked\n"));
               };
               return response;
             }});
    return out;
  }

  void start(HttpServerOptions options = {}) {
    auto server = loop_.on([&] { return HttpServer::start(loop_.loop(), std::move(options), router()); });
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    url_ = "http://127.0.0.1:" + std::to_string(port());
  }
  std::uint16_t port() const { return server_->port(); }
  HttpCounters counters() {
    return loop_.on([this] { return server_->counters(); });
  }
  std::string ask(std::string_view line, std::string_view more = "") {
    return exchange(port(), std::string(line) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" +
                                std::string(more) + "\r\n");
  }
  std::string file(const std::string& name, std::string_view contents) {
    std::ofstream(folder_ / name) << contents;
    return (folder_ / name).string();
  }

  static inline int counter_ = 0;
  std::atomic<std::uint64_t> made_{0};
  std::filesystem::path folder_;
  LoopThread loop_;
  std::unique_ptr<HttpServer> server_;
  std::string url_;
};

std::string status_of(std::string_view response) {
  return std::string(response.substr(0, std::min<std::size_t>(12, response.size())));
}
std::string body_of(std::string_view response) {
  const std::size_t at = response.find("\r\n\r\n");
  return at == std::string_view::npos ? std::string() : std::string(response.substr(at + 4));
}

TEST_F(HttpServerTest, AnswersCurl) {
  start();
  EXPECT_EQ(curl("'" + url_ + "/hello?name=J%C3%B6rg&tag=1&tag=2'").output, "hello Jörg2\n");
  EXPECT_EQ(curl("'" + url_ + "/tail/a/b%2520c%2Fd'").output, "a/b%20c/d");
  EXPECT_EQ(curl("--data-binary 'some bytes' " + url_ + "/echo").output, "some bytes");
  EXPECT_EQ(curl("-H 'Expect: 100-continue' --data-binary 'some bytes' " + url_ + "/echo").output, "some bytes");
  EXPECT_EQ(curl(url_ + "/work").output, "worked\n");
  EXPECT_EQ(curl(url_ + "/woken").output, "line 1\nline 2\nline 3\n");
  EXPECT_EQ(curl("--http1.0 " + url_ + "/woken").output, "line 1\nline 2\nline 3\n");
  EXPECT_EQ(curl("-I -o /dev/null -w '%{http_code} %{size_download}' " + url_ + "/large").output, "200 0");
  EXPECT_EQ(curl("-w '%{num_connects}' -o /dev/null " + url_ + "/hello -o /dev/null " + url_ + "/woken -o /dev/null " +
                 url_ + "/hello")
                .output,
            "100");
}

TEST_F(HttpServerTest, AnswersErrorsWithProblemDocuments) {
  start();
  struct Row {
    const char *line, *status, *text;
  };
  constexpr Row table[] = {
      {"GET /nothing", "HTTP/1.1 404", "there is nothing at /nothing"},
      {"GET /tail/", "HTTP/1.1 404", "there is nothing"},
      {"POST /hello", "HTTP/1.1 405", "it takes: GET, HEAD, OPTIONS"},
      {"DELETE /echo", "HTTP/1.1 405", "it takes: POST, OPTIONS"},
      {"BREW /hello", "HTTP/1.1 405", "does not take BREW"},
      {"GET /hello?nmae=x", "HTTP/1.1 400", "unknown query parameter 'nmae'"},
      {"GET /hello?name=x&name=y", "HTTP/1.1 400", "'name' appears more than once"},
      {"GET /hello?name=%zz", "HTTP/1.1 400", "two hex digits"},
      {"GET /hello?name=%00", "HTTP/1.1 400", "a control character"},
      {"GET /tail/%ff", "HTTP/1.1 400", "not UTF-8"},
      {"GET /tail/%", "HTTP/1.1 400", "two hex digits"},
      {"GET hello", "HTTP/1.1 400", "must begin with '/'"},
      {"CONNECT example.org:80", "HTTP/1.1 400", "must begin with '/'"},
      {"GET http://example.org/hello", "HTTP/1.1 421", "does not answer for the host"},
  };
  for (const Row& row : table) {
    const std::string response = ask(row.line);
    EXPECT_EQ(status_of(response), row.status) << row.line;
    EXPECT_NE(response.find(row.text), std::string::npos) << row.line << "\n" << response;
    EXPECT_NE(response.find("Content-Type: application/problem+json\r\n"), std::string::npos) << row.line;
  }
  EXPECT_NE(ask("PUT /hello").find("\r\nAllow: GET, HEAD, OPTIONS\r\n"), std::string::npos);
  EXPECT_EQ(status_of(ask("OPTIONS /hello")), "HTTP/1.1 204");
  EXPECT_EQ(ask("OPTIONS /hello", "Origin: http://evil.example\r\n").find("Access-Control"), std::string::npos);
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  start();
  RawClient client(port());
  std::string requests;
  for (int i = 0; i < 50; ++i)
    requests += "GET /hello?name=" + std::to_string(i) + "x HTTP/1.1\r\nHost: localhost\r\n\r\n";
  requests += "GET /hello?name=end HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  client.send(requests);
  const std::string all = client.read_all();
  std::size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    at = all.find("hello " + std::to_string(i) + "x0\n", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_NE(all.find("hello end0\n", at), std::string::npos);
  EXPECT_TRUE(client.closed());
}

// What one server of a chain would take for a body must not be taken for a request by the next.
TEST_F(HttpServerTest, DoesNotReadASmuggledRequest) {
  start();
  const std::string inner = "GET /tail/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::string shapes[] = {
      "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked, identity\r\n\r\n",
      "Transfer-Encoding: identity\r\n\r\n",
      "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding:\x0b"
      "chunked\r\n\r\n0\r\n\r\n",
      "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "Content-Length: 0\r\nContent-Length: 50\r\n\r\n",
      "Content-Length: 0, 0\r\n\r\n",
      "Content-Length: -0\r\n\r\n",
      "Content-Length\r\n : 5\r\n\r\n",
  };
  for (const std::string& shape : shapes) {
    const std::string response = exchange(port(), "POST /echo HTTP/1.1\r\nHost: localhost\r\n" + shape + inner);
    EXPECT_TRUE(status_of(response) == "HTTP/1.1 400" || status_of(response) == "HTTP/1.1 501") << shape << response;
    EXPECT_EQ(response.find("smuggled"), std::string::npos) << shape;
    EXPECT_NE(response.find("\r\nConnection: close\r\n"), std::string::npos) << shape;
  }
  EXPECT_EQ(counters().malformed, std::size(shapes));
  // A body sent to one that takes none is read over, not read as a request.
  const std::string response =
      exchange(port(), "GET /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(inner.size()) +
                           "\r\nConnection: close\r\n\r\n" + inner);
  EXPECT_EQ(body_of(response), "hello world0\n");
}

TEST_F(HttpServerTest, RefusesHeadersAndBodiesBeyondTheirLimit) {
  start();
  EXPECT_EQ(status_of(ask("GET /hello", "X: " + std::string(20'000, 'x') + "\r\n")), "HTTP/1.1 431");
  EXPECT_EQ(status_of(ask("GET /tail/" + std::string(9'000, 'x'))), "HTTP/1.1 414");
  EXPECT_EQ(status_of(ask("POST /echo", "Content-Length: 2000000\r\n")), "HTTP/1.1 413");
  EXPECT_EQ(status_of(ask("GET /hello", "Content-Length: 100000\r\n")), "HTTP/1.1 413");
  const std::string body(1'000'000, 'b');
  EXPECT_EQ(body_of(ask("POST /echo", "Content-Length: 1000000\r\n\r\n" + body)).substr(0, body.size()), body);
}

TEST_F(HttpServerTest, AnswersOnlyForItsOwnNamesOnLoopback) {
  start({.host_names = {"Plant.example"}});
  const auto with = [&](const std::string& host) {
    return status_of(exchange(port(), "GET /hello HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"));
  };
  for (const char* good : {"localhost", "LocalHost:8080", "127.0.0.1:1", "[::1]:80", "plant.example:8080", "127.8.9.1"})
    EXPECT_EQ(with(good), "HTTP/1.1 200") << good;
  for (const char* bad :
       {"evil.example", "localhost.evil.example", "10.0.0.1", "evil@localhost", "localhost:80:80", "[::2]"})
    EXPECT_EQ(with(bad), "HTTP/1.1 421") << bad;
  EXPECT_EQ(with(""), "HTTP/1.1 200");  // an empty Host names nobody: no browser sends it
}

TEST_F(HttpServerTest, CompressesWhatTheClientWantsCompressed) {
  start();
  const std::string plain = curl("-w '%{size_download}' -o /dev/null " + url_ + "/large").output;
  EXPECT_EQ(plain, "3000000");
  const std::string small =
      curl("-w '%{size_download}' -o /dev/null -H 'Accept-Encoding: gzip' " + url_ + "/large").output;
  EXPECT_LT(std::stoi(small), 50'000);
  EXPECT_EQ(curl("--compressed " + url_ + "/large | wc -c").output, "3000000\n");
  EXPECT_EQ(curl("--compressed " + url_ + "/woken").output, "line 1\nline 2\nline 3\n");
  EXPECT_EQ(ask("GET /hello", "Accept-Encoding: gzip\r\n").find("Content-Encoding"), std::string::npos);
}

TEST_F(HttpServerTest, RefusesConnectionsBeyondTheLimits) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  HttpServerOptions options;
  options.limits.connections_per_address = 50;
  start(options);
  std::deque<RawClient> clients;
  for (int i = 0; i < 50; ++i) clients.emplace_back(port());
  for (auto& client : clients) {
    client.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ASSERT_NE(client.read_until("hello world"), std::string::npos);
  }
  for (int i = 0; i < 10'000; ++i) {
    RawClient more(port());
    if (i % 100 != 0) continue;
    more.read_all();
    EXPECT_TRUE(more.closed());
    EXPECT_EQ(status_of(more.received()), "HTTP/1.1 503");
  }
  // Those inside are served on, and a place given up is free again.
  clients[7].received().clear();
  clients[7].send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_NE(clients[7].read_until("hello world"), std::string::npos);
  const HttpCounters now = counters();
  EXPECT_EQ(now.open, 50u);
  EXPECT_GE(now.refused_limit, 9'900u);
  clients.clear();
  for (int i = 0; i < 100 && counters().open != 0; ++i) std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(curl(url_ + "/hello").output, "hello world0\n");
}

TEST_F(HttpServerTest, ClosesThoseWhoSendTheirHeaderByteByByte) {
  HttpServerOptions options;
  options.limits.header_timeout = milliseconds(300);
  start(options);
  std::deque<RawClient> slow;
  for (int i = 0; i < 20; ++i) slow.emplace_back(port());
  const auto begun = std::chrono::steady_clock::now();
  const std::string_view text =
      "GET /hello HTTP/1.1\r\nHost: localhost\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
  for (std::size_t i = 0; i < 40; ++i) {
    for (auto& client : slow) client.send(text.substr(i, 1));
    std::this_thread::sleep_for(milliseconds(20));
    if (i != 5) continue;
    EXPECT_EQ(curl(url_ + "/hello").output, "hello world0\n");
  }
  for (auto& client : slow) {
    client.read_all(seconds(5));
    EXPECT_TRUE(client.closed());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(5));
  EXPECT_EQ(counters().timed_out, 20u);
}

TEST_F(HttpServerTest, ClosesIdleConnectionsWithoutBlame) {
  HttpServerOptions options;
  options.limits.idle_timeout = milliseconds(200);
  start(options);
  RawClient client(port());
  client.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  client.read_all(seconds(5));
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(counters().timed_out, 0u);
}

TEST_F(HttpServerTest, MakesNoMoreThanASlowClientReads) {
  start();
  RawClient slow(port(), 4096);
  slow.send("GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_NE(slow.read_until("\r\n\r\n"), std::string::npos);
  std::uint64_t before = 0;
  for (int i = 0; i < 100 && (before == 0 || before != made_); ++i) {
    before = made_;
    std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_EQ(before, made_);
  EXPECT_LT(made_, 4u * 1024 * 1024);  // the buffers of two sockets, and one piece
  EXPECT_EQ(curl(url_ + "/hello").output, "hello world0\n");
  EXPECT_EQ(counters().producing, 1u);
}

TEST_F(HttpServerTest, DropsAClientThatStopsReading) {
  HttpServerOptions options;
  options.limits.idle_timeout = milliseconds(300);
  start(options);
  RawClient stopped(port(), 4096);
  stopped.send("GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n");
  for (int i = 0; i < 200 && counters().timed_out == 0; ++i) std::this_thread::sleep_for(milliseconds(25));
  const HttpCounters now = counters();
  EXPECT_EQ(now.timed_out, 1u);
  EXPECT_EQ(now.open, 0u);
  EXPECT_EQ(now.producing, 0u);
}

TEST_F(HttpServerTest, DestroysProducersWhenTheClientOrTheServerGoes) {
  start();
  {
    RawClient client(port());
    client.send("GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ASSERT_NE(client.read_until("xxxx"), std::string::npos);
  }
  for (int i = 0; i < 200 && counters().producing != 0; ++i) std::this_thread::sleep_for(milliseconds(25));
  EXPECT_EQ(counters().producing, 0u);
  RawClient client(port());
  client.send("GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_NE(client.read_until("xxxx"), std::string::npos);
  loop_.on([this] { server_.reset(); });
  client.read_all();
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpServerTest, AsksForATokenExceptWhereOpen) {
  const auto tokens = HttpTokens::load(file("tokens", "alice alice-has-a-secret\n"));
  ASSERT_TRUE(tokens) << tokens.error().message;
  start({.tokens = *tokens});
  EXPECT_EQ(curl(url_ + "/open").output, "open\n");
  EXPECT_EQ(curl("-o /dev/null -w '%{http_code}' " + url_ + "/hello").output, "401");
  EXPECT_EQ(curl("-o /dev/null -w '%{http_code}' -H 'Authorization: Bearer wrong' " + url_ + "/hello").output, "401");
  EXPECT_EQ(curl("-o /dev/null -w '%{http_code}' -u alice:alice-has-a-secret " + url_ + "/hello").output, "401");
  EXPECT_NE(ask("GET /hello").find("\r\nWWW-Authenticate: Bearer\r\n"), std::string::npos);
  EXPECT_EQ(curl("-H 'Authorization: Bearer alice-has-a-secret' " + url_ + "/hello").output, "hello world0alice\n");
  EXPECT_EQ(counters().unauthorized, 4u);
}

TEST_F(HttpServerTest, SpeaksTls13Only) {
  const std::string name = (folder_ / "http").string();
  const auto made = run_command(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
      "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout " +
      name + ".key -out " + name + ".crt");
  ASSERT_EQ(made.status, 0) << made.output;
  start({.tls = HttpTls{name + ".crt", name + ".key"}});
  const std::string url = "https://localhost:" + std::to_string(port());
  EXPECT_EQ(curl("--cacert " + name + ".crt " + url + "/hello").output, "hello world0\n");
  EXPECT_EQ(curl("--cacert " + name + ".crt " + url + "/woken").output, "line 1\nline 2\nline 3\n");
  EXPECT_EQ(curl("--cacert " + name + ".crt " + url + "/large | wc -c").output, "3000000\n");
  EXPECT_NE(curl("--cacert " + name + ".crt --tls-max 1.2 " + url + "/hello").status, 0);
  EXPECT_NE(curl(url + "/hello").status, 0);  // not a certificate of the system's authorities
  const std::string connect =
      "openssl s_client -brief -connect 127.0.0.1:" + std::to_string(port()) + " -CAfile " + name + ".crt < /dev/null";
  EXPECT_NE(run_command(connect).output.find("X25519MLKEM768"), std::string::npos);
  EXPECT_NE(run_command(connect + " -groups X25519").output.find("X25519"), std::string::npos);
  EXPECT_NE(exchange(port(), "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").find("HTTP/1.1"), 0u);
  EXPECT_GE(counters().failed_handshakes, 2u);
}

TEST_F(HttpServerTest, SaysWhyItCannotStart) {
  start();
  const auto again = loop_.on([this] { return HttpServer::start(loop_.loop(), {.port = port()}, {}); });
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message.find("choose another port"), std::string::npos) << again.error().message;
  const auto named = loop_.on([this] { return HttpServer::start(loop_.loop(), {.host = "example.org"}, {}); });
  ASSERT_FALSE(named);
  EXPECT_NE(named.error().message.find("neither an IP address nor localhost"), std::string::npos);
  const auto no_file = check_http_tls({(folder_ / "no.crt").string(), (folder_ / "no.key").string()});
  ASSERT_FALSE(no_file);
  EXPECT_NE(no_file.error().message.find("no.crt: No such file"), std::string::npos) << no_file.error().message;
  const std::string junk = file("junk.crt", "this is no certificate\n");
  EXPECT_FALSE(check_http_tls({junk, junk}));
}

TEST_F(HttpServerTest, ClosesOnATlsHandshakeSentToThePlainPort) {
  start();
  const std::string response = exchange(port(), std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
  EXPECT_EQ(status_of(response), "HTTP/1.1 400");
  EXPECT_NE(response.find("use http://"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::net
