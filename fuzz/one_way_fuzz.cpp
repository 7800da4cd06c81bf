// Segments of a one-way session, as a sender with the key could make them: each behind its u16 length, with time passing between
// them. Nothing they say may crash, hang, or change points that are not of the link.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/log.h"
#include "link/diode/one_way_receiver.h"

using namespace sallyport;
using namespace sallyport::link;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  log::set_level(log::Level::error);
  if (size > 0) {   // the recorder writes it for every target
    ++data;
    --size;
  }
  ManualClock clock;
  Namespace ns(clock, {.max_points = 1024, .ring_entries = 64, .max_routes = 16});
  const RouteId route = *ns.add_route({"me", "s", {"me"}});
  const Definition own{"own/point", nullptr, {kNoPoint, status::kGood, 1, Value::from(42.0)}};
  PointId id = kNoPoint;
  ns.define(route, std::span(&own, 1), std::span(&id, 1));
  Receiver receiver(ns, "me", "diode", *Patterns::parse({"**"}), status::kBadNoCommunication, 1024);
  diode::OneWayReceiver session(ns, receiver, {.link = "diode"}, nullptr, clock.monotonic());
  ByteReader reader(std::span(reinterpret_cast<const std::byte*>(data), size));
  while (reader.remaining() > 2) {
    const std::size_t piece = reader.number<std::uint16_t>();
    session.received(reader.bytes(std::min(piece, reader.remaining())), clock.monotonic());
    clock.advance(std::chrono::milliseconds(200));
    session.tick(clock.monotonic());
  }
  const auto point = ns.read("own/point");
  if (!point || point->value.float64() != 42.0 || point->status != status::kGood) std::abort();
  return 0;
}
