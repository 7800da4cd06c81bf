// What the HTTP API asks the node about itself. The node implements it; the API knows no links, sources or sinks.
#pragma once

#include <string>

#include "history/reads.h"
#include "sinks/http/metrics_text.h"

namespace sallyport::http {

// Loop thread. Each answers at once: no scan of the whole namespace, no waiting.
class NodeView {
 public:
  virtual ~NodeView() = default;
  virtual std::string status_json() = 0;  // as `sallyport status --json`
  virtual std::string links_json() = 0;   // {"links": […]}, with the hops behind each
  virtual std::string gaps_json() = 0;    // {"gaps": […]}, as `sallyport gaps --json`
  // Adds what the node counts: points by quality, links, sources, sinks. Names begin with "sallyport_".
  virtual void metrics(MetricsText& out) = 0;
  // Whether the node does what its settings ask for; otherwise `why` says what is missing.
  virtual bool ready(std::string& why) = 0;
  // Null on a node that keeps none.
  virtual history::Reads* history() { return nullptr; }
};

}  // namespace sallyport::http
