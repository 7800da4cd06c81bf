// The links of a node as the node sees them: dialled and accepted tunnels, each mirroring what it may send and receive
// between this namespace and a peer's. What a link does in detail is in session.h (no I/O) and docs/protocol.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "link/diode/options.h"
#include "link/diode/status.h"
#include "namespace/image.h"
#include "namespace/namespace.h"
#include "net/loop.h"
#include "net/tls.h"

namespace sallyport::journal { class Journal; }
namespace sallyport::net { class Signer; class Trust; }

namespace sallyport::link {

// What a link that only sends reads of its peer after the hellos (uplink.h): everything, acknowledgements only, nothing.
enum class OneWay : std::uint8_t { off, acks, strict };
std::string_view to_string(OneWay mode);

struct LinkOptions {
  std::string name;                    // [[link]] name; for a [[listen.peer]] the peer's name
  std::string peer;                    // node name its certificate must carry
  std::vector<net::Address> dial;      // we open the connection, to the first that answers; empty: the peer does
  Patterns send, receive;              // default: nothing
  Duration heartbeat = std::chrono::seconds(1);
  Duration timeout = std::chrono::seconds(3);   // the stricter of both ends applies
  Status on_loss = status::kBadNoCommunication;
  net::Via via{};                       // how to get to the peer through proxies and firewalls, when we dial
  unsigned rank = 0;                   // of links that bring the same points the lowest is used, 0 to 255
  OneWay one_way = OneWay::off;        // other than off only where nothing is received
  std::uint64_t rate = 100'000'000;    // strict: bits a second, as no acknowledgement tells how fast the way is
  Duration key_update = std::chrono::hours(1);    // new traffic keys on a connection (RFC 8446 §4.6.3)
  Duration reconnect = std::chrono::hours(24);    // a new connection, hence a new key exchange; make before break
  std::optional<diode::DiodeOptions> diode{};     // no connection at all: datagrams in one direction
  friend bool operator==(const LinkOptions&, const LinkOptions&) = default;
};

// Under which a link reads the journal of its node.
inline std::string journal_reader_name(const std::string& link) { return "link/" + link; }

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
  unsigned loop = 0;                   // the one it runs on: 0 is the first
  LaneStatus send, receive;
  Duration delay{0};
  std::uint64_t connects = 0;          // how often it came up
  std::uint64_t refused = 0;           // frames or points of the peer that were not allowed
  // Connections that this side closed, by the code it gave: what the peer did wrong.
  struct Closed {
    std::uint64_t malformed = 0, version = 0, not_allowed = 0, timeout = 0, limit = 0;
  } closed;
  OneWay one_way = OneWay::off;
  std::uint64_t discarded_bytes = 0;   // of the peer, unseen, as this side only sends
  bool synchronized = false;           // the receive side has caught up since the link came up
  bool secondary = false;              // connected to an address that is not the first of `dial`
  std::uint64_t renewals = 0;          // connections replaced by a fresh one without a break
  std::uint64_t key_updates = 0;
  std::uint64_t resumes = 0, full_resends = 0;      // how sessions began on the receiving side
  std::uint64_t digest_mismatches = 0, repaired_points = 0;   // receiving side: differences found, and mended
  std::vector<HopStatus> hops;
  std::optional<diode::DiodeStatus> diode{};
};

struct ListenStatus {
  std::uint16_t port = 0;
  net::ListenerCounters counters;
};

// What links know besides the points, over a restart of this node.
class LinksMemory {
 public:
  LinksMemory();
  ~LinksMemory();
  LinksMemory(LinksMemory&&) noexcept;
  LinksMemory& operator=(LinksMemory&&) noexcept;
  // Chunks of a file that save() of Links wrote. malformed.
  Result<void> take(const Chunk& chunk);

 private:
  friend class Links;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// All links of a node. Owns the sessions; the destructor closes everything. Thread of the first loop, except status(); while
// the loops do not run, any one thread.
class Links {
 public:
  // `memory`: of this node before a stop, together with the namespace as it was then.
  // `more`: further loops, each with a thread of its own, which share the links with the first; they run when the first
  // does, and until after the destruction. They never wait for another loop; the first may wait for them.
  // `journal`: of this node, which outlives this; null: `every` points go as live values only.
  Links(net::Loop& loop, Namespace& ns, std::string node_name, std::shared_ptr<const net::TlsIdentity> identity, LinksMemory memory = {},
        std::span<net::Loop* const> more = {}, journal::Journal* journal = nullptr);
  ~Links();
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  // Starts the listener; the peers that may connect are those added without `dial`.
  // websocket: the same port takes TLS in WebSocket frames too.
  Result<void> listen(const net::Address& address, bool websocket = false);
  // Adds a link (exists: same name or same peer twice among listening ones). A dialled one begins dialling at once.
  Result<void> add(LinkOptions options);
  void remove(const std::string& name);              // its points turn not-good, then vanish with the route
  // Reload: links equal to what runs are left alone, others are added, removed or restarted.
  Result<void> reconfigure(std::vector<LinkOptions> options);
  // For new connections; with another certificate those that are up are replaced by new ones, make before break.
  void set_identity(std::shared_ptr<const net::TlsIdentity> identity);
  // The same for what diodes sign with and whom they believe; null: as it was.
  void set_keys(std::shared_ptr<const net::Signer> signer, std::shared_ptr<const net::Trust> trust);
  // The end is near: tells every peer and listens no more. What came by the links stays, not good, until destruction, so
  // that sinks can say so before they stop.
  void stop();
  // After stop(): for the next start. Any thread that is none of the loops'.
  Result<void> save(const ChunkSink& out) const;

  std::vector<LinkStatus> status() const;            // Any thread.
  std::optional<ListenStatus> listen_status() const; // Any thread.

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::link
