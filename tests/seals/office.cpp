#include "office.h"

#include "base/clock.h"

namespace sallyport::tests {

std::map<std::string, Shown> shown_at(std::uint16_t http_port, const std::string& match) {
  std::map<std::string, Shown> points;
  const HttpReply reply = http_get(http_port, "/api/v1/points?limit=10000&match=" + match);
  const auto now = SystemClock().utc();
  const auto json = parse_json(reply.body);
  const auto* list = json ? find_json(*json, "points") : nullptr;
  if (reply.code != 200 || list == nullptr || !list->is_array()) return points;
  for (const auto& point : list->as_array()) {
    Shown& shown = points[text_at(point, "path")];
    shown.value = std::atof(text_at(point, "value").c_str());
    shown.quality = text_at(point, "quality");
    shown.verified = text_at(point, "verified");
    shown.status_name = text_at(point, "status_name");
    shown.cause = text_at(point, "cause.what");
    shown.age = static_cast<double>(now - parse_utc(text_at(point, "timestamp")).value_or(0)) / 1e9;
  }
  return points;
}

std::size_t count_good(const std::map<std::string, Shown>& points) {
  return static_cast<std::size_t>(std::ranges::count_if(points, [](const auto& point) { return point.second.quality == "good"; }));
}

std::string stream_field(Node& node, const std::string& field) { return text_at(node.status(), "seals.verifying.0." + field); }

}  // namespace sallyport::tests
