// What takes points out. A sink is one object with all its state; its type is one entry in node/connectors.cpp.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/settings.h"
#include "namespace/namespace.h"
#include "namespace/source.h"

namespace sallyport {

class Sink {
 public:
  virtual ~Sink() = default;  // after stop(); leaves nothing running
  // Subscribes and returns at once. Fails only for what can never work. Main thread.
  virtual Result<void> start(Namespace& ns) = 0;
  virtual void stop() = 0;    // bounded: a few seconds at most; flushes what it can
  virtual ConnectorStatus status() const = 0;  // Any thread.
};

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
