#include "protocol/opcua/certificates.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <fstream>
#include <iterator>

namespace sallyport::opcua {
namespace {

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, Free<BIO_free_all>>;
using StorePtr = std::unique_ptr<X509_STORE, Free<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

void free_stack(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }
using StackPtr = std::unique_ptr<STACK_OF(X509), Free<free_stack>>;

constexpr std::size_t kMaxFile = 1024 * 1024;

std::string openssl_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  return reason != nullptr ? reason : "unknown error";
}

Result<std::string> read_file(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return std::unexpected(system_error(file, errno));
  std::string out(std::istreambuf_iterator<char>(in), {});
  if (in.bad()) return std::unexpected(system_error(file, EIO));
  if (out.empty()) return fail(ErrorCode::invalid, file + ": empty file");
  if (out.size() > kMaxFile) return fail(ErrorCode::invalid, file + ": too large to be a certificate or key");
  return out;
}

BioPtr memory_bio(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

std::string take(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

// One DER certificate from the front of `der`, which moves on.
X509Ptr next_der(std::string_view& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  X509Ptr made(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (made) der.remove_prefix(static_cast<std::size_t>(reinterpret_cast<const char*>(at) - der.data()));
  return made;
}

std::string to_der(X509* certificate) {
  unsigned char* data = nullptr;
  const int size = i2d_X509(certificate, &data);
  std::string out(reinterpret_cast<char*>(data), size > 0 ? static_cast<std::size_t>(size) : 0);
  OPENSSL_free(data);
  return out;
}

std::string digest(X509* certificate, const EVP_MD* algorithm) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  std::string out;
  if (X509_digest(certificate, algorithm, bytes, &size) != 1) return out;
  constexpr std::string_view digits = "0123456789abcdef";
  for (unsigned i = 0; i < size; ++i) (out += digits[bytes[i] >> 4]) += digits[bytes[i] & 15];
  return out;
}

UtcNanoseconds to_utc_time(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return static_cast<UtcNanoseconds>(timegm(&parts)) * 1'000'000'000;
}

std::string application_uri_of(X509* certificate) {
  NamesPtr names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_STRING* uri = name->d.uniformResourceIdentifier;
    return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                       static_cast<std::size_t>(ASN1_STRING_length(uri)));
  }
  return {};
}

Certificate describe(X509* certificate) {
  Certificate out;
  out.der = to_der(certificate);
  BioPtr subject(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(subject.get(), X509_get_subject_name(certificate), 0,
                     XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB));
  out.subject = take(subject.get());
  out.application_uri = application_uri_of(certificate);
  out.sha256 = digest(certificate, EVP_sha256());
  out.thumbprint = digest(certificate, EVP_sha1());
  out.not_before = to_utc_time(X509_get0_notBefore(certificate));
  out.not_after = to_utc_time(X509_get0_notAfter(certificate));
  return out;
}

// All certificates of a PEM or DER file.
Result<std::vector<X509Ptr>> load_certificates(const std::string& file) {
  const auto content = read_file(file);
  if (!content) return std::unexpected(content.error());
  std::vector<X509Ptr> out;
  if (content->find("-----BEGIN") != std::string::npos) {
    const BioPtr bio = memory_bio(*content);
    while (X509Ptr made{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) out.push_back(std::move(made));
    ERR_clear_error();  // the end of the file
  } else {
    std::string_view rest = *content;
    while (X509Ptr made = next_der(rest)) out.push_back(std::move(made));
    ERR_clear_error();
  }
  if (out.empty()) return fail(ErrorCode::invalid, file + ": holds no certificate (PEM or DER)");
  return out;
}

Result<KeyPtr> load_key(const std::string& file) {
  const auto content = read_file(file);
  if (!content) return std::unexpected(content.error());
  const BioPtr bio = memory_bio(*content);
  // Never ask on the terminal for a password.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  KeyPtr key(content->starts_with("-----BEGIN") ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr)
                                                : d2i_PrivateKey_bio(bio.get(), nullptr));
  if (!key)
    return fail(ErrorCode::invalid, file + ": no private key (PEM or DER, without password): " + openssl_reason());
  return key;
}

std::string key_to_der(EVP_PKEY* key) {
  unsigned char* data = nullptr;
  const int size = i2d_PrivateKey(key, &data);
  std::string out(reinterpret_cast<char*>(data), size > 0 ? static_cast<std::size_t>(size) : 0);
  OPENSSL_clear_free(data, size > 0 ? static_cast<std::size_t>(size) : 0);
  return out;
}

bool add_extension(X509* certificate, X509V3_CTX* context, int nid, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, context, nid, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool is_address(const std::string& host) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 || inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

bool fill(X509* certificate, EVP_PKEY* key, const SelfSigned& request) {
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), static_cast<std::uint64_t>(std::time(nullptr)));
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 86'400L * request.days);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(request.name.c_str()),
                             -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  std::string names = "URI:" + request.application_uri;
  for (const std::string& host : request.hosts) names += (is_address(host) ? ",IP:" : ",DNS:") + host;
  // OPC 10000-6 §6.2.2 table 43
  return add_extension(certificate, &context, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(certificate, &context, NID_subject_key_identifier, "hash") &&
         add_extension(certificate, &context, NID_key_usage,
                       "critical,digitalSignature,nonRepudiation,keyEncipherment,dataEncipherment,keyCertSign") &&
         add_extension(certificate, &context, NID_ext_key_usage, "serverAuth,clientAuth") &&
         add_extension(certificate, &context, NID_subject_alt_name, names) &&
         X509_sign(certificate, key, EVP_sha256()) > 0;
}

Result<void> write_file(const std::string& file, const std::string& content, mode_t mode) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return std::unexpected(system_error(file, errno));
  const ssize_t written = ::write(fd, content.data(), content.size());
  const int error = written < 0 ? errno : ENOSPC;
  if (::close(fd) != 0 || written != static_cast<ssize_t>(content.size()))
    return std::unexpected(system_error(file, error));
  return {};
}

