#include "sources/opcua/opcua_subscriptions.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/log.h"

namespace sallyport::opcua {
namespace {

constexpr std::size_t kItemBatch = 1000;
constexpr std::uint32_t kMaxNotifications = 10'000;  // in one message
constexpr std::uint32_t kMaxRepublish = 100;
constexpr Duration kPublishTimeout = std::chrono::minutes(10);
constexpr Duration kPause = std::chrono::milliseconds(200);  // after a failed publish request
constexpr Duration kSlack = std::chrono::seconds(3);         // a keep-alive may be late by this much

double milliseconds(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }
Duration from_milliseconds(double ms) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(std::clamp(ms, 0.0, 3.6e9)));
}
MonotonicTime now() { return SystemClock().monotonic(); }

// 0 is never used. (OPC 10000-4 §5.13.1.1)
std::uint32_t after(std::uint32_t sequence) { return sequence == 0xffffffff ? 1 : sequence + 1; }

bool no_room(UA_StatusCode code) { return code == UA_STATUSCODE_BADTOOMANYMONITOREDITEMS; }

}  // namespace

struct Subscriptions::Inbox {
  bool open = true;
  std::size_t outstanding = 0;
  std::deque<PublishResponse> responses;  // at most as many as requests are outstanding
};

Subscriptions::Subscriptions(Client& client, SubscriptionSettings settings, ValueHandler on_value,
                             FailureHandler on_failure)
    : client_(client),
      settings_(settings),
      on_value_(std::move(on_value)),
      on_failure_(std::move(on_failure)),
      inbox_(std::make_shared<Inbox>()),
      item_batch_(batch_size(client.limits().items_per_call, kItemBatch)) {}

Subscriptions::~Subscriptions() { inbox_->open = false; }

