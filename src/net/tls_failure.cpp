#include "net/tls_failure.h"

#include <cerrno>

#include <openssl/err.h>

#include "net/certificate.h"

namespace sallyport::net {
namespace {

constexpr std::string_view kNoPostQuantum =
    "peer offers no post-quantum key exchange (needs X25519MLKEM768 or SecP256r1MLKEM768)";
constexpr std::string_view kNotTls = "peer does not speak TLS; is the port right?";
constexpr std::string_view kOldTls = "peer speaks no TLS 1.3, only an older version, which is refused";
constexpr int kAlertBase =
    SSL_AD_REASON_OFFSET;  // OpenSSL's reason for a received alert is this plus the alert's number

std::string quoted(const X509_NAME* name) { return "'" + display_name(name) + "'"; }

// `certificate` is the one of the chain that was found wanting, `leaf` the peer's own.
std::string describe_certificate_error(int error, const X509& certificate, const X509& leaf) {
  const CertificateInfo info = certificate_info(certificate);
  const std::string whose = "peer's certificate '" + info.name + "'";
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return whose + " expired " + in_words(Duration(utc_now() - info.not_after)) + " ago (" +
             format_utc(info.not_after) + "); issue it anew with `sallyport keys issue`";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return whose + " is not valid before " + format_utc(info.not_before) + "; is one of the two clocks wrong?";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "peer's certificate " + quoted(X509_get_subject_name(&leaf)) + " was issued by " +
             quoted(X509_get_issuer_name(&certificate)) +
             " with a key that is not in our trust file: a foreign authority";
    case X509_V_ERR_INVALID_PURPOSE:
      return whose + " may not be used for this side of TLS (extended key usage)";
    default:
      return whose + " does not verify: " + X509_verify_cert_error_string(error);
  }
}

// The certificate-related alerts of RFC 8446 §6.2, said by the peer about ours. Empty for others.
std::string_view refusal_of_our_certificate(int alert) {
  switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
      return "bad certificate (its name is not the expected one, or it is damaged)";
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
      return "of an unsupported kind, or not meant for this use";
    case SSL_AD_CERTIFICATE_REVOKED:
      return "revoked";
    case SSL_AD_CERTIFICATE_EXPIRED:
      return "expired, or the peer's clock is wrong";
    case SSL_AD_CERTIFICATE_UNKNOWN:
      return "not accepted";
    case SSL_AD_UNKNOWN_CA:
      return "unknown CA (its trust file lacks the authority that issued ours)";
    case SSL_AD_ACCESS_DENIED:
      return "access denied";
    case SSL_AD_CERTIFICATE_REQUIRED:
      return "it requires one";
    default:
      return {};
  }
}

std::string describe_alert(int alert) {
  if (const auto refusal = refusal_of_our_certificate(alert); !refusal.empty()) {
    return "peer refused our certificate: " + std::string(refusal);
  }
  return std::string("peer ended the connection with TLS alert '") + SSL_alert_desc_string_long(alert) + "'";
}

std::string describe_handshake_alert(SSL* ssl, int alert, Role role) {
  // An answer to our hello: nothing of ours but what the hello offers can have been the reason.
  const bool answers_hello = role == Role::dialler && SSL_get_state(ssl) == TLS_ST_CW_CLNT_HELLO;
  if (alert == SSL_AD_PROTOCOL_VERSION) return std::string(kOldTls);
  if (answers_hello && (alert == SSL_AD_HANDSHAKE_FAILURE || alert == SSL_AD_INSUFFICIENT_SECURITY)) {
    return std::string(kNoPostQuantum) + ", or has only a certificate of a kind we refuse, such as RSA";
  }
  return describe_alert(alert);
}

std::string describe_reason(int reason) {
  switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
    case SSL_R_DATA_LENGTH_TOO_LONG:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_UNEXPECTED_RECORD:
      return std::string(kNotTls);
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_UNSUPPORTED_SSL_VERSION:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_UNKNOWN_PROTOCOL:
      return std::string(kOldTls);
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
      return std::string(kNoPostQuantum);
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "peer showed no certificate, or has none of a kind we accept (RSA is not); give it one from `sallyport "
             "keys "
             "issue`";
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_WRONG_SIGNATURE_TYPE:
      return "no signature algorithm in common; certificates must be ML-DSA, Ed25519 or EC P-256";
    case SSL_R_NO_SHARED_CIPHER:
      return "no cipher in common (needs TLS_AES_256_GCM_SHA384 or TLS_AES_128_GCM_SHA256)";
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
    case SSL_R_LENGTH_TOO_LONG:
      return "peer sent a handshake message that is too large";
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
      return "what arrived was damaged on the way, or tampered with (bad record MAC)";
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return "connection closed by peer without a TLS goodbye";
    default:
      return {};
  }
}

