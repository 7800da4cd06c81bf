// The dense table under the namespace: one 64-byte slot per point (one cache line, so that applying a change touches one),
// its path, its metadata, and the index from path to id. Knows nothing of cursors or locks. Namespace lock held.
#pragma once

#include <bitset>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "namespace/point.h"
#include "namespace/reserved_array.h"

namespace sallyport {

inline constexpr unsigned kMaxViews = 1024;
using ViewMask = std::bitset<kMaxViews>;  // one bit per view that links registered
using CellId = std::uint16_t;           // see Cell

struct alignas(64) Slot {
  std::uint64_t bits;        // scalar, or pointer to the value's blob
  UtcNanoseconds source_time;
  Revision revision;         // of the last change
  std::uint64_t defined;     // definition sequence of the last definition or removal; 0: never used
  std::uint64_t path_hash;   // the same on every node
  std::uint32_t path_at;     // in units of 8 bytes
  std::uint32_t meta;
  Status status;             // as the origin said it; overlays are of the route
  CellId cell;
  std::uint16_t path_size;
  Type type;
  bool array : 1;
  bool blob : 1;
  bool present : 1;
  bool stale : 1;            // came already covered: not live although newer than the overlay
  bool reused : 1;           // readers may know this id as another point, or of another route
  bool unsummed : 1;         // its digest is not in that of its cell: it changed since digests were last asked for
  bool guarded : 1;          // of a route that was behind when it took over: nothing older than this is taken from it
  std::uint8_t burst;
  Verified verified;         // while the node verifies
};
static_assert(sizeof(Slot) == 64);

// Points that share a route and are seen by the same set of views. A digest of everything a link mirrors is the sum of the
// digests of a few cells, once Namespace::Impl::sum() has added what changed.
struct Cell {
  RouteId route = kNoRoute;
  ViewMask views;
  std::uint64_t digest = 0;
  std::uint64_t points = 0;
};

// What one point adds to a digest: path, type, value, status and source time, mixed so that sums do not cancel.
std::uint64_t digest_of(const Slot& slot);
constexpr std::size_t bucket_of(std::uint64_t path_hash) { return path_hash >> 54; }  // of Namespace::kBuckets
std::uint64_t hash_path(std::string_view path);  // SipHash-1-3 under a fixed key: equal on every node, hard to collide
std::uint64_t hash_bytes(std::span<const std::byte> bytes);

class Table {
 public:
  explicit Table(std::uint32_t max_points);
  ~Table();

  Slot& operator[](PointId id) { return slots_[id]; }
  const Slot& operator[](PointId id) const { return slots_[id]; }
  std::uint32_t end() const { return end_; }      // ids are below this
  std::uint32_t count() const { return count_; }  // present points
  std::uint32_t capacity() const { return max_points_; }

  PointId find(std::string_view path, std::uint64_t hash) const;  // kNoPoint when absent
  std::string_view path(const Slot& slot) const {
    return {paths_.data() + std::size_t{slot.path_at} * 8, slot.path_size};
  }
  // A slot with its path set and nothing else; kNoPoint when the table or the path store is full. Removed slots with
  // `defined` <= reusable are used again first, oldest first.
  PointId insert(std::string_view path, std::uint64_t hash, std::uint64_t reusable);
  // Appends the slot with the next id as it was before a restart, present or not; its value, meta and cell are the caller's.
  // False: no room. finish_restore() orders those to be used again.
  bool restore(std::string_view path, std::uint64_t hash, bool present, std::uint64_t defined);
  void finish_restore();
  // Takes the point out of the index; the slot keeps its path until it is used again, for readers that come late.
  void erase(PointId id);

  Value value(const Slot& slot) const { return Value::share_raw({slot.bits, slot.type, slot.array, slot.blob}); }
  void set_value(Slot& slot, Value&& value) {
    if (slot.blob) [[unlikely]] Value::adopt_raw({slot.bits, slot.type, slot.array, true});  // releases the old blob
    const Value::Raw raw = std::move(value).release_raw();
    slot.bits = raw.bits;
    slot.type = raw.type;
    slot.array = raw.array;
    slot.blob = raw.blob;
  }

  std::uint32_t intern_meta(const Meta& meta);     // takes a reference
  void release_meta(std::uint32_t index);
  std::uint32_t meta_end() const { return static_cast<std::uint32_t>(metas_.size()); }  // null below this: not in use
  const std::shared_ptr<const Meta>& meta(std::uint32_t index) const { return metas_[index].meta; }

 private:
  void rehash(std::size_t buckets);
  void index(PointId id);
  std::size_t home_of(std::uint64_t hash) const { return (hash ^ seed_) * 0x9E3779B97F4A7C15ull >> shift_; }
  std::optional<std::uint32_t> allocate_path(std::size_t size);
  void free_path(std::uint32_t at, std::size_t size);

  std::uint32_t max_points_;
  ReservedArray<Slot> slots_;
  ReservedArray<char> paths_;
  std::size_t paths_end_ = 8;
  std::vector<std::vector<std::uint32_t>> free_paths_;  // by size in units of 8 bytes
  std::vector<PointId> buckets_;                         // linear probing
  unsigned shift_ = 0;
  std::uint64_t seed_;
  std::uint32_t end_ = 0;
  std::uint32_t count_ = 0;
  std::deque<PointId> removed_;
  struct MetaEntry {
    std::shared_ptr<const Meta> meta;
    std::uint32_t references = 0;
    std::uint64_t hash = 0;
  };
  std::vector<MetaEntry> metas_;
  std::vector<std::uint32_t> free_metas_;
  std::unordered_multimap<std::uint64_t, std::uint32_t> meta_index_;
};

}  // namespace sallyport
