// A TLS connection on a socket: first the handshake, then the stream. Shared by dialling and listening. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/asio.h"
#include "net/identity.h"
#include "net/opening.h"
#include "net/socket_bio.h"
#include "net/tls.h"
#include "net/tls_failure.h"

namespace sallyport::net {

// Never moved: OpenSSL holds pointers into it. The SSL object goes first.
struct TlsSocket {
  TlsSocket(asio::ip::tcp::socket connected, SSL_CTX* context, Role side);
  TlsSocket(const TlsSocket&) = delete;
  TlsSocket& operator=(const TlsSocket&) = delete;

  asio::ip::tcp::socket socket;
  SocketBio io;
  Openings openings;         // run before TLS
  std::string shown_address;  // of the peer; empty: where the socket leads
  PeerCheck check;
  Role role;
  SslPtr ssl;
};

// "10.0.0.5:4433", "[::1]:4433"; an IPv4 peer on a dual-stack socket reads as IPv4.
std::string to_string(const asio::ip::tcp::endpoint& endpoint);

// Runs one handshake to its end or its deadline. Destroying it cancels.
class Handshake {
 public:
  // On failure the socket comes back too, for a last goodbye; its SSL object is spent.
  using Done = std::function<void(Result<std::unique_ptr<TlsStream>>, std::unique_ptr<TlsSocket>)>;
  Handshake(Loop& loop, std::unique_ptr<TlsSocket> socket, Duration timeout, Done done);
  ~Handshake();
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

std::unique_ptr<TlsStream> make_stream(std::unique_ptr<TlsSocket> socket, std::string group, CertificateInfo peer);

}  // namespace sallyport::net
