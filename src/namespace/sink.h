// What takes points out. A sink is one object with all its state; its type is one entry in node/connectors.cpp.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/settings.h"
#include "namespace/feed.h"
#include "namespace/namespace.h"
#include "namespace/source.h"

namespace sallyport {

class Sink {
 public:
  virtual ~Sink() = default;  // after stop(); leaves nothing running
  // Whether it reads `every` points from the node's journal, as reader_name(): what it has not acknowledged is then kept for it.
  virtual bool durable() const { return false; }
  // Before start(), on a node with a journal. Main thread.
  virtual void use_feeds(Feeds&) {}
  // Subscribes and returns at once. Fails only for what can never work. Main thread.
  virtual Result<void> start(Namespace& ns) = 0;
  virtual void stop() = 0;    // bounded: a few seconds at most; flushes what it can
  virtual ConnectorStatus status() const = 0;  // Any thread.
};

inline std::string reader_name(const std::string& sink) { return "sink/" + sink; }

struct SinkCommon {
  std::string name;
  std::string node;
  Patterns publish;  // from `publish = […]`
};
struct SinkType {
  std::string name;
  std::function<std::unique_ptr<Sink>(const SinkCommon& common, SettingsReader& settings)> make;
};

}  // namespace sallyport
