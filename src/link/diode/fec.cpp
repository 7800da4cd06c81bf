#include "link/diode/fec.h"

#include <algorithm>

#include <isa-l/erasure_code.h>

namespace sallyport::link::diode {
namespace {

constexpr std::size_t kTableBytes = 32;  // for each coefficient

unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }
// ISA-L reads, but its signature does not say so.
unsigned char* raw(const std::byte* bytes) { return const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes)); }

}  // namespace

void Fec::make_matrix(unsigned k, unsigned r) {
  if (k == k_ && r == r_) return;
  k_ = k;
  r_ = r;
  matrix_.resize(std::size_t{k + r} * k);
  gf_gen_cauchy1_matrix(matrix_.data(), static_cast<int>(k + r), static_cast<int>(k));
  tables_ready_ = false;
}

void Fec::encode(unsigned k, unsigned r, std::size_t shard_bytes, std::span<const std::byte> data, std::span<std::byte> parity) {
  if (r == 0) return;
  make_matrix(k, r);
  if (!tables_ready_) {
    tables_.resize(kTableBytes * k * r);
    ec_init_tables(static_cast<int>(k), static_cast<int>(r), matrix_.data() + std::size_t{k} * k, tables_.data());
    tables_ready_ = true;
  }
  in_.resize(k);
  out_.resize(r);
  for (std::size_t i = 0; i < k; ++i) in_[i] = raw(data.data() + i * shard_bytes);
  for (std::size_t i = 0; i < r; ++i) out_[i] = raw(parity.data() + i * shard_bytes);
  ec_encode_data(static_cast<int>(shard_bytes), static_cast<int>(k), static_cast<int>(r), tables_.data(), in_.data(), out_.data());
}

// With e data shards missing and e parity shards at hand: parity minus what the shards that are there contribute leaves e
// equations for e unknowns, and any square part of a Cauchy matrix has an inverse. So the matrix to invert is e x e, not k x k.
bool Fec::recover(unsigned k, unsigned r, std::size_t shard_bytes, const ShardSet& have, std::span<std::byte> data,
                  std::span<const std::byte> parity) {
  std::vector<unsigned> missing, rows;
  for (unsigned i = 0; i < k; ++i) {
    if (!have[i]) missing.push_back(i);
  }
  for (unsigned i = k; i < k + r && rows.size() < missing.size(); ++i) {
    if (have[i]) rows.push_back(i);
  }
  const std::size_t e = missing.size();
  if (e == 0) return true;
  if (rows.size() < e) return false;
  make_matrix(k, r);
  rows_.resize(e * k);
  inverse_.resize(2 * e * e);
  unsigned char* const square = inverse_.data() + e * e;
  for (std::size_t row = 0; row < e; ++row) {
    std::copy_n(matrix_.data() + std::size_t{rows[row]} * k, k, rows_.data() + row * k);
    for (std::size_t column = 0; column < e; ++column) {
      square[row * e + column] = rows_[row * k + missing[column]];
      rows_[row * k + missing[column]] = 0;
    }
  }
  if (gf_invert_matrix(square, inverse_.data(), static_cast<int>(e)) != 0) return false;
  syndromes_.resize(e * shard_bytes);
  in_.resize(k);
  out_.resize(e);
  for (std::size_t i = 0; i < k; ++i) in_[i] = raw(data.data() + i * shard_bytes);
  for (std::size_t i = 0; i < e; ++i) out_[i] = raw(syndromes_.data() + i * shard_bytes);
  row_tables_.resize(kTableBytes * k * e);
  ec_init_tables(static_cast<int>(k), static_cast<int>(e), rows_.data(), row_tables_.data());
  ec_encode_data(static_cast<int>(shard_bytes), static_cast<int>(k), static_cast<int>(e), row_tables_.data(), in_.data(), out_.data());
  for (std::size_t i = 0; i < e; ++i) {
    const std::byte* from = parity.data() + std::size_t{rows[i] - k} * shard_bytes;
    std::byte* into = syndromes_.data() + i * shard_bytes;
    for (std::size_t at = 0; at < shard_bytes; ++at) into[at] ^= from[at];
  }
  for (std::size_t i = 0; i < e; ++i) in_[i] = raw(syndromes_.data() + i * shard_bytes);
  for (std::size_t i = 0; i < e; ++i) out_[i] = raw(data.data() + std::size_t{missing[i]} * shard_bytes);
  ec_init_tables(static_cast<int>(e), static_cast<int>(e), inverse_.data(), row_tables_.data());
  ec_encode_data(static_cast<int>(shard_bytes), static_cast<int>(e), static_cast<int>(e), row_tables_.data(), in_.data(), out_.data());
  return true;
}

}  // namespace sallyport::link::diode
