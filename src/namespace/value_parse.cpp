#include "namespace/value_parse.h"

#include <charconv>
#include <limits>
#include <vector>

#include "base/base64.h"
#include "base/clock.h"

namespace sallyport {
namespace {

// 1601-01-01 to 1970-01-01 in ticks of 100 ns.
constexpr std::int64_t kUnixEpochTicks = 116'444'736'000'000'000;

std::unexpected<Error> not_a(Type type, std::string_view text, std::string_view expected) {
  return fail(ErrorCode::invalid, "'" + std::string(text.substr(0, 60)) + "' is no " + std::string(to_string(type)) +
                                      "; expected " + std::string(expected));
}

template <typename T>
Result<Value> parse_integer(Type type, std::string_view text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return Value::from(number);
  return not_a(type, text,
               "an integer from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
                   std::to_string(std::numeric_limits<T>::max()));
}

template <typename T>
Result<Value> parse_real(Type type, std::string_view text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return Value::from(number);
  return not_a(type, text, "a number such as 23.5, NaN or Infinity");
}

Result<Value> parse_boolean(std::string_view text) {
  if (text == "true" || text == "1") return Value::from(true);
  if (text == "false" || text == "0") return Value::from(false);
  return not_a(Type::boolean, text, "true or false");
}

Result<Value> parse_date_time(std::string_view text) {
  const auto time = parse_utc(text);
  if (!time) return std::unexpected(time.error());
  const std::int64_t floor = *time / 100 - (*time % 100 < 0 ? 1 : 0);
  return Value::date_time(floor + kUnixEpochTicks);
}

Result<Value> parse_status(std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const std::string_view digits = hex ? text.substr(2) : text;
  std::uint32_t code = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, hex ? 16 : 10);
  if (error == std::errc() && end == digits.data() + digits.size()) return Value::status_code(code);
  return not_a(Type::status_code, text, "a code such as 0x80310000");
}

Result<Value> parse_guid(std::string_view text) {
  constexpr std::string_view shape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  const auto bad = [&] {
    return not_a(Type::guid, text, "32 hex digits such as 72962b91-fa75-4ae6-8d28-b404dc7daf63");
  };
  if (text.size() != shape.size()) return bad();
  std::string digits;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 'x')
      digits += text[i];
    else if (text[i] != '-')
      return bad();
  }
  const auto field = [&](std::size_t at, std::size_t size, auto& out) {
    const char* begin = digits.data() + at;
    const auto [end, error] = std::from_chars(begin, begin + size, out, 16);
    return error == std::errc() && end == begin + size;
  };
  Bytes bytes;
  ByteWriter writer(bytes);
  std::uint32_t first = 0;
  std::uint16_t second = 0, third = 0;
  if (!field(0, 8, first) || !field(8, 4, second) || !field(12, 4, third)) return bad();
  writer.number<std::uint32_t>(first);
  writer.number<std::uint16_t>(second);
  writer.number<std::uint16_t>(third);
  for (std::size_t at = 16; at < 32; at += 2) {
    std::uint8_t byte = 0;
    if (!field(at, 2, byte)) return bad();
    writer.number<std::uint8_t>(byte);
  }
  return Value::contents(Type::guid, false, bytes);
}

Result<Value> parse_byte_string(std::string_view text) {
  const auto bytes = parse_base64(text);
  if (!bytes) return std::unexpected(bytes.error());
  return Value::contents(Type::byte_string, false, *bytes);
}

Result<Value> parse_scalar(Type type, std::string_view text) {
  switch (type) {
    case Type::null:
      if (text.empty() || text == "null") return Value();
      return not_a(type, text, "null");
    case Type::boolean:
      return parse_boolean(text);
    case Type::sbyte:
      return parse_integer<std::int8_t>(type, text);
    case Type::byte:
      return parse_integer<std::uint8_t>(type, text);
    case Type::int16:
      return parse_integer<std::int16_t>(type, text);
    case Type::uint16:
      return parse_integer<std::uint16_t>(type, text);
    case Type::int32:
      return parse_integer<std::int32_t>(type, text);
    case Type::uint32:
      return parse_integer<std::uint32_t>(type, text);
    case Type::int64:
      return parse_integer<std::int64_t>(type, text);
    case Type::uint64:
      return parse_integer<std::uint64_t>(type, text);
    case Type::float32:
      return parse_real<float>(type, text);
    case Type::float64:
      return parse_real<double>(type, text);
    case Type::date_time:
      return parse_date_time(text);
    case Type::status_code:
      return parse_status(text);
    case Type::guid:
      return parse_guid(text);
    case Type::byte_string:
      return parse_byte_string(text);
    case Type::localized_text:
      return Value::localized_text("", text);
    case Type::string:
    case Type::xml_element:
    case Type::node_id:
    case Type::expanded_node_id:
    case Type::qualified_name:
      return Value::contents(type, false, as_bytes(text));
    default:
      return fail(ErrorCode::invalid, std::string(to_string(type)) + " cannot be written as text");
  }
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

Result<Value> parse_list(Type type, std::string_view text) {
  if (inline_size(type) == 0 && type != Type::guid && type != Type::byte_string) {
    return fail(ErrorCode::invalid, "arrays of " + std::string(to_string(type)) + " cannot be written as text");
  }
  text = trimmed(text);
  if (!text.starts_with('[') || !text.ends_with(']') || text.size() < 2)
    return not_a(type, text, "a list such as [1, 2, 3]");
  std::string_view rest = trimmed(text.substr(1, text.size() - 2));
  std::vector<Value> elements;
  for (bool more = !rest.empty(); more;) {
    const std::size_t comma = rest.find(',');
    auto element = parse_scalar(type, trimmed(rest.substr(0, comma)));
    if (!element) return within("element " + std::to_string(elements.size() + 1), element.error());
    elements.push_back(std::move(*element));
    more = comma != std::string_view::npos;
    if (more) rest.remove_prefix(comma + 1);
  }
  return make_array(type, elements);
}

}  // namespace

Result<Value> parse_value(Type type, bool array, std::string_view text) {
  if (text.size() > kMaxValueSize) return fail(ErrorCode::limit, "the text is longer than any value");
  return array ? parse_list(type, text) : parse_scalar(type, text);
}

}  // namespace sallyport
