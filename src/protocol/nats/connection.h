// One connection to a NATS server, and subscriptions on it. Reconnecting is the owner's: after a break a new Connection
// begins with nothing on its way, which the library's own reconnecting does not.
#pragma once

#include <nats/nats.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/settings.h"
#include "base/wake_fd.h"

namespace sallyport::nats {

struct ServerOptions {
  std::vector<std::string> servers;  // "nats://host:4222", "tls://host:4222"; the first that answers
  std::string client_name;           // shown by the server
  std::string user, password, token, credentials;  // credentials: a file of `nsc` (JWT and seed)
  bool tls = false;
  std::string ca, certificate, private_key;  // files; no ca: the system's trust store
};
// Problems go to the settings' list.
ServerOptions read_server_options(SettingsReader& settings, std::string client_name);

// Text of the library's status and of what it noted last on this thread.
Error nats_error(std::string_view what, natsStatus status);

class Connection {
 public:
  // Blocks for a few seconds at most.
  static Result<std::unique_ptr<Connection>> open(const ServerOptions& options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  natsConnection* get() const { return connection_; }
  bool closed() const;         // for good; any thread. Nobody is called: ask
  std::string reason() const;  // why
  std::string server() const;  // the address in use, without secrets

 private:
  Connection() = default;
  natsOptions* options_ = nullptr;
  natsConnection* connection_ = nullptr;
};

struct MessageDeleter {
  void operator()(natsMsg* message) const { natsMsg_Destroy(message); }
};
using MessagePtr = std::unique_ptr<natsMsg, MessageDeleter>;

// A subscription that collects what comes. The library's thread fills it, one other thread empties it.
class Inbox {
 public:
  // Beyond `max` messages the newest are dropped and counted. The wake descriptor is woken when something came.
  static Result<std::unique_ptr<Inbox>> open(Connection& connection, const std::string& subject, const std::string& queue_group,
                                             std::size_t max, const WakeFd& wake);
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  void take(std::vector<MessagePtr>& out);  // replaces `out`
  std::uint64_t dropped() const;

 private:
  // Outlives the inbox until the library has let go of it.
  struct Shared {
    std::mutex mutex;
    std::vector<MessagePtr> messages;
    std::uint64_t dropped = 0;
    std::size_t max = 0;
    const WakeFd* wake = nullptr;  // null once the inbox is gone
  };
  static void on_message(natsConnection*, natsSubscription*, natsMsg* message, void* shared);
  static void on_complete(void* shared);

  Inbox() = default;
  std::shared_ptr<Shared> shared_;
  natsSubscription* subscription_ = nullptr;
};

}  // namespace sallyport::nats
