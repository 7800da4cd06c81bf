#include "seal/issuer.h"

#include "crypto/hash.h"
#include "seal/paths.h"

namespace sallyport::seal {

Result<void> Issuer::begin(std::uint64_t epoch, const crypto::Key* content_key) {
  epoch_ = epoch;
  cipher_.reset();
  encrypted_ = 0;
  pending_.clear();
  if (content_key == nullptr) return {};
  auto cipher = crypto::Aead::make(*content_key);
  if (!cipher) return std::unexpected(cipher.error());
  cipher_ = *std::move(cipher);
  return {};
}

crypto::Nonce nonce_of(const Head& head) {
  crypto::Nonce nonce{};
  const auto bucket = static_cast<std::uint32_t>(head.number);
  const std::uint64_t version = head.version << 1 | (head.kind == Kind::definitions ? 1 : 0);
  std::memcpy(nonce.data(), &bucket, sizeof(bucket));
  std::memcpy(nonce.data() + sizeof(bucket), &version, sizeof(version));
  return nonce;
}

Result<crypto::Key> wrapping_key(const crypto::Key& shared, const Head& head, std::span<const std::byte> ciphertext) {
  Bytes info;
  ByteWriter w(info);
  w.bytes(as_bytes("sallyport seal content key v1"));
  w.number<std::uint8_t>(0);
  w.text(head.origin);
  w.text(head.prefix);
  w.number<std::uint64_t>(head.epoch);
  return crypto::hkdf_sha256(shared.bytes(), crypto::sha256(ciphertext), info);
}

Result<Hash> Issuer::add(Kind kind, std::uint64_t number, std::uint64_t version, std::span<const std::byte> body) {
  const bool encrypt = cipher_ && (kind == Kind::definitions || kind == Kind::values);
  const Head head{kind, encrypt, origin_, prefix_, epoch_, number, version};
  Pending pending{container_path(origin_, prefix_, kind, number), {}, {}};
  pending.bytes.reserve(body.size() + 512);
  encode_head(pending.bytes, head);
  if (encrypt) {
    Bytes sealed(body.size() + crypto::kTagBytes);
    if (!cipher_->seal(nonce_of(head), pending.bytes, body, sealed)) return fail(ErrorCode::internal, "a container cannot be encrypted");
    ++encrypted_;
    append_body(pending.bytes, sealed);
  } else {
    append_body(pending.bytes, body);
  }
  pending.hash = hasher_.leaf(pending.bytes);
  pending_.push_back(std::move(pending));
  return pending_.back().hash;
}

void Issuer::issue(const net::Signer& signer, bool with_pq, const Emit& emit) {
  const auto all = std::span(pending_);
  for (std::size_t at = 0; at < all.size(); at += kBatch) issue_tree(all.subspan(at, std::min(kBatch, all.size() - at)), signer, with_pq, emit);
  pending_.clear();
}

void Issuer::issue_tree(std::span<Pending> batch, const net::Signer& signer, bool with_pq, const Emit& emit) {
  std::vector<Hash> leaves;
  leaves.reserve(batch.size());
  for (const Pending& one : batch) leaves.push_back(one.hash);
  const MerkleTree tree(hasher_, std::move(leaves));
  const Bytes message = signed_message(tree.root(), tree.size(), with_pq);
  Proof proof;
  proof.count = tree.size();
  proof.fast = signer.sign_fast(message);
  ++counters_.fast_signatures;
  if (with_pq) {
    proof.pq = signer.sign_pq(message);
    ++counters_.pq_signatures;
  }
  for (std::uint32_t i = 0; i < batch.size(); ++i) {
    proof.index = i;
    proof.path = tree.path(i);
    append_proof(batch[i].bytes, proof);
    ++counters_.containers;
    counters_.bytes += batch[i].bytes.size();
    emit(batch[i].path, std::move(batch[i].bytes));
  }
}

}  // namespace sallyport::seal
