// Metadata of variables: data type, description, unit, range, enumeration texts. Read in batches, once.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "protocol/opcua/browse.h"
#include "sources/opcua/opcua_model.h"

namespace sallyport::opcua {

// A property of a variable that says something we carry.
struct PropertyNode {
  std::size_t point = 0;  // index into the points
  std::string name;       // "EURange"
  NodeId node;
};
bool is_known_property(const Reference& reference);

class MetadataReader {
 public:
  explicit MetadataReader(Client& client) : client_(client) {}
  // Fills points[i].meta. `properties` belong to these points.
  Result<void> read(std::span<ModelPoint> points, std::span<const PropertyNode> properties);

 private:
  struct DataTypeInfo {
    Type type = Type::null;
    std::vector<std::string> enum_strings;
  };
  Result<void> read_attributes(std::span<ModelPoint> points);
  Result<void> read_properties(std::span<ModelPoint> points, std::span<const PropertyNode> properties);
  Result<const DataTypeInfo*> data_type(const UA_NodeId& id);
  Result<DataTypeInfo> find_data_type(const UA_NodeId& id);
  Result<std::vector<std::string>> enumeration(const UA_NodeId& id);

  Client& client_;
  std::map<std::string, DataTypeInfo> types_;  // by NodeId text
};

}  // namespace sallyport::opcua
