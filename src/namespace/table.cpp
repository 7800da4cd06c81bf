// The dense table: slots, path store, path index, interned metadata.
#include "namespace/table.h"

#include "namespace/path.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>

namespace sallyport {
namespace {

constexpr std::size_t kMeanPathBytes = 128;     // path store per point at the limit; longer means fewer points
constexpr std::uint32_t kHugePagesFrom = 65536;  // points

std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t load(const std::byte* at, std::size_t size) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, size);
  return word;
}

struct SipState {
  std::uint64_t v0, v1, v2, v3;
  void round() {
    v0 += v1; v1 = std::rotl(v1, 13); v1 ^= v0; v0 = std::rotl(v0, 32);
    v2 += v3; v3 = std::rotl(v3, 16); v3 ^= v2;
    v0 += v3; v3 = std::rotl(v3, 21); v3 ^= v0;
    v2 += v1; v1 = std::rotl(v1, 17); v1 ^= v2; v2 = std::rotl(v2, 32);
  }
};

std::uint64_t hash_text(std::uint64_t seed, std::string_view text) { return fold(seed ^ hash_bytes(as_bytes(text)), 0x9E3779B97F4A7C15ull); }

std::uint64_t hash_meta(const Meta& meta) {
  std::uint64_t h = static_cast<std::uint64_t>(meta.type) | (meta.array ? 256u : 0u) | (meta.every ? 512u : 0u) | std::uint64_t{meta.burst} << 16;
  h = hash_text(h, meta.description);
  h = hash_text(h, meta.unit);
  h = fold(h ^ std::bit_cast<std::uint64_t>(meta.range_low.value_or(0)), 0xA0761D6478BD642Full);
  h = fold(h ^ std::bit_cast<std::uint64_t>(meta.range_high.value_or(0)), 0xE7037ED1A0B428DBull);
  for (const std::string& text : meta.enum_strings) h = hash_text(h, text);
  return h;
}

}  // namespace

std::uint64_t hash_path(std::string_view path) {
  constexpr std::uint64_t key0 = 0x73616c6c79706f72ull, key1 = 0x742d706174682d31ull;
  SipState s{key0 ^ 0x736f6d6570736575ull, key1 ^ 0x646f72616e646f6dull, key0 ^ 0x6c7967656e657261ull, key1 ^ 0x7465646279746573ull};
  const auto bytes = as_bytes(path);
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    const std::uint64_t m = load(&bytes[i], 8);
    s.v3 ^= m;
    s.round();
    s.v0 ^= m;
  }
  const std::uint64_t last = (static_cast<std::uint64_t>(bytes.size()) << 56) | load(bytes.data() + i, bytes.size() - i);
  s.v3 ^= last;
  s.round();
  s.v0 ^= last;
  s.v2 ^= 0xff;
  s.round();
  s.round();
  s.round();
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

std::uint64_t hash_bytes(std::span<const std::byte> bytes) {
  std::uint64_t h = 0x8EBC6AF09C88C6E3ull ^ bytes.size();
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) h = fold(h ^ load(&bytes[i], 8), 0x589965CC75374CC3ull);
  if (i < bytes.size()) h = fold(h ^ load(bytes.data() + i, bytes.size() - i) ^ 0xff00000000000000ull, 0x1D8E4E27C47D124Full);
  return h ^ (h >> 32);
}

std::uint64_t digest_of(const Slot& slot) {
  std::uint64_t value = slot.bits;
  if (slot.blob) [[unlikely]] {
    const Value::Raw raw{slot.bits, slot.type, slot.array, true};
    Value view = Value::adopt_raw(raw);
    value = hash_bytes(view.contents());
    static_cast<void>(std::move(view).release_raw());  // it was only borrowed
  }
  const std::uint64_t kind = std::uint64_t{slot.status} << 16 | static_cast<std::uint64_t>(slot.type) << 1 | (slot.array ? 1u : 0u);
  return fold(slot.path_hash ^ value, fold(static_cast<std::uint64_t>(slot.source_time) ^ 0xA0761D6478BD642Full, kind ^ slot.path_hash ^ 0xE7037ED1A0B428DBull) | 1) + kind;
}

Table::Table(std::uint32_t max_points)
    : max_points_(max_points), slots_(max_points), paths_(std::size_t{max_points} * kMeanPathBytes + 4096), free_paths_(kMaxPathBytes / 8 + 2) {
  std::random_device random;
  seed_ = (std::uint64_t{random()} << 32) | random();
  rehash(1024);
  metas_.push_back({std::make_shared<const Meta>(), 1, hash_meta({})});
  meta_index_.emplace(metas_[0].hash, 0);
  if (max_points >= kHugePagesFrom * 16) slots_.use_huge_pages();
}

Table::~Table() {
  for (PointId id = 0; id < end_; ++id) {
    if (slots_[id].blob) set_value(slots_[id], Value());
  }
}

PointId Table::find(std::string_view wanted, std::uint64_t hash) const {
  const std::size_t mask = buckets_.size() - 1;
  for (std::size_t at = home_of(hash);; at = (at + 1) & mask) {
    const PointId id = buckets_[at];
    if (id == kNoPoint) return kNoPoint;
    if (slots_[id].path_hash == hash && path(slots_[id]) == wanted) return id;
  }
}

