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
  std::string folder{};     // receives NAME.crt and NAME.key (0600); refuses to overwrite
  KeyAlgorithm algorithm = KeyAlgorithm::ml_dsa_65;
  int days = 825;
  int not_before_days_ago = 0;  // for tests of expiry: with days = 1, not_before_days_ago = 3 is an expired one
};
Result<void> issue_certificate(const IssueRequest& request);

}  // namespace sallyport::net
