// A hostile peer against a session. The first byte says which: one that sends and receives, that only sends, that only
// receives, each after a valid hello; or one that has not heard a hello yet. The rest comes in pieces, with time passing
// between them. Nothing it says may crash, hang or change points that are not of its link.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/log.h"
#include "link/session.h"

namespace {

using namespace sallyport;
using namespace sallyport::link;

void feed(Session& session, std::span<const std::byte> bytes, MonotonicTime now) {
  while (!bytes.empty() && session.state() != Session::State::closed) {
    const auto space = session.input_space();
    const std::size_t n = std::min(space.size(), bytes.size());
    std::copy_n(bytes.begin(), n, space.begin());
    session.received(n, now);
    bytes = bytes.subspan(n);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  log::set_level(log::Level::error);
  if (size == 0) return 0;
  const unsigned role = data[0] & 3;   // 0 both, 1 sends, 2 receives, 3 greets
  const bool uplink = (data[0] & 4) != 0;   // 1: reads only acknowledgements
  ++data;
  --size;
  ManualClock clock;
  Namespace ns(clock, {.max_points = 1024, .ring_entries = 64, .max_routes = 16});
  const RouteId route = *ns.add_route({"me", "s", {"me"}});
  const Definition own{"own/point", nullptr, {kNoPoint, status::kGood, 1, Value::from(42.0)}};
  PointId id = kNoPoint;
  ns.define(route, std::span(&own, 1), std::span(&id, 1));
  Receiver receiver(ns, "me", "l", *Patterns::parse({"**"}), status::kBadNoCommunication, 1024);
  SessionOptions options;
  options.node = "me";
  options.peer = "peer";
  options.incarnation = 1;
  if (role != 2) options.send_texts = {"**"};
  if (role != 1) options.receive_texts = {"**"};
  options.send = *Patterns::parse(options.send_texts);
  if (role == 1 && uplink) options.one_way = OneWay::acks;
  Session session(ns, receiver, options, clock.monotonic(), [] {});
  Bytes hello_bytes;
  Hello hello;
  hello.node = "peer";
  hello.incarnation = 2;
  hello.heartbeat = std::chrono::seconds(1);
  hello.timeout = std::chrono::seconds(3);
  hello.send = hello.receive = {"**"};
  encode(hello_bytes, hello);
  if (role != 1) encode(hello_bytes, Begin{false, 7});
  if (role != 3) feed(session, hello_bytes, clock.monotonic());
  std::span<const std::byte> rest(reinterpret_cast<const std::byte*>(data), size);
  while (!rest.empty() && session.state() != Session::State::closed) {
    const std::size_t n = std::min<std::size_t>(rest.size(), 1 + std::to_integer<std::size_t>(rest[0]));
    feed(session, rest.first(n), clock.monotonic());
    rest = rest.subspan(n);
    clock.advance(std::chrono::milliseconds(50));
    session.tick(clock.monotonic());
    Bytes out;
    for (int i = 0; i < 4; ++i) session.fill(out, clock.monotonic());
    if (out.size() > 4 * 1024 * 1024) std::abort();
  }
  const auto point = ns.read("own/point");
  if (!point || point->value.float64() != 42.0 || point->status != status::kGood) std::abort();
  return 0;
}
