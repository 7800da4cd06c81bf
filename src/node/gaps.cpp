#include "node/gaps.h"

#include "base/json_writer.h"
#include "namespace/gap_json.h"

namespace sallyport::node {
std::string gaps_json(const std::vector<Gap>& gaps) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.key("gaps");
  json.begin_array();
  std::string one;
  for (const Gap& gap : gaps) {
    one.clear();
    append_gap_json(one, gap);
    json.raw(one);
  }
  json.end_array();
  json.end_object();
  return out;
}

}  // namespace sallyport::node