std::string how_to_trust(const Certificate& certificate) {
  return "certificate \"" + certificate.subject + "\" with SHA-256 fingerprint " + certificate.sha256;
}

}  // namespace

Result<Certificate> read_certificate(std::string_view der) {
  const X509Ptr certificate = next_der(der);
  if (!certificate) return fail(ErrorCode::malformed, "no X.509 certificate: " + openssl_reason());
  return describe(certificate.get());
}

Result<Certificate> load_certificate(const std::string& file) {
  const auto certificates = load_certificates(file);
  if (!certificates) return std::unexpected(certificates.error());
  return describe(certificates->front().get());
}

Result<Identity> load_identity(const std::string& certificate_file, const std::string& key_file) {
  const auto certificates = load_certificates(certificate_file);
  if (!certificates) return std::unexpected(certificates.error());
  const auto key = load_key(key_file);
  if (!key) return std::unexpected(key.error());
  if (EVP_PKEY_get_base_id(key->get()) != EVP_PKEY_RSA) {
    return fail(ErrorCode::invalid,
                key_file + ": OPC UA needs an RSA key; this is " + std::string(EVP_PKEY_get0_type_name(key->get())));
  }
  X509* certificate = certificates->front().get();
  if (X509_check_private_key(certificate, key->get()) != 1) {
    ERR_clear_error();
    return fail(ErrorCode::invalid, key_file + ": does not belong to the certificate " + certificate_file);
  }
  Identity out{describe(certificate), key_to_der(key->get())};
  if (out.certificate.application_uri.empty()) {
    return fail(ErrorCode::invalid, certificate_file +
                                        ": names no application URI; OPC UA servers refuse such a certificate. "
                                        "Issue one whose subject alternative name has a URI entry");
  }
  return out;
}

Result<Identity> make_self_signed(const SelfSigned& request) {
  const KeyPtr key(EVP_RSA_gen(static_cast<unsigned>(request.key_bits)));
  const X509Ptr certificate(X509_new());
  if (!key || !certificate || !fill(certificate.get(), key.get(), request)) {
    return fail(ErrorCode::internal, "cannot make a certificate: " + openssl_reason());
  }
  return Identity{describe(certificate.get()), key_to_der(key.get())};
}

