// The links of a node that share one loop. What those of different loops tell each other (hops, routes that changed)
// goes from here to there by posting, never by waiting.
#pragma once

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "link/diode/diode_link.h"
#include "link/tunnel.h"

namespace sallyport::link {

// Loop thread of its loop, unless noted. Tasks in the loop's queue share it.
class Bundle : public std::enable_shared_from_this<Bundle> {
 public:
  Bundle(TunnelContext context, unsigned number);
  Bundle(const Bundle&) = delete;
  Bundle& operator=(const Bundle&) = delete;

  void start(std::vector<std::weak_ptr<Bundle>> all);   // itself among them; before the loops run
  // Any thread; on the loop, at once when this is its thread, or when it does not run.
  template <typename Task> void hand(Task task);        // returns without waiting for it
  template <typename Task> void run(Task&& task);       // waits; not for a loop of another bundle

  const LinkOptions& add(LinkOptions options, std::optional<ReceiverMemory> memory);
  void remove(const std::string& name, CloseCode code, const std::string& text);
  void accept(const std::string& name, std::unique_ptr<net::TlsStream> stream);
  void set_identity(const std::shared_ptr<const net::TlsIdentity>& identity, bool renew);
  void set_keys(const std::shared_ptr<const net::Signer>& signer, const std::shared_ptr<const net::Trust>& trust);   // of diodes
  void stop(CloseCode code, const std::string& text);
  void close();   // of the links and the timer; afterwards it may be destroyed anywhere
  ReceiverMemory memory(const std::string& name) const;
  std::vector<LinkStatus> status() const;
  const net::Loop& loop() const { return context_.loop; }   // Any thread.
  net::Loop& loop() { return context_.loop; }               // Any thread.

 private:
  // What a link here knows of hops, for the links of all loops.
  struct Known {
    std::string link, peer;
    std::vector<HopStatus> hops;   // its own first
  };
  using KnownHops = std::vector<Known>;

  void tick();
  void hops_changed();
  void publish();
  void tell();
  const LinkOptions& add_diode(LinkOptions options, std::optional<ReceiverMemory> memory);
  std::vector<HopStatus> hops_for(const LinkOptions& link, const std::vector<std::shared_ptr<const KnownHops>>& all) const;
  std::shared_ptr<const KnownHops> known() const;       // Any thread.
  void ask_to_tell();                                   // Any thread.
  void ask_to_check_takeover();                         // Any thread.
  template <typename Task> void for_all(Task task) const;

  TunnelContext context_;
  const unsigned number_;
  std::map<std::string, std::unique_ptr<Tunnel>> tunnels_;
  std::map<std::string, std::unique_ptr<diode::DiodeLink>> diodes_;   // links too, of other names
  std::vector<std::weak_ptr<Bundle>> all_;
  std::optional<net::Timer> hops_timer_;
  bool hops_posted_ = false;
  std::atomic<bool> tell_posted_ = false, takeover_posted_ = false;   // one at a time in the loop's queue
  mutable std::mutex mutex_;
  std::shared_ptr<const KnownHops> known_ = std::make_shared<const KnownHops>();   // under the mutex
};

template <typename Task>
void Bundle::hand(Task task) {
  if (context_.loop.on_loop_thread()) return task(*this);
  context_.loop.post([self = shared_from_this(), task = std::move(task)] { task(*self); });
}

template <typename Task>
void Bundle::run(Task&& task) {
  if (context_.loop.on_loop_thread()) return task(*this);
  std::promise<void> done;
  context_.loop.post([&] {
    task(*this);
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace sallyport::link
