// Owners for OpenSSL's objects, and its error queue as text. Only for the .cpp files of net/.
#pragma once

#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "crypto/openssl.h"

namespace sallyport::net {

using crypto::KeyPtr;
using crypto::OpenSslFree;
using BioPtr = std::unique_ptr<BIO, OpenSslFree<BIO_free_all>>;
using CertificatePtr = std::unique_ptr<X509, OpenSslFree<X509_free>>;
using StorePtr = std::unique_ptr<X509_STORE, OpenSslFree<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, OpenSslFree<X509_STORE_CTX_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, OpenSslFree<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, OpenSslFree<SSL_free>>;

// The oldest entry of this thread's error queue, for a person; empties the queue.
std::string take_openssl_error();

}  // namespace sallyport::net
