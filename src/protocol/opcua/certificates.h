// Application instance certificates of OPC UA: RSA, X.509, DER on the wire. (OPC 10000-6 §6.2) Any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sallyport::opcua {

struct Certificate {
  std::string der;  // the certificate alone, without its chain
  std::string subject;
  std::string application_uri;  // URI of the subject alternative name; empty when it has none
  std::string sha256;           // fingerprint, lower-case hex
  std::string thumbprint;       // SHA-1, lower-case hex: what OPC UA products show
  UtcNanoseconds not_before = 0, not_after = 0;
};

// The first certificate of `der`; what follows it (a chain) is passed over.
Result<Certificate> read_certificate(std::string_view der);
// From a file, PEM or DER.
Result<Certificate> load_certificate(const std::string& file);

// A certificate with its key, as a client or server presents it.
struct Identity {
  Certificate certificate;
  std::string private_key;  // DER
};
// Checks that the key belongs to the certificate, that it is RSA and that the certificate names an application URI.
Result<Identity> load_identity(const std::string& certificate_file, const std::string& key_file);

struct SelfSigned {
  std::string name;  // CN
  std::string application_uri;
  std::vector<std::string> hosts;  // DNS names and IP addresses
  int days = 3650;
  int key_bits = 2048;
};
Result<Identity> make_self_signed(const SelfSigned& request);
// PEM files; the key readable by its owner only. Overwrites.
Result<void> save_identity(const Identity& identity, const std::string& certificate_file, const std::string& key_file);

// Which server certificates are believed.
class ServerTrust {
 public:
  ServerTrust();
  ~ServerTrust();
  ServerTrust(ServerTrust&&) noexcept;
  ServerTrust& operator=(ServerTrust&&) noexcept;

  // Exactly this certificate.
  Result<void> pin(const std::string& file);
  // This one, and whatever it or one of the others issued. A PEM file may hold several.
  Result<void> add_authority(const std::string& file);
  bool empty() const;
  // `der` is what the server presents, with its chain. refused: says why and what to do, and names the fingerprint.
  Result<void> check(std::string_view der) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::opcua
