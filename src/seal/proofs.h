// Checks the signatures of containers, each signed root once. One thread at a time.
#pragma once

#include <deque>
#include <unordered_set>

#include "net/signer.h"
#include "seal/container.h"

namespace sallyport::seal {

class Proofs {
 public:
  // Whether the container is what the owner of the credential signed; `with_pq`: with both keys.
  bool check(const Container& container, bool with_pq, const net::Credential& credential);
  void forget();   // another credential
  Hash leaf_of(const Container& container) { return hasher_.leaf(container.signed_bytes); }
  std::uint64_t fast_checks() const { return fast_; }
  std::uint64_t pq_checks() const { return pq_; }

 private:
  struct HashOfRoot {
    std::size_t operator()(const Hash& hash) const {
      std::size_t value = 0;
      std::memcpy(&value, hash.data(), sizeof(value));
      return value;
    }
  };
  Hasher hasher_;
  std::unordered_set<Hash, HashOfRoot> known_;   // hashes of messages that were checked
  std::deque<Hash> order_;
  std::uint64_t fast_ = 0, pq_ = 0;
};

}  // namespace sallyport::seal
