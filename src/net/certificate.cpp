#include "net/certificate.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <limits>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/log.h"

namespace sallyport::net {
namespace {

constexpr std::size_t kMaxPemBytes = 1 << 20;  // a company's whole bundle of authorities is about 200 KiB
constexpr std::size_t kMaxCertificates = 1000;

using TextPtr = std::unique_ptr<unsigned char, decltype([](unsigned char* text) { OPENSSL_free(text); })>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpenSslFree<GENERAL_NAMES_free>>;

Result<std::string> read_pem_file(const std::string& file, std::string_view hint) {
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0) {
    const int error = errno;
    if (error == ENOENT) return fail(ErrorCode::not_found, file + ": no such file" + std::string(hint));
    return fail(ErrorCode::io, system_error(file, error).message);
  }
  if (S_ISDIR(status.st_mode)) return fail(ErrorCode::invalid, file + ": this is a folder; name the PEM file in it");
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::invalid, file + ": not a regular file");
  if (static_cast<std::size_t>(status.st_size) > kMaxPemBytes) {
    return fail(ErrorCode::invalid, file + ": larger than 1 MiB; this is not a PEM file of certificates or keys");
  }
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    const int error = errno;
    if (error == EACCES) {
      return fail(ErrorCode::io, file + ": permission denied; the user that runs sallyport must be able to read it");
    }
    return std::unexpected(system_error(file, error));
  }
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(in.gcount(), 0)));
  if (text.empty()) return fail(ErrorCode::malformed, file + ": the file is empty");
  return text;
}

BioPtr memory_bio(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// PEM_read ends a file with this error when nothing more begins; anything else is damage.
bool ended_cleanly() {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

// OpenSSL would otherwise ask on the terminal, and a service has none.
int no_passphrase(char*, int, int, void*) { return -1; }

std::string common_name(const X509_NAME* name, int index) {
  const X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, index);
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
  if (size < 0) return {};
  const TextPtr owner(text);
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(size)};
}

UtcNanoseconds to_utc(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  const std::int64_t seconds = timegm(&parts);
  constexpr std::int64_t kSecond = 1'000'000'000;
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max() / kSecond;  // the year 2262
  return std::clamp(seconds, -kMax, kMax) * kSecond;
}

std::string fingerprint(const X509& certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (X509_digest(&certificate, EVP_sha256(), digest.data(), &size) != 1) return {};
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

// An alternative name list is for matching only: if a DNS name is in it, one of them must be the node's.
bool alternative_names_agree(const X509& certificate, std::string_view name) {
  const NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (!names) return true;
  bool any = false;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* entry = sk_GENERAL_NAME_value(names.get(), i);
    if (entry->type != GEN_DNS) continue;
    any = true;
    const std::string_view dns(reinterpret_cast<const char*>(ASN1_STRING_get0_data(entry->d.dNSName)),
                               static_cast<std::size_t>(ASN1_STRING_length(entry->d.dNSName)));
    if (dns == name) return true;
  }
  return !any;
}

}  // namespace

std::string take_openssl_error() {
  const unsigned long error = ERR_peek_error();
  std::string text = "unknown error";
  if (const char* reason = ERR_reason_error_string(error)) text = reason;
  if (ERR_SYSTEM_ERROR(error)) text = system_error("system", ERR_GET_REASON(error)).message;
  ERR_clear_error();
  return text;
}

bool valid_node_name(std::string_view name) {
  const auto valid = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, valid);
}

Result<std::vector<CertificatePtr>> load_certificates(const std::string& pem_file) {
  const auto text = read_pem_file(pem_file, "; `sallyport keys` makes certificates");
  if (!text) return std::unexpected(text.error());
  const BioPtr bio = memory_bio(*text);
  std::vector<CertificatePtr> certificates;
  ERR_clear_error();
  while (CertificatePtr certificate{PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)}) {
    certificates.push_back(std::move(certificate));
    if (certificates.size() > kMaxCertificates) {
      return fail(ErrorCode::limit, pem_file + ": more than " + std::to_string(kMaxCertificates) + " certificates");
    }
  }
  if (!ended_cleanly()) {
    return fail(ErrorCode::malformed, pem_file + ": certificate " + std::to_string(certificates.size() + 1) +
                                          " in it is damaged (" + take_openssl_error() + "); copy it again");
  }
  ERR_clear_error();
  if (!certificates.empty()) return certificates;
  if (text->find("PRIVATE KEY-----") != std::string::npos) {
    return fail(ErrorCode::invalid, pem_file + ": holds a private key, not a certificate; are the two files swapped?");
  }
  return fail(ErrorCode::malformed,
              pem_file + ": no certificate in it (a PEM file has a line -----BEGIN CERTIFICATE-----)");
}

