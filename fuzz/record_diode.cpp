// Seeds for diode_fuzz.cpp: what a sender says, as datagrams and opened, and the key files.
#include "record_diode.h"

#include <array>

#include "link/diode/datagram.h"
#include "link/diode/epoch.h"
#include "link/diode/fec.h"
#include "link/diode/one_way_sender.h"
#include "link/diode/test_wire.h"
#include "link/test_pair.h"
#include "net/receiver_key.h"

namespace sallyport::link {
namespace {

using namespace diode;

void append_piece(Bytes& out, std::span<const std::byte> piece) {
  ByteWriter writer(out);
  writer.number<std::uint16_t>(static_cast<std::uint16_t>(piece.size()));
  writer.bytes(piece);
}

// A group of two small segments, a shard of it missing.
Bytes opened_shards() {
  Bytes payload;
  payload.reserve(1024);   // else g++ 14 warns of an overflow that is not there
  payload.resize(kGroupHeaderBytes);
  ByteWriter writer(payload);
  for (const std::string_view text : {"first segment", "second segment"}) {
    writer.number<std::uint32_t>(static_cast<std::uint32_t>(text.size()));
    writer.bytes(as_bytes(text));
  }
  write_group_header(payload, {.first_segment = 0, .sent = 5, .segments = 2});
  constexpr unsigned kData = 3, kParity = 2;
  const std::size_t size = (payload.size() + kData - 1) / kData;
  payload.resize(kData * size);
  Bytes parity(kParity * size);
  Fec().encode(kData, kParity, size, payload, parity);
  payload.insert(payload.end(), parity.begin(), parity.end());
  Bytes out;
  for (const std::uint8_t index : std::array<std::uint8_t, 4>{0, 2, 4, 1}) {
    Bytes plain;
    plain.reserve(1024);
    plain.resize(kShardHeaderBytes);
    write_shard_header(plain, {.group = 0, .index = index, .k = kData, .r = kParity});
    const auto shard = std::span(payload).subspan(index * size, size);
    plain.insert(plain.end(), shard.begin(), shard.end());
    append_piece(out, plain);
  }
  return out;
}

}  // namespace

void one_way_seeds(const WriteSeed& write) {
  ManualClock clock;
  TestNode plant("plant-1", clock);
  const RouteId route = plant.source("line1");
  std::vector<PointId> ids;
  for (int i = 0; i < 12; ++i) ids.push_back(plant.define(route, "acme/p" + std::to_string(i), i));
  auto sender = OneWaySender::make(plant.ns, {.peer = "office-1", .life = 11, .send = *Patterns::parse({"**"}), .max_staleness = std::chrono::seconds(2)},
                                   clock.monotonic(), [] {});
  if (!sender) return;
  (*sender)->set_hops({{"plant-1", "line", "", LinkState::up, 5, "", Duration(7), true}});
  Bytes stream, segment;
  for (int step = 0; step < 60; ++step) {
    clock.advance(std::chrono::milliseconds(50));
    plant.change(route, ids[static_cast<std::size_t>(step) % ids.size()], step, 2000 + step);
    if (step == 20) plant.ns.cover(route, status::kBadNoCommunication, {"plant-1", "line1", 3, "timeout"});
    if (step == 30) plant.ns.uncover(route);
    if (step == 40) plant.ns.remove(route, std::span(ids).first(2));
    while ((*sender)->next(segment, 512, clock.monotonic())) {
      if (stream.size() + segment.size() + 2 < 15'500) append_piece(stream, segment);
      Bytes alone;
      append_piece(alone, segment);
      if (step < 4) write(0, alone);
    }
  }
  write(0, stream);
}

void diode_seeds(const WriteSeed& write) {
  diode::testing::Wire wire(WireOptions{.datagram_bytes = 1200});
  Bytes stream, announcement;
  wire.on_the_way = [&](diode::testing::Datagrams& datagrams) {
    for (const Bytes& each : datagrams) {
      if (stream.size() + each.size() + 2 < 15'500) append_piece(stream, each);
      const auto part = read_fragment(each);
      if (!part || part->index * 1100u > 15'000) continue;
      if (part->index == 0) announcement.clear();
      announcement.insert(announcement.end(), part->bytes.begin(), part->bytes.end());
    }
  };
  wire.send("the value is 42");
  wire.run(std::chrono::milliseconds(30));
  write(0, stream);
  write(1, announcement);
  write(2, opened_shards());
  const net::ReceiverPrivate key{"ai-1", *crypto::XWingPrivate::from_seed(std::array<std::byte, 32>{})};  // nobody's
  write(3, as_bytes(net::to_text(net::ReceiverPublic{"ai-1", key.key.public_key()})));
  write(4, as_bytes(net::to_text(key)));
  write(5, wire.keys.signers[0]->credential());
}

}  // namespace sallyport::link
