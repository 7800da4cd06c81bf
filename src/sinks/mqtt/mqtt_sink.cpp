#include "sinks/mqtt/mqtt_sink.h"

#include <mosquitto.h>
#include <poll.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <random>
#include <thread>

#include "base/backoff.h"
#include "base/log.h"
#include "base/wake_fd.h"
#include "sinks/mqtt/connection.h"
#include "sinks/mqtt/mqtt_settings.h"
#include "sinks/mqtt/payload.h"
#include "sinks/mqtt/resolver.h"

namespace sallyport::mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kPull = 128;     // updates pulled at once: what is pulled can no longer be replaced by newer
constexpr int kMessagesPerTurn = 256;  // then a look at the socket and at stop()
constexpr std::size_t kMaxRemoved = 100'000;  // topics to clear that are remembered across reconnects
constexpr Duration kFirstRetry = milliseconds(200), kLastRetry = seconds(30);
constexpr Duration kSteady = seconds(5);  // up for this long: the next loss begins with the first retry again
constexpr Duration kResolveTimeout = seconds(10);
constexpr Duration kStopBudget = seconds(3);  // to publish what is still to be published

MonotonicTime now() { return std::chrono::steady_clock::now(); }

// The node's signals are for its main thread; SIGPIPE from a TLS socket would kill the process.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

class MqttSink final : public Sink {
 public:
  MqttSink(const SinkCommon& common, Options options)
      : name_(common.name), publish_(common.publish), options_(std::move(options)) {}
  ~MqttSink() override { stop(); }
  MqttSink(const MqttSink&) = delete;
  MqttSink& operator=(const MqttSink&) = delete;

