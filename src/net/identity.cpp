// Loads and checks what a node shows to its peers, before it shows it: a peer's refusal is harder to understand.
#include "net/identity.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/log.h"
#include "net/key_log.h"

namespace sallyport::net {
namespace {

constexpr const char* kCipherSuites = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256";
constexpr const char* kSignatures = "mldsa65:mldsa87:mldsa44:ed25519:ecdsa_secp256r1_sha256";
constexpr int kMaxChainDepth = 4;
// Four records per recv. The buffer is given back when empty, so an idle link does not hold it.
constexpr std::size_t kReadBufferBytes = 64 * 1024 + 1024;
constexpr Duration kExpiresSoon = std::chrono::days(30);

struct Material {
  std::vector<CertificatePtr> chain;  // own certificate first
  KeyPtr key;
  std::vector<CertificatePtr> trust;
};

Result<void> check_dates(const std::string& file, const CertificateInfo& info) {
  const UtcNanoseconds now = utc_now();
  if (info.not_after <= now) {
    return fail(ErrorCode::invalid, file + ": expired " + in_words(Duration(now - info.not_after)) + " ago (" +
                                        format_utc(info.not_after) + "); issue a new one with `sallyport keys issue`");
  }
  if (info.not_before > now) {
    return fail(ErrorCode::invalid, file + ": is not valid before " + format_utc(info.not_before) + ", and it is now " +
                                        format_utc(now) + "; is the clock of this machine right?");
  }
  if (Duration(info.not_after - now) < kExpiresSoon) {
    log::warn("certificate expires soon; issue a new one with `sallyport keys issue`", log::field("file", file),
              log::field("not_after", format_utc(info.not_after)));
  }
  return {};
}

Result<void> check_name(const std::string& file, const X509& certificate, const std::string& expected_name) {
  const auto name = node_name_of(certificate);
  if (!name) return within(file, name.error());
  if (*name == expected_name) return {};
  return fail(ErrorCode::invalid, file + ": is the certificate of '" + *name + "', but this node is called '" +
                                      expected_name +
                                      "'; use that node's certificate or issue one with `sallyport keys issue --name " +
                                      expected_name + "`");
}

Result<void> check_key(const IdentityFiles& files, const Material& material) {
  const std::string algorithm = key_algorithm_of(*material.chain.front());
  if (!accepted_key_algorithm(algorithm)) {
    return fail(ErrorCode::invalid,
                files.certificate + ": has a key of kind " + algorithm +
                    "; accepted are ML-DSA-44, -65, -87, Ed25519 and EC P-256 (`sallyport keys issue`)");
  }
  if (X509_check_private_key(material.chain.front().get(), material.key.get()) == 1) return {};
  ERR_clear_error();
  return fail(ErrorCode::invalid, files.private_key + ": is not the key of " + files.certificate +
                                      "; the two files of one `sallyport keys issue` belong together");
}

// Returns the verification error, X509_V_OK if none.
int verify(const Material& material, X509_STORE* store, int purpose) {
  const StoreContextPtr context(X509_STORE_CTX_new());
  STACK_OF(X509)* untrusted = sk_X509_new_null();
  for (const CertificatePtr& each : material.chain) sk_X509_push(untrusted, each.get());
  int error = X509_V_ERR_UNSPECIFIED;
  if (context && X509_STORE_CTX_init(context.get(), store, material.chain.front().get(), untrusted) == 1) {
    X509_STORE_CTX_set_purpose(context.get(), purpose);
    X509_STORE_CTX_set_depth(context.get(), kMaxChainDepth);
    error = X509_verify_cert(context.get()) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context.get());
  }
  sk_X509_free(untrusted);
  ERR_clear_error();
  return error;
}

Result<void> check_trust(const IdentityFiles& files, const Material& material) {
  const StorePtr store = make_trust_store(material.trust);
  const int error = verify(material, store.get(), X509_PURPOSE_ANY);
  switch (error) {
    case X509_V_OK:
      break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return fail(ErrorCode::invalid, files.certificate + ": was issued by '" +
                                          display_name(X509_get_issuer_name(material.chain.front().get())) +
                                          "', whose certificate is not in " + files.trust +
                                          "; set trust to the ca.crt of the authority that issued it");
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return fail(ErrorCode::invalid, files.trust + ": the authority that issued " + files.certificate +
                                          " has expired; make a new one with `sallyport keys ca`");
    default:
      return fail(ErrorCode::invalid, files.certificate + ": does not verify against " + files.trust + ": " +
                                          X509_verify_cert_error_string(error));
  }
  const bool client = verify(material, store.get(), X509_PURPOSE_SSL_CLIENT) == X509_V_OK;
  const bool server = verify(material, store.get(), X509_PURPOSE_SSL_SERVER) == X509_V_OK;
  if (!client && !server) {
    return fail(ErrorCode::invalid,
                files.certificate + ": may be used neither to dial nor to listen with TLS (extended key usage)");
  }
  if (!client || !server) {
    log::warn(client ? "certificate may only dial, not listen (extended key usage lacks serverAuth)"
                     : "certificate may only listen, not dial (extended key usage lacks clientAuth)",
              log::field("file", files.certificate));
  }
  return {};
}

Result<Material> load_material(const IdentityFiles& files, const std::string& expected_name) {
  Material material;
  auto chain = load_certificates(files.certificate);
  if (!chain) return std::unexpected(chain.error());
  material.chain = std::move(*chain);
  auto key = load_private_key(files.private_key);
  if (!key) return std::unexpected(key.error());
  material.key = std::move(*key);
  auto trust = load_certificates(files.trust);
  if (!trust) return std::unexpected(trust.error());
  material.trust = std::move(*trust);
  const X509& own = *material.chain.front();
  if (auto ok = check_name(files.certificate, own, expected_name); !ok) return std::unexpected(ok.error());
  if (auto ok = check_key(files, material); !ok) return std::unexpected(ok.error());
  if (auto ok = check_dates(files.certificate, certificate_info(own)); !ok) return std::unexpected(ok.error());
  if (auto ok = check_trust(files, material); !ok) return std::unexpected(ok.error());
  return material;
}

bool set_policy(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TX_CERTIFICATE_COMPRESSION |
                                   SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, kReadBufferBytes);
  SSL_CTX_set_max_cert_list(context, kMaxCertificateListBytes);
  SSL_CTX_set_verify_depth(context, kMaxChainDepth);
  return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set1_groups_list(context, kGroups) == 1 && SSL_CTX_set_ciphersuites(context, kCipherSuites) == 1 &&
         SSL_CTX_set1_sigalgs_list(context, kSignatures) == 1 &&
         SSL_CTX_set1_client_sigalgs_list(context, kSignatures) == 1 && SSL_CTX_set_num_tickets(context, 0) == 1;
}

