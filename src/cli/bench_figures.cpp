// Reading what nodes and recorders say: the one file of the benchmarks that parses JSON.
#include <boost/json.hpp>
#include <fstream>

#include "cli/admin_client.h"
#include "cli/bench_deployment.h"
#include "cli/bench_meter.h"

namespace sallyport::cli::bench {
namespace {

namespace json = boost::json;

// A field of a document that this program wrote; what is missing reads as empty.
const json::value* field(const json::value& value, std::string_view key) {
  const auto* object = value.if_object();
  return object == nullptr ? nullptr : object->if_contains(key);
}
std::string text(const json::value& value, std::string_view key) {
  const auto* found = field(value, key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}
double real(const json::value& value, std::string_view key) {
  const auto* found = field(value, key);
  return found != nullptr && found->is_number() ? found->to_number<double>() : 0;
}
std::uint64_t number(const json::value& value, std::string_view key) {
  return static_cast<std::uint64_t>(std::max(0.0, real(value, key)));
}
bool truth(const json::value& value, std::string_view key) {
  const auto* found = field(value, key);
  return found != nullptr && found->is_bool() && found->get_bool();
}
std::int64_t nanoseconds(const json::value& value, std::string_view key) {
  return std::strtoll(text(value, key).c_str(), nullptr, 10);
}
template <typename Visit>
void each(const json::value& value, std::string_view key, Visit visit) {
  const auto* found = field(value, key);
  const auto* array = found == nullptr ? nullptr : found->if_array();
  if (array == nullptr) return;
  for (const auto& entry : *array) visit(entry);
}

template <typename Visit>
void note_fields(const json::value& value, std::string_view key, Visit visit) {
  const auto* found = field(value, key);
  const auto* object = found == nullptr ? nullptr : found->if_object();
  if (object == nullptr) return;
  for (const auto& [name, entry] : *object) visit(name, entry);
}

LaneFigures lane(const json::value& link, std::string_view key) {
  const auto* found = field(link, key);
  if (found == nullptr) return {};
  return {number(*found, "changes"), number(*found, "bytes"), number(*found, "definitions")};
}

Result<json::value> parse(std::string_view document) {
  boost::system::error_code error;
  auto value = json::parse(document, error);
  if (error) return fail(ErrorCode::malformed, "no JSON: " + error.message());
  return value;
}

}  // namespace

Result<StatusFigures> Deployment::status(const std::string& node) const {
  const auto answer = ask(config_of(node), R"({"command":"status"})");
  if (!answer) return std::unexpected(answer.error());
  const auto status = parse(*answer);
  if (!status) return within("status of " + node, status.error());
  StatusFigures figures;
  if (const auto* listen = field(*status, "listen")) figures.port = static_cast<std::uint16_t>(number(*listen, "port"));
  if (const auto* points = field(*status, "points")) {
    figures.points = number(*points, "total");
    figures.good = number(*points, "good");
  }
  each(*status, "sources", [&](const json::value& source) {
    figures.source_changes += number(source, "changes");
    figures.source_up = text(source, "state") == "up";
    note_fields(source, "details", [&](std::string_view name, const json::value& value) {
      if (value.is_string()) figures.source_details[std::string(name)] = value.get_string();
    });
    note_fields(source, "counters", [&](std::string_view name, const json::value& value) {
      figures.source_counters[std::string(name)] = value.is_number() ? value.to_number<std::uint64_t>() : 0;
    });
  });
  each(*status, "loops", [&](const json::value& loop) { figures.loop_cpu_us.push_back(number(loop, "cpu_us")); });
  each(*status, "links", [&](const json::value& link) {
    LinkFigures& one = figures.links.emplace_back();
    one.peer = text(link, "peer");
    one.group = text(link, "group");
    one.address = text(link, "address");
    one.up = text(link, "state") == "up";
    one.synchronized = truth(link, "synchronized");
    one.since = parse_utc(text(link, "since")).value_or(0);
    one.connects = number(link, "connects");
    one.send = lane(link, "send");
    one.receive = lane(link, "receive");
    note_fields(link, "diode", [&](std::string_view name, const json::value& value) {
      if (value.is_int64() && value.get_int64() >= 0) one.diode[std::string(name)] = static_cast<std::uint64_t>(value.get_int64());
    });
  });
  return figures;
}

std::optional<Reading> read_meter(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string document{std::istreambuf_iterator<char>(in), {}};
  const auto value = parse(document);
  if (!value) return std::nullopt;  // not written yet
  Reading reading;
  recorder::Totals& totals = reading.totals;
  reading.at = nanoseconds(*value, "at");
  totals.changes = number(*value, "changes");
  totals.pulls = number(*value, "pulls");
  totals.definitions = number(*value, "definitions");
  totals.removals = number(*value, "removals");
  totals.missing = number(*value, "missing");
  totals.repeated = number(*value, "repeated");
  totals.points = number(*value, "points");
  totals.wrong = number(*value, "wrong");
  totals.backwards = number(*value, "backwards");
  totals.not_good = number(*value, "not_good");
  totals.future = number(*value, "future");
  totals.first = nanoseconds(*value, "first");
  totals.last = nanoseconds(*value, "last");
  totals.last_definition = nanoseconds(*value, "last_definition");
  totals.last_news = nanoseconds(*value, "last_news");
  if (const auto* ages = field(*value, "age_ns")) {
    reading.ages = {number(*ages, "p50"), number(*ages, "p99"), number(*ages, "max"), real(*ages, "mean")};
  }
  each(*value, "buckets", [&](const json::value& pair) {
    const auto* both = pair.if_array();
    if (both == nullptr || both->size() != 2) return;
    totals.latency.add_to_bucket((*both)[0].to_number<std::size_t>(), (*both)[1].to_number<std::uint64_t>());
  });
  return reading;
}

}  // namespace sallyport::cli::bench
