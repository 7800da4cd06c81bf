// The links of a node as the node sees them: dialled and accepted tunnels, each mirroring what it may send and receive
// between this namespace and a peer's. What a link does in detail is in session.h (no I/O) and docs/protocol.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "namespace/namespace.h"
#include "net/loop.h"
#include "net/tls.h"

namespace sallyport::link {

struct LinkOptions {
  std::string name;                    // [[link]] name; for a [[listen.peer]] the peer's name
  std::string peer;                    // node name its certificate must carry
  std::optional<net::Address> dial;    // set: we open the connection; empty: the peer does
  Patterns send, receive;              // default: nothing
  Duration heartbeat = std::chrono::seconds(1);
  Duration timeout = std::chrono::seconds(3);   // the stricter of both ends applies
  Status on_loss = status::kBadNoCommunication;
  net::Via via{};                       // how to get to the peer through proxies and firewalls, when we dial
  friend bool operator==(const LinkOptions&, const LinkOptions&) = default;
};

enum class LinkState : std::uint8_t { connecting, up, down };
std::string_view to_string(LinkState state);

// One hop behind this node, as its heartbeats tell: `node` says that its `link` is in this state.
struct HopStatus {
  std::string node, link, peer;
  LinkState state = LinkState::down;
  UtcNanoseconds since = 0;
  std::string reason;
  Duration delay{0};                   // one way, measured
  bool heard = true;                   // false: the path to `node` is broken, so this is what it last said
};

struct LaneStatus {
  std::uint64_t changes = 0, bytes = 0, dropped = 0, definitions = 0;
};

struct LinkStatus {
  std::string name, peer;
  LinkState state = LinkState::down;
  UtcNanoseconds since = 0;
  std::string reason;                  // why it is not up
  std::string group;                   // negotiated, e.g. X25519MLKEM768; empty while down
  std::string address;
  bool dials = false;
  LaneStatus send, receive;
  Duration delay{0};
  std::uint64_t connects = 0;          // how often it came up
  std::uint64_t refused = 0;           // frames or points of the peer that were not allowed
  bool synchronized = false;           // the receive side has caught up since the link came up
  std::vector<HopStatus> hops;
};

struct ListenStatus {
  std::uint16_t port = 0;
  net::ListenerCounters counters;
};

// All links of a node. Loop thread, except status(). Owns the sessions; the destructor closes everything.
class Links {
 public:
  Links(net::Loop& loop, Namespace& ns, std::string node_name, std::shared_ptr<const net::TlsIdentity> identity);
  ~Links();
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  // Starts the listener; the peers that may connect are those added without `dial`.
  Result<void> listen(const net::Address& address);
  // Adds a link (exists: same name or same peer twice among listening ones). A dialled one begins dialling at once.
  Result<void> add(LinkOptions options);
  void remove(const std::string& name);              // its points turn not-good, then vanish with the route
  // Reload: links equal to what runs are left alone, others are added, removed or restarted.
  Result<void> reconfigure(std::vector<LinkOptions> options);
  void set_identity(std::shared_ptr<const net::TlsIdentity> identity);  // for new connections
  // The end is near: tells every peer and listens no more. What came by the links stays, not good, until destruction, so
  // that sinks can say so before they stop.
  void stop();

  std::vector<LinkStatus> status() const;            // Any thread.
  std::optional<ListenStatus> listen_status() const; // Any thread.

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::link
