// Load generator and checking consumer for NATS servers that are leaf nodes of each other, core or JetStream, on
// libnats.
#include <nats/nats.h>

#include <ctime>

#include "load.h"

namespace sallyport::peers {
namespace {

constexpr const char* kEverything = "bench.>";

void check(natsStatus status, const char* what) {
  if (status != NATS_OK) die(std::string(what) + ": " + natsStatus_GetText(status));
}

void pause(std::chrono::microseconds time) {
  timespec wait{.tv_sec = time.count() / 1'000'000, .tv_nsec = time.count() % 1'000'000 * 1000};
  nanosleep(&wait, nullptr);
}

natsConnection* connected(const LoadOptions& options, std::uint16_t port) {
  natsOptions* settings = nullptr;
  check(natsOptions_Create(&settings), "options");
  const std::string url = "tls://localhost:" + std::to_string(port);
  check(natsOptions_SetURL(settings, url.c_str()), "url");
  check(natsOptions_SetSecure(settings, true), "TLS");
  check(natsOptions_LoadCATrustedCertificates(settings, options.authority.c_str()), "CA");
  check(natsOptions_LoadCertificatesChain(settings, options.certificate.c_str(), options.key.c_str()), "certificate");
  check(natsOptions_SetExpectedHostname(settings, "localhost"), "host name");
  if (options.rate > 0) check(natsOptions_SetSendAsap(settings, true), "send at once");
  natsConnection* connection = nullptr;
  natsStatus status = NATS_ERR;
  for (int attempt = 0; attempt < 1000 && status != NATS_OK; ++attempt) {  // the server may be starting
    status = natsConnection_Connect(&connection, settings);
    if (status != NATS_OK) pause(std::chrono::milliseconds(10));
  }
  check(status, "connect");
  natsOptions_Destroy(settings);
  return connection;
}

// JetStream of one domain.
class Streams {
 public:
  Streams(natsConnection* connection, const std::string& domain, const LoadOptions& how)
      : domain_(domain), keep_all_(how.keep == "all"), in_file_(how.storage == "file") {
    jsOptions options;
    check(jsOptions_Init(&options), "JetStream");
    options.Domain = domain_.c_str();
    options.Wait = 10'000;
    options.PublishAsync.MaxPending = 100'000;
    for (int attempt = 0; context_ == nullptr; ++attempt) {
      const natsStatus status = natsConnection_JetStream(&context_, connection, &options);
      if (status != NATS_OK && attempt >= 100) check(status, "JetStream");
    }
  }
  ~Streams() { jsCtx_Destroy(context_); }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  // Holds the last message of each subject in memory, unless told otherwise. Of `upstream`'s stream when one is named,
  // else of what is published. Streams of leaf nodes may take a moment until they answer.
  void add(const std::string& upstream) {
    jsStreamConfig config;
    check(jsStreamConfig_Init(&config), "stream");
    const std::string name = name_of(domain_);
    config.Name = name.c_str();
    config.Storage = in_file_ ? js_FileStorage : js_MemoryStorage;
    config.MaxMsgsPerSubject = keep_all_ ? -1 : 1;
    config.AllowDirect = true;
    const char* subjects[] = {kEverything};
    const std::string from = name_of(upstream), prefix = "$JS." + upstream + ".API";
    jsExternalStream external{};
    jsStreamSource mirror;
    check(jsStreamSource_Init(&mirror), "mirror");
    if (upstream.empty()) {
      config.Subjects = subjects;
      config.SubjectsLen = 1;
    } else {
      external.APIPrefix = prefix.c_str();
      mirror.Name = from.c_str();
      mirror.External = &external;
      config.Mirror = &mirror;
    }
    natsStatus status = NATS_ERR;
    jsErrCode code{};
    for (int attempt = 0; attempt < 100 && status != NATS_OK; ++attempt) {
      status = js_AddStream(nullptr, context_, &config, nullptr, &code);
      if (status != NATS_OK) pause(std::chrono::milliseconds(100));
    }
    if (status != NATS_OK) die("stream " + name + ": " + natsStatus_GetText(status) + " " + std::to_string(code));
  }
  std::uint64_t messages() const {
    jsStreamInfo* info = nullptr;
    jsErrCode code{};
    const std::string name = name_of(domain_);
    if (js_GetStreamInfo(&info, context_, name.c_str(), nullptr, &code) != NATS_OK) return 0;
    const std::uint64_t messages = info->State.Msgs;
    jsStreamInfo_Destroy(info);
    return messages;
  }
  jsCtx* context() const { return context_; }
  static std::string name_of(const std::string& domain) { return "bench-" + domain; }

