// A running node: the namespace, the links, the sources and sinks, and the doors by which it is looked at, wired
// together.
//
// Threads: the links, HTTP and their timers run on the data loop's thread; with [node] threads above 1 further loops share the
// links with it. The admin socket, $sys points and everything that
// goes through the whole table run on a second loop, so that no question of an operator delays the data. Connectors are
// started, stopped and changed by the thread that owns the Node (the main thread), which may wait for them.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "node/config.h"
#include "node/status.h"

namespace sallyport::node {

// How long stop() may take.
inline constexpr auto kStopLimit = std::chrono::seconds(5);

class Node {
 public:
  // Everything that can fail for good fails here: data_dir in use, an address that cannot be listened on, a connector
  // that can never work. A peer that is away does not. The message is for the operator.
  static Result<std::unique_ptr<Node>> start(Config config);
  ~Node();  // stops
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Goes over to new settings: what is unchanged goes on undisturbed. Fails for settings that need a restart, which
  // then stay as they are while the rest is taken over.
  Result<void> reload(Config config);
  void stop();

  NodeStatus status() const;  // Any thread.

 private:
  struct Impl;
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::node
