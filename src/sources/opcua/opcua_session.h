// One life of the connection to a server: connect, browse, define, subscribe, live, until it is lost. What outlives a
// connection (which points there are) is in Points. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "namespace/source.h"
#include "sources/opcua/opcua_model.h"
#include "sources/opcua/opcua_settings.h"
#include "sources/opcua/opcua_subscriptions.h"

namespace sallyport::opcua {

// Counters of a source; they only grow, over all its sessions.
struct Counters {
  std::uint64_t changes = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t overflows = 0;  // the server's queue of a point was too short: values lost there
  std::uint64_t sequence_gaps = 0;
  std::uint64_t republished = 0;
  std::uint64_t items_failed = 0;
  std::uint64_t points_refused = 0;  // by the namespace
  std::uint64_t stale_dropped = 0;   // older than what a re-read had shown
};

// The points that this source has defined, by path. They stay over a lost connection.
struct KnownPoint {
  PointId id = kNoPoint;
  std::uint64_t meta_hash = 0;
  std::uint64_t generation = 0;  // of the last browse that saw it
  std::uint32_t handle = 0;      // in the present session; kNoHandle: none
};
struct Points {
  std::unordered_map<std::string, KnownPoint> by_path;
  std::uint64_t generation = 0;
};
inline constexpr std::uint32_t kNoHandle = 0xffffffff;

class Session {
 public:
  // What the outside wants to know when something changes.
  struct Report {
    bool live = false;
    std::string missing;  // start nodes that are not there; empty when all are
    std::vector<std::pair<std::string, std::string>> details;
  };
  using Reporter = std::function<void(const Report&)>;

  Session(const std::string& name, const SourceSettings& settings, Publisher& out, Points& points, Counters& counters,
          const std::atomic<bool>& stop, Reporter report);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Runs until the connection is lost, which is the error, or stop turns true.
  Result<void> run();
  bool was_live() const { return live_; }

 private:
  struct Item {
    std::string path;
    NodeId node;
    PointId point = kNoPoint;
    bool seen = false;  // has its first value, or a failure
    bool gone = false;
    std::unique_ptr<Meta> redefine;  // metadata changed: renew the definition with the next value
    UtcNanoseconds floor = 0;        // re-read after a gap: what is older has been overtaken
  };

  // How long each step took until the points were live for the first time; a rebrowse does not count.
  struct StartTimes {
    Duration connect{}, browse{}, metadata{}, define{}, subscribe{}, first_values{};
  };

  Result<void> connect();
  Result<void> synchronize();  // browse, define what is new, remove what is gone, subscribe
  std::vector<std::uint32_t> define(std::vector<ModelPoint>& points);
  void define_new(std::span<ModelPoint*> points);
  void forget_vanished();
  Result<void> subscribe(std::span<const std::uint32_t> handles);
  Result<void> browse_again(MonotonicTime now);
  void plan_browse(MonotonicTime now, bool still_missing);
  Result<void> step();  // one round of the loop
  Result<void> check_live(MonotonicTime now);
  Result<void> probe(MonotonicTime now);
  Result<void> read_again(bool only_missing);
  void on_value(std::uint32_t handle, const UA_DataValue& data, bool read);
  void on_failure(std::uint32_t handle, UA_StatusCode status);
  void see(Item& item);
  void flush();
  void count_subscriptions();
  void report();

  const std::string& name_;
  const SourceSettings& settings_;
  Publisher& out_;
  Points& points_;
  Counters& counters_;
  const std::atomic<bool>& stop_;
  Reporter report_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Subscriptions> subscriptions_;
  SubscriptionCounters counted_;  // already in counters_
  std::vector<Item> items_;       // by handle
  std::size_t waiting_ = 0;       // items without their first value
  std::vector<Change> changes_;
  UtcNanoseconds received_ = 0;  // the first of them
  Model model_;                  // missing and notes only
  std::string noted_;            // notes said in this session
  MonotonicTime progress_{}, last_step_{}, next_probe_{}, probe_deadline_{}, next_browse_{}, next_full_browse_{},
      next_report_{};
  Duration retry_missing_{};
  std::shared_ptr<int> probe_state_;  // -2: pending; -1: failed; else ServerState
  int server_state_ = 0;
  MonotonicTime next_reread_{};
  bool reread_due_ = false;
  bool live_ = false;
  StartTimes start_;
  MonotonicTime subscribed_{};
};

}  // namespace sallyport::opcua
