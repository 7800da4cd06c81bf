// What a server has below the start nodes: the variables as paths with their nodes and metadata. Read when connecting.
#pragma once

#include <string>
#include <vector>

#include "namespace/pattern.h"
#include "namespace/point.h"
#include "protocol/opcua/client.h"

namespace sallyport::opcua {

struct ModelPoint {
  std::string path;  // below `into`; browse names, escaped
  NodeId node;
  Meta meta;
};

struct Model {
  std::vector<ModelPoint> points;    // by path
  std::vector<std::string> missing;  // start nodes that are not there: what and why
  std::vector<std::string> notes;    // for the operator, once: duplicate names, patterns without match …
  std::size_t too_deep = 0;          // nodes whose path would be too long
  Duration browsing{}, metadata{};   // how long these took
};

struct ModelOptions {
  std::vector<std::string> start;  // NodeId text
  std::vector<std::string> include, exclude;
  std::string into;  // only its length matters
  std::size_t max_points = 1'000'000;
};

// Start nodes that are not there now: what and why. An error means that the connection failed.
Result<std::vector<std::string>> missing_starts(Client& client, const std::vector<std::string>& start);

// An error means that the connection failed, or the limit on points.
Result<Model> read_model(Client& client, const ModelOptions& options);

// The path of each of these children below one parent: escaped names, and "~2", "~3" … for those of the same name, in
// order of their NodeId text, so that it does not depend on the order in which a server lists them.
struct Sibling {
  std::string name;     // browse name
  std::string node_id;  // text
};
std::vector<std::string> sibling_levels(const std::vector<Sibling>& siblings, std::size_t& duplicates);

}  // namespace sallyport::opcua