// The oldest error of the TLS library in the queue: later ones are only the way it took through the layers.
int take_tls_reason(std::string& text) {
  int reason = 0;
  text.clear();
  while (const unsigned long error = ERR_get_error()) {
    if (text.empty() || (reason == 0 && ERR_GET_LIB(error) == ERR_LIB_SSL)) {
      const char* words = ERR_reason_error_string(error);
      text = words != nullptr ? words : "unknown error";
      if (ERR_GET_LIB(error) == ERR_LIB_SSL) reason = ERR_GET_REASON(error);
    }
  }
  return reason;
}

std::string describe_errno(int error) {
  switch (error) {
    case ECONNRESET:
    case EPIPE:
      return "connection reset by peer";
    case ETIMEDOUT:
      return "connection timed out: the peer, or the way to it, no longer answers";
    default:
      return system_error("connection lost", error).message;
  }
}

std::string describe_goodbye(const SocketBio& io, Role role) {
  if (io.received == 0) {
    return role == Role::listener
               ? "peer closed the connection without a word (a port check?)"
               : "peer closed the connection without a word; it may be at its limit, or not speak TLS";
  }
  return "peer closed the connection during the handshake";
}

std::string say_handshake_failure(SSL* ssl, int ssl_error, const SocketBio& io, Role role) {
  std::string text;
  const int reason = take_tls_reason(text);
  if (const auto* check = static_cast<const PeerCheck*>(SSL_get_app_data(ssl)); check && !check->failure.empty()) {
    return check->failure;
  }
  if (io.broken != nullptr) return io.broken;
  if (io.used_up) return "peer sent too much before it had authenticated itself";
  if (io.error_number != 0) return describe_errno(io.error_number) + " during the handshake";
  if (io.end_of_file || ssl_error == SSL_ERROR_ZERO_RETURN) return describe_goodbye(io, role);
  if (reason >= kAlertBase) return describe_handshake_alert(ssl, reason - kAlertBase, role);
  if (std::string known = describe_reason(reason); !known.empty()) return known;
  return "TLS handshake failed: " + (text.empty() ? std::string("unknown error") : text);
}

}  // namespace

int check_peer_certificate(int chain_ok, X509_STORE_CTX* context) {
  const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* check = static_cast<PeerCheck*>(SSL_get_app_data(ssl));
  const X509* certificate = X509_STORE_CTX_get_current_cert(context);
  const X509* leaf = X509_STORE_CTX_get0_cert(context);
  if (check == nullptr || certificate == nullptr || leaf == nullptr) return 0;
  if (chain_ok == 0) {
    if (check->failure.empty()) {
      check->failure = describe_certificate_error(X509_STORE_CTX_get_error(context), *certificate, *leaf);
    }
    return 0;
  }
  if (X509_STORE_CTX_get_error_depth(context) > 0) return 1;
  const auto name = node_name_of(*certificate);
  if (!name) {
    check->failure = "peer's " + name.error().message;
  } else if (!check->expected_name.empty() && *name != check->expected_name) {
    check->failure = "peer presented certificate '" + *name + "', expected '" + check->expected_name + "'";
  } else {
    return 1;
  }
  X509_STORE_CTX_set_error(context, X509_V_ERR_HOSTNAME_MISMATCH);
  return 0;
}

Error describe_handshake_failure(SSL* ssl, int ssl_error, const SocketBio& io, Role role) {
  const bool away = io.error_number != 0 || io.end_of_file;
  return {away ? ErrorCode::unavailable : ErrorCode::refused, say_handshake_failure(ssl, ssl_error, io, role)};
}

std::string describe_stream_failure(int ssl_error, const SocketBio& io) {
  std::string text;
  const int reason = take_tls_reason(text);
  if (io.broken != nullptr) return io.broken;
  if (io.refuse) return "peer floods with TLS key updates";
  if (io.error_number != 0) return describe_errno(io.error_number);
  if (ssl_error == SSL_ERROR_ZERO_RETURN) return "connection closed by peer";
  if (io.end_of_file)
    return "connection closed by peer without a TLS goodbye (its process ended, or something cut the path)";
  if (reason >= kAlertBase) return describe_alert(reason - kAlertBase);
  if (std::string known = describe_reason(reason); !known.empty()) return known;
  return "TLS error: " + (text.empty() ? std::string("unknown error") : text);
}

std::string describe_handshake_timeout(const SocketBio& io, Role role, Duration after) {
  const auto seconds = std::chrono::duration_cast<std::chrono::milliseconds>(after).count();
  const std::string within = " within " + std::to_string(seconds) + " ms";
  if (io.received == 0) {
    return role == Role::dialler ? "no answer to our TLS hello" + within + "; does the right program listen there?"
                                 : "peer said nothing" + within;
  }
  return "TLS handshake not finished" + within + " (" + std::to_string(io.received) + " bytes received)";
}

}  // namespace sallyport::net