  Result<void> start(Namespace& ns) override {
    if (wake_->fd() < 0) return fail(ErrorCode::limit, "no file descriptor left; raise the limit (LimitNOFILE=)");
    mosquitto_lib_init();
    namespace_ = &ns;
    set_state(ConnectorState::connecting, "");
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void stop() override {
    if (!thread_.joinable()) return;
    stopping_ = true;
    wake_->wake();
    thread_.join();
    subscription_.reset();
    mosquitto_lib_cleanup();
    set_state(ConnectorState::stopped, "");
  }

  ConnectorStatus status() const override;

 private:
  // --- Connecting ---
  void run();
  // Serves one connection until it ends, and says why. Returns whether it ever came up.
  bool serve(const std::string& address, std::string& reason);
  void turn(Connection& connection, Duration at_most);
  void pause(Duration time) const;
  void came_up(const Connection& connection);
  void ended(const Connection& connection);
  void finish(Connection& connection);
  void note_failure(const std::string& reason, bool was_up);

  // --- Publishing ---
  void begin_snapshot();
  void note_removed(const Update& update);
  void remember_removed(std::string topic);
  // Returns whether there is more to send at once.
  bool pump(Connection& connection);
  bool next_update();
  Connection::Sent send_update(Connection& connection, const Update& update);
  Connection::Sent send_removal(Connection& connection, const std::string& topic);
  void announce(Connection& connection);
  void say_online(Connection& connection, std::string_view text);
  void skip(std::string_view why);
  void count(Connection::Sent sent, const Connection& connection, std::size_t size_bytes);
  void show(const Connection& connection);
  void set_state(ConnectorState state, std::string reason);

  const std::string name_;
  const Patterns publish_;
  const Options options_;
  Namespace* namespace_ = nullptr;
  std::shared_ptr<const WakeFd> wake_ =
      std::make_shared<const WakeFd>();  // the waker may outlast the subscription a moment
  std::thread thread_;
  std::atomic<bool> stopping_ = false;

  // The thread's own.
  std::unique_ptr<Subscription> subscription_;
  std::unique_ptr<RouteCache> routes_;
  Batch batch_;
  std::size_t at_ = 0;                // next of batch_ to publish
  bool pull_again_ = false;           // the subscription may have more
  bool online_said_ = false;          // of this connection
  std::vector<std::string> removed_;  // topics whose retained value must still be cleared
  std::string topic_, payload_;
  std::uint64_t acknowledged_before_ = 0, refused_before_ = 0;  // by earlier connections

  mutable std::mutex mutex_;  // guards the next six
  ConnectorState state_ = ConnectorState::starting;
  std::string reason_;
  UtcNanoseconds since_ = 0;
  std::string tls_, refusal_, skipped_example_;
  std::atomic<std::uint64_t> published_ = 0, bytes_ = 0, acknowledged_ = 0, refused_ = 0, skipped_ = 0, cleared_ = 0,
                             connects_ = 0, attempts_ = 0, in_flight_ = 0, dropped_ = 0;
};

// --- Connecting ------------------------------------------------------------------------------------------------------

void MqttSink::run() {
  block_signals();
  routes_ = std::make_unique<RouteCache>(*namespace_);
  Resolver resolver;
  Backoff backoff(kFirstRetry, kLastRetry, std::random_device()());
  while (!stopping_) {
    const auto addresses = resolver.resolve(options_.host, wake_->fd(), kResolveTimeout);
    if (!addresses && addresses.error().code == ErrorCode::closed) {
      wake_->drain();
      continue;
    }
    std::string reason = addresses ? "" : addresses.error().message;
    const MonotonicTime began = now();
    bool was_up = false;
    for (std::size_t i = 0; addresses && i < addresses->size() && !was_up && !stopping_; ++i) {
      was_up = serve((*addresses)[i], reason);
    }
    if (stopping_) return;
    note_failure(reason, was_up);
    if (was_up && now() - began > kSteady) backoff.reset();
    pause(backoff.next());
  }
}

bool MqttSink::serve(const std::string& address, std::string& reason) {
  ++attempts_;
  Connection connection(options_, address);
  bool was_up = false;
  while (!stopping_ && connection.state() != Connection::State::closed) {
    bool busy = false;
    if (connection.state() == Connection::State::up) {
      if (!was_up) came_up(connection);
      was_up = true;
      busy = pump(connection);
    }
    if (connection.state() != Connection::State::closed) turn(connection, busy ? Duration(0) : seconds(1));
    show(connection);
  }
  if (was_up) finish(connection);
  ended(connection);
  reason = connection.reason();
  return was_up;
}

// Waits for the socket or for something to publish, and does what the socket is ready for.
void MqttSink::turn(Connection& connection, Duration at_most) {
  pollfd wait[2] = {{connection.fd(), connection.events(), 0}, {wake_->fd(), POLLIN, 0}};
  poll(wait, 2, static_cast<int>(std::chrono::ceil<milliseconds>(at_most).count()));
  if (wake_->drain()) pull_again_ = true;
  connection.handle(wait[0].revents);
}

// Wakers may call meanwhile; only stop() ends the pause.
void MqttSink::pause(Duration time) const {
  const MonotonicTime until = now() + time;
  while (!stopping_ && now() < until) {
    pollfd wake{wake_->fd(), POLLIN, 0};
    poll(&wake, 1, static_cast<int>(std::chrono::ceil<milliseconds>(until - now()).count()));
    wake_->drain();
  }
}

void MqttSink::came_up(const Connection& connection) {
  ++connects_;
  begin_snapshot();
  online_said_ = options_.online_topic.empty();
  const std::string tls = connection.tls();
  {
    const std::lock_guard lock(mutex_);
    tls_ = tls;
    refusal_ = connection.refusal();
  }
  log::info("broker connected", log::field("sink", name_), log::field("broker", options_.broker),
            log::field("tls", tls));
  set_state(ConnectorState::up, "");
}

void MqttSink::ended(const Connection& connection) {
  show(connection);
  acknowledged_before_ += connection.acknowledged();
  refused_before_ += connection.refused();
  in_flight_ = 0;
  for (const std::string& topic : connection.unacknowledged_removals()) remember_removed(topic);
}

void MqttSink::note_failure(const std::string& reason, bool was_up) {
  {
    const std::lock_guard lock(mutex_);
    tls_.clear();
    if (state_ == ConnectorState::down && reason_ == reason) return;
  }
  log::warn(was_up ? "broker lost" : "broker not reachable; trying on", log::field("sink", name_),
            log::field("broker", options_.broker), log::field("reason", reason));
  set_state(ConnectorState::down, reason);
}

// stop(): what the namespace still has to say goes out (the node has covered its routes by now, so retained values turn
// not-good), then the farewell.
void MqttSink::finish(Connection& connection) {
  const MonotonicTime deadline = now() + kStopBudget;
  bool said = false;
  while (connection.state() == Connection::State::up && now() < deadline) {
    const bool busy = pump(connection);
    if (!busy && !said && connection.has_room()) {
      say_online(connection, "false");
      said = true;
    } else if (said && connection.in_flight() == 0 && connection.has_room()) {
      break;
    }
    turn(connection, milliseconds(busy ? 0 : 20));
  }
  if (!said) return;  // cut off instead: then the broker publishes the will
  connection.disconnect();
  for (int i = 0; i < 10 && connection.state() != Connection::State::closed; ++i) turn(connection, milliseconds(20));
}

// --- Publishing ------------------------------------------------------------------------------------------------------

// Retained values at the broker are what they were when the connection broke, or gone when it restarted: publish all
// again.
void MqttSink::begin_snapshot() {
  auto before = std::move(subscription_);
  subscription_ = std::make_unique<Subscription>(*namespace_, SubscriptionOptions{.patterns = publish_},
                                                 [wake = wake_] { wake->wake(); });
  // The new one cannot know what was removed meanwhile; the old one does, and has nothing else to tell that it does
  // not.
  for (; at_ < batch_.updates.size(); ++at_) {
    note_removed(batch_.updates[at_]);
  }
  do {
    batch_.clear();
    if (before) before->pull(batch_, 4096);
    for (const Update& update : batch_.updates) note_removed(update);
  } while (batch_.more && !stopping_);
  batch_.clear();
  batch_.snapshot = true;
  at_ = 0;
  pull_again_ = true;
}

void MqttSink::note_removed(const Update& update) {
  if (update.kind == UpdateKind::removed) remember_removed(options_.topic_prefix + std::string(batch_.path(update)));
}

void MqttSink::remember_removed(std::string topic) {
  if (removed_.size() < kMaxRemoved)
    removed_.push_back(std::move(topic));
  else
    ++dropped_;
}

bool MqttSink::pump(Connection& connection) {
  for (int sent = 0; sent < kMessagesPerTurn; ++sent) {
    if (!connection.has_room()) return false;
    if (!removed_.empty()) {
      if (send_removal(connection, removed_.back()) == Connection::Sent::closed) return false;
      removed_.pop_back();
      continue;
    }
    if (at_ == batch_.updates.size()) {
      announce(connection);
      if (!next_update()) {
        announce(connection);  // there was no point at all
        return pull_again_;
      }
    }
    if (send_update(connection, batch_.updates[at_]) == Connection::Sent::closed) return false;
    ++at_;
  }
  return true;
}

bool MqttSink::next_update() {
  if (!pull_again_) return false;
  batch_.clear();
  at_ = 0;
  subscription_->pull(batch_, kPull);
  pull_again_ = batch_.more || !batch_.updates.empty();
  return !batch_.updates.empty();
}

Connection::Sent MqttSink::send_update(Connection& connection, const Update& update) {
  const std::string_view path = batch_.path(update);
  topic_.assign(options_.topic_prefix).append(path);
  if (update.kind == UpdateKind::removed) return send_removal(connection, topic_);
  payload_.clear();
  append_payload(payload_, options_.format, path, update, routes_->at(update.route, update.covered));
  if (payload_.size() > options_.max_payload_bytes) {
    skip("larger than max_payload");
    return Connection::Sent::skipped;
  }
  const auto sent =
      connection.publish({.topic = topic_, .payload = payload_, .qos = options_.qos, .retain = options_.retain});
  count(sent, connection, topic_.size() + payload_.size());
  return sent;
}

// At QoS 1 always: a retained value that was not cleared would stand for good.
Connection::Sent MqttSink::send_removal(Connection& connection, const std::string& topic) {
  const auto sent =
      connection.publish({.topic = topic, .payload = {}, .qos = 1, .retain = options_.retain, .removal = true});
  if (sent == Connection::Sent::yes) ++cleared_;
  count(sent, connection, topic.size());
  return sent;
}

// "true" once every point has been published on this connection: before, retained values may be old ones.
void MqttSink::announce(Connection& connection) {
  if (!online_said_ && !batch_.snapshot) say_online(connection, "true");
}

void MqttSink::say_online(Connection& connection, std::string_view text) {
  online_said_ = true;
  if (options_.online_topic.empty()) return;
  connection.publish({.topic = options_.online_topic, .payload = text, .qos = options_.qos, .retain = true});
}

void MqttSink::count(Connection::Sent sent, const Connection& connection, std::size_t size_bytes) {
  if (sent == Connection::Sent::skipped) return skip(connection.error());
  if (sent == Connection::Sent::closed) return;
  published_.fetch_add(1, std::memory_order_relaxed);
  bytes_.fetch_add(size_bytes, std::memory_order_relaxed);
}

void MqttSink::skip(std::string_view why) {
  skipped_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  skipped_example_ = topic_ + ": " + std::string(why);
}

// --- Status ----------------------------------------------------------------------------------------------------------

void MqttSink::show(const Connection& connection) {
  acknowledged_.store(acknowledged_before_ + connection.acknowledged(), std::memory_order_relaxed);
  in_flight_.store(connection.in_flight(), std::memory_order_relaxed);
  const std::uint64_t refused = refused_before_ + connection.refused();
  if (refused_.exchange(refused, std::memory_order_relaxed) == refused) return;
  const std::lock_guard lock(mutex_);
  refusal_ = connection.refusal();
}

void MqttSink::set_state(ConnectorState state, std::string reason) {
  const std::lock_guard lock(mutex_);
  state_ = state;
  reason_ = std::move(reason);
  since_ = namespace_->clock().utc();
}

ConnectorStatus MqttSink::status() const {
  ConnectorStatus status;
  status.changes = published_.load(std::memory_order_relaxed);
  status.dropped = skipped_.load(std::memory_order_relaxed) + refused_.load(std::memory_order_relaxed) +
                   dropped_.load(std::memory_order_relaxed);
  const std::uint64_t connects = connects_.load(std::memory_order_relaxed);
  status.counters = {{"published", status.changes},
                     {"acknowledged", acknowledged_.load(std::memory_order_relaxed)},
                     {"bytes", bytes_.load(std::memory_order_relaxed)},
                     {"cleared", cleared_.load(std::memory_order_relaxed)},
                     {"skipped", skipped_.load(std::memory_order_relaxed)},
                     {"refused", refused_.load(std::memory_order_relaxed)},
                     {"attempts", attempts_.load(std::memory_order_relaxed)},
                     {"reconnects", connects > 0 ? connects - 1 : 0}};
  status.details.emplace_back("broker", options_.broker);
  status.details.emplace_back("in flight", std::to_string(in_flight_.load(std::memory_order_relaxed)));
  const std::lock_guard lock(mutex_);
  status.state = state_;
  status.reason = reason_;
  status.since = since_;
  if (!tls_.empty()) status.details.emplace_back("tls", tls_);
  if (!refusal_.empty()) status.details.emplace_back("refused by the broker", refusal_);
  if (!skipped_example_.empty()) status.details.emplace_back("skipped", skipped_example_);
  return status;
}

}  // namespace

const SinkType& sink_type() {
  static const SinkType type{"mqtt", [](const SinkCommon& common, SettingsReader& settings) -> std::unique_ptr<Sink> {
                               return std::make_unique<MqttSink>(common, read_options(common, settings));
                             }};
  return type;
}

}  // namespace sallyport::mqtt
