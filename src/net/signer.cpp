#include "net/signer.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/log.h"
#include "net/certificate.h"
#include "net/openssl.h"

namespace sallyport::net {
namespace {

constexpr std::size_t kMaxChain = 4;
constexpr int kMaxChainDepth = 4;
constexpr std::int64_t kSecond = 1'000'000'000;

using crypto::SignatureKind;

Result<Bytes> der_of(X509* certificate) {
  const int size = i2d_X509(certificate, nullptr);
  if (size <= 0) return fail(ErrorCode::internal, "cannot encode a certificate: " + take_openssl_error());
  Bytes der(static_cast<std::size_t>(size));
  unsigned char* out = crypto::raw(der.data());
  i2d_X509(certificate, &out);
  return der;
}

CertificatePtr from_der(std::span<const std::byte> der) {
  const unsigned char* in = crypto::raw(der.data());
  CertificatePtr certificate(d2i_X509(nullptr, &in, static_cast<long>(der.size())));
  if (!certificate || in != crypto::raw(der.data()) + der.size()) {
    ERR_clear_error();
    return nullptr;
  }
  return certificate;
}

// u8 number of certificates, then each as u32 size and DER: the node's, intermediate authorities, the sign certificate last.
Result<Bytes> encode_credential(const std::vector<CertificatePtr>& chain, X509* sign) {
  Bytes out;
  ByteWriter writer(out);
  std::vector<X509*> all;
  for (const CertificatePtr& each : chain) all.push_back(each.get());
  all.push_back(sign);
  writer.number<std::uint8_t>(static_cast<std::uint8_t>(all.size()));
  for (X509* each : all) {
    const auto der = der_of(each);
    if (!der) return std::unexpected(der.error());
    writer.number<std::uint32_t>(static_cast<std::uint32_t>(der->size()));
    writer.bytes(*der);
  }
  if (out.size() > kMaxCredentialBytes) return fail(ErrorCode::limit, "the certificates are larger than 48 KiB together");
  return out;
}

Result<std::vector<CertificatePtr>> decode_credential(std::span<const std::byte> bytes) {
  constexpr std::string_view kWhat = "credential: not the certificates of a signer";
  if (bytes.size() > kMaxCredentialBytes) return fail(ErrorCode::malformed, std::string(kWhat));
  ByteReader reader(bytes);
  const unsigned count = reader.number<std::uint8_t>();
  std::vector<CertificatePtr> all;
  for (unsigned i = 0; i < count && count <= kMaxChain + 1 && reader.ok(); ++i) {
    auto certificate = from_der(reader.bytes(reader.number<std::uint32_t>()));
    if (!certificate) return fail(ErrorCode::malformed, std::string(kWhat));
    all.push_back(std::move(certificate));
  }
  if (!reader.done() || all.size() != count || count < 2) return fail(ErrorCode::malformed, std::string(kWhat));
  return all;
}

bool signed_with_ml_dsa(const X509* certificate) {
  const int nid = X509_get_signature_nid(certificate);
  return nid == NID_ML_DSA_44 || nid == NID_ML_DSA_65 || nid == NID_ML_DSA_87;
}

Result<void> check_chain(X509_STORE* store, X509* leaf, std::span<const CertificatePtr> untrusted, UtcNanoseconds now) {
  const StoreContextPtr context(X509_STORE_CTX_new());
  STACK_OF(X509)* stack = sk_X509_new_null();
  for (const CertificatePtr& each : untrusted) sk_X509_push(stack, each.get());
  Result<void> result = fail(ErrorCode::internal, "cannot check a certificate");
  if (context && X509_STORE_CTX_init(context.get(), store, leaf, stack) == 1) {
    X509_STORE_CTX_set_depth(context.get(), kMaxChainDepth);
    X509_STORE_CTX_set_time(context.get(), 0, static_cast<time_t>(now / kSecond));
    result = {};
    if (X509_verify_cert(context.get()) != 1) {
      result = fail(ErrorCode::refused, X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
    } else {
      // Else a quantum computer could make itself certificates, however good the signatures under them. The last is trusted
      // as it is.
      const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(context.get());
      for (int i = 0; i + 1 < sk_X509_num(chain); ++i) {
        if (!signed_with_ml_dsa(sk_X509_value(chain, i))) {
          result = fail(ErrorCode::refused,
                        "its authority does not sign with ML-DSA, so that a quantum computer could forge it one day; "
                        "use an authority made with `sallyport keys ca --algorithm ml-dsa-65`");
        }
      }
    }
  }
  sk_X509_free(stack);
  ERR_clear_error();
  return result;
}

Result<void> check_one(std::string_view what, const X509& certificate, SignatureKind kind, const std::string& expected_name) {
  const auto name = node_name_of(certificate);
  if (!name) return within(what, name.error());
  if (*name != expected_name) {
    return fail(ErrorCode::refused, std::string(what) + ": is of '" + *name + "', expected '" + expected_name + "'");
  }
  if (!crypto::is_kind(X509_get0_pubkey(&certificate), kind)) {
    return fail(ErrorCode::refused, std::string(what) + ": has a key of kind " + key_algorithm_of(certificate) + ", needed is " +
                                        std::string(crypto::to_string(kind)));
  }
  return {};
}

Result<void> check_usages(X509& node, X509& sign) {
  if (!has_sign_usage(sign)) {
    return fail(ErrorCode::refused, "sign certificate: is not made for signing data (extended key usage)");
  }
  if (X509_check_ca(&node) != 0 || X509_check_ca(&sign) != 0) {
    return fail(ErrorCode::refused, "certificate: is that of an authority");
  }
  if (X509_check_purpose(&node, X509_PURPOSE_SSL_CLIENT, 0) != 1 && X509_check_purpose(&node, X509_PURPOSE_SSL_SERVER, 0) != 1) {
    return fail(ErrorCode::refused, "certificate: is not that of a node (extended key usage)");
  }
  return {};
}

}  // namespace

// ---- Trust ----

struct Trust::Impl {
  StorePtr store;
};

Trust::Trust() : impl_(std::make_unique<Impl>()) {}
Trust::~Trust() = default;

Result<std::shared_ptr<const Trust>> Trust::load(const std::string& pem_file) {
  const auto certificates = load_certificates(pem_file);
  if (!certificates) return std::unexpected(certificates.error());
  std::shared_ptr<Trust> trust(new Trust());
  trust->impl_->store = make_trust_store(*certificates);
  return trust;
}

// ---- Credential ----

struct Credential::Impl {
  std::string name;
  CertificatePtr node, sign;
  UtcNanoseconds not_after = 0;
  crypto::Digest fingerprint{};
};

Credential::Credential() : impl_(std::make_unique<Impl>()) {}
Credential::Credential(Credential&&) noexcept = default;
Credential& Credential::operator=(Credential&&) noexcept = default;
Credential::~Credential() = default;

Result<Credential> Credential::verify(std::span<const std::byte> credential, const Trust& trust, const std::string& expected_name,
                                      UtcNanoseconds now) {
  auto all = decode_credential(credential);
  if (!all) return std::unexpected(all.error());
  const std::span<const CertificatePtr> intermediates(all->data() + 1, all->size() - 2);
  X509& node = *all->front();
  X509& sign = *all->back();
  if (auto ok = check_one("certificate", node, SignatureKind::ml_dsa_65, expected_name); !ok) return std::unexpected(ok.error());
  if (auto ok = check_one("sign certificate", sign, SignatureKind::ed25519, expected_name); !ok) return std::unexpected(ok.error());
  if (auto ok = check_usages(node, sign); !ok) return std::unexpected(ok.error());
  X509_STORE* store = trust.impl().store.get();
  if (auto ok = check_chain(store, &node, intermediates, now); !ok) return within("certificate", ok.error());
  if (auto ok = check_chain(store, &sign, intermediates, now); !ok) return within("sign certificate", ok.error());
  Credential checked;
  checked.impl_->name = expected_name;
  checked.impl_->not_after = std::min(certificate_info(node).not_after, certificate_info(sign).not_after);
  checked.impl_->fingerprint = crypto::sha256(credential);
  checked.impl_->node = std::move(all->front());
  checked.impl_->sign = std::move(all->back());
  return checked;
}

const std::string& Credential::name() const { return impl_->name; }
UtcNanoseconds Credential::not_after() const { return impl_->not_after; }
const crypto::Digest& Credential::fingerprint() const { return impl_->fingerprint; }

bool Credential::check_fast(std::span<const std::byte> message, std::span<const std::byte> signature) const {
  return crypto::verify(X509_get0_pubkey(impl_->sign.get()), message, signature);
}
bool Credential::check_pq(std::span<const std::byte> message, std::span<const std::byte> signature) const {
  return crypto::verify(X509_get0_pubkey(impl_->node.get()), message, signature);
}

// ---- Signer ----

struct Signer::Impl {
  std::string name;
  KeyPtr node_key, sign_key;
  Bytes credential;
};

Signer::Signer() : impl_(std::make_unique<Impl>()) {}
Signer::~Signer() = default;

IdentityFiles with_sign_files(IdentityFiles files) {
  constexpr std::string_view kEnd = ".crt";
  if (!files.sign_certificate.empty() || !files.sign_key.empty() || !files.certificate.ends_with(kEnd)) return files;
  const std::string stem = files.certificate.substr(0, files.certificate.size() - kEnd.size()) + ".sign";
  std::error_code ignored;
  if (!std::filesystem::exists(stem + ".crt", ignored) && !std::filesystem::exists(stem + ".key", ignored)) return files;
  files.sign_certificate = stem + ".crt";
  files.sign_key = stem + ".key";
  return files;
}

Result<std::shared_ptr<const Signer>> Signer::load(const IdentityFiles& files, const std::string& expected_name) {
  const std::string hint = "; `sallyport keys sign --ca DIR --name " + expected_name + " --out DIR` makes the pair";
  if (files.sign_certificate.empty() || files.sign_key.empty()) {
    return fail(ErrorCode::not_found, "no sign_certificate and sign_key" + hint);
  }
  auto chain = load_certificates(files.certificate);
  if (!chain) return std::unexpected(chain.error());
  if (chain->size() > kMaxChain) chain->resize(kMaxChain);
  auto node_key = load_private_key(files.private_key);
  if (!node_key) return std::unexpected(node_key.error());
  const auto sign = load_certificates(files.sign_certificate);
  if (!sign) return fail(sign.error().code, sign.error().message + hint);
  auto sign_key = load_private_key(files.sign_key);
  if (!sign_key) return fail(sign_key.error().code, sign_key.error().message + hint);
  if (!crypto::is_kind(X509_get0_pubkey(chain->front().get()), SignatureKind::ml_dsa_65)) {
    return fail(ErrorCode::invalid, files.certificate + ": has a key of kind " + key_algorithm_of(*chain->front()) +
                                        "; what is signed must also be signed with ML-DSA-65: issue the certificate anew with "
                                        "`sallyport keys issue --algorithm ml-dsa-65`");
  }
  if (X509_check_private_key(sign->front().get(), sign_key->get()) != 1) {
    ERR_clear_error();
    return fail(ErrorCode::invalid, files.sign_key + ": is not the key of " + files.sign_certificate + hint);
  }
  if (X509_check_private_key(chain->front().get(), node_key->get()) != 1) {
    ERR_clear_error();
    return fail(ErrorCode::invalid, files.private_key + ": is not the key of " + files.certificate);
  }
  auto credential = encode_credential(*chain, sign->front().get());
  if (!credential) return within(files.certificate, credential.error());
  const auto trust = Trust::load(files.trust);
  if (!trust) return std::unexpected(trust.error());
  // What the others will say of it, they say here first.
  const auto checked = Credential::verify(*credential, **trust, expected_name, utc_now());
  if (!checked) return fail(ErrorCode::invalid, files.sign_certificate + " with " + files.certificate + ": " + checked.error().message + hint);
  std::shared_ptr<Signer> signer(new Signer());
  *signer->impl_ = Impl{expected_name, std::move(*node_key), std::move(*sign_key), std::move(*credential)};
  return signer;
}

const std::string& Signer::name() const { return impl_->name; }
const Bytes& Signer::credential() const { return impl_->credential; }

crypto::FastSignature Signer::sign_fast(std::span<const std::byte> message) const {
  crypto::FastSignature signature{};
  const auto made = crypto::sign(impl_->sign_key.get(), message);
  if (made && made->size() == signature.size())
    std::ranges::copy(*made, signature.begin());
  else
    log::error("cannot sign", log::field("reason", made ? "wrong size" : made.error().message));
  return signature;
}

Bytes Signer::sign_pq(std::span<const std::byte> message) const {
  auto made = crypto::sign(impl_->node_key.get(), message);
  if (made) return *std::move(made);
  log::error("cannot sign", log::field("reason", made.error().message));
  return Bytes(crypto::kPqSignatureBytes);
}

}  // namespace sallyport::net
