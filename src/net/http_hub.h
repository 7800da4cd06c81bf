// What all sessions of one HTTP server share. Internal to the HTTP server. Loop thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_set>

#include "net/http_server.h"
#include "net/loop.h"

namespace sallyport::net {

class HttpParser;
class HttpSession;

struct HttpHub {
  HttpHub(Loop& the_loop, HttpServerOptions the_options, HttpRouter the_router)
      : loop(the_loop), options(std::move(the_options)), router(std::move(the_router)) {}
  HttpHub(const HttpHub&) = delete;
  HttpHub& operator=(const HttpHub&) = delete;

  Loop& loop;
  HttpServerOptions options;
  HttpRouter router;
  SystemClock clock;
  HttpCounters counters;
  bool check_host = true;
  std::unordered_set<std::shared_ptr<HttpSession>> sessions;  // each until its close()
  std::map<std::string, unsigned> per_address;
};

// Looks at a request's head: target, Host, route, token, query. Fills `request` and `route`, or returns the refusal.
std::optional<HttpResponse> admit(HttpHub& hub, const HttpParser& head, HttpRequest& request, const HttpRoute*& route);

// Status line and header fields, ready to be sent. `length` absent: chunked, or until the connection closes (HTTP/1.0).
struct HttpFraming {
  std::optional<std::size_t> length;
  bool chunked = false;
  bool gzip = false;
  bool close = false;
};
std::string http_head(const HttpResponse& response, const HttpFraming& framing);

}  // namespace sallyport::net