bool self_signed(X509* certificate) { return X509_self_signed(certificate, 0) == 1; }

bool set_material(SSL_CTX* context, const Material& material) {
  if (SSL_CTX_use_certificate(context, material.chain.front().get()) != 1) return false;
  for (std::size_t i = 1; i < material.chain.size(); ++i) {
    X509* each = material.chain[i].get();
    // The peer has its own copy of the root, or does not trust it.
    if (!self_signed(each) && SSL_CTX_add1_chain_cert(context, each) != 1) return false;
  }
  SSL_CTX_set_cert_store(context, make_trust_store(material.trust).release());
  return SSL_CTX_use_PrivateKey(context, material.key.get()) == 1;
}

Result<SslContextPtr> make_context(const SSL_METHOD* method, const Material& material) {
  ERR_clear_error();
  SslContextPtr context(SSL_CTX_new(method));
  if (!context || !set_policy(context.get()) || !set_material(context.get(), material)) {
    return fail(ErrorCode::internal, "cannot set up TLS: " + take_openssl_error() +
                                         "; OpenSSL 3.5 or later with its default provider is needed");
  }
  return context;
}

}  // namespace

TlsIdentity::TlsIdentity() : impl_(std::make_unique<Impl>()) {}
TlsIdentity::~TlsIdentity() = default;

const CertificateInfo& TlsIdentity::certificate() const { return impl_->info; }

Result<std::shared_ptr<const TlsIdentity>> TlsIdentity::load(const IdentityFiles& files,
                                                             const std::string& expected_name) {
  auto material = load_material(files, expected_name);
  if (!material) return std::unexpected(material.error());
  if (!files.key_log.empty()) {
    if (auto ok = check_key_log(files.key_log); !ok) return std::unexpected(ok.error());
  }
  auto dialling = make_context(TLS_client_method(), *material);
  if (!dialling) return std::unexpected(dialling.error());
  auto listening = make_context(TLS_server_method(), *material);
  if (!listening) return std::unexpected(listening.error());
  if (!files.key_log.empty()) {
    write_key_log(dialling->get(), files.key_log);
    write_key_log(listening->get(), files.key_log);
  }
  std::shared_ptr<TlsIdentity> identity(new TlsIdentity());
  *identity->impl_ = Impl{certificate_info(*material->chain.front()), std::move(*dialling), std::move(*listening)};
  return identity;
}

}  // namespace sallyport::net
