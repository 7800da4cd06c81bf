// The secrets of TLS sessions as lines of text (NSS key log format), so that Wireshark can read a capture. For tests and for
// finding faults; whoever has the file can read everything that its sessions carried.
#pragma once

#include <string>

#include "base/result.h"
#include "net/openssl.h"

namespace sallyport::net {

// Whether it may be written: a plain file of mode 0600, or one yet to be made in a folder that is there.
Result<void> check_key_log(const std::string& file);
// From now on each handshake of `context` appends its secrets; the file is made (mode 0600) with the first.
void write_key_log(SSL_CTX* context, const std::string& file);

}  // namespace sallyport::net
