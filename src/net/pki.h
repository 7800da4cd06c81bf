// Making keys and certificates for `sallyport keys`: a small certificate authority on OpenSSL's EVP. Any thread.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sallyport::net {

enum class KeyAlgorithm { ml_dsa_65, ed25519, ecdsa_p256 };
Result<KeyAlgorithm> parse_key_algorithm(std::string_view text);  // "ml-dsa-65", "ed25519", "ecdsa-p256"

struct CaRequest {
  std::string folder{};  // receives ca.crt and ca.key (0600); refuses to overwrite
  std::string name = "sallyport CA";
  KeyAlgorithm algorithm = KeyAlgorithm::ml_dsa_65;
  int days = 3650;
};
Result<void> make_ca(const CaRequest& request);

struct IssueRequest {
  std::string ca_folder{};  // holds ca.crt and ca.key
  std::string name{};       // CN and DNS name; same rules as node names
  std::string folder{};     // receives NAME.crt, NAME.key (0600) and the pair that signs data; refuses to overwrite
  KeyAlgorithm algorithm = KeyAlgorithm::ml_dsa_65;
  int days = 825;
  int not_before_days_ago = 0;  // for tests of expiry: with days = 1, not_before_days_ago = 3 is an expired one
};
// With ML-DSA-65, also NAME.sign.crt and NAME.sign.key (issue_sign_certificate).
// Whether the pair that signs lies there already: issue_certificate() leaves it as it is.
bool has_sign_pair(const std::string& folder, const std::string& name);
Result<void> issue_certificate(const IssueRequest& request);

// NAME.sign.crt and NAME.sign.key (0600): the Ed25519 certificate that a node signs data with, beside its own ML-DSA-65
// one (net/signer.h). It is good for nothing else: TLS refuses it. `algorithm` is not looked at.
Result<void> issue_sign_certificate(const IssueRequest& request);

}  // namespace sallyport::net
