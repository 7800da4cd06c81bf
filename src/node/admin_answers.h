// What the admin socket answers, made piece by piece so that a dump of a million points never blocks the loop nor fills
// memory. The protocol is in docs/cli.md: one JSON request line, then NDJSON, then {"end":true} or {"error":…}.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "history/reads.h"
#include "namespace/namespace.h"

namespace sallyport::node {

// Loop thread.
class AdminAnswer {
 public:
  enum class Next : std::uint8_t {
    more,  // call again when this has been written
    wait,  // nothing for now; the waker will be called
    done,  // that was all
  };
  virtual ~AdminAnswer() = default;
  // Appends some lines, up to about kAdminChunk bytes of them.
  virtual Next produce(std::string& out) = 0;
};
inline constexpr std::size_t kAdminChunk = 64 * 1024;
inline constexpr std::size_t kMaxAdminRequest = 64 * 1024;

// What the answers are made from. The functions return one line of JSON each, without newline.
struct AdminContext {
  Namespace& ns;
  std::function<std::string()> status;
  std::function<std::string()> doctor;
  std::function<std::string()> gaps{};
  history::Reads* history = nullptr;  // null on a node that keeps none
};

// One request line, without its newline. `waker` may be called from any thread as long as the answer lives.
Result<std::unique_ptr<AdminAnswer>> answer_admin(const AdminContext& context, std::string_view request, Waker waker);
std::string admin_error_line(const Error& error);

}  // namespace sallyport::node
