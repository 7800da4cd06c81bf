#include "seal/merkle.h"

#include <cstdlib>

#include <openssl/evp.h>

namespace sallyport::seal {

// Fetched once: looking an algorithm up costs more than hashing a small container.
struct Hasher::Impl {
  EVP_MD* algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() {
    EVP_MD_CTX_free(context);
    EVP_MD_free(algorithm);
  }
};

Hasher::Hasher() : impl_(std::make_unique<Impl>()) {}
Hasher::~Hasher() = default;

Hash Hasher::of(std::byte prefix, std::span<const std::byte> a, std::span<const std::byte> b) {
  Hash hash;
  EVP_MD_CTX* context = impl_->context;
  const bool ok = EVP_DigestInit_ex2(context, impl_->algorithm, nullptr) == 1 && EVP_DigestUpdate(context, &prefix, 1) == 1 &&
                  EVP_DigestUpdate(context, a.data(), a.size()) == 1 && EVP_DigestUpdate(context, b.data(), b.size()) == 1 &&
                  EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(hash.data()), nullptr) == 1;
  if (!ok) std::abort();  // no memory for a hash; a wrong one must not be used
  return hash;
}

Hash Hasher::leaf(std::span<const std::byte> bytes) { return of(std::byte{0}, bytes, {}); }
Hash Hasher::node(const Hash& left, const Hash& right) { return of(std::byte{1}, left, right); }

MerkleTree::MerkleTree(Hasher& hasher, std::vector<Hash> leaves) {
  levels_.push_back(std::move(leaves));
  while (levels_.back().size() > 1) {
    const auto& below = levels_.back();
    std::vector<Hash> level;
    level.reserve((below.size() + 1) / 2);
    for (std::size_t i = 0; i + 1 < below.size(); i += 2) level.push_back(hasher.node(below[i], below[i + 1]));
    if (below.size() % 2 == 1) level.push_back(below.back());
    levels_.push_back(std::move(level));
  }
}

std::vector<Hash> MerkleTree::path(std::uint32_t leaf) const {
  std::vector<Hash> path;
  std::size_t at = leaf;
  for (std::size_t level = 0; level + 1 < levels_.size(); ++level, at /= 2) {
    if ((at ^ 1) < levels_[level].size()) path.push_back(levels_[level][at ^ 1]);
  }
  return path;
}

std::optional<Hash> root_of(Hasher& hasher, const Hash& leaf, std::uint32_t index, std::uint32_t count, std::span<const Hash> path) {
  if (index >= count) return std::nullopt;
  Hash hash = leaf;
  std::size_t used = 0;
  for (std::uint32_t at = index, size = count; size > 1; at /= 2, size = size / 2 + size % 2) {
    if ((at ^ 1) >= size) continue;
    if (used == path.size()) return std::nullopt;
    const Hash& neighbour = path[used++];
    hash = at % 2 == 0 ? hasher.node(hash, neighbour) : hasher.node(neighbour, hash);
  }
  if (used != path.size()) return std::nullopt;
  return hash;
}

}  // namespace sallyport::seal
