// The HTTP API of a node (docs/http.md): points, browse, live stream, links, metrics, health, and the web page. It
// reads the namespace; nothing can be written through it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "namespace/namespace.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "sinks/http/http_settings.h"
#include "sinks/http/node_view.h"

namespace sallyport::http {

// Loop thread, or before the loop runs. Loop, namespace and view outlive it. The destructor closes every connection.
class HttpApi {
 public:
  HttpApi(net::Loop& loop, Namespace& ns, NodeView& view, HttpSettings settings);
  ~HttpApi();
  HttpApi(const HttpApi&) = delete;
  HttpApi& operator=(const HttpApi&) = delete;

  Result<void> start();
  void stop();
  std::uint16_t port() const;  // after start()
  std::string url() const;     // "http://127.0.0.1:8080/", for people
  // Takes over certificate and tokens; another address needs a restart and is said so in the log.
  Result<void> reload(const HttpSettings& settings);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Every route, without starting anything: the OpenAPI document is compared with it.
net::HttpRouter make_router(net::Loop& loop, Namespace& ns, NodeView& view, const net::HttpCounters*& counters);

}  // namespace sallyport::http
