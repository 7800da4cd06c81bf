#include "sinks/mqtt/connection.h"

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <system_error>

#include "sinks/mqtt/broker_tls.h"

namespace sallyport::mqtt {
namespace {

constexpr Duration kConnectTimeout = std::chrono::seconds(10);
constexpr int kUnsent_bytes = 64 * 1024;  // in the kernel; more would be stale before it leaves
constexpr int kReads = 64;

std::string system_text(int error_number) {
  std::string text = std::generic_category().message(error_number);
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

std::string connect_refusal(int code) {
  switch (code) {
    case CONNACK_REFUSED_PROTOCOL_VERSION:
    case MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION:
      return "the broker does not speak this MQTT version; try the other `version`";
    case CONNACK_REFUSED_IDENTIFIER_REJECTED:
    case MQTT_RC_CLIENTID_NOT_VALID:
      return "the broker refuses this client_id; set another one";
    case CONNACK_REFUSED_SERVER_UNAVAILABLE:
    case MQTT_RC_SERVER_UNAVAILABLE:
      return "the broker says that it is unavailable";
    case CONNACK_REFUSED_BAD_USERNAME_PASSWORD:
    case MQTT_RC_BAD_USERNAME_OR_PASSWORD:
    case CONNACK_REFUSED_NOT_AUTHORIZED:
    case MQTT_RC_NOT_AUTHORIZED:
      return "not authorised: check username and password";
    default:
      return std::string("the broker refused the connection: ") + mosquitto_reason_string(code);
  }
}

// "OpenSSL Error[0]: error:0A000418:SSL routines::tlsv1 alert unknown ca" → "tlsv1 alert unknown ca"
std::string tls_failure(std::string_view line) {
  const std::size_t at = line.rfind("::");
  const std::string text(at == std::string_view::npos ? line : line.substr(at + 2));
  if (text.find("wrong version number") != std::string::npos ||
      text.find("packet length too long") != std::string::npos) {
    return "TLS failed: the broker does not speak TLS on this port; use mqtt:// or its TLS port";
  }
  if (text.find("alert") != std::string::npos) return "TLS failed: the broker refused us: " + text;
  return "TLS failed: " + text;
}

}  // namespace

// The C library's way back into the object.
struct Connection::Callbacks {
  static Connection& self(void* object) { return *static_cast<Connection*>(object); }
  static void on_connect(mosquitto*, void* object, int code, int, const mosquitto_property* properties) {
    self(object).connected(code, properties);
  }
  static void on_disconnect(mosquitto*, void* object, int code, const mosquitto_property*) {
    // A reason code of MQTT 5 came from the broker; smaller numbers are the library's own.
    if (code >= 0x80)
      self(object).refused_connect_ = std::string("the broker ended the connection: ") + mosquitto_reason_string(code);
  }
  static void on_publish(mosquitto*, void* object, int id, int code, const mosquitto_property*) {
    self(object).published(id, code);
  }
  static void on_log(mosquitto*, void* object, int level, const char* line) {
    if (level == MOSQ_LOG_ERR) self(object).library_error_ = line;
  }
};

Connection::Connection(const Options& options, const std::string& address)
    : version5_(options.version5),
      keepalive_(options.keepalive),
      deadline_(std::chrono::steady_clock::now() + kConnectTimeout),
      max_in_flight_(options.max_in_flight),
      max_in_flight_bytes_(options.max_in_flight_bytes) {
  if (create(options)) dial(options, address);
}

Connection::~Connection() { mosquitto_destroy(client_); }

bool Connection::create(const Options& options) {
  if (options.tls) {
    auto tls = BrokerTls::make(options);
    if (!tls) return close(tls.error().message), false;
    tls_ = std::move(*tls);
  }
  client_ = mosquitto_new(options.client_id.c_str(), true, this);
  if (client_ == nullptr) return close("cannot create a client: " + system_text(errno)), false;
  mosquitto_int_option(client_, MOSQ_OPT_PROTOCOL_VERSION, options.version5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
  mosquitto_int_option(client_, MOSQ_OPT_TCP_NODELAY, 1);
  mosquitto_int_option(client_, MOSQ_OPT_SEND_MAXIMUM, static_cast<int>(options.max_in_flight));
  if (tls_) {
    mosquitto_void_option(client_, MOSQ_OPT_SSL_CTX, tls_->context());
    mosquitto_int_option(client_, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);  // the context is complete as it is
  }
  if (!options.username.empty()) {
    mosquitto_username_pw_set(client_, options.username.c_str(),
                              options.password.empty() ? nullptr : options.password.c_str());
  }
  if (!options.online_topic.empty())
    mosquitto_will_set(client_, options.online_topic.c_str(), 5, "false", options.qos, true);
  mosquitto_connect_v5_callback_set(client_, &Callbacks::on_connect);
  mosquitto_disconnect_v5_callback_set(client_, &Callbacks::on_disconnect);
  mosquitto_publish_v5_callback_set(client_, &Callbacks::on_publish);
  mosquitto_log_callback_set(client_, &Callbacks::on_log);
  return true;
}

void Connection::dial(const Options& options, const std::string& address) {
  const auto seconds = static_cast<int>(std::chrono::ceil<std::chrono::seconds>(options.keepalive).count());
  errno = 0;
  const int result = mosquitto_connect_async(client_, address.c_str(), options.port, seconds);
  if (result == MOSQ_ERR_ERRNO) return close(system_text(errno));
  if (result != MOSQ_ERR_SUCCESS) return close(explain(result));
  setsockopt(fd(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsent_bytes, sizeof kUnsent_bytes);
}

void Connection::close(std::string reason) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  reason_ = std::move(reason);
}

int Connection::fd() const { return client_ == nullptr ? -1 : mosquitto_socket(client_); }

bool Connection::handshaking() const {
  const auto* ssl = static_cast<const SSL*>(mosquitto_ssl_get(client_));
  return ssl != nullptr && SSL_is_init_finished(ssl) != 1;
}

short Connection::events() const {
  if (!tcp_connected_) return POLLOUT;
  // In a TLS handshake CONNECT waits as unsent the whole time: asking for POLLOUT then would spin.
  if (handshaking() && SSL_want_read(static_cast<const SSL*>(mosquitto_ssl_get(client_)))) return POLLIN;
  return mosquitto_want_write(client_) ? POLLIN | POLLOUT : POLLIN;
}

void Connection::handle(short revents) {
  if (state_ == State::closed) return;
  if (!tcp_connected_ && revents != 0) {
    int error_number = 0;
    socklen_t size = sizeof error_number;
    getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error_number, &size);
    if (error_number != 0) return close(system_text(error_number));
    tcp_connected_ = true;
  }
  if ((revents & (POLLIN | POLLERR | POLLHUP)) != 0) {
    // Records that OpenSSL has read already do not show in poll().
    for (int i = 0; i < kReads && state_ != State::closed; ++i) {
      errno = 0;
      check(mosquitto_loop_read(client_, 1));
      const auto* ssl = static_cast<const SSL*>(mosquitto_ssl_get(client_));
      if (ssl == nullptr || SSL_pending(ssl) == 0) break;
    }
  }
  if (state_ != State::closed && tcp_connected_ && mosquitto_want_write(client_)) {
    errno = 0;
    check(mosquitto_loop_write(client_, 1));
  }
  if (state_ != State::closed && !handshaking()) handshake_done_ = true;
  if (state_ != State::closed) check(mosquitto_loop_misc(client_));
  if (state_ == State::connecting && std::chrono::steady_clock::now() > deadline_) {
    close(!tcp_connected_ ? "no answer: connecting timed out"
          : handshaking() ? "no answer: the TLS handshake timed out"
                          : "no answer: connected, but the broker says nothing");
  }
}

void Connection::check(int result) {
  if (result == MOSQ_ERR_SUCCESS) {
    if (fd() < 0) close("disconnected");
    return;
  }
  const int error_number = errno;
  // libmosquitto closes the socket and tells the kind of failure by errno alone.
  const bool cut = error_number == ECONNRESET || error_number == EPIPE;
  if (result != MOSQ_ERR_ERRNO || error_number == 0) return close(explain(result));
  if (tls_ && error_number == EPROTO) return close(explain(MOSQ_ERR_TLS));
  if (cut && state_ == State::connecting) return close(explain(MOSQ_ERR_CONN_LOST));
  close(system_text(error_number));
}

std::string Connection::explain(int result) const {
  if (tls_ && !tls_->verdict().empty()) return tls_->verdict();
  if (!refused_connect_.empty()) return refused_connect_;
  switch (result) {
    case MOSQ_ERR_KEEPALIVE: {
      const auto seconds = std::chrono::ceil<std::chrono::seconds>(keepalive_).count();
      return "the broker does not answer: no reply to a ping within " + std::to_string(seconds) + " s";
    }
    case MOSQ_ERR_TLS:
      if (library_error_.find("::") != std::string::npos && !(tls_ && tls_->lacks_certificate()))
        return tls_failure(library_error_);
      return explain_closed();
    case MOSQ_ERR_CONN_LOST:
    case MOSQ_ERR_NO_CONN:
      return explain_closed();
    default:
      return mosquitto_strerror(result);
  }
}

std::string Connection::explain_closed() const {
  if (state_ == State::up) return "connection closed by the broker";
  const std::string closed = "the broker closed the connection before it answered";
  if (!tls_) return closed + "; if it expects TLS use mqtts://";
  if (tls_->lacks_certificate()) return closed + "; it wants a client certificate: set certificate and private_key";
  return handshake_done_ ? closed : closed + "; does it speak TLS on this port?";
}

void Connection::connected(int code, const mosquitto_property* properties) {
  if (code != 0) {
    refused_connect_ = connect_refusal(code);
    return;
  }
  std::uint16_t receive_maximum = 0;
  if (mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &receive_maximum, false) != nullptr) {
    max_in_flight_ = std::min<std::size_t>(max_in_flight_, receive_maximum);
  }
  std::uint8_t retain_available = 1;
  mosquitto_property_read_byte(properties, MQTT_PROP_RETAIN_AVAILABLE, &retain_available, false);
  if (retain_available == 0) refusal_ = "the broker keeps no retained messages: late subscribers get no values";
  if (state_ == State::connecting) state_ = State::up;
}

bool Connection::has_room() const {
  return state_ == State::up && in_flight_.size() < max_in_flight_ && in_flight_bytes_ < max_in_flight_bytes_ &&
         !mosquitto_want_write(client_);
}

Connection::Sent Connection::publish(const Message& message) {
  int id = 0;
  errno = 0;
  const int result = mosquitto_publish_v5(client_, &id, message.topic.c_str(), static_cast<int>(message.payload.size()),
                                          message.payload.data(), message.qos, message.retain, nullptr);
  switch (result) {
    case MOSQ_ERR_SUCCESS:
      break;
    case MOSQ_ERR_INVAL:
    case MOSQ_ERR_MALFORMED_UTF8:
      error_ = "no valid MQTT topic";
      return Sent::skipped;
    case MOSQ_ERR_OVERSIZE_PACKET:
      error_ = "larger than the broker accepts";
      return Sent::skipped;
    case MOSQ_ERR_PAYLOAD_SIZE:
      error_ = "larger than MQTT allows";
      return Sent::skipped;
    case MOSQ_ERR_QOS_NOT_SUPPORTED:
      close("the broker supports QoS 0 only; set qos = 0");
      return Sent::closed;
    default:
      check(result);
      return Sent::closed;
  }
  if (message.qos == 0) return Sent::yes;
  in_flight_.push_back(
      {id, message.topic.size() + message.payload.size(), message.removal ? message.topic : std::string()});
  in_flight_bytes_ += in_flight_.back().size_bytes;
  return Sent::yes;
}

void Connection::published(int id, int code) {
  const auto found =
      std::ranges::find(in_flight_, id, &InFlight::id);  // brokers acknowledge in order: the first, nearly always
  if (found == in_flight_.end()) return;                 // QoS 0: told when written
  in_flight_bytes_ -= found->size_bytes;
  in_flight_.erase(found);
  if (code < 0x80) {
    ++acknowledged_;
  } else {
    ++refused_;
    refusal_ = mosquitto_reason_string(code);
  }
}

std::vector<std::string> Connection::unacknowledged_removals() const {
  std::vector<std::string> topics;
  for (const InFlight& each : in_flight_) {
    if (!each.removal_topic.empty()) topics.push_back(each.removal_topic);
  }
  return topics;
}

void Connection::disconnect() {
  if (state_ == State::up) mosquitto_disconnect(client_);
}

std::string Connection::tls() const {
  return client_ == nullptr ? "" : describe_tls(static_cast<const SSL*>(mosquitto_ssl_get(client_)));
}

}  // namespace sallyport::mqtt
