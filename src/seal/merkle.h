// SHA-256 trees: one signature for many containers. Each container carries the way from its own hash to the signed root, so
// it can be checked alone, and a verifier that knows the root already needs no signature check. One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace sallyport::seal {

using Hash = std::array<std::byte, 32>;

// A leaf and an inner node are hashed differently, so that none passes for the other (as in RFC 6962 §2.1).
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  Hash leaf(std::span<const std::byte> bytes);
  Hash node(const Hash& left, const Hash& right);

 private:
  Hash of(std::byte prefix, std::span<const std::byte> a, std::span<const std::byte> b);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A level's last node without a neighbour goes up as it is.
class MerkleTree {
 public:
  MerkleTree(Hasher& hasher, std::vector<Hash> leaves);   // at least one
  const Hash& root() const { return levels_.back().front(); }
  std::uint32_t size() const { return static_cast<std::uint32_t>(levels_.front().size()); }
  std::vector<Hash> path(std::uint32_t leaf) const;       // neighbours, from the leaf up

 private:
  std::vector<std::vector<Hash>> levels_;
};

// The root to which this leaf leads; nothing when the path has not the length that the place in the tree asks for.
std::optional<Hash> root_of(Hasher& hasher, const Hash& leaf, std::uint32_t index, std::uint32_t count, std::span<const Hash> path);

}  // namespace sallyport::seal
