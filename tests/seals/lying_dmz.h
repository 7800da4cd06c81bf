// A DMZ node that is compromised: it has its certificate and its keys, speaks the protocol properly, with the program's own
// links, and does with what comes through as a test says. Two namespaces in this process, one for each side.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "harness.h"
#include "link/link.h"
#include "namespace/namespace.h"
#include "net/loop_thread.h"
#include "net/signer.h"

namespace sallyport::tests {

// A point as it goes through.
struct Item {
  std::string path;
  Value value;
  Status status = status::kGood;
  UtcNanoseconds source_time = 0;
  bool removed = false;
  bool is_seal() const { return path.starts_with("$seal/"); }
  bool is_values() const { return path.find("/$v") != std::string::npos; }
};

class LyingDmz {
 public:
  // What goes out instead of an item: itself, something else, several things, nothing.
  using Way = std::function<std::vector<Item>(const Item&)>;

  LyingDmz(Pki& pki, const std::string& name, const std::string& plant, const std::string& office);
  ~LyingDmz();
  LyingDmz(const LyingDmz&) = delete;
  LyingDmz& operator=(const LyingDmz&) = delete;

  std::uint16_t plant_port() const { return in_->port(); }    // where the plant dials
  std::uint16_t office_port() const { return out_->port(); }  // where the office does
  void set_way(Way way);                                      // null: honest
  void say(const Item& item);                                 // to the office, now
  std::map<std::string, Item> heard() const;                  // the newest of everything from the plant
  std::shared_ptr<const net::Signer> signer() const { return signer_; }

 private:
  struct Side {
    Side(const std::string& name, const std::shared_ptr<const net::TlsIdentity>& identity, link::LinkOptions options);
    ~Side();
    std::uint16_t port() const { return port_; }
    SystemClock clock;
    Namespace ns{clock};
    net::LoopThread loop{"lying-dmz"};
    std::unique_ptr<link::Links> links;
    std::uint16_t port_ = 0;
  };
  void run();
  void put(const Item& item);

  std::shared_ptr<const net::Signer> signer_;
  std::unique_ptr<Side> in_, out_;
  RouteId route_ = kNoRoute;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;

  mutable std::mutex mutex_;
  Way way_;
  std::map<std::string, Item> heard_;
  std::map<std::string, PointId> ids_;
};

}  // namespace sallyport::tests
