// Turns bodies into signed containers: head, encryption, one signature for up to kBatch containers. One thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/aead.h"
#include "net/signer.h"
#include "seal/container.h"

namespace sallyport::seal {

struct IssueCounters {
  std::uint64_t containers = 0, bytes = 0;
  std::uint64_t fast_signatures = 0, pq_signatures = 0;
};

// What comes out: a container and where it belongs in the namespace.
using Emit = std::function<void(const std::string& path, Bytes container)>;

class Issuer {
 public:
  static constexpr std::size_t kBatch = 64;

  Issuer(std::string origin, std::string prefix) : origin_(std::move(origin)), prefix_(std::move(prefix)) {}

  // Containers of an epoch; `content_key`: definitions and values are encrypted under it. Versions begin anew, so the key
  // must never have been used before.
  Result<void> begin(std::uint64_t epoch, const crypto::Key* content_key);
  std::uint64_t epoch() const { return epoch_; }

  // Puts a container into the batch under construction and returns its leaf hash.
  Result<Hash> add(Kind kind, std::uint64_t number, std::uint64_t version, std::span<const std::byte> body);
  // Signs what was added and hands it out, in order. `with_pq`: by both keys.
  void issue(const net::Signer& signer, bool with_pq, const Emit& emit);
  // How many containers were encrypted under this key.
  std::uint64_t encrypted() const { return encrypted_; }
  const IssueCounters& counters() const { return counters_; }
  Hasher& hasher() { return hasher_; }

 private:
  struct Pending {
    std::string path;
    Bytes bytes;
    Hash hash;
  };
  void issue_tree(std::span<Pending> batch, const net::Signer& signer, bool with_pq, const Emit& emit);

  std::string origin_, prefix_;
  std::uint64_t epoch_ = 0;
  std::optional<crypto::Aead> cipher_;
  std::uint64_t encrypted_ = 0;
  std::vector<Pending> pending_;
  Hasher hasher_;
  IssueCounters counters_;
};

// The nonce under which a container's body is encrypted: its bucket, kind and version, which never come twice in an epoch.
crypto::Nonce nonce_of(const Head& head);
// The key that wraps the content key for a reader, from the secret that X-Wing gave both.
Result<crypto::Key> wrapping_key(const crypto::Key& shared, const Head& head, std::span<const std::byte> ciphertext);

}  // namespace sallyport::seal
