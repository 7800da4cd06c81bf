// X.509 certificates and private keys as sallyport reads them: from PEM files, with errors that say what to do. Any
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/openssl.h"
#include "net/tls.h"

namespace sallyport::net {

// [A-Za-z0-9._-], 1 to 64 of them: what a node may be called.
bool valid_node_name(std::string_view name);

// All certificates of the file, at least one, in its order.
Result<std::vector<CertificatePtr>> load_certificates(const std::string& pem_file);
// Unencrypted. Warns in the log when everybody on the machine may read it.
Result<KeyPtr> load_private_key(const std::string& pem_file);

CertificateInfo certificate_info(const X509& certificate);
// The node a certificate speaks for: its one CN, a valid node name, equal to a DNS alternative name if it has any.
Result<std::string> node_name_of(const X509& certificate);
// CN if there is one, else the whole name on one line.
std::string display_name(const X509_NAME* name);
// "ML-DSA-65", "ED25519", "EC P-256", "RSA 2048"
std::string key_algorithm_of(const X509& certificate);
// One of the signature algorithms that are offered in the handshake.
bool accepted_key_algorithm(std::string_view algorithm);

// The extended key usage of certificates that sign data (net/signer.h): of our own, so that nothing else accepts them.
inline constexpr const char* kSignUsage = "2.25.170271712577270046300206148524223623150";
// Is that its only extended key usage, and a critical one?
bool has_sign_usage(const X509& certificate);
// An empty store fails every check. What stands in a trust file is trusted, also an intermediate authority without its root.
StorePtr make_trust_store(const std::vector<CertificatePtr>& trust);

UtcNanoseconds utc_now();
// "3 days", "2 hours": the larger unit, rounded down.
std::string in_words(Duration span);

}  // namespace sallyport::net
