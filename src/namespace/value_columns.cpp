#include "namespace/value_columns.h"

#include "base/utf8.h"
#include "namespace/point_json.h"

namespace sallyport {
namespace {

constexpr std::int64_t kExact = std::int64_t{1} << 53;  // integers up to here are exact as doubles

void append_utf8(std::string& out, std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = utf8_sequence_size(text, at);
    if (size == 0) {
      out += "\xEF\xBF\xBD";
      ++at;
    } else {
      out.append(text.substr(at, size));
      at += size;
    }
  }
}

void put_json(const Value& value, std::string& out) {
  JsonWriter json(out);
  append_value_json(json, value);
}

void put_exact(const Value& value, ValueColumns& columns) {
  if (value.type() == Type::int64) {
    const auto number = static_cast<std::int64_t>(value.bits());
    columns.has_text = number > kExact || number < -kExact;
    if (columns.has_text) columns.text = std::to_string(number);
  } else if (value.type() == Type::uint64) {
    columns.has_text = value.bits() > static_cast<std::uint64_t>(kExact);
    if (columns.has_text) columns.text = std::to_string(value.bits());
  }
}

void put_scalar(const Value& value, ValueColumns& columns) {
  switch (value.type()) {
    case Type::string:
    case Type::xml_element:
    case Type::node_id:
    case Type::expanded_node_id:
    case Type::qualified_name:
      columns.has_text = true;
      return append_utf8(columns.text, value.text());
    case Type::date_time:
    case Type::guid:
    case Type::byte_string:  // in JSON: plain ASCII in quotes
      columns.has_text = true;
      put_json(value, columns.text);
      columns.text = columns.text.substr(1, columns.text.size() - 2);
      return;
    case Type::status_code:
      columns.number = static_cast<double>(value.bits());
      return;
    default:
      break;
  }
  if (double number = 0; value.to_double(number)) {
    columns.number = number;
    return put_exact(value, columns);
  }
  columns.has_json = true;
  put_json(value, columns.json);
}

}  // namespace

void to_columns(const Value& value, ValueColumns& columns) {
  columns.number.reset();
  columns.has_text = columns.has_json = false;
  columns.text.clear();
  columns.json.clear();
  if (value.is_null()) return;
  if (!value.is_array()) return put_scalar(value, columns);
  columns.has_json = true;
  put_json(value, columns.json);
}

}  // namespace sallyport