Result<KeyPtr> load_private_key(const std::string& pem_file) {
  auto text = read_pem_file(pem_file, "; the key is made together with its certificate by `sallyport keys issue`");
  if (!text) return std::unexpected(text.error());
  ERR_clear_error();
  KeyPtr key(PEM_read_bio_PrivateKey(memory_bio(*text).get(), nullptr, no_passphrase, nullptr));
  const bool encrypted = text->find("ENCRYPTED") != std::string::npos;
  const bool begins = text->find("PRIVATE KEY-----") != std::string::npos;
  const bool certificate = text->find("-----BEGIN CERTIFICATE-----") != std::string::npos;
  OPENSSL_cleanse(text->data(), text->size());
  if (!key) {
    const std::string reason = take_openssl_error();
    if (encrypted) {
      return fail(ErrorCode::invalid,
                  pem_file +
                      ": the key is protected by a passphrase, and a service has nobody to ask; "
                      "store it without one (openssl pkey -in … -out …), readable by its user only");
    }
    if (begins) return fail(ErrorCode::malformed, pem_file + ": the private key in it is damaged (" + reason + ")");
    if (certificate) {
      return fail(ErrorCode::invalid,
                  pem_file + ": holds a certificate, not a private key; are the two files swapped?");
    }
    return fail(ErrorCode::malformed,
                pem_file + ": no private key in it (a PEM file has a line -----BEGIN PRIVATE KEY-----)");
  }
  struct stat status{};
  if (::stat(pem_file.c_str(), &status) == 0 && (status.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    log::warn("private key open to every user of this machine; chmod 600 it", log::field("file", pem_file));
  }
  return key;
}

std::string display_name(const X509_NAME* name) {
  const int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (index >= 0) return common_name(name, index);
  const BioPtr out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return size > 0 ? std::string(text, std::min<std::size_t>(static_cast<std::size_t>(size), 256)) : std::string();
}

std::string key_algorithm_of(const X509& certificate) {
  const EVP_PKEY* key = X509_get0_pubkey(&certificate);
  const char* type = key != nullptr ? EVP_PKEY_get0_type_name(key) : nullptr;
  if (type == nullptr) return "unknown";
  if (EVP_PKEY_is_a(key, "EC") == 1) {
    std::array<char, 64> group{};
    EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(), nullptr);
    const std::string_view curve = group.data();
    return "EC " + std::string(curve == "prime256v1" ? "P-256" : curve);
  }
  if (EVP_PKEY_is_a(key, "RSA") == 1) return "RSA " + std::to_string(EVP_PKEY_get_bits(key));
  return type;
}

bool accepted_key_algorithm(std::string_view algorithm) {
  constexpr std::array<std::string_view, 5> kAccepted = {"ML-DSA-44", "ML-DSA-65", "ML-DSA-87", "ED25519", "EC P-256"};
  return std::ranges::find(kAccepted, algorithm) != kAccepted.end();
}

CertificateInfo certificate_info(const X509& certificate) {
  CertificateInfo info;
  info.name = display_name(X509_get_subject_name(&certificate));
  info.issuer = display_name(X509_get_issuer_name(&certificate));
  info.algorithm = key_algorithm_of(certificate);
  info.sha256 = fingerprint(certificate);
  info.not_before = to_utc(X509_get0_notBefore(&certificate));
  info.not_after = to_utc(X509_get0_notAfter(&certificate));
  return info;
}

Result<std::string> node_name_of(const X509& certificate) {
  const X509_NAME* subject = X509_get_subject_name(&certificate);
  const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index < 0)
    return fail(ErrorCode::refused, "certificate carries no name (CN); make it with `sallyport keys issue`");
  if (X509_NAME_get_index_by_NID(subject, NID_commonName, index) >= 0) {
    return fail(ErrorCode::refused, "certificate carries more than one name (CN)");
  }
  std::string name = common_name(subject, index);
  if (!valid_node_name(name)) {
    return fail(ErrorCode::refused,
                "certificate carries a name that is not a node name (1 to 64 of A-Z a-z 0-9 . _ -)");
  }
  if (!alternative_names_agree(certificate, name)) {
    return fail(ErrorCode::refused,
                "certificate of '" + name + "' has DNS alternative names, and none of them is '" + name + "'");
  }
  return name;
}

bool has_sign_usage(const X509& certificate) {
  using UsagesPtr = std::unique_ptr<EXTENDED_KEY_USAGE, OpenSslFree<EXTENDED_KEY_USAGE_free>>;
  int critical = 0;
  const UsagesPtr usages(
      static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(&certificate, NID_ext_key_usage, &critical, nullptr)));
  if (!usages || critical != 1 || sk_ASN1_OBJECT_num(usages.get()) != 1) return false;
  std::array<char, 128> text{};
  const int size = OBJ_obj2txt(text.data(), static_cast<int>(text.size()), sk_ASN1_OBJECT_value(usages.get(), 0), 1);
  return size > 0 && std::string_view(text.data()) == kSignUsage;
}

StorePtr make_trust_store(const std::vector<CertificatePtr>& trust) {
  StorePtr store(X509_STORE_new());
  for (const CertificatePtr& each : trust) X509_STORE_add_cert(store.get(), each.get());
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  return store;
}

Result<CertificateInfo> read_certificate(const std::string& pem_file) {
  const auto certificates = load_certificates(pem_file);
  if (!certificates) return std::unexpected(certificates.error());
  return certificate_info(*certificates->front());
}

UtcNanoseconds utc_now() { return SystemClock().utc(); }

std::string in_words(Duration span) {
  using namespace std::chrono;
  const auto text = [](std::int64_t count, std::string_view unit) {
    return std::to_string(count) + " " + std::string(unit) + (count == 1 ? "" : "s");
  };
  if (span >= 48h) return text(duration_cast<days>(span).count(), "day");
  if (span >= 2h) return text(duration_cast<hours>(span).count(), "hour");
  if (span >= 2min) return text(duration_cast<minutes>(span).count(), "minute");
  return text(duration_cast<seconds>(span).count(), "second");
}

}  // namespace sallyport::net
