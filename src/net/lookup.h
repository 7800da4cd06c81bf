// Host name → addresses, off the loop. getaddrinfo cannot be interrupted and takes half a minute when the name servers
// are away, so each lookup has a thread of its own that nobody waits for: not a cancelled attempt, not the end of the
// program.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/asio.h"
#include "net/loop.h"
#include "net/tls.h"

namespace sallyport::net {

using Endpoints = std::vector<asio::ip::tcp::endpoint>;

// At once, for numeric hosts and for the start of a listener. Blocks on names.
Result<Endpoints> resolve_now(const Address& address);

class Lookup {
 public:
  using Done = std::function<void(Result<Endpoints>)>;
  // Calls back on the loop, also for numeric hosts, never from inside.
  Lookup(Loop& loop, const Address& address, Done done);
  ~Lookup();  // cancels: no callback afterwards
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::net
