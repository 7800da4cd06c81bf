// What the HTTP API learns about the node. Loop thread.
#pragma once

#include <functional>

#include "history/reads.h"
#include "node/status.h"
#include "sinks/http/node_view.h"

namespace sallyport::node {

class HttpView final : public http::NodeView {
 public:
  // Both must answer at once.
  HttpView(std::function<NodeStatus()> status, std::function<std::string()> gaps) : status_(std::move(status)), gaps_(std::move(gaps)) {}

  std::string status_json() override;
  std::string links_json() override;
  std::string gaps_json() override { return gaps_(); }
  void metrics(http::MetricsText& out) override;
  bool ready(std::string& why) override;
  history::Reads* history() override { return history_; }
  // Before anyone asks; outlives this.
  void use_history(history::Reads& reads) { history_ = &reads; }

 private:
  std::function<NodeStatus()> status_;
  std::function<std::string()> gaps_;
  history::Reads* history_ = nullptr;
};

}  // namespace sallyport::node
