// What comes over a diode. The first byte chooses: datagrams into a reader (each behind its u16 length), as they come off the
// wire; an announcement; what was sealed, which only a sender with the key can make: shards and a group; the two kinds of key
// files; a credential.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "link/diode/datagram.h"
#include "link/diode/epoch.h"
#include "link/diode/reassembly.h"
#include "link/diode/wire_reader.h"
#include "net/pki.h"
#include "net/receiver_key.h"

namespace {

using namespace sallyport;
using namespace sallyport::link::diode;

const MonotonicTime kStart{std::chrono::hours(1)};

struct World {
  World() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sallyport-fuzz-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    static_cast<void>(net::make_ca({.folder = folder}));
    trust = *net::Trust::load(folder + "/ca.crt");
  }
  ~World() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  std::string folder;
  std::shared_ptr<const net::Trust> trust;
  std::array<std::byte, crypto::kXWingSeedBytes> seed{};
};

const World& world() {
  static const World made;
  return made;
}

template <typename Take>
void each_piece(std::span<const std::byte> bytes, Take take) {
  ByteReader reader(bytes);
  while (reader.remaining() > 2) {
    const std::size_t size = reader.number<std::uint16_t>();
    take(reader.bytes(std::min(size, reader.remaining())));
  }
}

void datagrams(std::span<const std::byte> bytes) {
  auto reader = WireReader::make({.sender = "plant-1", .receiver = "ai-1"}, *crypto::XWingPrivate::from_seed(world().seed), world().trust,
                                 world().folder + "/state");
  MonotonicTime now = kStart;
  each_piece(bytes, [&](std::span<const std::byte> piece) {
    (*reader)->received(piece, now, 1'700'000'000'000'000'000);
    while ((*reader)->next(now)) {}
    now += std::chrono::milliseconds(10);
  });
  if ((*reader)->counters().accepted > 0) std::abort();
}

void shards(std::span<const std::byte> bytes) {
  Reassembly reassembly(16, 1 << 16);
  reassembly.begin(0, 2, std::chrono::milliseconds(50));
  MonotonicTime now = kStart;
  each_piece(bytes, [&](std::span<const std::byte> piece) {
    if (const auto shard = read_shard(piece)) static_cast<void>(reassembly.add(*shard, now));
    if (reassembly.held_bytes() > 1 << 16) std::abort();
    while (const auto ready = reassembly.next(now)) {
      GroupReader group(ready->payload);
      while (const auto segment = group.next()) {
        if (segment->empty()) std::abort();
      }
    }
    now += std::chrono::milliseconds(10);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const std::byte> body(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  switch (data[0] % 6) {
    case 0: datagrams(body); break;
    case 1:
      if (const auto found = parse_announcement(body)) static_cast<void>(check_signatures(*found, *world().trust, found->utc));
      break;
    case 2: shards(body); break;
    case 3: static_cast<void>(net::parse_receiver_public(as_text(body))); break;
    case 4: static_cast<void>(net::parse_receiver_private(as_text(body))); break;
    case 5: static_cast<void>(net::Credential::verify(body, *world().trust, "plant-1", 1'700'000'000'000'000'000)); break;
  }
  return 0;
}
