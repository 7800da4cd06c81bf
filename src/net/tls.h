// TLS 1.3, mutual, post-quantum (X25519MLKEM768 or SecP256r1MLKEM768) or no connection: dialling, listening, and the
// stream that results. OpenSSL straight on non-blocking sockets; no copy between. Loop thread unless noted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/loop.h"

namespace sallyport::net {

// "host:port", "[v6]:port". The port is required.
struct Address {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const Address&, const Address&) = default;
};
Result<Address> parse_address(std::string_view text);
std::string to_string(const Address& address);

struct IdentityFiles {
  std::string certificate, private_key, trust;  // PEM; certificate may carry its chain
  std::string key_log{};   // empty: none. Else the secrets of all sessions are written there: see net/key_log.h
  std::string sign_certificate{}, sign_key{};   // empty: none. The pair that data is signed with: see net/signer.h
};

struct CertificateInfo {
  std::string name;         // CN, which must equal a DNS subject alternative name too when there is any
  std::string algorithm;    // "ML-DSA-65", "ED25519", "EC P-256"
  std::string issuer;
  std::string sha256;       // fingerprint, hex
  UtcNanoseconds not_before = 0, not_after = 0;
};
Result<CertificateInfo> read_certificate(const std::string& pem_file);

inline constexpr const char* kKeyLogWarning =
    "key_log is set: whoever has this file can read everything that the links carry; remove the key, and the file, when the "
    "fault is found";

// Certificate, key and trust, loaded and checked: readable, key belongs to certificate, certificate not expired, named as
// expected, signed by something in `trust`. Immutable; shared by streams. reload = make a new one.
class TlsIdentity {
 public:
  // Error messages name the file and say what to do ("plant-1.crt: expired 3 days ago; issue a new one with `sallyport keys issue`").
  static Result<std::shared_ptr<const TlsIdentity>> load(const IdentityFiles& files, const std::string& expected_name);
  ~TlsIdentity();
  const CertificateInfo& certificate() const;
  struct Impl;
  Impl& impl() const { return *impl_; }

 private:
  TlsIdentity();
  std::unique_ptr<Impl> impl_;
};

struct IoResult {
  enum class Kind : std::uint8_t { bytes, would_block, closed, failed } kind = Kind::would_block;
  std::size_t size = 0;   // with bytes: how many were read or written, > 0
  std::string reason;     // with closed or failed: "connection reset by peer", …
};

// An established, authenticated stream. Neither copied nor moved; destroying it closes the socket and drops the callbacks.
class TlsStream {
 public:
  virtual ~TlsStream() = default;
  virtual IoResult read(std::span<std::byte> into) = 0;
  // May write less than all. The bytes counted are taken for good, and only those: what is offered next may be the rest, or
  // something else.
  virtual IoResult write(std::span<const std::byte> from) = 0;
  // Calls back once when reading (writing) is worth trying again. One callback each at a time; kept until it fires.
  virtual void when_readable(std::function<void()> callback) = 0;
  virtual void when_writable(std::function<void()> callback) = 0;
  virtual void request_key_update() = 0;   // both directions; done with the next write
  virtual std::string group() const = 0;   // negotiated, e.g. "X25519MLKEM768"
  virtual const CertificateInfo& peer() const = 0;
  virtual std::string remote_address() const = 0;
  // From here on callbacks come on that loop, and everything else is to be called there too. What was received already goes
  // with it. Before the first read, write or wait; a stream that cannot be moved says so when it is read.
  virtual void move_to(Loop& loop) = 0;
  virtual std::size_t unsent_bytes() const = 0;  // taken, but not yet acknowledged by the peer's kernel (SIOCOUTQ)
};

// How to get through other people's networks (docs/networks.md). The default: straight to the peer.
enum class ProxyKind : std::uint8_t { http, socks5 };
struct Proxy {
  ProxyKind kind = ProxyKind::http;
  Address address{};
  std::string user{}, password{};           // both empty: no authentication
  friend bool operator==(const Proxy&, const Proxy&) = default;
};
// "http://user@proxy.example:3128", "socks5://10.0.0.1:1080"; the port is required, a password is refused.
Result<Proxy> parse_proxy(std::string_view url);
// The same without secrets: "http://proxy.example:3128".
std::string to_string(const Proxy& proxy);

// normal: the first flight carries a hybrid key share (1.4 kB). hrr: it fits one segment of any network (1 kB), and costs
// one round trip more; the negotiated group is the same.
enum class ClientHello : std::uint8_t { normal, hrr };

struct Via {
  std::optional<Proxy> proxy{};             // then nothing else is dialled, and the proxy resolves the peer's name
  std::optional<std::string> websocket{};   // path of the HTTP upgrade: the TLS bytes travel in binary WebSocket frames
  ClientHello hello = ClientHello::normal;
  friend bool operator==(const Via&, const Via&) = default;
};
// A path that an HTTP request line can carry: "/…", printable ASCII, at most 1,024 bytes.
Result<void> check_websocket_path(std::string_view path);

struct DialOptions {
  Address address{};
  Via via{};
  std::string peer_name{};                  // the certificate must carry it
  Duration connect_timeout = std::chrono::seconds(5);    // all of resolve + connect
  Duration handshake_timeout = std::chrono::seconds(5);  // all of proxy, WebSocket upgrade and TLS
};
// One attempt: resolve (off the loop), connect to each address in turn, handshake, check group and name. The callback runs
// exactly once unless the attempt is destroyed first. Error messages are for the operator: what failed and what to do
// ("peer presented certificate 'x', expected 'dmz-1'", "peer offers no post-quantum group", "connection refused").
class DialAttempt {
 public:
  virtual ~DialAttempt() = default;  // cancels
};
using DialCallback = std::function<void(Result<std::unique_ptr<TlsStream>>)>;
std::unique_ptr<DialAttempt> dial(Loop& loop, std::shared_ptr<const TlsIdentity> identity, DialOptions options, DialCallback done);

struct ListenOptions {
  Address address{};                        // port 0: any free port
  Duration handshake_timeout = std::chrono::seconds(5);
  // Half-open, in total and per source (IPv4 address, IPv6 /64). At a limit the oldest of them that had its second makes
  // room; if there is none, the new connection is closed.
  unsigned max_handshakes = 256;
  unsigned max_handshakes_per_address = 32;
  bool websocket = false;                   // the port accepts TLS inside WebSocket frames too
};
struct ListenerCounters {
  std::uint64_t accepted = 0, established = 0, refused_limit = 0, failed_handshake = 0, timed_out = 0;
  unsigned handshaking = 0;
  std::string last_failure;                 // text of the last failed handshake, with its address
};
class TlsListener {
 public:
  virtual ~TlsListener() = default;         // closes the socket and drops half-open handshakes
  virtual std::uint16_t port() const = 0;
  virtual ListenerCounters counters() const = 0;   // Any thread.
  virtual void set_identity(std::shared_ptr<const TlsIdentity> identity) = 0;  // for new connections
};
using AcceptCallback = std::function<void(std::unique_ptr<TlsStream>)>;
// Fails clearly when the address is in use or may not be bound.
Result<std::unique_ptr<TlsListener>> listen(Loop& loop, std::shared_ptr<const TlsIdentity> identity, ListenOptions options,
                                            AcceptCallback accepted);

}  // namespace sallyport::net
