// Notices that the certificate, its key or the trusted CAs were changed on disk, so that nobody has to remember a reload.
// Service loop.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "net/tls.h"

namespace sallyport::node {

class IdentityWatch {
 public:
  IdentityWatch(net::IdentityFiles files, std::string node_name);
  // The new identity, once all files have been still between two looks and load together; nothing otherwise. Files that do
  // not load are complained of once and looked at again when they change.
  std::shared_ptr<const net::TlsIdentity> look();

 private:
  using Stamp = std::array<std::int64_t, 15>;  // inode, size and time of change of each; zeros: not there
  Stamp stamp() const;

  net::IdentityFiles files_;
  std::string node_name_;
  Stamp loaded_, last_;
};

}  // namespace sallyport::node
