// One connection to a broker, from dialling to its end; a new attempt is a new object, so nothing of an old session
// (least of all an old value to send again) leaks into the next. libmosquitto inside, driven by the owner's poll(). One
// thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "sinks/mqtt/mqtt_settings.h"

struct mosquitto;
struct mqtt5__property;

namespace sallyport::mqtt {

class BrokerTls;

class Connection {
 public:
  enum class State : std::uint8_t { connecting, up, closed };

  // Dials a numeric address at once; what goes wrong shows as State::closed with a reason.
  Connection(const Options& options, const std::string& address);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  State state() const { return state_; }
  const std::string& reason() const { return reason_; }  // for people; once closed

  // For poll(); then handle() with what it said, at least once a second for keep-alive and time-outs.
  int fd() const;
  short events() const;
  void handle(short revents);

  // Whether another message may be handed over: the last one has left this process and the window has room. While not,
  // nothing is queued here: what is not sent yet stays in the namespace, where newer replaces older.
  bool has_room() const;
  std::size_t in_flight() const { return in_flight_.size(); }

  struct Message {
    const std::string& topic;
    std::string_view payload;
    int qos = 0;
    bool retain = false;
    bool removal = false;  // clears a retained value; told by unacknowledged_removals() until acknowledged
  };
  enum class Sent : std::uint8_t { yes, skipped, closed };
  // skipped: this message can never be sent (topic or size); error() says why.
  Sent publish(const Message& message);
  const std::string& error() const { return error_; }

  std::vector<std::string> unacknowledged_removals() const;
  void disconnect();  // politely; then handle() until closed

  std::uint64_t acknowledged() const { return acknowledged_; }
  std::uint64_t refused() const { return refused_; }       // by the broker, in its acknowledgement (MQTT 5)
  const std::string& refusal() const { return refusal_; }  // what the broker would not do, last; for people
  std::string tls() const;                                 // negotiated group and version; empty without TLS

 private:
  struct Callbacks;
  struct InFlight {
    int id;
    std::size_t size_bytes;
    std::string removal_topic;  // empty for values
  };

  bool create(const Options& options);
  void dial(const Options& options, const std::string& address);
  void close(std::string reason);
  void check(int result);  // of a libmosquitto call
  bool handshaking() const;
  std::string explain(int result) const;
  std::string explain_closed() const;
  void connected(int code, const mqtt5__property* properties);
  void published(int id, int code);

  std::unique_ptr<BrokerTls> tls_;
  mosquitto* client_ = nullptr;
  State state_ = State::connecting;
  bool version5_;
  bool tcp_connected_ = false;
  bool handshake_done_ = false;
  Duration keepalive_;
  MonotonicTime deadline_;  // for TCP, TLS and CONNACK together
  std::size_t max_in_flight_, max_in_flight_bytes_;
  std::deque<InFlight> in_flight_;  // QoS 1, in order of sending
  std::size_t in_flight_bytes_ = 0;
  std::uint64_t acknowledged_ = 0, refused_ = 0;
  std::string reason_, error_, refusal_;
  std::string refused_connect_;  // from CONNACK or DISCONNECT
  std::string library_error_;    // last error line of libmosquitto
};

}  // namespace sallyport::mqtt
