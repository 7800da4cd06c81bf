// {"points": […], "cursor": …}, made piece by piece while it is sent.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "namespace/namespace.h"
#include "net/http_server.h"
#include "sinks/http/points_query.h"

namespace sallyport::http {

class PointsList final : public net::HttpProducer {
 public:
  PointsList(const Namespace& ns, Patterns patterns, PointId from, std::size_t limit, const Cursors& cursors)
      : namespace_(ns), patterns_(std::move(patterns)), next_(from), left_(limit), cursors_(cursors) {}
  void begin(std::function<void()>) override {}
  Next produce(std::string& out, std::size_t max) override;

 private:
  void look();

  const Namespace& namespace_;
  const Patterns patterns_;
  std::optional<PointId> next_;
  std::size_t left_;
  const Cursors& cursors_;
  std::vector<PointView> page_;
  std::size_t page_at_ = 0;
  bool begun_ = false;
  bool first_ = true;
};

}  // namespace sallyport::http
