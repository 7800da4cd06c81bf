// Load generator and checking consumer for chains of MQTT brokers, on libmosquitto.
#include <mosquitto.h>

#include <ctime>

#include "load.h"

namespace sallyport::peers {
namespace {

void check(int code, const char* what) {
  if (code != MOSQ_ERR_SUCCESS) die(std::string(what) + ": " + mosquitto_strerror(code));
}

mosquitto* connected(const LoadOptions& options, std::uint16_t port, void* self) {
  mosquitto* client = mosquitto_new(nullptr, true, self);
  if (client == nullptr) die("no memory for a client");
  mosquitto_max_inflight_messages_set(client, 0);
  mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
  check(mosquitto_tls_set(client, options.authority.c_str(), nullptr, options.certificate.c_str(), options.key.c_str(),
                          nullptr),
        "TLS");
  for (int attempt = 0;; ++attempt) {  // the server may be starting
    const int code = mosquitto_connect(client, "localhost", port, 60);
    if (code == MOSQ_ERR_SUCCESS) return client;
    if (attempt >= 1000) check(code, "connect");
    timespec pause{.tv_sec = 0, .tv_nsec = 10'000'000};
    nanosleep(&pause, nullptr);
  }
}

class MqttSender final : public Sender {
 public:
  explicit MqttSender(const LoadOptions& options)
      : qos_(options.qos), retain_(options.retain), client_(connected(options, options.publish_port, this)) {
    mosquitto_publish_callback_set(
        client_, [](mosquitto*, void* self, int) { ++static_cast<MqttSender*>(self)->acknowledged_; });
    service(std::chrono::milliseconds(100));
  }
  ~MqttSender() override {
    mosquitto_disconnect(client_);
    mosquitto_destroy(client_);
  }
  MqttSender(const MqttSender&) = delete;
  MqttSender& operator=(const MqttSender&) = delete;

  // Written at once on this thread: the client has none of its own.
  void send(const char* topic, std::span<const std::byte> payload) override {
    check(mosquitto_publish(client_, nullptr, topic, static_cast<int>(payload.size()), payload.data(), qos_, retain_),
          "publish");
    ++published_;
  }
  void service(std::chrono::microseconds wait) override {
    if (wait.count() == 0 && qos_ == 0 && !mosquitto_want_write(client_)) return;
    const int milliseconds = static_cast<int>((wait.count() + 999) / 1000);
    check(mosquitto_loop(client_, milliseconds, 1), "publisher");
    if (qos_ == 0) return;
    for (std::uint64_t before = acknowledged_ - 1; before != acknowledged_ && wait.count() == 0;) {
      before = acknowledged_;
      check(mosquitto_loop(client_, 0, 1), "publisher");
    }
  }
  std::uint64_t unacknowledged() const override { return qos_ == 0 ? 0 : published_ - acknowledged_; }
  char separator() const override { return '/'; }

 private:
  const int qos_;
  const bool retain_;
  mosquitto* client_;
  std::uint64_t published_ = 0, acknowledged_ = 0;
};

// A subscriber with a thread of its own.
class MqttConsumer {
 public:
  MqttConsumer(const LoadOptions& options, Tally& tally)
      : qos_(options.qos), tally_(tally), client_(connected(options, options.consume_port, this)) {
    mosquitto_connect_callback_set(client_, [](mosquitto* client, void* self, int) {
      mosquitto_subscribe(client, nullptr, "bench/#", static_cast<MqttConsumer*>(self)->qos_);
    });
    mosquitto_message_callback_set(client_, [](mosquitto*, void* self, const mosquitto_message* message) {
      static_cast<MqttConsumer*>(self)->tally_.arrived(message->topic, {static_cast<const std::byte*>(message->payload),
                                                                        static_cast<std::size_t>(message->payloadlen)});
    });
    check(mosquitto_loop_start(client_), "consumer");
  }
  ~MqttConsumer() {
    mosquitto_disconnect(client_);
    mosquitto_loop_stop(client_, true);
    mosquitto_destroy(client_);
  }
  MqttConsumer(const MqttConsumer&) = delete;
  MqttConsumer& operator=(const MqttConsumer&) = delete;

 private:
  const int qos_;
  Tally& tally_;
  mosquitto* client_;
};

int run(const LoadOptions& options) {
  Tallies tallies;
  for (unsigned i = 0; i < options.consumers; ++i) tallies.push_back(std::make_unique<Tally>(options));
  std::vector<std::unique_ptr<MqttConsumer>> consumers;
  for (const auto& tally : tallies) consumers.push_back(std::make_unique<MqttConsumer>(options, *tally));
  if (options.mode == "collect") return run_collect(options, *tallies.front());
  MqttSender sender(options);
  return run_load(options, sender, tallies);
}

}  // namespace
}  // namespace sallyport::peers

int main(int argc, char** argv) {
  const auto options = sallyport::peers::parse_options(argc, argv, "Load for a chain of MQTT brokers");
  mosquitto_lib_init();
  const int code = sallyport::peers::run(options);
  mosquitto_lib_cleanup();
  return code;
}
