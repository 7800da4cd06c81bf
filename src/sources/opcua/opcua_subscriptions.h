// Subscriptions and monitored items of one session, over raw services instead of the library's bookkeeping: that
// neither tells of keep-alives nor heals sequence gaps. (OPC 10000-4 §5.13, §5.14) One thread, the client's.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/opcua/client.h"

namespace sallyport::opcua {

struct SubscriptionSettings {
  Duration publishing_interval{};
  std::optional<Duration> sampling_interval = {};  // absent: -1, as often as is published
  std::uint32_t queue = 10;
  Duration keepalive{};
};

// What the server made of it.
struct Revised {
  double publishing_interval_ms = 0;  // the slowest subscription
  double sampling_interval_ms = 0;    // the slowest item
  std::uint32_t queue = 0;            // the shortest queue
  double keepalive_ms = 0;
  std::size_t subscriptions = 0;
};

struct SubscriptionCounters {
  std::uint64_t notifications = 0;  // messages
  std::uint64_t keepalives = 0;
  std::uint64_t republished = 0;    // missing messages that the server still had
  std::uint64_t sequence_gaps = 0;  // messages that are lost for good
  std::uint64_t items_failed = 0;   // could not be monitored
};

class Subscriptions {
 public:
  using ValueHandler = std::function<void(std::uint32_t handle, const UA_DataValue& value)>;
  using FailureHandler = std::function<void(std::uint32_t handle, UA_StatusCode status)>;

  Subscriptions(Client& client, SubscriptionSettings settings, ValueHandler on_value, FailureHandler on_failure);
  Subscriptions(const Subscriptions&) = delete;
  Subscriptions& operator=(const Subscriptions&) = delete;
  ~Subscriptions();

  struct Item {
    std::uint32_t handle = 0;  // comes back with each value; never used twice in one session
    UA_NodeId node{};          // borrowed for the call
  };
  // Monitors these values, in batches and as many subscriptions as the server wants. Items that cannot be monitored go
  // to the failure handler. An error: the connection is lost.
  Result<void> add(std::span<const Item> items);
  Result<void> remove(std::span<const std::uint32_t> handles);

  // Keeps publish requests with the server and hands on what has arrived. Often. An error: the session is lost, or the
  // server has been silent for too long.
  Result<void> work(MonotonicTime now);
  // True once after messages were lost for good: all values must be read again.
  bool take_gap() { return std::exchange(gap_, false); }
  // The clock of this thread stood still (the machine slept): do not blame the server.
  void forgive(Duration pause);

  const Revised& revised() const { return revised_; }
  const SubscriptionCounters& counters() const { return counters_; }

 private:
  using PublishResponse = Owned<UA_PublishResponse, UA_TYPES_PUBLISHRESPONSE>;
  struct Subscription {
    std::uint32_t id = 0;
    std::size_t items = 0;
    bool full = false;
    std::uint32_t next_sequence = 0;  // 0: none seen yet
    Duration allowed_silence{};
    MonotonicTime heard{};
  };
  struct Monitored {
    std::uint32_t subscription = 0, id = 0;  // id 0: not monitored
  };
  struct Inbox;  // outlives this object while requests are pending

  Result<bool> open_subscription();  // false: the server has no more
  Result<std::size_t> add_batch(Subscription& subscription, std::span<const Item> items);
  void note_item(Subscription& subscription, const Item& item, const UA_MonitoredItemCreateResult& result);
  std::size_t wanted_outstanding() const;
  Result<void> send_publish();
  Result<void> take(PublishResponse response, MonotonicTime now);
  Result<void> take_failure(const PublishResponse& response, MonotonicTime now);
  Result<void> take_message(Subscription& subscription, PublishResponse& response);
  Result<void> recover(Subscription& subscription, std::uint32_t first, std::uint32_t count);
  Result<void> deliver(const UA_NotificationMessage& message);
  Subscription* find(std::uint32_t id);

  Client& client_;
  SubscriptionSettings settings_;
  ValueHandler on_value_;
  FailureHandler on_failure_;
  std::vector<Subscription> subscriptions_;
  std::vector<Monitored> monitored_;  // by handle
  std::shared_ptr<Inbox> inbox_;
  std::vector<UA_SubscriptionAcknowledgement> acknowledgements_;
  std::size_t item_batch_;
  std::size_t max_outstanding_ = 20;
  MonotonicTime publish_after_{};
  Revised revised_;
  SubscriptionCounters counters_;
  bool gap_ = false;
};

}  // namespace sallyport::opcua
