#include "net/pki.h"

#include <array>
#include <ctime>
#include <filesystem>

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "net/certificate.h"
#include "net/new_files.h"
#include "net/openssl.h"

namespace sallyport::net {
namespace {

constexpr int kMaxDays = 36'500;
constexpr std::int64_t kDaySeconds = 86'400;
// A plant's clocks are seldom exact; a certificate made a minute ago is to work on a machine that is a minute behind.
constexpr std::int64_t kBackdateSeconds = 3'600;

using SerialPtr = std::unique_ptr<ASN1_INTEGER, OpenSslFree<ASN1_INTEGER_free>>;
using NumberPtr = std::unique_ptr<BIGNUM, OpenSslFree<BN_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpenSslFree<X509_EXTENSION_free>>;

struct Authority {
  CertificatePtr certificate;
  KeyPtr key;
};

[[nodiscard]] std::unexpected<Error> openssl_failed(std::string_view what) {
  return fail(ErrorCode::internal, std::string(what) + ": " + take_openssl_error());
}

std::string in_folder(const std::string& folder, const std::string& file) {
  return (std::filesystem::path(folder) / file).string();
}

Result<KeyPtr> generate_key(KeyAlgorithm algorithm) {
  EVP_PKEY* key = nullptr;
  switch (algorithm) {
    case KeyAlgorithm::ml_dsa_65:
      key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ML-DSA-65");
      break;
    case KeyAlgorithm::ed25519:
      key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
      break;
    case KeyAlgorithm::ecdsa_p256:
      key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
      break;
  }
  if (key == nullptr) return openssl_failed("cannot generate a key");
  return KeyPtr(key);
}

bool set_random_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);  // positive, and always 16 bytes (RFC 5280 §4.1.2.2)
  const NumberPtr number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  const SerialPtr serial(BN_to_ASN1_INTEGER(number.get(), nullptr));
  return serial && X509_set_serialNumber(certificate, serial.get()) == 1;
}

bool set_common_name(X509_NAME* name, const std::string& text) {
  return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()),
                                    -1, 0) == 1;
}

struct Extension {
  int nid;
  std::string value;
};

bool add_extensions(X509* certificate, X509* issuer, const std::vector<Extension>& extensions) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  for (const Extension& each : extensions) {
    const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, each.nid, each.value.c_str()));
    if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) return false;
  }
  return true;
}

bool set_validity(X509* certificate, std::int64_t not_before, std::int64_t not_after) {
  return ASN1_TIME_set(X509_getm_notBefore(certificate), not_before) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), not_after) != nullptr;
}

// ML-DSA and Ed25519 hash for themselves.
bool sign(X509* certificate, EVP_PKEY* key) {
  const EVP_MD* digest = EVP_PKEY_is_a(key, "EC") == 1 || EVP_PKEY_is_a(key, "RSA") == 1 ? EVP_sha256() : nullptr;
  return X509_sign(certificate, key, digest) > 0;
}

Result<std::string> certificate_pem(X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(out.get(), certificate) != 1) return openssl_failed("cannot write the certificate");
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

