// What is said on a connection before TLS begins: to a proxy, so that it passes us on, or to a web server, so that it
// lets WebSocket frames through. Bytes in, bytes out, no I/O. One opening follows the other on the same connection:
// first the proxy, then the upgrade.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/tls.h"
#include "net/websocket.h"

namespace sallyport::net {

struct SocketBio;

class Opening {
 public:
  virtual ~Opening() = default;
  // Adds to `out` what is to be said first.
  virtual void begin(std::string&) {}
  // Takes the answer off the front of `in`, adds what is to be said next to `out`. True: this opening is done, and what
  // is left of `in` belongs to whatever follows. An error ends the connection; `out` is still sent, if it can be.
  virtual Result<bool> received(std::string& in, std::string& out) = 0;
  virtual std::string waiting_for() const = 0;          // "an answer of the proxy", for when it does not come
  virtual std::string_view hint() const { return {}; }  // where to look when it does not come
  // Set: once done, everything travels in WebSocket frames.
  virtual std::optional<WebSocket::Side> websocket() const { return {}; }
};

// RFC 9110 §9.3.6, with Basic authentication (RFC 7617) when the proxy has a user.
std::unique_ptr<Opening> make_http_connect(const Proxy& proxy, const Address& target);
// RFC 1928, RFC 1929. A host name is passed on as it is.
std::unique_ptr<Opening> make_socks5_connect(const Proxy& proxy, const Address& target);
// RFC 6455 §4.1 and §4.2.
std::unique_ptr<Opening> make_websocket_request(const std::string& path, const Address& host);
std::unique_ptr<Opening> make_websocket_answer();

// The openings of one connection, run on its non-blocking socket. Loop thread.
class Openings {
 public:
  enum class State : std::uint8_t { done, want_read, want_write };

  void add(std::unique_ptr<Opening> opening) { openings_.push_back(std::move(opening)); }
  // The listening side: decides by the first byte, which stays unread if it is none of HTTP's.
  void add_if_http(std::unique_ptr<Opening> opening);

  bool done() const { return next_ == openings_.size(); }
  // As far as the socket allows. Done: `io` carries what follows, through WebSocket frames if that was agreed.
  Result<State> step(SocketBio& io);
  // "… did not come in time", and where to look. Before done().
  std::string describe_timeout() const;

 private:
  Result<State> look_at_first_byte(SocketBio& io);
  void start_websocket(SocketBio& io) const;
  Result<State> hand_over(SocketBio& io);
  Result<void> send(SocketBio& io);
  Result<bool> receive(SocketBio& io);
  std::unexpected<Error> failed(SocketBio& io, int error) const;

  std::vector<std::unique_ptr<Opening>> openings_;
  std::size_t next_ = 0;
  bool begun_ = false;
  bool only_if_http_ = false;
  std::string in_, out_;
};

}  // namespace sallyport::net
