// TLS towards a broker: at least 1.2, its certificate checked for the host we dialled, a post-quantum group preferred
// (or required). One context per connection, so that renewed certificate files are read at the next one.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

using SSL_CTX = struct ssl_ctx_st;
using SSL = struct ssl_st;
using X509_STORE_CTX = struct x509_store_ctx_st;
using X509 = struct x509_st;
using EVP_PKEY = struct evp_pkey_st;

namespace sallyport::mqtt {

struct Options;

class BrokerTls {
 public:
  // Reads the files. Errors name the file and say what is wrong with it.
  static Result<std::unique_ptr<BrokerTls>> make(const Options& options);
  ~BrokerTls();
  BrokerTls(const BrokerTls&) = delete;
  BrokerTls& operator=(const BrokerTls&) = delete;

  SSL_CTX* context() const { return context_; }
  // Why the broker's certificate was refused; empty when it was not.
  const std::string& verdict() const { return verdict_; }
  // The broker asked for a client certificate, and we have none.
  bool lacks_certificate() const { return lacks_certificate_; }

 private:
  BrokerTls() = default;
  Result<void> load(const Options& options);
  static int on_verify(int ok, X509_STORE_CTX* store);
  static int on_certificate_wanted(SSL* ssl, X509** certificate, EVP_PKEY** key);
  static void on_info(const SSL* ssl, int where, int);

  SSL_CTX* context_ = nullptr;
  std::string host_;
  bool numeric_ = false;
  std::string verdict_;
  bool lacks_certificate_ = false;
};

// "X25519MLKEM768, TLSv1.3"; empty before the handshake is done.
std::string describe_tls(const SSL* ssl);

}  // namespace sallyport::mqtt
