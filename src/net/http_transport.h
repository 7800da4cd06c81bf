// What a session reads from and writes to: a TCP socket, bare or under TLS 1.3. Internal to the HTTP server.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "base/result.h"
#include "net/http_server.h"

namespace boost::asio::ssl {
class context;
}

namespace sallyport::net {

// One read and one write at a time. A callback that was given runs once, also after close(). Loop thread.
class HttpTransport {
 public:
  using Done = std::function<void(const boost::system::error_code& error, std::size_t size)>;
  virtual ~HttpTransport() = default;
  virtual void handshake(Done done) = 0;
  virtual void read_some(std::span<char> into, Done done) = 0;
  virtual void write_some(std::string_view from, Done done) = 0;
  // Says goodbye: close_notify and FIN. Then `done`, after which the peer's last bytes may still be read.
  virtual void finish(Done done) = 0;
  virtual void close() = 0;
};

std::unique_ptr<HttpTransport> plain_transport(boost::asio::ip::tcp::socket socket);

using TlsContext = boost::asio::ssl::context;
// TLS 1.3 for browsers and tools: X25519MLKEM768 preferred, X25519 accepted. Messages name the file.
Result<std::shared_ptr<TlsContext>> make_tls_context(const HttpTls& tls);
std::unique_ptr<HttpTransport> tls_transport(boost::asio::ip::tcp::socket socket, std::shared_ptr<TlsContext> context);

}  // namespace sallyport::net
