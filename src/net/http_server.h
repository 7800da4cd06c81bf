// A small HTTP/1.1 server on the node's loop: routes, limits, problem+json errors, gzip, bearer tokens, TLS 1.3, and
// streams that are written only as fast as their client reads. It knows HTTP and nothing of points; sinks/http/ does.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_tokens.h"
#include "net/loop.h"

namespace sallyport::net {

struct HttpRequest {
  std::string method;
  std::string path;                                        // percent-decoded, valid UTF-8, no control characters
  std::string tail;                                        // what `{name...}` of the route captured
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order; only keys that the route allows
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string remote_address;
  std::string user;         // name of the token presented
  bool authorized = false;  // a token was presented, or none is needed

  std::string_view header(std::string_view name) const;  // first of that name, any case; "" when absent
  std::optional<std::string_view> parameter(std::string_view name) const;
  std::vector<std::string> parameters(std::string_view name) const;  // all of a repeated one
};

// A body that is made while it is being sent. Destroyed when the response ends, however it ends. Loop thread.
class HttpProducer {
 public:
  virtual ~HttpProducer() = default;
  enum class Next : std::uint8_t {
    more,  // ask again as soon as these bytes are with the kernel (or at the next turn, when there are none)
    wait,  // ask again after wake()
    end,
  };
  // Called once, before the first produce(). `wake` may be called on any thread, also when the response is long gone.
  virtual void begin(std::function<void()> wake) = 0;
  // Appends about `max` bytes or fewer, in bounded time. Called only when the socket took everything before: what a
  // slow client does not read is never made. May be called without a wake(), too.
  virtual Next produce(std::string& out, std::size_t max) = 0;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::unique_ptr<HttpProducer> producer;  // instead of body
  // Instead of all else: called once per turn of the loop until it returns the response. For what takes too long for
  // one.
  std::function<std::optional<HttpResponse>()> work;
  // Instead of all else: called once, with what takes the response when another thread has it. That may be called on any
  // thread, also when the connection is long gone.
  std::function<void(std::function<void(HttpResponse)> done)> later;
  bool compress = true;  // when the client accepts gzip; never for event streams

  static HttpResponse json(std::string body, int status = 200);
};

// An RFC 9457 problem document: what is wrong, and in `hint` what to do about it.
HttpResponse http_problem(int status, std::string_view detail, std::string_view hint = {});
std::string_view http_reason(int status);

struct HttpParameter {
  std::string name;
  bool repeated = false;  // may appear more than once
};

struct HttpRoute {
  std::string method;  // "GET" answers HEAD too
  std::string path;    // "/api/v1/points/{path...}": a tail in braces takes the rest, at least one byte
  std::vector<HttpParameter> parameters = {};  // any other in the query is an error with a hint
  std::function<HttpResponse(const HttpRequest&)> handler;
  bool open = false;        // answered without a token
  bool takes_body = false;  // else a body of more than 64 KiB is refused
};

class HttpRouter {
 public:
  void add(HttpRoute route) { routes_.push_back(std::move(route)); }
  const std::vector<HttpRoute>& routes() const { return routes_; }

  // The route of a request, and its tail. Otherwise `allowed` says which methods the path has (empty: no such path).
  struct Match {
    const HttpRoute* route = nullptr;
    std::string tail;
    std::string allowed;
  };
  Match find(std::string_view method, std::string_view path) const;

 private:
  std::vector<HttpRoute> routes_;
};

struct HttpLimits {
  std::size_t header_bytes = 16 * 1024;
  std::size_t body_bytes = 1024 * 1024;
  unsigned connections = 1024;
  unsigned connections_per_address = 256;              // an IPv6 /64 counts as one
  Duration header_timeout = std::chrono::seconds(10);  // from the first byte (or the connect) to the end of the header
  Duration idle_timeout = std::chrono::seconds(60);  // without a request, or without the client taking or giving a byte
};

struct HttpTls {
  std::string certificate, private_key;  // PEM files; certificate may carry its chain
};

// Whether these files can be served with; the message names the file.
Result<void> check_http_tls(const HttpTls& tls);

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // an IP address, or "localhost"
  std::uint16_t port = 0;          // 0: any free port
  std::optional<HttpTls> tls = {};
  HttpTokens tokens = {};  // empty: nobody is asked
  // Names that a Host header may carry besides the loopback ones. Checked when listening on loopback (DNS rebinding),
  // and elsewhere when not empty.
  std::vector<std::string> host_names = {};
  HttpLimits limits = {};
};

// True for 127.0.0.0/8, ::1 and "localhost"; false for every other address; an error when it is no address.
Result<bool> is_loopback_host(std::string_view host);

struct HttpCounters {
  std::uint64_t accepted = 0;
  std::uint64_t refused_limit = 0;  // connections beyond a limit
  std::uint64_t failed_handshakes = 0;
  std::uint64_t timed_out = 0;  // closed for a header, idle or write timeout
  std::uint64_t malformed = 0;  // requests that are no HTTP
  std::uint64_t unauthorized = 0;
  std::uint64_t responses[6] = {};  // by first digit of the status
  std::uint64_t bytes_sent = 0;
  unsigned open = 0;       // connections now
  unsigned producing = 0;  // of these, with a response that is still being made
};

// Loop thread, or before the loop runs. The destructor closes every connection and drops every producer.
class HttpServer {
 public:
  // Fails with a message for the operator: address in use, certificate unreadable, key of another certificate, …
  static Result<std::unique_ptr<HttpServer>> start(Loop& loop, HttpServerOptions options, HttpRouter router);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  const HttpCounters& counters() const;
  // For new connections (certificate) and new requests (tokens). What cannot be loaded changes nothing.
  Result<void> reload(std::optional<HttpTls> tls, HttpTokens tokens);

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::net
