#include "node/identity_watch.h"

#include <sys/stat.h>

#include "base/log.h"

namespace sallyport::node {

IdentityWatch::IdentityWatch(net::IdentityFiles files, std::string node_name)
    : files_(std::move(files)), node_name_(std::move(node_name)), loaded_(stamp()), last_(loaded_) {}

IdentityWatch::Stamp IdentityWatch::stamp() const {
  Stamp stamp{};
  std::size_t at = 0;
  for (const std::string* file : {&files_.certificate, &files_.private_key, &files_.trust, &files_.sign_certificate, &files_.sign_key}) {
    struct stat info {};
    if (::stat(file->c_str(), &info) == 0) {
      stamp[at] = static_cast<std::int64_t>(info.st_ino);
      stamp[at + 1] = info.st_size;
      stamp[at + 2] = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
    }
    at += 3;
  }
  return stamp;
}

std::shared_ptr<const net::TlsIdentity> IdentityWatch::look() {
  const Stamp now = stamp();
  const bool still = now == last_;
  last_ = now;
  if (!still || now == loaded_) return nullptr;
  loaded_ = now;
  auto identity = net::TlsIdentity::load(files_, node_name_);
  if (!identity) {
    log::warn("the changed certificate files are not taken over", log::field("reason", identity.error().message));
    return nullptr;
  }
  log::info("certificate files changed on disk and taken over", log::field("certificate", files_.certificate),
            log::field("expires", format_utc((*identity)->certificate().not_after)));
  return *std::move(identity);
}

}  // namespace sallyport::node
