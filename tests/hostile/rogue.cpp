#include "rogue.h"

#include <array>

namespace sallyport::tests {

using link::FrameType;

Rogue::Rogue(Pki& pki, const std::string& name) : name_(name) {
  pki.issue(name);
  const std::string stem = pki.folder() + "/" + name;
  auto identity = net::TlsIdentity::load({stem + ".crt", stem + ".key", pki.folder() + "/ca.crt"}, name);
  if (identity) identity_ = *identity;
}

Rogue::~Rogue() = default;

bool Rogue::pump(const std::function<bool()>& done, Clock::duration limit) {
  const auto end = Clock::now() + limit;
  net::Timer timer(loop_);
  std::function<void()> look = [&] {
    if (done() || Clock::now() > end) return loop_.stop();
    timer.after(milliseconds(1), look);
  };
  loop_.post([&] { look(); });
  loop_.run();
  return done();
}

bool Rogue::wait_for(const std::function<bool()>& condition, Clock::duration limit) { return pump(condition, limit); }
void Rogue::wait(Clock::duration time) {
  pump([] { return false; }, time);
}

void Rogue::take(std::unique_ptr<net::TlsStream> stream) {
  stream_ = std::move(stream);
  input_.clear();
  heard_.clear();
  heard_bytes_ = 0;
  close_.reset();
  hello_.reset();
  end_.clear();
  read();
}

bool Rogue::dial(std::uint16_t port, const std::string& peer) {
  net::DialOptions options;
  options.address = {"127.0.0.1", port};
  options.peer_name = peer;
  bool done = false;
  hang_up();
  attempt_ = net::dial(loop_, identity_, options, [&](Result<std::unique_ptr<net::TlsStream>> stream) {
    done = true;
    if (stream) take(std::move(*stream));
    else end_ = stream.error().message;
  });
  pump([&] { return done; }, seconds(15));
  attempt_.reset();
  return stream_ != nullptr;
}

std::uint16_t Rogue::listen() {
  net::ListenOptions options;
  options.address = {"127.0.0.1", 0};
  auto listener = net::listen(loop_, identity_, options, [this](std::unique_ptr<net::TlsStream> stream) {
    ++accepted_;
    take(std::move(stream));
  });
  if (!listener) return 0;
  listener_ = std::move(*listener);
  return listener_->port();
}

bool Rogue::accept(Clock::duration limit) {
  const unsigned before = accepted_;
  return pump([&] { return accepted_ > before; }, limit);
}

void Rogue::hang_up() {
  stream_.reset();
  end_ = "hung up";
}

void Rogue::read() {
  if (!stream_ || deaf) return;
  std::array<std::byte, 65536> buffer;
  for (unsigned turns = 0; turns < 16; ++turns) {
    const net::IoResult result = stream_->read(buffer);
    if (result.kind == net::IoResult::Kind::would_block) break;
    if (result.kind != net::IoResult::Kind::bytes) {
      end_ = result.reason.empty() ? "ended" : result.reason;
      return;
    }
    heard_bytes_ += result.size;
    input_.insert(input_.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(result.size));
    parse();
  }
  stream_->when_readable([this] { read(); });
}

void Rogue::parse() {
  std::size_t at = 0;
  for (;;) {
    const auto frame = link::next_frame(std::span(input_).subspan(at), link::kMaxFrame);
    if (!frame || !*frame) break;
    ++heard_[(*frame)->type];
    if ((*frame)->type == FrameType::hello) {
      if (auto said = link::decode_hello((*frame)->body)) hello_ = *said;
    }
    if ((*frame)->type == FrameType::close) {
      if (auto said = link::decode_close((*frame)->body)) close_ = *said;
    }
    if (on_frame) on_frame(**frame);
    at += (*frame)->size;
  }
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(at));
}

unsigned Rogue::heard(FrameType type) const {
  const auto found = heard_.find(type);
  return found == heard_.end() ? 0 : found->second;
}

bool Rogue::say(const Bytes& bytes, Clock::duration limit) {
  std::size_t written = 0;
  bool waiting = false;
  return pump(
             [&] {
               while (stream_ && !ended() && !waiting && written < bytes.size()) {
                 const net::IoResult result = stream_->write(std::span(bytes).subspan(written));
                 if (result.kind == net::IoResult::Kind::bytes) {
                   written += result.size;
                 } else if (result.kind == net::IoResult::Kind::would_block) {
                   waiting = true;
                   stream_->when_writable([&waiting] { waiting = false; });
                 } else {
                   if (!deaf) read();
                   if (!ended()) end_ = result.reason;
                 }
               }
               return !stream_ || ended() || written == bytes.size();
             },
             limit) &&
         written == bytes.size();
}

unsigned Rogue::repeat(const Bytes& bytes, unsigned times, Clock::duration limit) {
  const auto end = Clock::now() + limit;
  const auto in_one = static_cast<unsigned>(std::max<std::size_t>(1, 65536 / bytes.size()));
  Bytes many;
  for (unsigned i = 0; i < std::min(in_one, times); ++i) many.insert(many.end(), bytes.begin(), bytes.end());
  unsigned said = 0;
  while (said < times && !ended() && Clock::now() < end) {
    if (!say(many, end - Clock::now())) break;
    said += in_one;
  }
  return said;
}

link::Hello Rogue::hello() const {
  link::Hello hello;
  hello.node = name_;
  hello.incarnation = 77;
  hello.heartbeat = std::chrono::seconds(1);
  hello.timeout = std::chrono::seconds(10);
  hello.send = hello.receive = {"**"};
  return hello;
}

bool Rogue::greet(const link::Hello& hello) {
  return say(encoded(hello)) && pump([this] { return hello_ || ended(); }, seconds(10)) && hello_.has_value();
}

bool Rogue::begin_sending() {
  return say(encoded(link::Begin{false, 7}) +
             encoded(link::RouteMessage{1, {name_, "line1", {name_}}, {}, true, false}));
}

Bytes frame_of(unsigned type, const Bytes& body) {
  Bytes out(5);
  const auto size = static_cast<std::uint32_t>(body.size() + 1);
  std::memcpy(out.data(), &size, 4);
  out[4] = static_cast<std::byte>(type);
  return std::move(out) + body;
}

Bytes heartbeat_of(std::uint64_t sent_ns) { return encoded(link::Heartbeat{sent_ns, 0, 0, 1'700'000'000'000'000'000}); }

Bytes definitions_of(RouteId route, PointId first, unsigned count, const std::string& into) {
  Bytes out;
  link::DefineEncoder encoder(out);
  for (PointId id = first; id < first + count; ++id) {
    encoder.add(id, route, into + "/p" + std::to_string(id), Meta{}, 0, false, 0, 1'700'000'000'000'000'000, Value::from(static_cast<double>(id)));
  }
  encoder.finish();
  return out;
}

Bytes changes_of(PointId first, unsigned count, double value, UtcNanoseconds time) {
  Bytes out;
  link::ChangeEncoder encoder(out);
  Slot slot{};
  slot.type = Type::float64;
  slot.bits = std::bit_cast<std::uint64_t>(value);
  slot.source_time = time;
  for (PointId id = first; id < first + count; ++id) encoder.add(id, slot, false);
  encoder.finish();
  return out;
}

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

}  // namespace sallyport::tests