std::optional<std::uint32_t> Table::allocate_path(std::size_t size) {
  const std::size_t units = (size + 7) / 8;
  if (auto& free = free_paths_[units]; !free.empty()) {
    const std::uint32_t at = free.back();
    free.pop_back();
    return at;
  }
  if (paths_end_ + units * 8 > paths_.capacity()) return std::nullopt;
  const auto at = static_cast<std::uint32_t>(paths_end_ / 8);
  paths_end_ += units * 8;
  return at;
}

void Table::free_path(std::uint32_t at, std::size_t size) { free_paths_[(size + 7) / 8].push_back(at); }

PointId Table::insert(std::string_view text, std::uint64_t hash, std::uint64_t reusable) {
  PointId id = kNoPoint;
  const bool full = end_ == max_points_;
  if (!removed_.empty() && (full || slots_[removed_.front()].defined <= reusable)) {
    id = removed_.front();
    free_path(slots_[id].path_at, slots_[id].path_size);
    slots_[id].path_size = 0;
  } else if (full) {
    return kNoPoint;
  }
  const auto at = allocate_path(text.size());
  if (!at) {
    if (id != kNoPoint) slots_[id].path_at = 0;
    return kNoPoint;
  }
  if (id != kNoPoint) {
    removed_.pop_front();
    slots_[id].reused = true;
  } else {
    id = end_++;
  }
  Slot& slot = slots_[id];
  std::memcpy(paths_.data() + std::size_t{*at} * 8, text.data(), text.size());
  slot.path_at = *at;
  slot.path_size = static_cast<std::uint16_t>(text.size());
  slot.path_hash = hash;
  slot.present = true;
  index(id);
  return id;
}

void Table::index(PointId id) {
  if (std::size_t{++count_} * 4 > buckets_.size() * 3) rehash(buckets_.size() * 2);
  const std::size_t mask = buckets_.size() - 1;
  std::size_t bucket = home_of(slots_[id].path_hash);
  while (buckets_[bucket] != kNoPoint) bucket = (bucket + 1) & mask;
  buckets_[bucket] = id;
}

bool Table::restore(std::string_view text, std::uint64_t hash, bool present, std::uint64_t defined) {
  const auto at = end_ < max_points_ ? allocate_path(text.size()) : std::nullopt;
  if (!at) return false;
  const PointId id = end_++;
  Slot& slot = slots_[id];
  std::memcpy(paths_.data() + std::size_t{*at} * 8, text.data(), text.size());
  slot.path_at = *at;
  slot.path_size = static_cast<std::uint16_t>(text.size());
  slot.path_hash = hash;
  slot.present = present;
  slot.defined = defined;
  if (present) index(id);
  else removed_.push_back(id);
  return true;
}

void Table::finish_restore() {
  std::ranges::sort(removed_, {}, [this](PointId id) { return slots_[id].defined; });
}

void Table::erase(PointId id) {
  const std::size_t mask = buckets_.size() - 1;
  std::size_t hole = home_of(slots_[id].path_hash);
  while (buckets_[hole] != id) hole = (hole + 1) & mask;
  // Backward shift: no tombstones, so probes stay short however much comes and goes.
  for (std::size_t next = (hole + 1) & mask; buckets_[next] != kNoPoint; next = (next + 1) & mask) {
    const std::size_t home = home_of(slots_[buckets_[next]].path_hash);
    if (((next - home) & mask) >= ((next - hole) & mask)) {
      buckets_[hole] = buckets_[next];
      hole = next;
    }
  }
  buckets_[hole] = kNoPoint;
  Slot& slot = slots_[id];
  set_value(slot, Value());
  release_meta(slot.meta);
  slot.meta = 0;
  slot.present = false;
  --count_;
  removed_.push_back(id);
}

void Table::rehash(std::size_t size) {
  std::vector<PointId> old = std::exchange(buckets_, std::vector<PointId>(size, kNoPoint));
  shift_ = 64 - static_cast<unsigned>(std::countr_zero(size));
  const std::size_t mask = size - 1;
  for (const PointId id : old) {
    if (id == kNoPoint) continue;
    std::size_t bucket = home_of(slots_[id].path_hash);
    while (buckets_[bucket] != kNoPoint) bucket = (bucket + 1) & mask;
    buckets_[bucket] = id;
  }
}

std::uint32_t Table::intern_meta(const Meta& meta) {
  const std::uint64_t hash = hash_meta(meta);
  const auto [first, last] = meta_index_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    if (*metas_[it->second].meta == meta) {
      ++metas_[it->second].references;
      return it->second;
    }
  }
  std::uint32_t index;
  if (free_metas_.empty()) {
    index = static_cast<std::uint32_t>(metas_.size());
    metas_.emplace_back();
  } else {
    index = free_metas_.back();
    free_metas_.pop_back();
  }
  metas_[index] = {std::make_shared<const Meta>(meta), 1, hash};
  meta_index_.emplace(hash, index);
  return index;
}

void Table::release_meta(std::uint32_t index) {
  if (index == 0 || --metas_[index].references > 0) return;  // 0, the empty one, stays
  const auto [first, last] = meta_index_.equal_range(metas_[index].hash);
  for (auto it = first; it != last; ++it) {
    if (it->second == index) {
      meta_index_.erase(it);
      break;
    }
  }
  metas_[index] = {};
  free_metas_.push_back(index);
}

}  // namespace sallyport
