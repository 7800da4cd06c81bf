#include "sinks/mqtt/broker_tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "sinks/mqtt/mqtt_settings.h"

namespace sallyport::mqtt {
namespace {

// The first group's key share is sent; a broker that knows only the others asks for one of them (one round trip more).
constexpr const char* kPreferred = "X25519MLKEM768:SecP256r1MLKEM768:X25519:P-256:P-384";
constexpr const char* kRequired = "X25519MLKEM768:SecP256r1MLKEM768";

std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown reason";
}

std::unexpected<Error> file_problem(const std::string& file, std::string_view what) {
  return fail(ErrorCode::invalid, file + ": " + std::string(what) + " (" + openssl_reason() + ")");
}

bool is_numeric(const std::string& host) {
  in6_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 || inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

std::string name_of(X509* certificate) {
  char name[256] = "";
  if (certificate != nullptr)
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  return name;
}

}  // namespace

Result<std::unique_ptr<BrokerTls>> BrokerTls::make(const Options& options) {
  std::unique_ptr<BrokerTls> tls(new BrokerTls);
  ERR_clear_error();
  if (auto ok = tls->load(options); !ok) return std::unexpected(ok.error());
  return tls;
}

BrokerTls::~BrokerTls() { SSL_CTX_free(context_); }

Result<void> BrokerTls::load(const Options& options) {
  host_ = options.host;
  numeric_ = is_numeric(host_);
  context_ = SSL_CTX_new(TLS_client_method());
  if (context_ == nullptr) return fail(ErrorCode::internal, "TLS: " + openssl_reason());
  SSL_CTX_set_app_data(context_, this);
  SSL_CTX_set_min_proto_version(context_, options.require_post_quantum ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(context_, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context_,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_set1_groups_list(context_, options.require_post_quantum ? kRequired : kPreferred) != 1) {
    return fail(ErrorCode::internal, "TLS groups: " + openssl_reason());
  }

  if (options.ca.empty()) {
    SSL_CTX_set_default_verify_paths(context_);
  } else if (SSL_CTX_load_verify_locations(context_, options.ca.c_str(), nullptr) != 1) {
    return file_problem(options.ca, "no readable certificate authority in PEM form");
  }
  if (!options.certificate.empty()) {
    if (SSL_CTX_use_certificate_chain_file(context_, options.certificate.c_str()) != 1) {
      return file_problem(options.certificate, "no readable certificate in PEM form");
    }
    if (SSL_CTX_use_PrivateKey_file(context_, options.private_key.c_str(), SSL_FILETYPE_PEM) != 1) {
      return file_problem(options.private_key,
                          "no readable private key in PEM form, or not the key of " + options.certificate);
    }
  }

  X509_VERIFY_PARAM* checks = SSL_CTX_get0_param(context_);
  const int named = numeric_ ? X509_VERIFY_PARAM_set1_ip_asc(checks, host_.c_str())
                             : X509_VERIFY_PARAM_set1_host(checks, host_.c_str(), host_.size());
  if (named != 1) return fail(ErrorCode::invalid, "'" + host_ + "' is no host name that a certificate could carry");
  SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, &BrokerTls::on_verify);
  if (options.certificate.empty()) SSL_CTX_set_client_cert_cb(context_, &BrokerTls::on_certificate_wanted);
  SSL_CTX_set_info_callback(context_, &BrokerTls::on_info);
  return {};
}

int BrokerTls::on_verify(int ok, X509_STORE_CTX* store) {
  if (ok == 1) return 1;
  const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* self = static_cast<BrokerTls*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  const int error = X509_STORE_CTX_get_error(store);
  const std::string name = name_of(X509_STORE_CTX_get_current_cert(store));
  if (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    self->verdict_ = "broker certificate not trusted: it is for '" + name + "', not for '" + self->host_ + "'";
  } else {
    self->verdict_ =
        std::string("broker certificate not trusted: ") + X509_verify_cert_error_string(error) + " ('" + name + "')";
  }
  return 0;
}

// Called when the broker asks and no certificate is set. Many brokers then just close, which would tell nobody why.
int BrokerTls::on_certificate_wanted(SSL* ssl, X509**, EVP_PKEY**) {
  static_cast<BrokerTls*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->lacks_certificate_ = true;
  return 0;  // go on without
}

// libmosquitto is given the numeric address (so that no name look-up blocks it) and would send that as server name.
void BrokerTls::on_info(const SSL* ssl, int where, int) {
  if ((where & SSL_CB_HANDSHAKE_START) == 0) return;
  const auto* self = static_cast<const BrokerTls*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  // The macro SSL_set_tlsext_host_name() casts const away; this is what it stands for.
  char* name = self->numeric_ ? nullptr : const_cast<char*>(self->host_.c_str());
  SSL_ctrl(const_cast<SSL*>(ssl), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name);
}

std::string describe_tls(const SSL* ssl) {
  if (ssl == nullptr || SSL_is_init_finished(ssl) != 1) return "";
  const char* group = SSL_get0_group_name(const_cast<SSL*>(ssl));
  return std::string(group != nullptr ? group : "no group") + ", " + SSL_get_version(ssl);
}

}  // namespace sallyport::mqtt
