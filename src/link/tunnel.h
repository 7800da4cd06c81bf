// One link of a node over TLS: dials or is dialled, runs a session on the stream, tries again with back-off and jitter.
// The receiver and what it holds outlive the sessions. Loop thread: of the one loop it runs on for all its life.
#pragma once

#include <memory>
#include <random>
#include <string>

#include "link/connection.h"
#include "link/link.h"
#include "link/session.h"
#include "net/loop.h"
#include "net/tls.h"

namespace sallyport::link {

// What a tunnel needs of the node; one for each loop; outlives it.
struct TunnelContext {
  net::Loop& loop;
  Namespace& ns;
  std::string node;
  std::uint64_t incarnation;
  std::shared_ptr<const net::TlsIdentity> identity;
  std::uint32_t max_points;
  std::function<void()> hops_changed;   // a hop here or behind changed: tell everyone
  std::function<void()> routes_changed; // something was received that changed a route: others may bring its points now
  journal::Journal* journal = nullptr;
};

class Tunnel {
 public:
  Tunnel(TunnelContext& context, LinkOptions options);
  ~Tunnel();
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  void start();                                          // dials, when it is the one to dial
  void accept(std::unique_ptr<net::TlsStream> stream);   // a peer connected; takes over from what was there
  // A new connection for new keys or another certificate; the old one goes on until the new one can. A side that does not
  // dial asks the peer to.
  void renew();
  void stop(CloseCode code, const std::string& text);
  ReceiverMemory memory() const;
  void recall(ReceiverMemory memory) { receiver_.recall(std::move(memory)); }  // before start()

  const LinkOptions& options() const { return options_; }   // Any thread: they never change.
  LinkStatus status() const;
  // Hops as seen from here: this link, then what the peer told, marked unheard while the link is not up.
  std::vector<HopStatus> hops() const;
  bool tells_hops() const { return running() && connection_->session()->sender() != nullptr; }
  void send_hops(std::vector<HopStatus> hops);
  // A route of this node changed: points refused here may now be ours to bring.
  void check_takeover();

 private:
  bool dials() const { return !options_.dial.empty(); }
  bool running() const { return state_ == LinkState::up && connection_ && connection_->session() != nullptr; }
  // Dialling: one address after the other from `from` to before `to`.
  void dial(std::size_t from, std::size_t to);
  void dial_failed(const Error& error, std::size_t from, std::size_t to);
  void run(std::unique_ptr<net::TlsStream> stream);
  SessionOptions session_options() const;
  void came_up(const std::shared_ptr<Connection>& connection);
  void connection_ended(const std::shared_ptr<Connection>& connection, const std::string& reason, bool refused);
  void lost(const std::string& reason, bool refused);
  void count_closing(const Connection& connection);
  bool take_over();
  void retire(std::shared_ptr<Connection> old);
  void account(const Connection& connection);
  void retry_later(bool refused);
  void note_routes();
  void plan_renewal();
  void renewal_failed(const std::string& reason);
  void set_state(LinkState state, const std::string& reason);
  Duration jittered(Duration base);

  TunnelContext& context_;
  LinkOptions options_;
  Receiver receiver_;
  std::unique_ptr<net::DialAttempt> attempt_;
  std::string failures_text_;                // of the addresses tried in this round
  // The one in use; the one that will take over once hellos are exchanged; the one that was in use, kept open a moment.
  std::shared_ptr<Connection> connection_, candidate_, retired_;
  net::Timer retry_, renewal_, retirement_;
  std::size_t target_ = 0, in_use_ = 0;      // of options_.dial: tried last; connected to
  bool renewal_asked_ = false;               // by the peer; renewal_ is set for it
  std::size_t first_target_ = 0;             // where the next round begins
  unsigned failures_ = 0;
  std::minstd_rand random_;
  LinkState state_ = LinkState::down;
  UtcNanoseconds since_ = 0;
  std::string reason_;
  LinkStatus::Closed closed_;
  std::uint64_t connects_ = 0, renewals_ = 0, key_updates_before_ = 0;
  SenderCounters sent_before_;               // of ended sessions
  std::uint64_t sent_bytes_before_ = 0, received_bytes_before_ = 0, discarded_before_ = 0;
  std::vector<HopStatus> peer_hops_;         // kept when the session ends
  std::uint64_t hops_sent_hash_ = 0;
  std::uint64_t routes_seen_ = 0;            // Namespace::route_version
};

}  // namespace sallyport::link