Result<bool> Subscriptions::open_subscription() {
  const double interval = std::max(milliseconds(settings_.publishing_interval), 1.0);
  Owned<UA_CreateSubscriptionRequest, UA_TYPES_CREATESUBSCRIPTIONREQUEST> request;
  request->requestedPublishingInterval = interval;
  request->requestedMaxKeepAliveCount =
      static_cast<UA_UInt32>(std::max(std::floor(milliseconds(settings_.keepalive) / interval), 1.0));
  request->requestedLifetimeCount = std::max<UA_UInt32>(10 * request->requestedMaxKeepAliveCount,
                                                        static_cast<UA_UInt32>(std::ceil(30'000 / interval)));
  request->maxNotificationsPerPublish = kMaxNotifications;
  request->publishingEnabled = true;
  const auto response = client_.call<UA_CreateSubscriptionResponse, UA_TYPES_CREATESUBSCRIPTIONRESPONSE>(request);
  if (!response) {
    if (client_.last_result() == UA_STATUSCODE_BADTOOMANYSUBSCRIPTIONS && !subscriptions_.empty()) return false;
    return within("creating a subscription", response.error());
  }
  const UA_CreateSubscriptionResponse& made = **response;
  const double silence = made.revisedPublishingInterval * std::max<UA_UInt32>(made.revisedMaxKeepAliveCount, 1);
  subscriptions_.push_back(
      {.id = made.subscriptionId, .allowed_silence = from_milliseconds(silence) + kSlack, .heard = now()});
  revised_.publishing_interval_ms = std::max(revised_.publishing_interval_ms, made.revisedPublishingInterval);
  revised_.keepalive_ms = std::max(revised_.keepalive_ms, silence);
  revised_.subscriptions = subscriptions_.size();
  if (auto sent = send_publish(); !sent) return std::unexpected(sent.error());
  return true;
}

Result<void> Subscriptions::add(std::span<const Item> items) {
  while (!items.empty()) {
    if (subscriptions_.empty() || subscriptions_.back().full) {
      const bool useless = !subscriptions_.empty() && subscriptions_.back().items == 0;
      auto opened = useless ? Result<bool>(false) : open_subscription();
      if (!opened) return std::unexpected(opened.error());
      if (!*opened) {  // the server has no room, in whatever subscription
        for (const Item& item : items) {
          ++counters_.items_failed;
          on_failure_(item.handle, UA_STATUSCODE_BADTOOMANYMONITOREDITEMS);
        }
        return {};
      }
    }
    const auto batch = items.first(std::min(items.size(), item_batch_));
    const auto done = add_batch(subscriptions_.back(), batch);
    if (!done) return std::unexpected(done.error());
    items = items.subspan(*done);
    if (auto worked = work(now()); !worked) return worked;
  }
  return {};
}

// How many of the items were dealt with; fewer than all when the subscription is full.
Result<std::size_t> Subscriptions::add_batch(Subscription& subscription, std::span<const Item> items) {
  std::vector<UA_MonitoredItemCreateRequest> wanted(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    wanted[i].itemToMonitor.nodeId = items[i].node;
    wanted[i].itemToMonitor.attributeId = UA_ATTRIBUTEID_VALUE;
    wanted[i].monitoringMode = UA_MONITORINGMODE_REPORTING;
    wanted[i].requestedParameters.clientHandle = items[i].handle;
    wanted[i].requestedParameters.samplingInterval =
        settings_.sampling_interval ? milliseconds(*settings_.sampling_interval) : -1;
    wanted[i].requestedParameters.queueSize = settings_.queue;
    wanted[i].requestedParameters.discardOldest = true;
    const std::size_t handle = items[i].handle;
    if (handle >= monitored_.size()) monitored_.resize(handle + 1);
  }
  Owned<UA_CreateMonitoredItemsRequest, UA_TYPES_CREATEMONITOREDITEMSREQUEST> request;
  request->subscriptionId = subscription.id;
  request->timestampsToReturn = UA_TIMESTAMPSTORETURN_BOTH;
  request->itemsToCreate = wanted.data();  // borrowed
  request->itemsToCreateSize = wanted.size();
  const auto response = client_.call<UA_CreateMonitoredItemsResponse, UA_TYPES_CREATEMONITOREDITEMSRESPONSE>(request);
  *request = UA_CreateMonitoredItemsRequest{};
  if (!response) {
    if (asks_too_much(client_.last_result()) && items.size() > 1) {
      item_batch_ = items.size() / 2;
      return 0;
    }
    if (!no_room(client_.last_result())) return within("creating monitored items", response.error());
    subscription.full = true;
    return 0;
  }
  if ((*response)->resultsSize != items.size())
    return fail(ErrorCode::malformed, "the server answered CreateMonitoredItems with another number of results");
  std::size_t done = 0;
  for (; done < items.size(); ++done) {
    const UA_MonitoredItemCreateResult& result = (*response)->results[done];
    if (no_room(result.statusCode)) break;
    note_item(subscription, items[done], result);
  }
  if (done == items.size()) return done;
  // Full. Whatever the server let in after the first refusal is taken out again, so that it is monitored once.
  subscription.full = true;
  for (std::size_t i = done; i < items.size(); ++i) {
    if ((*response)->results[i].statusCode != UA_STATUSCODE_GOOD) continue;
    Owned<UA_DeleteMonitoredItemsRequest, UA_TYPES_DELETEMONITOREDITEMSREQUEST> undo;
    UA_UInt32 id = (*response)->results[i].monitoredItemId;
    undo->subscriptionId = subscription.id;
    undo->monitoredItemIds = &id;
    undo->monitoredItemIdsSize = 1;
    const auto undone = client_.call<UA_DeleteMonitoredItemsResponse, UA_TYPES_DELETEMONITOREDITEMSRESPONSE>(undo);
    *undo = UA_DeleteMonitoredItemsRequest{};
    if (!undone) return std::unexpected(undone.error());
  }
  return done;
}

void Subscriptions::note_item(Subscription& subscription, const Item& item,
                              const UA_MonitoredItemCreateResult& result) {
  if (result.statusCode != UA_STATUSCODE_GOOD) {
    ++counters_.items_failed;
    on_failure_(item.handle, result.statusCode);
    return;
  }
  monitored_[item.handle] = {subscription.id, result.monitoredItemId};
  ++subscription.items;
  revised_.sampling_interval_ms = std::max(revised_.sampling_interval_ms, result.revisedSamplingInterval);
  revised_.queue = revised_.queue == 0 ? result.revisedQueueSize : std::min(revised_.queue, result.revisedQueueSize);
}

Result<void> Subscriptions::remove(std::span<const std::uint32_t> handles) {
  for (Subscription& subscription : subscriptions_) {
    std::vector<UA_UInt32> ids;
    for (const std::uint32_t handle : handles) {
      if (handle >= monitored_.size() || monitored_[handle].id == 0 ||
          monitored_[handle].subscription != subscription.id)
        continue;
      ids.push_back(monitored_[handle].id);
      monitored_[handle] = {};
    }
    for (std::size_t at = 0; at < ids.size(); at += item_batch_) {
      Owned<UA_DeleteMonitoredItemsRequest, UA_TYPES_DELETEMONITOREDITEMSREQUEST> request;
      request->subscriptionId = subscription.id;
      request->monitoredItemIds = ids.data() + at;  // borrowed
      request->monitoredItemIdsSize = std::min(item_batch_, ids.size() - at);
      const auto response =
          client_.call<UA_DeleteMonitoredItemsResponse, UA_TYPES_DELETEMONITOREDITEMSRESPONSE>(request);
      *request = UA_DeleteMonitoredItemsRequest{};
      if (!response) return within("deleting monitored items", response.error());
    }
    subscription.items -= std::min(subscription.items, ids.size());
    if (!ids.empty()) subscription.full = false;
  }
  return {};
}

// Enough for all items to change at once: a server that has no request left keeps the rest until the next one comes,
// and when it is short of time that makes a queue that never empties.
std::size_t Subscriptions::wanted_outstanding() const {
  std::size_t wanted = 1;
  for (const Subscription& subscription : subscriptions_) wanted += 2 + subscription.items / kMaxNotifications;
  return std::min(wanted, max_outstanding_);
}

Result<void> Subscriptions::send_publish() {
  const std::size_t wanted = wanted_outstanding();
  while (inbox_->outstanding < wanted && !subscriptions_.empty()) {
    Owned<UA_PublishRequest, UA_TYPES_PUBLISHREQUEST> request;
    request->subscriptionAcknowledgements = acknowledgements_.data();  // borrowed
    request->subscriptionAcknowledgementsSize = acknowledgements_.size();
    const auto arrived = [inbox = inbox_](void* from) {
      --inbox->outstanding;
      if (inbox->open)
        inbox->responses.emplace_back(std::exchange(*static_cast<UA_PublishResponse*>(from), UA_PublishResponse{}));
    };
    ++inbox_->outstanding;
    auto sent = client_.send(request.get(), request.type(), PublishResponse::type(), kPublishTimeout, arrived);
    *request = UA_PublishRequest{};
    if (!sent) {
      --inbox_->outstanding;
      return sent;
    }
    acknowledgements_.clear();
  }
  return {};
}

Subscriptions::Subscription* Subscriptions::find(std::uint32_t id) {
  const auto at = std::ranges::find(subscriptions_, id, &Subscription::id);
  return at == subscriptions_.end() ? nullptr : &*at;
}

Result<void> Subscriptions::work(MonotonicTime time) {
  while (!inbox_->responses.empty()) {
    PublishResponse response = std::move(inbox_->responses.front());
    inbox_->responses.pop_front();
    if (auto taken = take(std::move(response), time); !taken) return taken;
    if (time < publish_after_) continue;
    if (auto sent = send_publish(); !sent) return sent;
  }
  for (const Subscription& subscription : subscriptions_) {
    if (time - subscription.heard > subscription.allowed_silence)
      return fail(ErrorCode::timeout, "the server is silent: no keep-alive in time");
  }
  return time < publish_after_ ? Result<void>() : send_publish();
}

void Subscriptions::forgive(Duration pause) {
  for (Subscription& subscription : subscriptions_) subscription.heard += pause;
}

Result<void> Subscriptions::take(PublishResponse response, MonotonicTime time) {
  if (response->responseHeader.serviceResult != UA_STATUSCODE_GOOD) return take_failure(response, time);
  Subscription* subscription = find(response->subscriptionId);
  if (subscription == nullptr) return {};
  subscription->heard = time;
  return take_message(*subscription, response);
}

Result<void> Subscriptions::take_failure(const PublishResponse& response, MonotonicTime time) {
  const UA_StatusCode code = response->responseHeader.serviceResult;
  publish_after_ = time + kPause;
  switch (code) {
    case UA_STATUSCODE_BADTOOMANYPUBLISHREQUESTS:
      max_outstanding_ = std::max<std::size_t>(inbox_->outstanding, 1);
      return {};
    case UA_STATUSCODE_BADNOSUBSCRIPTION:
      return fail(ErrorCode::closed, "the server forgot the subscription");
    case UA_STATUSCODE_BADSESSIONIDINVALID:
    case UA_STATUSCODE_BADSESSIONCLOSED:
      return fail(ErrorCode::closed, "the server closed the session");
    case UA_STATUSCODE_BADSECURECHANNELCLOSED:
    case UA_STATUSCODE_BADCONNECTIONCLOSED:
      return fail(ErrorCode::closed, status_text(code));
    default:
      return {};  // the watchdog decides
  }
}

Result<void> Subscriptions::take_message(Subscription& subscription, PublishResponse& response) {
  const UA_NotificationMessage& message = response->notificationMessage;
  const std::uint32_t sequence = message.sequenceNumber;
  const std::uint32_t expected = subscription.next_sequence == 0 ? sequence : subscription.next_sequence;
  const bool keepalive = message.notificationDataSize == 0;
  // How far ahead; what lies behind is huge. A keep-alive carries the number that comes next. (§5.13.1.1)
  const std::uint32_t ahead = sequence - expected;
  if (ahead != 0 && ahead < 0x8000'0000) {
    if (auto done = recover(subscription, expected, ahead); !done) return done;
  } else if (ahead != 0) {
    return {};  // late: its place has been filled, or counted as lost and all values read again
  }
  subscription.next_sequence = keepalive ? sequence : after(sequence);
  if (keepalive) {
    ++counters_.keepalives;
    return {};
  }
  ++counters_.notifications;
  acknowledgements_.push_back({subscription.id, sequence});
  return deliver(message);
}

// Asks again for messages that did not arrive.
Result<void> Subscriptions::recover(Subscription& subscription, std::uint32_t first, std::uint32_t count) {
  const std::uint32_t id = subscription.id;  // deliver() may run while the list moves
  std::uint32_t lost = count > kMaxRepublish ? count - kMaxRepublish : 0;
  std::uint32_t sequence = first + lost;
  for (std::uint32_t i = lost; i < count; ++i, sequence = after(sequence)) {
    Owned<UA_RepublishRequest, UA_TYPES_REPUBLISHREQUEST> request;
    request->subscriptionId = id;
    request->retransmitSequenceNumber = sequence;
    const auto response = client_.call<UA_RepublishResponse, UA_TYPES_REPUBLISHRESPONSE>(request);
    if (!response && client_.last_result() == UA_STATUSCODE_BADCONNECTIONCLOSED)
      return std::unexpected(response.error());
    if (!response) {
      ++lost;
      continue;
    }
    ++counters_.republished;
    acknowledgements_.push_back({id, sequence});
    if (auto delivered = deliver((*response)->notificationMessage); !delivered) return delivered;
  }
  if (lost == 0) return {};
  counters_.sequence_gaps += lost;
  gap_ = true;
  return {};
}

Result<void> Subscriptions::deliver(const UA_NotificationMessage& message) {
  for (std::size_t i = 0; i < message.notificationDataSize; ++i) {
    const UA_ExtensionObject& data = message.notificationData[i];
    if (data.encoding != UA_EXTENSIONOBJECT_DECODED) continue;
    if (data.content.decoded.type == &UA_TYPES[UA_TYPES_DATACHANGENOTIFICATION]) {
      const auto& changes = *static_cast<const UA_DataChangeNotification*>(data.content.decoded.data);
      for (std::size_t c = 0; c < changes.monitoredItemsSize; ++c)
        on_value_(changes.monitoredItems[c].clientHandle, changes.monitoredItems[c].value);
    } else if (data.content.decoded.type == &UA_TYPES[UA_TYPES_STATUSCHANGENOTIFICATION]) {
      const auto& change = *static_cast<const UA_StatusChangeNotification*>(data.content.decoded.data);
      if (UA_StatusCode_isBad(change.status))
        return fail(ErrorCode::closed,
                    std::string("the server ended the subscription (") + UA_StatusCode_name(change.status) + ")");
    }
  }
  return {};
}

}  // namespace sallyport::opcua
