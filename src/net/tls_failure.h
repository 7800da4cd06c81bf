// Why a TLS peer was refused, refused us, or went away, in words for the operator.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "net/openssl.h"
#include "net/socket_bio.h"

namespace sallyport::net {

enum class Role : std::uint8_t { dialler, listener };

// Hangs on the SSL object (app data) during the handshake. OpenSSL tells us which certificate it did not like only
// while it checks; afterwards there is but an error number.
struct PeerCheck {
  std::string expected_name;  // empty: any valid node name
  std::string failure;        // the first thing found wrong
};
// For SSL_set_verify. Besides the chain it checks the name, so that a wrong peer never sees our certificate.
int check_peer_certificate(int chain_ok, X509_STORE_CTX* context);

// SSL_do_handshake, SSL_read or SSL_write failed for good; `ssl_error` is what SSL_get_error said. Empties the queue.
Error describe_handshake_failure(SSL* ssl, int ssl_error, const SocketBio& io, Role role);
std::string describe_stream_failure(int ssl_error, const SocketBio& io);
std::string describe_handshake_timeout(const SocketBio& io, Role role, Duration after);

}  // namespace sallyport::net
