#include "history/value_column.h"

#include <cmath>

#include "namespace/value_codec.h"

namespace sallyport::history {
namespace {

void bind_encoded(Statement& statement, int at, const Value& value, Bytes& scratch) {
  scratch.clear();
  ByteWriter writer(scratch);
  encode_value(writer, value);
  statement.bind_bytes(at, scratch);
}

// SQLite makes NULL of NaN, so that it goes with the bytes.
bool bind_real(Statement& statement, int at, double number) {
  if (std::isnan(number)) return false;
  statement.bind(at, number);
  return true;
}

bool bind_plain(Statement& statement, int at, const Value& value) {
  const std::uint64_t bits = value.is_blob() ? 0 : value.bits();
  switch (value.type()) {
    case Type::sbyte: statement.bind(at, std::int64_t{static_cast<std::int8_t>(bits)}); return true;
    case Type::int16: statement.bind(at, std::int64_t{static_cast<std::int16_t>(bits)}); return true;
    case Type::int32: statement.bind(at, std::int64_t{static_cast<std::int32_t>(bits)}); return true;
    case Type::boolean:
    case Type::byte:
    case Type::uint16:
    case Type::uint32:
    case Type::status_code:
    case Type::int64:
    case Type::date_time: statement.bind(at, static_cast<std::int64_t>(bits)); return true;
    case Type::uint64:
      if (bits > INT64_MAX) return false;
      statement.bind(at, static_cast<std::int64_t>(bits));
      return true;
    case Type::float32: return bind_real(statement, at, static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits))));
    case Type::float64: return bind_real(statement, at, std::bit_cast<double>(bits));
    case Type::string: statement.bind(at, value.text()); return true;
    default: return false;
  }
}

Result<Value> from_integer(std::int64_t number, Type type) {
  const auto bits = static_cast<std::uint64_t>(number);
  switch (inline_size(type)) {
    case 1: return Value::scalar(type, static_cast<std::uint8_t>(bits));
    case 2: return Value::scalar(type, static_cast<std::uint16_t>(bits));
    case 4: if (type == Type::float32) break; return Value::scalar(type, static_cast<std::uint32_t>(bits));
    case 8: if (type == Type::float64) break; return Value::scalar(type, bits);
    default: break;
  }
  if (type == Type::float32) return Value::from(static_cast<float>(number));
  if (type == Type::float64) return Value::from(static_cast<double>(number));
  return fail(ErrorCode::malformed, "an integer where the point is a " + std::string(to_string(type)));
}

}  // namespace

void bind_value(Statement& statement, int at, const Value& value, Type of_point, Bytes& scratch) {
  if (value.is_null()) return statement.bind_null(at);
  const bool plain = !value.is_array() && value.type() == of_point && bind_plain(statement, at, value);
  if (!plain) bind_encoded(statement, at, value, scratch);
}

Result<Value> column_value(const Statement& statement, int column, Type of_point) {
  switch (statement.type(column)) {
    case Statement::Column::null: return Value();
    case Statement::Column::integer: return from_integer(statement.integer(column), of_point);
    case Statement::Column::real:
      if (of_point == Type::float32) return Value::from(static_cast<float>(statement.real(column)));
      return Value::from(statement.real(column));
    case Statement::Column::text: return Value::text(statement.text(column));
    case Statement::Column::bytes: {
      ByteReader reader(statement.bytes(column));
      return decode_value(reader);
    }
  }
  return Value();
}

}  // namespace sallyport::history
