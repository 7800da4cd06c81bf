// Hybrid signatures: an Ed25519 one by a node's sign key, and an ML-DSA-65 one by its own key, both under certificates of the
// plant's authority. The signer stands at the origin of data, the credential at those who verify it, with no connection
// between the two. Any thread; immutable.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/hash.h"
#include "crypto/signature.h"
#include "net/tls.h"

namespace sallyport::net {

inline constexpr std::size_t kMaxCredentialBytes = 48 * 1024;

// `sign_certificate` and `sign_key` as given, or X.sign.crt and X.sign.key beside a certificate X.crt where they exist.
IdentityFiles with_sign_files(IdentityFiles files);

// The authorities of a `trust` file.
class Trust {
 public:
  static Result<std::shared_ptr<const Trust>> load(const std::string& pem_file);
  ~Trust();
  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  Trust();
  std::unique_ptr<Impl> impl_;
};

class Signer {
 public:
  // `files` as with_sign_files gives them. Whatever a verifier would refuse is an error here, and says what to do.
  static Result<std::shared_ptr<const Signer>> load(const IdentityFiles& files, const std::string& expected_name);
  ~Signer();

  const std::string& name() const;
  // Both certificates (and intermediate authorities, if the file of the certificate has some), as Credential::verify reads it.
  const Bytes& credential() const;
  // Messages begin with a context of their own, so that no signature means two things: "sallyport diode epoch v1\0".
  // Should OpenSSL fail, which it does only without memory: logged, and a signature that no one accepts.
  crypto::FastSignature sign_fast(std::span<const std::byte> message) const;  // Ed25519
  Bytes sign_pq(std::span<const std::byte> message) const;                    // ML-DSA-65, 3,309 bytes

 private:
  Signer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Credential {
 public:
  // Checks both certificates: issued under `trust`, valid at `now`, both of the node `expected_name`, the one for signing
  // made for that and an Ed25519 one, the other ML-DSA-65 and signed with ML-DSA up to the authority. malformed, refused.
  static Result<Credential> verify(std::span<const std::byte> credential, const Trust& trust, const std::string& expected_name,
                                   UtcNanoseconds now);
  Credential(Credential&&) noexcept;
  Credential& operator=(Credential&&) noexcept;
  ~Credential();

  const std::string& name() const;
  bool check_fast(std::span<const std::byte> message, std::span<const std::byte> signature) const;
  bool check_pq(std::span<const std::byte> message, std::span<const std::byte> signature) const;
  UtcNanoseconds not_after() const;             // of the certificate that ends first
  const crypto::Digest& fingerprint() const;    // SHA-256 of the credential

 private:
  Credential();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::net
