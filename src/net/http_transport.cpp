// Bare and TLS sockets of the HTTP server; see http_transport.h.
#include "net/http_transport.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl.hpp>
#include <utility>

namespace sallyport::net {
namespace {

namespace asio = boost::asio;
using boost::asio::ip::tcp;
using boost::system::error_code;

class PlainTransport final : public HttpTransport {
 public:
  explicit PlainTransport(tcp::socket socket) : socket_(std::move(socket)) {}
  void handshake(Done done) override { done({}, 0); }
  void read_some(std::span<char> into, Done done) override {
    socket_.async_read_some(asio::buffer(into.data(), into.size()), std::move(done));
  }
  void write_some(std::string_view from, Done done) override {
    socket_.async_write_some(asio::buffer(from.data(), from.size()), std::move(done));
  }
  void finish(Done done) override {
    error_code error;
    socket_.shutdown(tcp::socket::shutdown_send, error);
    done(error, 0);
  }
  void close() override {
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  tcp::socket socket_;
};

class TlsTransport final : public HttpTransport {
 public:
  TlsTransport(tcp::socket socket, std::shared_ptr<TlsContext> context)
      : context_(std::move(context)), stream_(std::move(socket), *context_) {}
  void handshake(Done done) override {
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [done = std::move(done)](const error_code& error) { done(error, 0); });
  }
  void read_some(std::span<char> into, Done done) override {
    stream_.async_read_some(asio::buffer(into.data(), into.size()), std::move(done));
  }
  void write_some(std::string_view from, Done done) override {
    stream_.async_write_some(asio::buffer(from.data(), from.size()), std::move(done));
  }
  void finish(Done done) override {
    stream_.async_shutdown([done = std::move(done)](const error_code& error) { done(error, 0); });
  }
  void close() override {
    error_code ignored;
    stream_.next_layer().close(ignored);
  }

 private:
  std::shared_ptr<TlsContext> context_;
  asio::ssl::stream<tcp::socket> stream_;
};

std::unexpected<Error> tls_error(const std::string& what) {
  const unsigned long code = ERR_peek_error();  // the first: what follows only says where it passed
  std::string reason = "unknown reason";
  if (ERR_SYSTEM_ERROR(code)) {
    reason = error_code(static_cast<int>(ERR_GET_REASON(code)), boost::system::system_category()).message();
  } else if (const char* text = ERR_reason_error_string(code); text != nullptr) {
    reason = text;
  }
  ERR_clear_error();
  return fail(ErrorCode::invalid, what + ": " + reason);
}

// Without it OpenSSL asks for the pass phrase of an encrypted key on the terminal.
int no_passphrase(char*, int, int, void*) { return 0; }

}  // namespace

std::unique_ptr<HttpTransport> plain_transport(tcp::socket socket) {
  return std::make_unique<PlainTransport>(std::move(socket));
}

Result<std::shared_ptr<TlsContext>> make_tls_context(const HttpTls& tls) {
  auto context = std::make_shared<TlsContext>(TlsContext::tlsv13_server);
  SSL_CTX* native = context->native_handle();
  ERR_clear_error();
  SSL_CTX_set_default_passwd_cb(native, no_passphrase);
  if (SSL_CTX_set_min_proto_version(native, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set1_groups_list(native, "X25519MLKEM768:X25519") != 1 || SSL_CTX_set_num_tickets(native, 0) != 1) {
    return tls_error("this OpenSSL cannot do TLS 1.3 with X25519MLKEM768");
  }
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
  if (SSL_CTX_use_certificate_chain_file(native, tls.certificate.c_str()) != 1) {
    return tls_error("certificate " + tls.certificate);
  }
  if (SSL_CTX_use_PrivateKey_file(native, tls.private_key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return tls_error("private key " + tls.private_key);
  }
  if (SSL_CTX_check_private_key(native) != 1) {
    return tls_error("private key " + tls.private_key + " does not belong to certificate " + tls.certificate);
  }
  return context;
}

Result<void> check_http_tls(const HttpTls& tls) {
  auto context = make_tls_context(tls);
  if (!context) return std::unexpected(context.error());
  return {};
}

std::unique_ptr<HttpTransport> tls_transport(tcp::socket socket, std::shared_ptr<TlsContext> context) {
  return std::make_unique<TlsTransport>(std::move(socket), std::move(context));
}

}  // namespace sallyport::net
