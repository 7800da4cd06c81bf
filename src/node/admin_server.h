// The admin socket of a running node: what `sallyport status`, `read`, `watch` … talk to. A Unix socket that only the
// user of the node (and root) can open.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "net/loop.h"
#include "node/admin_answers.h"

namespace sallyport::node {

// At most this many clients at a time; more are told so and closed.
inline constexpr std::size_t kMaxAdminClients = 32;

// Loop thread. The destructor closes every client.
class AdminServer {
 public:
  // The lock of `data_dir` must be held.
  static Result<std::unique_ptr<AdminServer>> start(net::Loop& loop, const std::string& data_dir, AdminContext context);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  struct Impl;

 private:
  explicit AdminServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace sallyport::node