Result<void> save_identity(const Identity& identity, const std::string& certificate_file, const std::string& key_file) {
  std::string_view der = identity.certificate.der;
  const X509Ptr certificate = next_der(der);
  const auto* at = reinterpret_cast<const unsigned char*>(identity.private_key.data());
  const KeyPtr key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(identity.private_key.size())));
  const BioPtr certificate_pem(BIO_new(BIO_s_mem()));
  const BioPtr key_pem(BIO_new(BIO_s_mem()));
  if (!certificate || !key || PEM_write_bio_X509(certificate_pem.get(), certificate.get()) != 1 ||
      PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return fail(ErrorCode::internal, "cannot write a certificate: " + openssl_reason());
  }
  if (auto done = write_file(key_file, take(key_pem.get()), 0600); !done) return done;
  return write_file(certificate_file, take(certificate_pem.get()), 0644);
}

struct ServerTrust::Impl {
  std::vector<std::string> pinned;  // DER
  StorePtr store{X509_STORE_new()};
  std::size_t authorities = 0;
};

ServerTrust::ServerTrust() : impl_(std::make_unique<Impl>()) {
  // An intermediate, or a self-signed server certificate, may be the anchor too.
  X509_STORE_set_flags(impl_->store.get(), X509_V_FLAG_PARTIAL_CHAIN);
}
ServerTrust::~ServerTrust() = default;
ServerTrust::ServerTrust(ServerTrust&&) noexcept = default;
ServerTrust& ServerTrust::operator=(ServerTrust&&) noexcept = default;

Result<void> ServerTrust::pin(const std::string& file) {
  auto certificate = load_certificate(file);
  if (!certificate) return std::unexpected(certificate.error());
  impl_->pinned.push_back(std::move(certificate->der));
  return {};
}

Result<void> ServerTrust::add_authority(const std::string& file) {
  const auto certificates = load_certificates(file);
  if (!certificates) return std::unexpected(certificates.error());
  for (const X509Ptr& certificate : *certificates) {
    if (X509_STORE_add_cert(impl_->store.get(), certificate.get()) != 1)
      return fail(ErrorCode::invalid, file + ": " + openssl_reason());
    ++impl_->authorities;
  }
  return {};
}

bool ServerTrust::empty() const { return impl_->pinned.empty() && impl_->authorities == 0; }

Result<void> ServerTrust::check(std::string_view der) const {
  std::string_view rest = der;
  const X509Ptr leaf = next_der(rest);
  if (!leaf) return fail(ErrorCode::refused, "the server's certificate is malformed: " + openssl_reason());
  const Certificate certificate = describe(leaf.get());
  for (const std::string& pinned : impl_->pinned) {
    if (pinned == certificate.der) return {};
  }
  if (empty()) {
    return fail(ErrorCode::refused,
                "the server's " + how_to_trust(certificate) +
                    " is not trusted: compare the fingerprint with the server's own display, save the "
                    "certificate (`sallyport discover` shows it) and set server_certificate, or set trust_list");
  }
  if (impl_->authorities == 0) {
    return fail(ErrorCode::refused,
                "the server presents " + how_to_trust(certificate) +
                    ", which is not the one in server_certificate; if the server was given a new one, "
                    "replace the file");
  }
  StackPtr chain(sk_X509_new_null());
  while (X509Ptr next = next_der(rest)) sk_X509_push(chain.get(), next.release());
  ERR_clear_error();
  const StoreContextPtr context(X509_STORE_CTX_new());
  if (!context || X509_STORE_CTX_init(context.get(), impl_->store.get(), leaf.get(), chain.get()) != 1) {
    return fail(ErrorCode::internal, "cannot check a certificate: " + openssl_reason());
  }
  if (X509_verify_cert(context.get()) == 1) return {};
  const std::string why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
  ERR_clear_error();
  return fail(ErrorCode::refused, "the server's " + how_to_trust(certificate) + " is not trusted: " + why +
                                      "; add its issuer to trust_list or set server_certificate");
}

}  // namespace sallyport::opcua
