// A peer with a good certificate that says what it likes: TLS by the program's own transport, frames made by hand. It runs on
// the thread of the test; nothing moves between its calls.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "harness.h"
#include "link/change_codec.h"
#include "link/codec.h"
#include "net/loop.h"
#include "net/tls.h"

namespace sallyport::tests {

class Rogue {
 public:
  Rogue(Pki& pki, const std::string& name);
  ~Rogue();
  Rogue(const Rogue&) = delete;
  Rogue& operator=(const Rogue&) = delete;

  // Connects to a node, by TLS alone. False: it was not let in.
  bool dial(std::uint16_t port, const std::string& peer);
  // Listens, and waits until the node connects.
  std::uint16_t listen();
  bool accept(Clock::duration limit);
  unsigned accepted() const { return accepted_; }
  void hang_up();

  link::Hello hello() const;            // of a peer that sends and receives everything
  bool greet() { return greet(hello()); }
  bool greet(const link::Hello& hello); // says it and waits for the other one
  bool begin_sending();                 // begin, and route 1 of this rogue
  // False: the node ended the connection before all of it was taken.
  bool say(const Bytes& bytes, Clock::duration limit = seconds(10));
  // The same again and again; how often it could be said before the connection ended.
  unsigned repeat(const Bytes& bytes, unsigned times, Clock::duration limit = seconds(30));
  void wait(Clock::duration time);      // listens and, if told so, answers
  bool wait_for(const std::function<bool()>& condition, Clock::duration limit);

  bool ended() const { return !end_.empty(); }
  const std::string& end() const { return end_; }
  bool wait_ended(Clock::duration limit) { return wait_for([this] { return ended(); }, limit); }
  const std::optional<link::Close>& close() const { return close_; }   // the node's close frame
  const std::optional<link::Hello>& heard_hello() const { return hello_; }
  unsigned heard(link::FrameType type) const;
  std::uint64_t heard_bytes() const { return heard_bytes_; }
  net::TlsStream* stream() { return stream_.get(); }
  std::function<void(const link::Frame&)> on_frame;
  bool deaf = false;                    // reads nothing

 private:
  void take(std::unique_ptr<net::TlsStream> stream);
  void read();
  void parse();
  bool pump(const std::function<bool()>& done, Clock::duration limit);

  std::string name_;
  net::Loop loop_;
  std::shared_ptr<const net::TlsIdentity> identity_;
  std::unique_ptr<net::DialAttempt> attempt_;
  std::unique_ptr<net::TlsListener> listener_;
  std::unique_ptr<net::TlsStream> stream_;
  unsigned accepted_ = 0;
  Bytes input_;
  std::map<link::FrameType, unsigned> heard_;
  std::uint64_t heard_bytes_ = 0;
  std::optional<link::Close> close_;
  std::optional<link::Hello> hello_;
  std::string end_;
};

// Frames. `body` need not follow the protocol.
Bytes frame_of(unsigned type, const Bytes& body);
Bytes heartbeat_of(std::uint64_t sent_ns);
Bytes definitions_of(RouteId route, PointId first, unsigned count, const std::string& into);
Bytes changes_of(PointId first, unsigned count, double value, UtcNanoseconds time);
template <typename... Arguments>
Bytes encoded(const Arguments&... arguments) {
  Bytes out;
  link::encode(out, arguments...);
  return out;
}
Bytes operator+(Bytes left, const Bytes& right);

}  // namespace sallyport::tests
