// One connection of the source: what it subscribes to, and the messages that come. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/wake_fd.h"
#include "namespace/value.h"
#include "protocol/nats/connection.h"

namespace sallyport::nats {

struct SourceOptions {
  ServerOptions server;
  std::vector<std::string> subjects;
  std::string strip;             // of the subject, before it becomes a path
  std::string stream, durable;   // no stream: what is published now; no durable: the last of each subject, then all
  bool bare = false;             // payloads are values, not JSON
  std::optional<Type> type;      // of bare values
  std::size_t max_points = 0;
  std::size_t max_pending = 0;   // messages that wait here, without a stream
};

class Reader {
 public:
  // Connects and subscribes; blocks for some seconds at most.
  static Result<std::unique_ptr<Reader>> open(const SourceOptions& options, const WakeFd& wake);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Waits a quarter of a second at most; replaces `messages`. An error: the connection is over.
  Result<void> read(std::vector<MessagePtr>& messages);
  // With a durable consumer: these need not come again.
  void acknowledge(const std::vector<MessagePtr>& messages);
  // Everything that the stream holds of these subjects has been read on this connection. Never without a stream, and not
  // with a durable consumer, which tells only what is new to it.
  bool complete() const { return complete_; }
  std::uint64_t dropped() const;
  std::string server() const { return connection_->server(); }

 private:
  explicit Reader(const SourceOptions& options, const WakeFd& wake) : options_(options), wake_(wake) {}
  Result<void> subscribe_stream();
  Result<void> fetch(std::vector<MessagePtr>& messages);

  const SourceOptions& options_;
  const WakeFd& wake_;
  std::unique_ptr<Connection> connection_;
  std::vector<std::unique_ptr<Inbox>> inboxes_;
  jsCtx* context_ = nullptr;
  natsSubscription* subscription_ = nullptr;
  bool complete_ = false;
};

}  // namespace sallyport::nats
