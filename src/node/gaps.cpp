#include "node/gaps.h"

#include "base/json_writer.h"

namespace sallyport::node {
namespace {

void write_gap(JsonWriter& json, const Gap& gap) {
  json.begin_object();
  json.field("node", gap.node);
  json.field("where", gap.where);
  json.field("cause", to_string(gap.cause));
  json.field("start", format_utc(gap.start));
  json.key("end");
  if (gap.end == 0) json.null();
  else json.string(format_utc(gap.end));
  json.key("lost");
  if (gap.lost == 0) json.null();
  else json.unsigned_integer(gap.lost);
  json.key("match");
  json.begin_array();
  for (const auto& pattern : gap.match) json.string(pattern);
  json.end_array();
  json.field("detail", gap.detail);
  json.end_object();
}

}  // namespace

std::string gaps_json(const std::vector<Gap>& gaps) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.key("gaps");
  json.begin_array();
  for (const Gap& gap : gaps) write_gap(json, gap);
  json.end_array();
  json.end_object();
  return out;
}

}  // namespace sallyport::node
