#include "sources/nats/payload.h"

#include <boost/json.hpp>

#include <charconv>
#include <string>

#include "namespace/path.h"
#include "namespace/value_parse.h"

namespace sallyport::nats {
namespace {

namespace json = boost::json;

std::unexpected<Error> wrong(std::string what) { return fail(ErrorCode::malformed, std::move(what)); }

bool is_text(Type type) { return type == Type::string || type == Type::xml_element; }

// As parse_value() wants it: texts without their quotes, everything else as written.
std::string plain(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

Result<Value> texts_of(Type type, const json::array& array) {
  std::vector<Value> elements;
  elements.reserve(array.size());
  for (const json::value& element : array) {
    if (!element.is_string()) return wrong("an element of the array is no text");
    const std::string_view text(element.get_string());
    elements.push_back(Value::contents(type, false, std::as_bytes(std::span(text))));
  }
  return make_array(type, elements);
}

Result<Value> localized(const json::value& value) {
  const auto* object = value.if_object();
  const auto* locale = object ? object->if_contains("locale") : nullptr;
  const auto* text = object ? object->if_contains("text") : nullptr;
  if (!text || !text->is_string() || (locale && !locale->is_string())) return wrong("a LocalizedText is {\"locale\":…,\"text\":…}");
  return Value::localized_text(locale ? std::string_view(locale->get_string()) : std::string_view(), text->get_string());
}

Result<Value> value_of(const json::value& value, std::string_view type_name) {
  if (value.is_null()) return Value();
  const bool array = type_name.ends_with("[]");
  if (array) type_name.remove_suffix(2);
  const auto type = parse_type(type_name);
  if (!type) return wrong("there is no type '" + std::string(type_name) + "'");
  if (array != value.is_array()) return wrong("the value does not fit the type");
  if (array && is_text(*type)) return texts_of(*type, value.get_array());
  if (*type == Type::localized_text && !array) return localized(value);
  if (value.is_object()) return wrong("values of type '" + std::string(type_name) + "' are not read from JSON");
  if (!array && is_text(*type) && !value.is_string()) return wrong("the value does not fit the type");
  auto parsed = parse_value(*type, array, plain(value));
  if (!parsed) return wrong(parsed.error().message);
  return parsed;
}

Result<Value> guess(const json::value& value) {
  if (value.is_null()) return Value();
  if (value.is_bool()) return Value::from(value.get_bool());
  if (value.is_number()) return Value::from(value.to_number<double>());
  if (value.is_string()) return Value::text(value.get_string());
  return wrong("a value that is no number, text, true or false needs a \"type\"");
}

Result<Status> status_of(const json::object& object) {
  if (const auto* status = object.if_contains("status")) {
    const std::string_view text = status->is_string() ? std::string_view(status->get_string()) : std::string_view();
    Status code = 0;
    if (!text.starts_with("0x") && !text.starts_with("0X")) return wrong("\"status\" is written \"0x80310000\"");
    const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), code, 16);
    if (error != std::errc() || end != text.data() + text.size()) return wrong("\"status\" is written \"0x80310000\"");
    return code;
  }
  const auto* quality = object.if_contains("quality");
  if (quality == nullptr) return status::kGood;
  if (*quality == "good") return status::kGood;
  if (*quality == "uncertain") return status::kUncertain;
  if (*quality == "bad") return status::kBad;
  return wrong("\"quality\" is good, uncertain or bad");
}

}  // namespace

Result<Change> parse_point(std::string_view payload, UtcNanoseconds received) {
  boost::system::error_code failed;
  const json::value parsed = json::parse(payload, failed, {}, {.max_depth = 8});
  if (failed) return wrong("no JSON: " + failed.message());
  const auto* object = parsed.if_object();
  const auto* value = object ? object->if_contains("value") : nullptr;
  if (value == nullptr) return wrong("no object with a \"value\"");
  const auto* type = object->if_contains("type");
  if (type != nullptr && !type->is_string()) return wrong("\"type\" is no text");
  auto read = type ? value_of(*value, type->get_string()) : guess(*value);
  if (!read) return std::unexpected(read.error());
  const auto status = status_of(*object);
  if (!status) return std::unexpected(status.error());
  Change change{.status = *status, .source_time = received, .value = std::move(*read)};
  if (const auto* time = object->if_contains("timestamp")) {
    const auto utc = time->is_string() ? parse_utc(time->get_string()) : wrong("");
    if (!utc) return wrong("\"timestamp\" is written \"2026-11-23T02:40:17.123Z\"");
    change.source_time = *utc;
  }
  return change;
}

Result<Change> parse_bare(std::string_view payload, std::optional<Type> type, UtcNanoseconds received) {
  Change change{.source_time = received, .value = {}};
  if (!is_valid_utf8(payload)) return wrong("the text is no UTF-8");
  if (type) {
    auto value = parse_value(*type, false, payload);
    if (!value) return wrong(value.error().message);
    change.value = std::move(*value);
    return change;
  }
  double number = 0;
  const auto [end, error] = std::from_chars(payload.data(), payload.data() + payload.size(), number);
  if (payload == "true" || payload == "false") change.value = Value::from(payload == "true");
  else if (error == std::errc() && end == payload.data() + payload.size()) change.value = Value::from(number);
  else change.value = Value::text(payload);
  return change;
}

}  // namespace sallyport::nats
