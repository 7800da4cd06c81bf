// One link of a node over TLS: dials or is dialled, runs a session on the stream, tries again with back-off and jitter.
// The receiver and what it holds outlive the sessions. Loop thread.
#pragma once

#include <memory>
#include <random>
#include <string>

#include "link/link.h"
#include "link/session.h"
#include "net/loop.h"
#include "net/tls.h"

namespace sallyport::link {

// What a tunnel needs of the node; outlives it.
struct TunnelContext {
  net::Loop& loop;
  Namespace& ns;
  std::string node;
  std::uint64_t incarnation;
  std::shared_ptr<const net::TlsIdentity> identity;
  std::uint32_t max_points;
  std::function<void()> hops_changed;   // a hop here or behind changed: tell everyone
};

class Tunnel {
 public:
  Tunnel(TunnelContext& context, LinkOptions options);
  ~Tunnel();
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  void start();                                          // dials, when it is the one to dial
  void accept(std::unique_ptr<net::TlsStream> stream);   // a peer connected; replaces what was there
  void stop(CloseCode code, const std::string& text);

  const LinkOptions& options() const { return options_; }
  LinkStatus status() const;
  // Hops as seen from here: this link, then what the peer told, marked unheard while the link is not up.
  void append_hops(std::vector<HopStatus>& out, const std::string& not_for_peer) const;
  void send_hops(std::vector<HopStatus> hops);

 private:
  struct Connection;
  void dial();
  void run(std::unique_ptr<net::TlsStream> stream);
  void connection_ended(const std::string& reason, bool refused);
  void retry_later(bool refused);
  void set_state(LinkState state, const std::string& reason);

  TunnelContext& context_;
  LinkOptions options_;
  Receiver receiver_;
  std::unique_ptr<net::DialAttempt> attempt_;
  std::shared_ptr<Connection> connection_;   // shared with posted tasks, which check that it is still alive
  net::Timer retry_;
  unsigned failures_ = 0;
  std::minstd_rand random_;
  LinkState state_ = LinkState::down;
  UtcNanoseconds since_ = 0;
  std::string reason_;
  std::uint64_t connects_ = 0;
  std::size_t last_window_ = FlowWindow::kFirst;
  SenderCounters sent_before_;               // of ended sessions
  std::uint64_t sent_bytes_before_ = 0, received_bytes_before_ = 0;
  std::vector<HopStatus> peer_hops_;         // kept when the session ends
  std::uint64_t hops_sent_hash_ = 0;
};

}  // namespace sallyport::link
