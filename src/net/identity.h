// What stands behind a TlsIdentity: two OpenSSL contexts, one to dial with and one to listen with.
#pragma once

#include "net/certificate.h"
#include "net/openssl.h"
#include "net/tls.h"

namespace sallyport::net {

// Hybrid post-quantum groups, and nothing else: with no classical group on the list there is nothing to fall back to.
inline constexpr const char* kGroups = "X25519MLKEM768:SecP256r1MLKEM768";
// The first hello carries a key share of MLKEM512 alone (800 bytes, where the hybrid ones have 1.2 kB), which no peer of
// ours accepts; it asks for another hello with one of the groups above. Not a classical share, though that would be
// smaller: then a classical group would stand on the list. See docs/decisions/small-client-hello.md.
inline constexpr const char* kGroupsOfSmallHello = "*MLKEM512:X25519MLKEM768:SecP256r1MLKEM768";
// OpenSSL's own upper limit on the peer's chain; the transport allows no more bytes than this before authentication
// either.
inline constexpr long kMaxCertificateListBytes = 64 * 1024;

struct TlsIdentity::Impl {
  CertificateInfo info;
  SslContextPtr dialling;
  SslContextPtr listening;
};

}  // namespace sallyport::net
