// What the HTTP API learns about the node. Loop thread.
#pragma once

#include <functional>

#include "node/status.h"
#include "sinks/http/node_view.h"

namespace sallyport::node {

class HttpView final : public http::NodeView {
 public:
  // `status` must answer at once.
  explicit HttpView(std::function<NodeStatus()> status) : status_(std::move(status)) {}

  std::string status_json() override;
  std::string links_json() override;
  void metrics(http::MetricsText& out) override;
  bool ready(std::string& why) override;

 private:
  std::function<NodeStatus()> status_;
};

}  // namespace sallyport::node
