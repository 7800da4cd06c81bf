// A diode link of a node: a one-way session on a wire on a transport, with its timers and files. It stands beside the tunnels
// in a bundle. Loop thread: of the one loop it runs on for all its life.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "link/link.h"
#include "link/tunnel.h"
#include "net/signer.h"

namespace sallyport::link::diode {

class DiodeLink {
 public:
  virtual ~DiodeLink() = default;
  virtual void start() = 0;
  virtual void stop(const std::string& why) = 0;
  virtual const LinkOptions& options() const = 0;      // Any thread: they never change.
  virtual LinkStatus status() const = 0;
  virtual ReceiverMemory memory() const { return {}; }
  virtual void recall(ReceiverMemory) {}               // before start()
  // Hops as seen from here; those that a sending link tells on.
  virtual std::vector<HopStatus> hops() const { return {}; }
  virtual bool tells_hops() const { return false; }
  virtual void send_hops(const std::vector<HopStatus>&) {}
  virtual void check_takeover() {}
  // Renewed certificates: what this node signs with, and whom it believes.
  virtual void set_keys(const std::shared_ptr<const net::Signer>&, const std::shared_ptr<const net::Trust>&) {}
};

// options.diode says which way.
std::unique_ptr<DiodeLink> make_diode_link(TunnelContext& context, LinkOptions options);

}  // namespace sallyport::link::diode
