#include "link/diode/datagram.h"

#include <algorithm>
#include <cstring>

namespace sallyport::link::diode {
namespace {

template <typename T>
std::byte* put(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}

}  // namespace

std::optional<SealedHeader> read_sealed_header(std::span<const std::byte> datagram) {
  if (datagram.size() < kSealedHeaderBytes + 1 + crypto::kTagBytes || datagram.size() > kMaxDatagram) return std::nullopt;
  ByteReader reader(datagram);
  if (reader.number<std::uint8_t>() != kSealedType) return std::nullopt;
  SealedHeader header;
  header.epoch = reader.number<std::uint64_t>();
  header.counter = reader.number<std::uint64_t>();
  header.age = reader.number<std::uint32_t>();
  return header;
}

void write_sealed_header(std::span<std::byte> out, const SealedHeader& header) {
  put(put(put(put(out.data(), kSealedType), header.epoch), header.counter), header.age);
}

std::optional<Shard> read_shard(std::span<const std::byte> plain) {
  ByteReader reader(plain);
  if (reader.number<std::uint8_t>() != static_cast<std::uint8_t>(SealedKind::shard)) return std::nullopt;
  Shard shard;
  shard.group = reader.number<std::uint64_t>();
  shard.index = reader.number<std::uint8_t>();
  shard.k = reader.number<std::uint8_t>();
  shard.r = reader.number<std::uint8_t>();
  shard.bytes = reader.bytes(reader.remaining());
  const unsigned total = unsigned{shard.k} + shard.r;
  if (!reader.ok() || shard.bytes.empty() || shard.k == 0 || total > kMaxShards || shard.index >= total) return std::nullopt;
  return shard;
}

void write_shard_header(std::span<std::byte> out, const Shard& shard) {
  put(put(put(put(put(out.data(), static_cast<std::uint8_t>(SealedKind::shard)), shard.group), shard.index), shard.k), shard.r);
}

std::optional<Fragment> read_fragment(std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxDatagram) return std::nullopt;
  ByteReader reader(bytes);
  const auto first = reader.number<std::uint8_t>();
  if (first != kFragmentType && first != static_cast<std::uint8_t>(SealedKind::fragment)) return std::nullopt;
  Fragment fragment;
  fragment.epoch = reader.number<std::uint64_t>();
  const auto id = reader.bytes(kFragmentIdBytes);
  std::ranges::copy(id, fragment.id.begin());
  fragment.index = reader.number<std::uint8_t>();
  fragment.count = reader.number<std::uint8_t>();
  fragment.bytes = reader.bytes(reader.remaining());
  if (!reader.ok() || fragment.bytes.empty() || fragment.count > kMaxFragments || fragment.index >= fragment.count) return std::nullopt;
  return fragment;
}

void append_fragment(Bytes& out, std::uint8_t first, const Fragment& fragment) {
  ByteWriter writer(out);
  writer.number<std::uint8_t>(first);
  writer.number<std::uint64_t>(fragment.epoch);
  writer.bytes(fragment.id);
  writer.number<std::uint8_t>(fragment.index);
  writer.number<std::uint8_t>(fragment.count);
  writer.bytes(fragment.bytes);
}

void write_group_header(std::span<std::byte> out, const GroupHeader& header) {
  put(put(put(out.data(), header.first_segment), header.sent), header.segments);
}

GroupReader::GroupReader(std::span<const std::byte> payload) {
  ByteReader reader(payload);
  header_.first_segment = reader.number<std::uint64_t>();
  header_.sent = reader.number<std::int64_t>();
  header_.segments = reader.number<std::uint32_t>();
  if (!reader.ok() || header_.segments == 0 || header_.first_segment + header_.segments < header_.first_segment) return;
  rest_ = payload.subspan(kGroupHeaderBytes);
  left_ = header_.segments;
  for (std::uint32_t i = 0; i < header_.segments; ++i) {
    const auto size = reader.number<std::uint32_t>();
    if (size == 0 || reader.bytes(size).size() != size) return;
  }
  ok_ = std::ranges::all_of(reader.bytes(reader.remaining()), [](std::byte each) { return each == std::byte{0}; });
}

std::optional<std::span<const std::byte>> GroupReader::next() {
  if (!ok_ || left_ == 0) return std::nullopt;
  --left_;
  ByteReader reader(rest_);
  const auto segment = reader.bytes(reader.number<std::uint32_t>());
  rest_ = rest_.subspan(sizeof(std::uint32_t) + segment.size());
  return segment;
}

}  // namespace sallyport::link::diode
