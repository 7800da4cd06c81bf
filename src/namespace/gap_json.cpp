#include "namespace/gap_json.h"

#include "base/json_writer.h"

namespace sallyport {

void append_gap_json(std::string& out, const Gap& gap) {
  JsonWriter json(out);
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
  for (const std::string& pattern : gap.match) json.string(pattern);
  json.end_array();
  json.field("detail", gap.detail);
  json.end_object();
}

}  // namespace sallyport
