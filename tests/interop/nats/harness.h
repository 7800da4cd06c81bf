// What the NATS tests are made of: a nats-server of our own with JetStream, and what is in its streams.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/nats/connection.h"
#include "stage.h"

namespace sallyport::tests {

class NatsServer {
 public:
  // More lines of its configuration.
  explicit NatsServer(std::string more = {}, bool jetstream = true);
  void start();  // returns once it accepts connections
  void kill() { process_.kill(), process_.wait(seconds(10)); }
  void freeze() { process_.freeze(); }
  void thaw() { process_.thaw(); }
  std::uint16_t port() const { return port_; }
  std::string url(std::uint16_t port = 0) const { return "nats://127.0.0.1:" + std::to_string(port == 0 ? port_ : port); }
  const TempFolder& folder() const { return folder_; }

 private:
  TempFolder folder_;
  std::uint16_t port_;
  std::string configuration_;
  Process process_;
};

struct Stored {
  std::string subject, payload;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string header(std::string_view name) const;
};

// A client of its own, by the C library. Connects again when the server has gone.
class NatsClient {
 public:
  explicit NatsClient(const std::string& url);
  ~NatsClient();
  NatsClient(const NatsClient&) = delete;
  NatsClient& operator=(const NatsClient&) = delete;
  // Everything in the stream, in order.
  std::vector<Stored> all(const std::string& stream);
  void add_stream(const std::string& name, const std::string& subject, int max_message_bytes = -1);
  std::uint64_t last(const std::string& stream);  // its last sequence number
  bool publish(const std::string& subject, const std::string& payload, bool in_stream = false);  // false: refused
  std::vector<Stored> received();  // by subscribe()
  void subscribe(const std::string& subject);

 private:
  void connect();
  std::string url_;
  std::unique_ptr<nats::Connection> connection_;
  jsCtx* context_ = nullptr;
  WakeFd wake_;
  std::unique_ptr<nats::Inbox> inbox_;
  std::vector<Stored> received_;
};

// The numbered messages among them.
std::vector<Found> changes_of(const std::vector<Stored>& messages);

}  // namespace sallyport::tests
