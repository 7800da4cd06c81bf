#include "seal/proofs.h"

namespace sallyport::seal {
namespace {

constexpr std::size_t kRemembered = 1024;

}  // namespace

bool Proofs::check(const Container& container, bool with_pq, const net::Credential& credential) {
  const bool has_pq = !container.proof.pq.empty();
  if (with_pq && !has_pq) return false;
  const auto root = root_of(hasher_, hasher_.leaf(container.signed_bytes), container.proof.index, container.proof.count, container.proof.path);
  if (!root) return false;
  const Bytes message = signed_message(*root, container.proof.count, has_pq);
  const Hash name = hasher_.leaf(message);
  if (known_.contains(name)) return true;
  ++fast_;
  if (!credential.check_fast(message, container.proof.fast)) return false;
  if (has_pq) {
    ++pq_;
    if (!credential.check_pq(message, container.proof.pq)) return false;
  }
  known_.insert(name);
  order_.push_back(name);
  if (order_.size() > kRemembered) {
    known_.erase(order_.front());
    order_.pop_front();
  }
  return true;
}

void Proofs::forget() {
  known_.clear();
  order_.clear();
}

}  // namespace sallyport::seal
