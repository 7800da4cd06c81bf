// The keys of a [[link]] that say how to get to the peer: proxy, proxy_password_file, proxy_password_env, websocket,
// client_hello (docs/networks.md). Main thread.
#pragma once

#include "base/settings.h"
#include "net/tls.h"

namespace sallyport::node {

// What is wrong is reported to the reader; the result is then not to be used.
net::Via read_via(SettingsReader& reader);

}  // namespace sallyport::node
