// The node's own state as points under $sys/<node>/…, so that whoever is granted them can watch them like everything
// else. One thread at a time.
#pragma once

#include <string>
#include <unordered_map>

#include "namespace/namespace.h"
#include "namespace/source.h"
#include "node/status.h"

namespace sallyport::node {

class SysPoints {
 public:
  SysPoints(Namespace& ns, const std::string& node);

  // Writes what changed since the last time, adds what is new and removes what is gone.
  void update(const NodeStatus& status);

 private:
  struct Point {
    PointId id = kNoPoint;
    Value value;
    std::uint64_t seen = 0;  // the round that named it last
  };
  void set(const std::string& path, Value value, std::string_view unit = {});
  void set_connector(const std::string& prefix, const ConnectorInfo& info);
  void set_link(const link::LinkStatus& link);
  void set_links(const std::vector<link::LinkStatus>& links);
  void define(const std::string& path, Point& point, std::string_view unit);
  void remove_unseen();

  Publisher publisher_;
  std::unordered_map<std::string, Point> points_;
  std::vector<Change> changes_;
  std::uint64_t round_ = 0;
  std::uint64_t turns_ = 1;                                   // rounds until every link had its turn
  std::unordered_map<std::string, std::uint64_t> link_marks_;  // what was told of a link, but for its counters
  UtcNanoseconds now_ = 0;
};

}  // namespace sallyport::node