 private:
  std::string domain_;
  const bool keep_all_, in_file_;
  jsCtx* context_ = nullptr;
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

class NatsSender final : public Sender {
 public:
  // Published to the stream when there is one.
  NatsSender(natsConnection* connection, jsCtx* stream) : connection_(connection), stream_(stream) {}
  void send(const char* topic, std::span<const std::byte> payload) override {
    const int size = static_cast<int>(payload.size());
    if (stream_ == nullptr) {
      check(natsConnection_Publish(connection_, topic, payload.data(), size), "publish");
    } else {
      check(js_PublishAsync(stream_, topic, payload.data(), size, nullptr), "publish");
    }
  }
  // The client's own threads read and flush.
  void service(std::chrono::microseconds wait) override {
    if (wait.count() > 0) pause(wait);
  }
  char separator() const override { return '.'; }

 private:
  natsConnection* connection_;
  jsCtx* stream_;
};

void on_message(natsConnection*, natsSubscription*, natsMsg* message, void* tally) {
  static_cast<Tally*>(tally)->arrived(natsMsg_GetSubject(message),
                                      {reinterpret_cast<const std::byte*>(natsMsg_GetData(message)),
                                       static_cast<std::size_t>(natsMsg_GetDataLength(message))});
  natsMsg_Destroy(message);
}

class NatsConsumer {
 public:
  NatsConsumer(const LoadOptions& options, const std::string& domain, Tally& tally)
      : connection_(connected(options, options.consume_port)) {
    if (options.jetstream) {
      stream_ = std::make_unique<Streams>(connection_, domain, options);
      jsSubOptions how;
      check(jsSubOptions_Init(&how), "subscribe");
      const std::string name = Streams::name_of(domain);
      how.Stream = name.c_str();
      how.Ordered = true;
      check(js_Subscribe(&subscription_, stream_->context(), kEverything, on_message, &tally, nullptr, &how, nullptr),
            "subscribe");
    } else {
      check(natsConnection_Subscribe(&subscription_, connection_, kEverything, on_message, &tally), "subscribe");
    }
    check(natsSubscription_SetPendingLimits(subscription_, -1, -1), "limits");
    check(natsConnection_Flush(connection_), "flush");
  }
  ~NatsConsumer() {
    natsSubscription_Destroy(subscription_);
    stream_.reset();
    natsConnection_Destroy(connection_);
  }
  NatsConsumer(const NatsConsumer&) = delete;
  NatsConsumer& operator=(const NatsConsumer&) = delete;

 private:
  natsConnection* connection_ = nullptr;
  std::unique_ptr<Streams> stream_;
  natsSubscription* subscription_ = nullptr;
};

// A new mirror in the last domain, of the one before it: until it has all messages.
int collect(const LoadOptions& options, const std::vector<std::string>& domains) {
  natsConnection* connection = connected(options, options.consume_port);
  Streams streams(connection, domains.back(), options);
  streams.add(domains[domains.size() - 2]);
  while (streams.messages() < options.points) pause(std::chrono::milliseconds(2));
  std::printf("{\"event\":\"complete\",\"at\":%.6f}\n", static_cast<double>(utc_nanoseconds()) / 1e9);
  std::fflush(stdout);
  return 0;
}

int run(const LoadOptions& options) {
  const auto domains = split(options.streams);
  if (options.mode == "collect") {
    if (domains.size() < 2) die("--mode collect needs --streams with two domains");
    return collect(options, domains);
  }
  natsConnection* connection = connected(options, options.publish_port);
  std::unique_ptr<Streams> first;
  for (std::size_t i = 0; options.jetstream && i < domains.size(); ++i) {
    auto streams = std::make_unique<Streams>(connection, domains[i], options);
    streams->add(i == 0 ? "" : domains[i - 1]);
    if (i == 0) first = std::move(streams);
  }
  if (options.jetstream && !first) die("--jetstream needs --streams");
  Tallies tallies;
  for (unsigned i = 0; i < options.consumers; ++i) tallies.push_back(std::make_unique<Tally>(options));
  std::vector<std::unique_ptr<NatsConsumer>> consumers;
  for (const auto& tally : tallies)
    consumers.push_back(std::make_unique<NatsConsumer>(options, domains.empty() ? "" : domains.back(), *tally));
  NatsSender sender(connection, first ? first->context() : nullptr);
  return run_load(options, sender, tallies);
}

}  // namespace
}  // namespace sallyport::peers

int main(int argc, char** argv) {
  const auto options = sallyport::peers::parse_options(argc, argv, "Load for a chain of NATS servers");
  const int code = sallyport::peers::run(options);
  std::fflush(stdout);
  std::_Exit(code);  // the library's threads end with the process
}
