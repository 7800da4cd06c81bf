// Reed-Solomon erasure code over the shards of one group (a Cauchy matrix over GF(256), by ISA-L): any k of the k + r shards
// give back all of the data. One thread each.
#pragma once

#include <bitset>
#include <cstddef>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace sallyport::link::diode {

using ShardSet = std::bitset<256>;

class Fec {
 public:
  // `data`: k shards of `shard_bytes`, one after the other; `parity` receives r of them. k >= 1, k + r <= 255.
  void encode(unsigned k, unsigned r, std::size_t shard_bytes, std::span<const std::byte> data, std::span<std::byte> parity);
  // Fills the holes of `data` from what `have` says is there of data (0 to k-1) and parity (k to k+r-1). False: that
  // is fewer than k.
  [[nodiscard]] bool recover(unsigned k, unsigned r, std::size_t shard_bytes, const ShardSet& have, std::span<std::byte> data,
                             std::span<const std::byte> parity);

 private:
  using Raw = std::vector<unsigned char>;
  void make_matrix(unsigned k, unsigned r);
  unsigned k_ = 0, r_ = 0;   // of what is prepared
  Raw matrix_, tables_;
  bool tables_ready_ = false;
  Raw rows_, inverse_, row_tables_;
  Bytes syndromes_;
  std::vector<unsigned char*> in_, out_;
};

}  // namespace sallyport::link::diode
