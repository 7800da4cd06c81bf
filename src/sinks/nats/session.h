// One connection of the sink to a server, with the stream it writes to. One thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/wake_fd.h"
#include "protocol/nats/connection.h"
#include "protocol/stream/message.h"
#include "protocol/stream/tail.h"
#include "sinks/nats/nats_settings.h"

namespace sallyport::nats {

// What JetStream said to one message.
struct Answer {
  enum class Kind : std::uint8_t {
    stored,
    duplicate,  // it was there already
    too_large,  // it will never be taken
    order,      // the one before it was not taken, so this one was not either
    failed,     // another time, perhaps
  };
  Kind kind = Kind::failed;
  std::uint64_t number = 0;
  std::string reason;
};

class Session {
 public:
  // Connects; finds or creates the stream. Blocks for some seconds at most. The wake descriptor is woken by answers.
  static Result<std::unique_ptr<Session>> open(const SinkOptions& options, const WakeFd& wake);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // What is in the stream already; stops early when `stopping` is set.
  Result<stream::Tail> read_tail(const std::string& writer, std::size_t max_back, const std::atomic<bool>& stopping);
  // To the stream. `guard`: it shall only be taken behind the one sent before it by this session. limit: it is larger than
  // the server allows, and never will be taken. Others: the session is over.
  Result<void> send(const stream::Message& message, const std::string& subject, std::uint64_t number, Position stored, bool guard);
  // Without JetStream. limit as above.
  Result<void> send_plain(const stream::Message& message, const std::string& subject);
  Result<void> flush();
  void take_answers(std::vector<Answer>& out);  // replaces `out`
  bool closed() const { return connection_->closed(); }
  std::string reason() const { return connection_->reason(); }
  std::string server() const { return connection_->server(); }

 private:
  explicit Session(const SinkOptions& options) : options_(options) {}
  Result<void> open_stream();
  Result<void> create_stream();
  Result<void> publish(const stream::Message& message, const std::string& subject, const char* reply, natsMsg** made);

  const SinkOptions& options_;
  std::unique_ptr<Connection> connection_;
  jsCtx* context_ = nullptr;
  std::string inbox_;               // subject of answers, ends in '.'
  std::unique_ptr<Inbox> answers_;
  std::vector<MessagePtr> taken_;
  std::uint64_t first_seq_ = 0, last_seq_ = 0;  // of the stream, when it was opened
  std::string last_id_;             // of the message sent last
};

// The answer to a publish: {"stream":…,"seq":…} or {"error":{…}}.
Answer parse_answer(std::string_view json);

}  // namespace sallyport::nats