Result<std::string> key_pem(EVP_PKEY* key) {
  const BioPtr out(BIO_new(BIO_s_secmem()));
  if (PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl_failed("cannot write the key");
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

struct Pair {
  CertificatePtr certificate;
  KeyPtr key;
};

Result<void> add_files(std::vector<NewFile>& files, const std::string& folder, const std::string& name, const Pair& pair) {
  const auto certificate_text = certificate_pem(pair.certificate.get());
  if (!certificate_text) return std::unexpected(certificate_text.error());
  auto key_text = key_pem(pair.key.get());
  if (!key_text) return std::unexpected(key_text.error());
  files.push_back({in_folder(folder, name + ".key"), *std::move(key_text), 0600});
  files.push_back({in_folder(folder, name + ".crt"), *certificate_text, 0644});
  return {};
}

Result<void> write_and_forget(std::vector<NewFile> files) {
  auto written = write_new_files(files);
  for (NewFile& file : files) OPENSSL_cleanse(file.content.data(), file.content.size());
  return written;
}

Result<void> check_days(int days) {
  if (days >= 1 && days <= kMaxDays) return {};
  return fail(ErrorCode::invalid,
              "validity of " + std::to_string(days) + " days: must be 1 to " + std::to_string(kMaxDays));
}

Result<void> check_ca_name(const std::string& name) {
  bool printable = !name.empty() && name.size() <= 64;
  for (const char c : name) printable = printable && static_cast<unsigned char>(c) >= ' ' && c != 0x7f;
  if (printable) return {};
  return fail(ErrorCode::invalid, "name of the authority: must be 1 to 64 printable characters");
}

Result<void> check_issue_name(const std::string& name) {
  if (!valid_node_name(name)) {
    return fail(ErrorCode::invalid, "name '" + name + "': must be 1 to 64 of the characters A-Z a-z 0-9 . _ -");
  }
  if (name == "ca")
    return fail(ErrorCode::invalid, "name 'ca': is kept for the authority's own files; choose another");
  if (name.ends_with(".sign")) {
    return fail(ErrorCode::invalid, "name '" + name + "': names ending in .sign are kept for the pairs that sign data; choose another");
  }
  return {};
}

Result<Authority> load_authority(const std::string& folder) {
  const std::string certificate_file = in_folder(folder, "ca.crt");
  const std::string key_file = in_folder(folder, "ca.key");
  std::error_code ignored;
  if (!std::filesystem::exists(certificate_file, ignored) && !std::filesystem::exists(key_file, ignored)) {
    return fail(ErrorCode::not_found, folder +
                                          ": no certificate authority here (ca.crt and ca.key); make one with "
                                          "`sallyport keys ca --out " +
                                          folder + "`");
  }
  auto certificates = load_certificates(certificate_file);
  if (!certificates) return std::unexpected(certificates.error());
  auto key = load_private_key(key_file);
  if (!key) return std::unexpected(key.error());
  Authority authority{std::move(certificates->front()), std::move(*key)};
  if (X509_check_private_key(authority.certificate.get(), authority.key.get()) != 1) {
    take_openssl_error();
    return fail(ErrorCode::invalid, key_file + ": does not belong to " + certificate_file);
  }
  if (X509_check_ca(authority.certificate.get()) == 0) {
    return fail(ErrorCode::invalid, certificate_file + ": is not the certificate of an authority (CA:TRUE is missing)");
  }
  const CertificateInfo info = certificate_info(*authority.certificate);
  if (info.not_after <= utc_now()) {
    return fail(ErrorCode::invalid,
                certificate_file + ": expired " + in_words(Duration(utc_now() - info.not_after)) +
                    " ago; make a new authority with `sallyport keys ca` and issue all certificates again");
  }
  return authority;
}

Result<CertificatePtr> start_certificate(const std::string& name, EVP_PKEY* key) {
  CertificatePtr certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !set_random_serial(certificate.get()) || !set_common_name(X509_get_subject_name(certificate.get()), name) ||
      X509_set_pubkey(certificate.get(), key) != 1) {
    return openssl_failed("cannot make a certificate for '" + name + "'");
  }
  return certificate;
}

std::int64_t now_seconds() { return utc_now() / 1'000'000'000; }

std::vector<Extension> node_extensions(const std::string& name) {
  return {{NID_basic_constraints, "critical,CA:FALSE"}, {NID_key_usage, "critical,digitalSignature"},
          {NID_ext_key_usage, "serverAuth,clientAuth"}, {NID_subject_alt_name, "DNS:" + name},
          {NID_subject_key_identifier, "hash"},         {NID_authority_key_identifier, "keyid"}};
}
// No alternative name, and a usage of its own alone, critical: no TLS peer takes it for a node's.
std::vector<Extension> sign_extensions() {
  return {{NID_basic_constraints, "critical,CA:FALSE"},
          {NID_key_usage, "critical,digitalSignature"},
          {NID_ext_key_usage, std::string("critical,") + kSignUsage},
          {NID_subject_key_identifier, "hash"},
          {NID_authority_key_identifier, "keyid"}};
}

Result<Pair> issue_pair(const IssueRequest& request, const Authority& authority, KeyAlgorithm algorithm,
                        const std::vector<Extension>& extensions) {
  auto key = generate_key(algorithm);
  if (!key) return std::unexpected(key.error());
  auto certificate = start_certificate(request.name, key->get());
  if (!certificate) return std::unexpected(certificate.error());
  X509* leaf = certificate->get();
  X509* ca = authority.certificate.get();
  // A certificate that outlived its authority would fail one day with nothing about itself to blame.
  const std::int64_t ca_end = certificate_info(*ca).not_after / 1'000'000'000;
  const std::int64_t start = now_seconds() - request.not_before_days_ago * kDaySeconds;
  if (!set_validity(leaf, start - kBackdateSeconds, std::min(start + request.days * kDaySeconds, ca_end)) ||
      X509_set_issuer_name(leaf, X509_get_subject_name(ca)) != 1 || !add_extensions(leaf, ca, extensions) ||
      !sign(leaf, authority.key.get())) {
    return openssl_failed("cannot make the certificate of '" + request.name + "'");
  }
  return Pair{std::move(*certificate), std::move(*key)};
}

Result<void> add_sign_pair(const IssueRequest& request, const Authority& authority, std::vector<NewFile>& files) {
  const auto pair = issue_pair(request, authority, KeyAlgorithm::ed25519, sign_extensions());
  if (!pair) return std::unexpected(pair.error());
  return add_files(files, request.folder, request.name + ".sign", *pair);
}

template <typename Add>
Result<void> issue_files(const IssueRequest& request, const Add& add) {
  if (auto ok = check_issue_name(request.name); !ok) return ok;
  if (auto ok = check_days(request.days); !ok) return ok;
  const auto authority = load_authority(request.ca_folder);
  if (!authority) return std::unexpected(authority.error());
  if (auto ok = make_folder(request.folder, 0755); !ok) return ok;
  std::vector<NewFile> files;
  if (auto ok = add(*authority, files); !ok) return ok;
  return write_and_forget(std::move(files));
}

}  // namespace

Result<KeyAlgorithm> parse_key_algorithm(std::string_view text) {
  if (text == "ml-dsa-65") return KeyAlgorithm::ml_dsa_65;
  if (text == "ed25519") return KeyAlgorithm::ed25519;
  if (text == "ecdsa-p256") return KeyAlgorithm::ecdsa_p256;
  return fail(ErrorCode::invalid,
              "unknown key algorithm '" + std::string(text) + "'; use ml-dsa-65, ed25519 or ecdsa-p256");
}

Result<void> make_ca(const CaRequest& request) {
  if (auto ok = check_ca_name(request.name); !ok) return ok;
  if (auto ok = check_days(request.days); !ok) return ok;
  if (auto ok = make_folder(request.folder, 0700); !ok) return ok;
  auto key = generate_key(request.algorithm);
  if (!key) return std::unexpected(key.error());
  auto certificate = start_certificate(request.name, key->get());
  if (!certificate) return std::unexpected(certificate.error());
  X509* ca = certificate->get();
  const std::int64_t now = now_seconds();
  const std::vector<Extension> extensions = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                             {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                             {NID_subject_key_identifier, "hash"}};
  if (!set_validity(ca, now - kBackdateSeconds, now + request.days * kDaySeconds) ||
      X509_set_issuer_name(ca, X509_get_subject_name(ca)) != 1 || !add_extensions(ca, ca, extensions) ||
      !add_extensions(ca, ca, {{NID_authority_key_identifier, "keyid:always"}}) || !sign(ca, key->get())) {
    return openssl_failed("cannot make the certificate of '" + request.name + "'");
  }
  std::vector<NewFile> files;
  if (auto ok = add_files(files, request.folder, "ca", {std::move(*certificate), std::move(*key)}); !ok) return ok;
  return write_and_forget(std::move(files));
}

bool has_sign_pair(const std::string& folder, const std::string& name) {
  std::error_code ignored;
  return std::filesystem::exists(folder + "/" + name + ".sign.crt", ignored) && std::filesystem::exists(folder + "/" + name + ".sign.key", ignored);
}

Result<void> issue_certificate(const IssueRequest& request) {
  return issue_files(request, [&](const Authority& authority, std::vector<NewFile>& files) -> Result<void> {
    auto node = issue_pair(request, authority, request.algorithm, node_extensions(request.name));
    if (!node) return std::unexpected(node.error());
    if (auto ok = add_files(files, request.folder, request.name, *node); !ok) return ok;
    if (request.algorithm != KeyAlgorithm::ml_dsa_65) return {};  // signs nothing that is to last
    if (has_sign_pair(request.folder, request.name)) return {};   // a renewed certificate; `keys sign` renews the pair
    return add_sign_pair(request, authority, files);
  });
}

Result<void> issue_sign_certificate(const IssueRequest& request) {
  return issue_files(request, [&](const Authority& authority, std::vector<NewFile>& files) {
    return add_sign_pair(request, authority, files);
  });
}

}  // namespace sallyport::net
